package snapshot

import (
	"fmt"
	"slices"
)

// large are so many rows that to look for each of them, by reading all of another table that has no index, takes seconds.
const large = 1000

// sweeps tells whether queries join so large a part of a table that each table in them is best read once. The planner would not know: our tables have no statistics, and what a
// migration has just written is in nobody's; and of a join by several columns it expects a row or none. Then it looks for each row anew (nested loops), which takes the square of the time.
func (s *Store) sweeps() bool {
	return s.joined != nil && slices.ContainsFunc(s.joined(), func(x *capture) bool {
		return x.Rows >= large && (x.Shape == nil || x.Rows >= x.Shape.Rows/50)
	})
}

// involved are the captures that are joined with tables while they are made, and while what goes back is followed.
func (c *Capturer) involved() []*capture {
	if c.restorer == nil {
		return c.captures
	}
	return slices.Concat(c.captures, c.restorer.involved())
}

func (r *Restorer) involved() []*capture {
	var out []*capture
	for _, x := range r.captures {
		out = append(out, x.capture)
	}
	return out
}

// unlisted is the condition that a query does not give the values, where an engine indexes the list. NULL is in no list. Other than NOT IN it does not ask whether one of several
// columns is NULL there, for which SQLite reads all of the list for each row that is not in it.
func unlisted(values, query string) string {
	return fmt.Sprintf("CASE WHEN (%s) IN (%s) THEN 1 = 0 ELSE 1 = 1 END", values, query)
}

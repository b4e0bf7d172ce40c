package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mostCompared is how many rows of a table are compared one by one; of larger ones only the checksum is.
const mostCompared = 20_000

// RowSet is what a small table holds, as exact text.
type RowSet struct {
	Table   engine.Name
	Columns []string
	key     []string
	rows    [][]string
	sum     Checksum // of tables that are too large
	large   bool
}

// RowsDiff is how the rows of a table differ.
type RowsDiff struct {
	Of      int          // rows before
	Missing int          // of those
	Added   int          // rows that were not there
	Changed []ColumnDiff // columns of rows that are in both
}

// ColumnDiff is how the values of a column differ.
type ColumnDiff struct {
	Column string
	Of     int // values before, NULL left out
	Lost   int // gone, or another value in their place
}

// Same says whether there is no difference.
func (d RowsDiff) Same() bool { return d.Missing == 0 && d.Added == 0 && len(d.Changed) == 0 }

// ReadRows reads a table; nil when there is none of that name.
func ReadRows(ctx context.Context, db *engine.DB, q engine.Querier, n engine.Name) (*RowSet, error) {
	return ReadSeen(ctx, db, q, n, nil)
}

// ReadSeen is ReadRows by what is known of the table.
func ReadSeen(ctx context.Context, db *engine.DB, q engine.Querier, n engine.Name, seen engine.Seen) (*RowSet, error) {
	t, err := seen.Inspect(ctx, db, q, n)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v, err := verifier(db)
	if err != nil {
		return nil, err
	}
	s := &RowSet{Table: t.Name}
	if len(t.Keys) > 0 {
		s.key = t.Keys[0].Columns
	}
	var exprs []string
	for _, c := range t.Columns {
		s.Columns = append(s.Columns, c.Name)
		exprs = append(exprs, v.sampleExpr(db, c))
	}
	if len(exprs) == 0 {
		exprs = []string{"''"}
	}
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(exprs, ", "), db.Quote(t.Name), mostCompared+1))
	if err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", n, err)
	}
	defer rows.Close()
	for rows.Next() {
		r := make([]string, len(exprs))
		into := make([]any, len(exprs))
		for i := range r {
			into[i] = &r[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		s.rows = append(s.rows, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the rows of %s: %w", n, err)
	}
	if len(s.rows) <= mostCompared {
		return s, nil
	}
	s.rows, s.large = nil, true
	s.sum, err = Sum(ctx, db, q, db.Quote(t.Name), HashExprs(db, t.Columns, ""))
	return s, err
}

// null tells whether a value, as ReadRows reads it, is NULL.
func null(v string) bool { return strings.HasPrefix(v, "null") }

// Compare says how the rows of a table differ from what they were; after is nil when the table is gone. Rows are told by
// their key; where there is none, by all that they hold.
func (s *RowSet) Compare(after *RowSet) RowsDiff {
	switch {
	case after == nil:
		return RowsDiff{Of: len(s.rows), Missing: len(s.rows)}
	case s.large || after.large:
		d := RowsDiff{Of: int(max(s.sum.Rows, int64(len(s.rows))))}
		if s.sum != after.sum || s.large != after.large {
			d.Missing = d.Of
		}
		return d
	}
	d := RowsDiff{Of: len(s.rows)}
	if len(s.key) == 0 {
		s.key = s.telling(after)
	}
	keyed := len(s.key) > 0 && !slices.ContainsFunc(s.key, func(c string) bool { return !slices.Contains(after.Columns, c) })
	at := map[string][][]string{}
	for _, r := range after.rows {
		k := after.identify(r, s, keyed)
		at[k] = append(at[k], r)
	}
	lost := map[string]int{}
	had := map[string]int{}
	for _, r := range s.rows {
		k := s.identify(r, s, keyed)
		twins := at[k]
		if len(twins) == 0 {
			d.Missing++
			continue
		}
		twin := twins[0]
		at[k] = twins[1:]
		for i, c := range s.Columns {
			j := slices.Index(after.Columns, c)
			same := j >= 0 && twin[j] == r[i]
			changed := !same && (j >= 0 || !null(r[i]))
			if changed || !null(r[i]) {
				had[c]++
			}
			if changed {
				lost[c]++
			}
		}
	}
	for _, left := range at {
		d.Added += len(left)
	}
	for _, c := range s.Columns {
		if lost[c] > 0 {
			d.Changed = append(d.Changed, ColumnDiff{Column: c, Of: had[c], Lost: lost[c]})
		}
	}
	return d
}

// telling finds a column of a table without a key by which its rows can be told apart all the same, before and after.
func (s *RowSet) telling(after *RowSet) []string {
	distinct := func(t *RowSet, i int) bool {
		seen := map[string]bool{}
		for _, r := range t.rows {
			if null(r[i]) || seen[r[i]] {
				return false
			}
			seen[r[i]] = true
		}
		return true
	}
	for i, c := range s.Columns {
		j := slices.Index(after.Columns, c)
		if j < 0 || !distinct(s, i) || !distinct(after, j) {
			continue
		}
		for _, r := range s.rows {
			if slices.ContainsFunc(after.rows, func(a []string) bool { return a[j] == r[i] }) {
				return []string{c}
			}
		}
	}
	return nil
}

// identify is what a row is told by: its key, or all columns that both sides have.
func (s *RowSet) identify(r []string, before *RowSet, keyed bool) string {
	columns := before.key
	if !keyed {
		columns = before.Columns
	}
	var b strings.Builder
	for _, c := range columns {
		if i := slices.Index(s.Columns, c); i >= 0 {
			fmt.Fprintf(&b, "%q ", r[i])
		}
	}
	return b.String()
}

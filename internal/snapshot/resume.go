package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Resume takes up the captures of a migration that was cut off before they were sealed: those that its committed
// statements made are sealed together with those to come. What the statements so far renamed or made is read from the
// captures and the tables of now; a statement that is still to run captures a table that they made, too.
func (s *Store) Resume(ctx context.Context, q engine.Querier, id string, m Meta) (*Capturer, error) {
	c := s.Begin(m)
	c.id = id
	rows, err := s.load(ctx, q, fmt.Sprintf("snapshot_id = %s AND status = %s", s.db.Arg(1), s.db.Arg(2)), id, statusCapturing)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		r.live = r.Shape
		c.captures = append(c.captures, r.capture)
		if len(r.Key) == 0 && r.Kind != Definition {
			c.whole[r.Identity] = true
		}
	}
	return c, nil
}

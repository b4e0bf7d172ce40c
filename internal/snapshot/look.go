package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Forget takes the captures of a statement out of use that turned out not to have run: it will capture anew when it does.
// With tables only those of these tables.
func (c *Capturer) Forget(ctx context.Context, q engine.Querier, n int, tables ...engine.Name) error {
	var left []*capture
	for _, x := range c.captures {
		own := c.s.db.Caps.TransactionalDDL && !x.Early || x.Ahead || x.Kind.Stays() // what was put back early counts otherwise, and stays
		if x.Statement != n || !own || len(tables) > 0 && !slices.Contains(tables, x.At) {
			left = append(left, x)
			continue
		}
		if err := c.s.setStatus(ctx, q, x.ID, statusVoid); err != nil {
			return err
		}
		delete(c.whole, x.Identity)
	}
	c.captures = left
	return nil
}

// Standing counts what has become of the rows that were captured ahead of a statement.
type Standing struct {
	Same int64                 // they stand in their places as they were captured
	Of   int64                 // captured
	More map[engine.Name]int64 // rows of those tables beyond the captured ones, where there are; of tables that were captured whole they are new
}

// Standing looks at the tables from which rows were captured ahead of a statement: as long as it has not run they are all there.
func (c *Capturer) Standing(ctx context.Context, q engine.Querier, n int) (Standing, error) {
	out := Standing{More: map[engine.Name]int64{}}
	err := c.s.pinned(ctx, q, func() error {
		for _, x := range c.captures {
			if x.Statement != n || x.Kind == Definition {
				continue
			}
			if err := c.standing(ctx, q, x, &out); err != nil {
				return fmt.Errorf("look at %s: %w", x.At, err)
			}
		}
		return nil
	})
	return out, err
}

func (c *Capturer) standing(ctx context.Context, q engine.Querier, x *capture, out *Standing) error {
	s := c.s
	out.Of += x.Rows
	if x.Kind == KeptColumns {
		lies, err := s.holder(ctx, q, x)
		if lies == nil {
			out.Same += x.Rows
		}
		return err
	}
	if x.Kind == Kept {
		if s.missing(ctx, q, s.db.Own(x.data())) {
			out.Same += x.Rows
		}
		return nil
	}
	t, err := s.db.Inspect(ctx, q, x.At)
	if errors.Is(err, engine.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	from := s.f.from(s.db, t)
	now, err := number(ctx, q, "count rows", "SELECT count(*) FROM "+from+" t")
	if err != nil {
		return err
	}
	if now > x.Rows {
		out.More[t.Name] = now - x.Rows
	}
	var kept, live []string
	for i, f := range x.Fields {
		if columnIndex(t, f.At) < 0 {
			return nil // not a row is as it was
		}
		kept, live = append(kept, s.image("d."+x.v(i), f)), append(live, s.image(s.f.value("t."+s.q(f.At), f), f))
	}
	query := fmt.Sprintf("SELECT count(*) FROM %s d JOIN %s t ON %s WHERE %s = %s", s.own(x.data()), from,
		s.on(x, t, "t", "d", func(i int) string { return x.Key[i].At }, x.old), s.hash(kept), s.hash(live))
	if len(x.Key) == 0 {
		query = fmt.Sprintf(`SELECT sum(CASE WHEN a.c < b.c THEN a.c ELSE b.c END)
			FROM (SELECT %s AS h, count(*) AS c FROM %s d GROUP BY 1) a JOIN (SELECT %s AS h, count(*) AS c FROM %s t GROUP BY 1) b ON a.h = b.h`,
			s.hash(kept), s.own(x.data()), s.hash(live), from)
	}
	same, err := number(ctx, q, "compare rows", query)
	out.Same += same
	return err
}

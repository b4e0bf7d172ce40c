package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Theirs looks at what a statement left that took effect when its program died, before what it had captured was sealed: what stands there
// otherwise than the statement can have left it was written by somebody else since. That is known of a table that was emptied, and of values
// that went to another type of their kind, which keeps them as they are. Of the others nothing can be told: they count as the statement's.
func (c *Capturer) Theirs(ctx context.Context, tx engine.Querier, n int, st effects.Statement) error {
	if c.s.db.Caps.TransactionalDDL {
		return nil
	}
	strict, err := number(ctx, tx, "read settings", "SELECT @@SESSION.sql_mode LIKE '%STRICT%'")
	if err != nil {
		return err
	}
	var altered []*following
	for i, x := range c.captures {
		if x.Statement != n || x.Seal.Mode != "" || x.Kind == Definition || x.Kind == Kept || len(x.Key) == 0 {
			continue
		}
		switch {
		case empties(st.Effects):
			emptied := x.Emptied
			sealEmpty(x, n)
			x.Emptied = emptied
			if err := c.s.finish(ctx, tx, x); err != nil {
				return err
			}
		case x.Kind == Columns && strict == 1:
			t, err := c.s.db.Inspect(ctx, c.s.db, x.At)
			if errors.Is(err, engine.ErrNoTable) {
				continue
			}
			if err != nil {
				return err
			}
			if kept, _ := c.unaltered(x, t); len(kept) > 0 {
				altered = append(altered, &following{x: x, index: i, t: t})
			}
		}
	}
	if err := c.room(ctx, c.s.db, &plan{}, altered...); err != nil { // no table may be made once the transaction has looked
		return err
	}
	return c.s.pinned(ctx, tx, func() error {
		for _, f := range altered {
			if err := c.otherwise(ctx, tx, f); err != nil {
				return fmt.Errorf("look who wrote to %s: %w", f.x.Home, err)
			}
		}
		return nil
	})
}

// unaltered spells the captured values that another type leaves as they are, and those that stand there.
func (c *Capturer) unaltered(x *capture, t *engine.Table) (kept, live []string) {
	for i, f := range x.Fields {
		if j := columnIndex(t, f.At); j >= 0 && mysqlKeeps(f, c.s.typed(t.Columns[j])) {
			kept, live = append(kept, c.s.image("d."+x.v(i), f)), append(live, c.s.image(c.s.f.value("t."+c.s.q(f.At), f), f))
		}
	}
	return kept, live
}

// otherwise seals a capture and marks the rows whose values are not the captured ones.
func (c *Capturer) otherwise(ctx context.Context, tx engine.Querier, f *following) error {
	s, x, t := c.s, f.x, f.t
	kept, live := c.unaltered(x, t)
	if err := c.sealNow(ctx, tx, x, f.index, nil); err != nil || x.Seal.Mode != sealRows {
		return err
	}
	_, err := exec(ctx, tx, "mark", fmt.Sprintf("UPDATE %s s JOIN %s d ON d.n = s.n JOIN %s t ON %s SET s.h = %s WHERE %s <> %s", s.own(x.companion()), s.own(x.data()), s.f.from(s.db, t),
		s.on(x, t, "t", "d", func(i int) string { return x.Key[i].At }, k), s.foreign(), s.hash(kept), s.hash(live)))
	return err
}

// mysqlKeeps tells whether a value of a captured column is the same one in a column of another type, or would have been refused.
func mysqlKeeps(f field, now string) bool {
	a, b := mysqlTyped(f.Type), mysqlTyped(now)
	switch {
	case a.kind == "bit" || b.kind == "bit" || a.kind == "year" || b.kind == "year":
		return false
	case a.family() == wholeNumber:
		return b.family() == wholeNumber && a.unsigned == b.unsigned
	case a.family() == letters:
		return b.family() == letters && a.charset == b.charset && a.kind != "char" && b.kind != "char"
	}
	return false
}

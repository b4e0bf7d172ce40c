package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table that had no key when the migration began may be given one on the way, to remove the rows that it has twice, say. The opposite direction takes
// that key away, and the rows' places with it: such a table has no key for captures, from beginning to end.

// inspect reads a table as captures of a migration that is followed see it. An error that is engine.ErrNoTable says that there is none.
func (s *Store) inspect(ctx context.Context, q engine.Querier, t *tracker, n engine.Name) (*engine.Table, error) {
	x, err := s.db.Inspect(ctx, q, n)
	if err != nil {
		return nil, err
	}
	return t.seen(x), nil
}

// seen is a table as captures see it.
func (t *tracker) seen(x *engine.Table) *engine.Table {
	if t == nil {
		return x
	}
	y := *x
	loose := func(k engine.Key) bool { return k.Primary && k.Loose }
	switch i := slices.IndexFunc(x.Unique, loose); {
	case t.keyless(x):
		y.Keys = nil
	case slices.ContainsFunc(x.Keys, loose):
		t.loosely[identityOf(t.home(x))] = true
		return x
	case i >= 0 && len(x.Keys) == 0 && t.loosely[identityOf(t.home(x))]: // emptied on the way: what comes into it is known by the same key
		y.Keys = []engine.Key{x.Unique[i]}
	default:
		return x
	}
	return &y
}

// keyless tells whether the migration made a column of each key that a table has, and the table had no key before. Where one may have been dropped on the way
// it had: one key makes way for another.
func (t *tracker) keyless(x *engine.Table) bool {
	return t != nil && t.origin != nil && len(x.Keys) > 0 && !t.made(x) && !t.unkeyed[strings.ToLower(x.Name.Name)] && !t.unkeyed[""] &&
		!slices.ContainsFunc(x.Keys, func(k engine.Key) bool {
			return !slices.ContainsFunc(k.Columns, func(n string) bool {
				i := columnIndex(x, n)
				return i >= 0 && t.madeColumn(x, x.Columns[i])
			})
		})
}

// keyed tells whether a table has a key, as captures see it; what cannot be seen has.
func (c *Capturer) keyed(ctx context.Context, q engine.Querier) func(engine.Name) bool {
	return func(n engine.Name) bool {
		x, err := c.s.inspect(ctx, q, c.track, n)
		return err != nil || len(x.Keys) > 0
	}
}

// unkey notes the tables that a statement may take a key from, of those that have one; "" for any.
func (t *tracker) unkey(es []effects.Effect, keyed func(engine.Name) bool) {
	for _, e := range es {
		switch e.Kind {
		case effects.DropConstraint, effects.DropColumn, effects.AlterTable, effects.RenameTable, effects.DropTable:
		case effects.Drop, effects.Alter, effects.DropSchema, effects.Opaque, effects.External:
			if slices.Contains([]string{"view", "materialized view", "trigger", "policy", "rule", "function", "procedure"}, e.Object.Kind) && !e.Cascade {
				continue
			}
		default:
			continue
		}
		if e.Table.Name != "" && !keyed(engine.Name(e.Table)) {
			continue
		}
		if t.unkeyed == nil {
			t.unkeyed = map[string]bool{}
		}
		t.unkeyed[strings.ToLower(e.Table.Name)] = true
		t.unkeyed[strings.ToLower(e.NewName.Name)] = t.unkeyed[strings.ToLower(e.NewName.Name)] || e.NewName.Name != ""
	}
}

// known makes sure that the rows of captured tables have keys still: a primary key of SQLite may hold NULL, and what was put there with none could not be
// told from what others write. Asked about the tables that effects name, or about all at the end: triggers write to others.
func (c *Capturer) known(ctx context.Context, tx engine.Querier, es []effects.Effect) error {
	if c.s.db.Kind != engine.SQLite || c.meta.Direction != "up" {
		return nil
	}
	seen := map[engine.Name]bool{}
	for _, x := range c.captures {
		if x.Kind == Definition || seen[x.Home] || es != nil && !slices.ContainsFunc(es, func(e effects.Effect) bool { return c.concerns(e, x) }) {
			continue
		}
		seen[x.Home] = true
		t, err := c.now(ctx, tx, x)
		if err != nil {
			return err
		}
		for _, f := range x.Key {
			if t == nil {
				break
			}
			i := columnIndex(t, c.keyNow(x, t, f))
			if i < 0 || !slices.ContainsFunc(t.Unique, func(u engine.Key) bool { return u.Primary && slices.Contains(u.Columns, t.Columns[i].Name) }) {
				continue
			}
			n, err := number(ctx, tx, "look for rows without a key", fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s WHERE %s IS NULL)", c.s.db.Quote(t.Name), c.s.q(t.Columns[i].Name)))
			if err != nil {
				return err
			}
			if n > 0 {
				return &LossError{Object: t.Name.String(), Reason: fmt.Sprintf("the statement leaves NULL in %s, by which the rows that were captured are known", t.Columns[i].Name),
					Hint: "give every row a key; a primary key of SQLite may hold NULL, where its columns are not NOT NULL"}
			}
		}
	}
	return nil
}

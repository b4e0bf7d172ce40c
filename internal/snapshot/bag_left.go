package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table without a key that the migration left alone, and of which the opposite direction deletes rows and does nothing else: what was there at the end of the
// migration comes back, as often as it was, less what the application has taken away since. What it has inserted since stays where Down deletes all rows, as in
// a table with a key; a DELETE with a condition says which rows are to go.

// onlyDeleted tells whether a capture is of such a table: no foreign key writes to its rows either.
func (r *Restorer) onlyDeleted(g *target) bool {
	began, there := r.s.calledFirst(g.t.Name, r.run)
	return there && g.x.Bystander && r.run != nil && !writtenAlong(g.t) && r.only(began, r.run, func(e effects.Effect) bool {
		return e.Kind == effects.Delete || e.Kind == effects.Truncate
	})
}

// writtenAlong tells whether triggers, rules or the actions of its foreign keys may write to rows of a table.
func writtenAlong(t *engine.Table) bool {
	return len(t.Triggers) > 0 || t.Rules || slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool {
		return strings.Contains(fk.OnDelete+fk.OnUpdate, "SET ") || strings.Contains(fk.OnUpdate, "CASCADE")
	})
}

// emptied finds what a statement that deletes all rows of such a table has captured; nil when there is none.
func (r *Restorer) emptied(t *engine.Table, c *Capturer) *capture {
	if c == nil || c.meta.Direction != "down" {
		return nil
	}
	for _, y := range c.captures {
		if y.Rows == 0 || len(y.Key) > 0 || !y.Whole || y.Kind != Rows && y.Kind != Table || identity(t) != y.Identity || y.Statement < 1 || y.Statement > len(r.run) {
			continue
		}
		if slices.ContainsFunc(r.run[y.Statement-1:], func(st effects.Statement) bool { // the first one has captured for all
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return emptiesAll(e) && r.s.sameName(e.Table.Name, t.Name.Name) })
		}) {
			return y
		}
	}
	return nil
}

// emptiesAll tells whether an effect deletes all rows of its table.
func emptiesAll(e effects.Effect) bool {
	return e.Kind == effects.Truncate && e.Object.Kind != "partition" || e.Kind == effects.Delete && !e.HasWhere && e.From == "" && !e.Volatile && !e.Unordered && !e.Nested
}

// sparesAll puts all rows of such a table back as they were ahead of the statement that has deleted them.
func (r *Restorer) sparesAll(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table, y *capture) error {
	n, err := number(ctx, tx, "count rows written since", "SELECT coalesce(sum(p.q), 0) FROM "+x.bag.plus+" p")
	if err != nil || n == 0 {
		return err
	}
	g, err := r.aim(&restoring{capture: r.s.sparing(y, r.run[y.Statement:]), onward: true}, t, true)
	if err != nil {
		return err
	}
	kept, live := r.images(g, g.fields, false)
	if err := r.exchange(ctx, tx, g, exchanging{kept: r.s.hash(kept), live: r.s.hash(live), group: "1"}); err != nil {
		return err
	}
	r.notes = append(r.notes, fmt.Sprintf("%s: Down deletes %d row(s) that the application has written since; they were put back as it left them", x.Home, n))
	return nil
}

// unmoved has a table without a key count as left alone where an up that follows a rollback captured it before what that one took came back, and nothing came back: all was there.
func (c *Capturer) unmoved(ctx context.Context, tx engine.Querier) error {
	for _, x := range c.captures {
		if !x.Refill || x.Bystander || !x.Whole || len(x.Key) > 0 || x.Kind != Rows {
			continue
		}
		t, err := c.now(ctx, tx, x)
		if err != nil {
			return err
		}
		if t == nil || identity(t) != x.Identity {
			continue
		}
		var kept, names []string
		for i, f := range x.Fields {
			kept, names = append(kept, c.s.image("d."+x.v(i), f)), append(names, c.nameNow(x, t, f))
		}
		differ, err := number(ctx, tx, "compare "+x.At.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT b.h FROM (SELECT %s AS h, 1 AS q FROM %s d UNION ALL SELECT %s, -1 FROM %s t) b GROUP BY b.h HAVING sum(b.q) <> 0) u",
			c.s.hash(kept), c.s.own(x.data()), c.s.hash(c.s.images(names, t, "t")), c.s.f.from(c.s.db, t)))
		if err != nil {
			return err
		}
		if x.Bystander = differ == 0; x.Bystander && x.Seal.Mode != "" {
			if err := c.s.finish(ctx, tx, x); err != nil {
				return err
			}
		}
	}
	return nil
}

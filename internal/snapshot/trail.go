package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table that the migration made is nobody's loss, and nothing of it is captured. But when it takes the place of one that was there,
// its rows are those rows, and where one of them stands in the end has to be known: a row whose key was moved and which the application
// has deleted since is not to come back under its first key. So moves of keys in such tables are written down until captures are sealed.

// trails plans to write down which keys a statement moves in a table that the migration made.
func (p *planner) trails(t *engine.Table, e effects.Effect) {
	if !p.s.db.Caps.TransactionalDDL {
		p.arrives(t, e)
		return
	}
	if len(t.Keys) == 0 || t.Kind != "table" || len(t.Children) > 0 ||
		e.Kind != effects.Update && e.Kind != effects.Upsert && e.Kind != effects.Merge {
		return
	}
	if len(e.Columns) > 0 && !slices.ContainsFunc(t.Keys[0].Columns, func(k string) bool {
		return slices.ContainsFunc(e.Columns, func(c string) bool { return p.sameColumn(c, k) })
	}) {
		return
	}
	if !slices.ContainsFunc(p.plan.actions, func(a *action) bool { return a.trail && a.table.Name == t.Name }) {
		p.plan.actions = append(p.plan.actions, &action{kind: Rows, table: t, events: events{update: true}, moved: true, keysOnly: true, trail: true, reason: "keys moved"})
	}
}

// ranOver follows the tables of trails through a statement.
func (c *Capturer) ranOver(es []effects.Effect) {
	for _, e := range es {
		for _, x := range c.trails {
			if e.Kind == effects.RenameTable && c.s.sameName(x.At.Name, e.Table.Name) && x.live.OID == 0 {
				x.At.Name, x.Identity = e.NewName.Name, identityOf(engine.Name{Name: e.NewName.Name})
			}
		}
	}
}

// trodden are the trails of the table that stands in the place of a capture, oldest first.
func (c *Capturer) trodden(x *capture, t *engine.Table) []*capture {
	if t == nil || len(x.Key) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.trails), func(y *capture) bool {
		return y.Identity != identity(t) || !slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return c.s.sameName(a.Seal, b.At) && a.Decl == b.Decl })
	})
}

// forgetTrails drops them.
func (c *Capturer) forgetTrails(ctx context.Context, tx engine.Querier) error {
	for _, x := range c.trails {
		if err := c.s.drop(ctx, tx, "forget moved keys", c.s.own(x.data())); err != nil {
			return err
		}
	}
	c.trails = nil
	return nil
}

// stay writes captured values of columns that were made again into rows that the migration had moved to other keys and that stay there,
// because the application has changed them since: nothing of theirs stands in those columns.
func (r *Restorer) stay(ctx context.Context, tx engine.Querier, g *target, fields []int) (int64, error) {
	s, x := r.s, g.x
	if !x.work || !x.Seal.Places || x.Moved || x.final != "" || x.Seal.Mode != sealRows || len(fields) == 0 {
		return 0, nil
	}
	var sets [][2]string
	for _, i := range fields {
		now := r.live(g, i)
		sets = append(sets, [2]string{s.q(now.Name), s.f.back("d."+x.v(i), x.Fields[i], now)})
	}
	columns := []string{"y.*"}
	for i := range x.Key {
		columns = append(columns, fmt.Sprintf("s.%s AS p%d", k(i), i+1))
	}
	from := fmt.Sprintf("(SELECT %s FROM %s y JOIN %s s ON s.n = y.n WHERE EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n AND w.reason IN ('%s', '%s'))) d",
		list(columns), s.own(x.data()), s.own(x.companion()), s.own(x.conflicts()), changedSince, insertedSince)
	kept, live := r.images(g, fields, false)
	return exec(ctx, tx, "put back values of "+x.Home.String(), s.update(s.f.from(s.db, g.t), "t", sets, from,
		all(s.on(x.capture, g.t, "t", "d", g.name, func(i int) string { return "p" + itoa(i+1) }), "("+s.differ(live, kept)+")", strings.TrimSpace(x.inserted(false)))))
}

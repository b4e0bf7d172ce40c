package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Rows that go back write over what seals hold, too: these follow as they follow a statement.

// amid follows what was captured on the way here of tables that rows go back into. It follows as well the captures that go back otherwise than by what is written now, to the tables of
// the targets: to them it is no write of somebody else. Nor is it to those that are followed already, but for its own, which see to that themselves; own is nil where nothing
// is followed any more.
func (c *Capturer) amid(ctx context.Context, tx engine.Querier, tables []*engine.Table, targets []*target, own []*restoring, write func() error) error {
	if !c.bySteps() {
		return write()
	}
	p := &plan{}
	stands := func(x *capture) int {
		if x.Kind == Definition || x.Kind.Stays() || x.Seal.Mode == "" || x.Seal.Mode == sealCovered || x.Seal.Mode == sealNone {
			return -1
		}
		return slices.IndexFunc(tables, func(t *engine.Table) bool { return t.Name == x.sealedAt() })
	}
	for i, x := range c.captures {
		j := stands(x)
		if j < 0 {
			continue
		}
		if x.Seal.Table.Name == "" { // the table is back, and stands elsewhere in time
			x.Seal = seal{}
			continue
		}
		p.follows = append(p.follows, &following{x: x, index: i, t: tables[j]})
	}
	if c.restorer != nil {
		for _, x := range c.restorer.tables() {
			along := x.moving != nil && own != nil && !slices.Contains(own, x)
			if x.lost || x.Rows == 0 || !along && (len(targets) == 0 || x.placed || x.wrote || len(x.Fields) > 0 && slices.ContainsFunc(targets, func(g *target) bool { return g.x == x })) {
				continue
			}
			f := &following{x: x.moving, index: -1}
			if f.x == nil {
				f.x = x.follower()
			}
			if x.unsealed() && x.bag != nil && x.bag.plus == c.s.own(more(x.ID)) {
				f.known = x.bag
			}
			j := stands(f.x)
			if j < 0 || !along && !slices.ContainsFunc(targets, func(g *target) bool { return g.t.Name == tables[j].Name }) {
				continue
			}
			f.t, x.moving = tables[j], f.x
			p.follows = append(p.follows, f)
		}
	}
	if err := c.room(ctx, tx, p, p.follows...); err != nil {
		return err
	}
	for _, f := range p.follows {
		if x := f.x; len(x.Key) > 0 && len(x.Seal.Key) == len(x.Key) && !c.s.db.Caps.TransactionalDDL {
			if _, err := number(ctx, tx, "lock "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s d JOIN %s t ON %s FOR UPDATE", c.s.own(x.data()), c.s.f.from(c.s.db, f.t),
				c.s.on(x, f.t, "t", "d", func(i int) string { return x.Seal.Key[i] }, k))); err != nil {
				return err
			}
		}
	}
	if c.s.db.Caps.TransactionalDDL {
		if err := c.still(ctx, tx, p.follows); err != nil {
			return err
		}
	}
	if err := errors.Join(c.compareBags(ctx, tx, p), c.before(ctx, tx, p.follows)); err != nil {
		return err
	}
	c.among, c.writing = len(p.follows) > 0, true
	defer func() { c.among, c.writing, c.unsealed = false, false, nil }()
	if err := write(); err != nil {
		return err
	}
	for _, y := range c.unsealed {
		if err := c.sealBack(ctx, tx, y); err != nil {
			return err
		}
	}
	if c.s.db.Caps.TransactionalDDL {
		return c.stepped(ctx, tx, p.follows)
	}
	return c.after(ctx, tx, p, nil)
}

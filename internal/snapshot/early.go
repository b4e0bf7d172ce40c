package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// What is put back while statements are still to come is in the way of their captures: what stood there is captured first.

// overwrites captures what stands where values are about to be put back early, where DDL is not transactional and a statement still to come writes to it: that
// would capture the values that are back.
func (r *Restorer) overwrites(ctx context.Context, tx engine.Querier, targets []*target, rest []effects.Statement) error {
	c := r.capturer
	if c == nil || r.s.db.Caps.TransactionalDDL || !slices.ContainsFunc(rest, func(st effects.Statement) bool { return st.DestroysData() || st.Opaque() }) {
		return nil
	}
	for _, g := range slices.Backward(targets) { // undone the other way round
		var columns []string
		for _, i := range g.fields {
			if now := r.live(g, i); !c.track.madeColumn(g.t, now) { // nothing of anyone's stands in one that the run made
				columns = append(columns, now.Name)
			}
		}
		if len(columns) == 0 || c.track.made(g.t) {
			continue
		}
		if err := c.standingIn(ctx, tx, r, g, columns, r.source(g.x), "1 = 0"); err != nil {
			return err
		}
	}
	return nil
}

// early puts data back into places that were there all along while statements are still to come: what stands there now would
// never be seen by their captures, so it is captured first.
func (r *Restorer) early(ctx context.Context, tx engine.Querier, tables []*engine.Table, rest []effects.Statement, write func() error) error {
	c := r.capturer
	if c == nil || !r.s.db.Caps.TransactionalDDL {
		return write()
	}
	if !slices.ContainsFunc(rest, func(st effects.Statement) bool { return st.DestroysData() || st.Opaque() }) {
		// A table without a key is captured whole, also by a statement that inserts, or by an up in the end: what has come back would
		// be among its rows, and what this takes out would not.
		if c.meta.Direction != "up" && !inserts(rest) {
			return write()
		}
		if tables = slices.DeleteFunc(slices.Clone(tables), func(t *engine.Table) bool { return len(t.Keys) > 0 }); len(tables) == 0 {
			return write()
		}
	}
	p, err := c.putting(ctx, tx, tables, "put back early")
	if err != nil {
		return err
	}
	return c.guarded(ctx, tx, c.statement, p, write)
}

// putting plans to capture what is written to tables that were there all along.
func (c *Capturer) putting(ctx context.Context, tx engine.Querier, tables []*engine.Table, reason string) (*plan, error) {
	if err := c.origins(ctx, tx); err != nil {
		return nil, err
	}
	p := &planner{s: c.s, q: tx, track: c.track, tables: map[engine.Name]*engine.Table{}, seen: true}
	for _, t := range tables {
		if c.track.made(t) {
			continue
		}
		if err := p.tree(ctx, c.track.seen(t), action{kind: Rows, events: events{true, true, true}, moved: true, chain: true, lossy: true, reason: reason}); err != nil {
			return nil, err
		}
	}
	return &p.plan, nil
}

// overwritten captures the rows that stand in the places of a capture's conflicts.
func (c *Capturer) overwritten(ctx context.Context, tx engine.Querier, r *Restorer, g *target) error {
	work := c.s.own(g.x.conflicts())
	return c.standingIn(ctx, tx, r, g, nil, work+" w JOIN "+r.source(g.x)+" ON d.n = w.n", fmt.Sprintf("w.reason = '%s'", insertedSince))
}

// standingIn captures the rows that stand in the places of entries d, and those that stand where entries go back to that fulfil a condition: whole, or some columns.
func (c *Capturer) standingIn(ctx context.Context, tx engine.Querier, r *Restorer, g *target, columns []string, entries, goals string) error {
	s, x := c.s, g.x
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, columns: columns, events: events{update: true, remove: columns == nil}, reason: "restored over"})
	if err != nil {
		return err
	}
	names, _ := y.columns()
	values := []string{"'u'"}
	for _, f := range append(slices.Clone(y.Key), y.Fields...) {
		values = append(values, s.f.value("t."+s.q(f.At), f))
	}
	place := k
	if x.landed || x.cleared {
		place = x.goal
	}
	take := func(at string) error {
		n, err := exec(ctx, tx, "capture what is restored over", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s JOIN %s t ON %s",
			s.own(y.data()), list(names), list(values), entries, s.f.from(s.db, g.t), at))
		y.Rows += n
		return err
	}
	if err := take(s.on(x.capture, g.t, "t", "d", g.name, place)); err != nil {
		return err
	}
	if x.Moved || x.final != "" { // see goals
		known := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), s.on(y, g.t, "t", "y", func(i int) string { return y.Key[i].At }, k))
		if err := take(all(goals, s.on(x.capture, g.t, "t", "d", g.name, x.goal), known)); err != nil {
			return err
		}
	}
	if y.Rows == 0 {
		return s.drop(ctx, tx, "drop an empty capture", s.own(y.data()))
	}
	return c.record(ctx, tx, y)
}

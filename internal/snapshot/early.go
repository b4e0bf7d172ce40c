package snapshot

import (
	"context"
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

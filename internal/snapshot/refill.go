package snapshot

import (
	"context"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An up that follows a rollback also puts back what that one took: rows and values of the application. None of its statements has
// written those, so none has captured what was there before, and the next rollback would leave them where they are. They are captured
// like the rows of a statement; and that rollback captures them before it takes them again.

// refill puts back what a rollback took, and captures what stands there before.
func (r *Restorer) refill(ctx context.Context, tx engine.Querier, tables []*engine.Table, c *Capturer, write func() error) error {
	if c == nil || c.meta.Direction != "up" || !r.s.db.Caps.TransactionalDDL {
		return write()
	}
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	p := &planner{s: r.s, q: tx, track: c.track, tables: map[engine.Name]*engine.Table{}, seen: true}
	for _, t := range tables {
		if c.track.made(t) {
			continue
		}
		if err := p.tree(ctx, t, action{kind: Rows, events: events{true, true, true}, moved: true, chain: true, lossy: true, reason: "put back"}); err != nil {
			return err
		}
	}
	c.refill = true
	defer func() { c.refill = false }()
	return c.guarded(ctx, tx, c.statement, &p.plan, func() error {
		if err := write(); err != nil {
			return err
		}
		if d, ok := r.s.d.(interface {
			deferred(context.Context, engine.Querier) error
		}); ok { // no trigger goes while checks are outstanding
			return d.deferred(ctx, tx)
		}
		return nil
	})
}

// refilled captures rows as an up that followed a rollback had put them back, ahead of what was there before.
func (r *Restorer) refilled(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	if c == nil || c.meta.Direction != "down" {
		return nil
	}
	for _, g := range targets {
		x := g.x
		if !x.Refill || x.Rows == 0 || len(x.Key) == 0 || columnIndex(g.t, g.name(0)) < 0 {
			continue
		}
		entries := r.source(x)
		if free := r.free(x); free != "" {
			entries = "(SELECT d.* FROM " + entries + " WHERE " + free + ") d"
		}
		if err := c.standingIn(ctx, tx, r, g, entries, "1 = 0"); err != nil {
			return err
		}
	}
	return nil
}

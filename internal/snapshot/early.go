package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// What is put back while statements are still to come is in the way of their captures: what stood there is captured first.

// overwrites captures what stands where values are about to be put back early, where DDL is not transactional: a statement still to come that writes to it would capture the values that
// are back, and recover --abort would leave them there. It gives what to do when they are back.
func (r *Restorer) overwrites(ctx context.Context, tx engine.Querier, targets []*target, rest []effects.Statement) (func() error, error) {
	c, after := r.capturer, []func() error{}
	early := !destroys(rest)
	if c == nil || !r.toBeKept(early) {
		return func() error { return nil }, nil
	}
	began := len(c.captures)
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
		stood, err := c.standingIn(ctx, tx, r, g, columns, r.source(g.x), "1 = 0", early)
		if err != nil {
			return nil, err
		}
		if g.x.Whole {
			after = append(after, func() error { return c.arrived(ctx, tx, r, g, stood, early) })
		}
	}
	return func() error {
		for _, f := range after {
			if err := f(); err != nil {
				return err
			}
		}
		for i, y := range c.captures { // what is written to it from now on is not the run's
			if i < began {
				continue
			}
			if err := c.seal(ctx, tx, i, y, nil); err != nil {
				return fmt.Errorf("seal what stood in %s: %w", y.Home, err)
			}
			if err := c.s.finish(ctx, tx, y); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// toBeKept tells whether what stands where rows go back early is to be captured for a run that is taken back. Where one that is early is not, early captures it for the
// statements to come; and what is one transaction is taken back by the server.
func (r *Restorer) toBeKept(early bool) bool {
	return !r.s.db.Caps.TransactionalDDL || r.capturer.meta.Steps && early
}

// arrived records the rows that stand in the places of a capture's entries, and were not among those that stood there, as inserted: recover --abort takes them out again, and so does
// the run that undoes this one, where a statement to come destroys some of them: its capture brings those back.
func (c *Capturer) arrived(ctx context.Context, tx engine.Querier, r *Restorer, g *target, stood *capture, early bool) error {
	s := c.s
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, events: events{insert: true}, reason: "back early"})
	if err != nil {
		return err
	}
	y.Early = early
	names, _ := y.columns()
	values := []string{"'i'"}
	for _, f := range append(slices.Clone(y.Key), y.Fields...) {
		values = append(values, s.f.value("t."+s.q(f.At), f))
	}
	conditions := []string{s.on(g.x.capture, g.t, "t", "d", g.name, k)}
	if stood != nil {
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(stood.data()), s.on(stood, g.t, "t", "y", func(i int) string { return stood.Key[i].At }, k)))
	}
	if y.Rows, err = exec(ctx, tx, "record what is back", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s JOIN %s t ON %s",
		s.own(y.data()), list(names), list(values), r.source(g.x), s.f.from(s.db, g.t), all(conditions...))); err != nil {
		return err
	}
	if y.Rows == 0 {
		return s.drop(ctx, tx, "drop an empty capture", s.own(y.data()))
	}
	return c.record(ctx, tx, y)
}

// ForgetEarly gives up what was captured only for a run that is taken back, when it is through.
func (c *Capturer) ForgetEarly(ctx context.Context, q engine.Querier) error {
	var left []*capture
	for _, x := range c.captures {
		if !x.Early {
			left = append(left, x)
			continue
		}
		if err := c.s.setStatus(ctx, q, x.ID, statusVoid); err != nil {
			return err
		}
	}
	c.captures = left
	return nil
}

// early puts data back into places that were there all along while statements are still to come: what stands there now would
// never be seen by their captures, so it is captured first.
func (r *Restorer) early(ctx context.Context, tx engine.Querier, tables []*engine.Table, rest []effects.Statement, write func() error) error {
	c := r.capturer
	if c == nil || !r.s.db.Caps.TransactionalDDL {
		return write()
	}
	if !destroys(rest) {
		// A table without a key is captured whole, also by a statement that inserts, or by an up in the end: what has come back would
		// be among its rows, and what this takes out would not.
		if c.meta.Direction != "up" && !inserts(rest) {
			return write()
		}
		if c.meta.Direction == "up" {
			if err := c.origins(ctx, tx); err != nil {
				return err
			}
			if slices.ContainsFunc(tables, c.keyedSince) {
				return r.refill(ctx, tx, tables, c, write)
			}
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

// RemoveInserted takes out the rows that the migration inserted, but those of some tables, before columns get other types while others write: by those nobody could tell any more whether
// somebody has written to such a row. One that the server does not let go stays until the end.
func (r *Restorer) RemoveInserted(ctx context.Context, tx engine.Querier, but map[engine.Name]bool) error {
	return r.s.pinned(ctx, tx, func() error {
		for _, x := range slices.Backward(r.tables()) {
			if !x.Ops || x.cleared || len(x.Key) == 0 || x.Rows == 0 || x.Seal.Table != x.Home || but[x.Home] || r.moves(x.Home) {
				continue
			}
			t, err := r.inspect(ctx, tx, x.Home)
			if err != nil {
				return err
			}
			if t == nil {
				continue
			}
			g, err := r.aim(x, t, true)
			if err != nil {
				return err
			}
			named := slices.ContainsFunc(x.Seal.Key, func(n string) bool { return columnIndex(t, n) < 0 })
			for i := range x.Key {
				named = named || columnIndex(t, g.name(i)) < 0
			}
			if named { // otherwise, until names are back
				continue
			}
			if err := r.lookAgain(ctx, tx, x, nil); err != nil {
				return err
			}
			if err := r.clear(ctx, tx, g, nil); engine.Answered(err) { // by a foreign key, of a row that goes later
				x.cleared = false
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// keyedSince tells whether the migration has given a table its key: what comes back into it came into one without.
func (c *Capturer) keyedSince(t *engine.Table) bool {
	return len(t.Keys) > 0 && !c.track.made(t) && len(c.track.seen(t).Keys) == 0
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
	_, err := c.standingIn(ctx, tx, r, g, nil, work+" w JOIN "+r.source(g.x)+" ON d.n = w.n", fmt.Sprintf("w.reason = '%s'", insertedSince), false)
	return err
}

// standingIn captures the rows that stand in the places of entries d, and those that stand where entries go back to that fulfil a condition: whole, or some columns.
func (c *Capturer) standingIn(ctx context.Context, tx engine.Querier, r *Restorer, g *target, columns []string, entries, goals string, early bool) (*capture, error) {
	s, x := c.s, g.x
	if err := c.origins(ctx, tx); err != nil {
		return nil, err
	}
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, columns: columns, events: events{update: true, remove: columns == nil}, reason: "restored over"})
	if err != nil {
		return nil, err
	}
	y.Early = early
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
		return nil, err
	}
	if x.Moved || x.final != "" { // see goals
		known := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), s.on(y, g.t, "t", "y", func(i int) string { return y.Key[i].At }, k))
		if err := take(all(goals, s.on(x.capture, g.t, "t", "d", g.name, x.goal), known)); err != nil {
			return nil, err
		}
	}
	if y.Rows == 0 {
		return nil, s.drop(ctx, tx, "drop an empty capture", s.own(y.data()))
	}
	return y, c.record(ctx, tx, y)
}

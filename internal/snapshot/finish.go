package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Finish puts back what is still missing after the last statement of the opposite direction, newest capture first so
// that the oldest values stand at the end, writes only rows that differ, and proves the result. Under Restore the
// application's values that it overwrites are captured through c first.
//
// The transaction must be rolled back when it returns an error; *ConflictError under Fail is one.
//
// done, unless it is nil, is called with the report when all is written and proven, in the same transaction: where triggers are exchanged for the rows
// (MySQL, MariaDB) that ends before Finish does, and what done writes is committed with the rows.
func (r *Restorer) Finish(ctx context.Context, tx engine.Querier, p Policy, c *Capturer, done func(Report) error) (Report, error) {
	if err := r.Check(ctx, tx); err != nil {
		return Report{}, err
	}
	var rep Report
	err := r.s.pinned(ctx, tx, func() error {
		var err error
		rep, err = r.finish(ctx, tx, p, c, done)
		return err
	})
	return rep, err
}

func (r *Restorer) finish(ctx context.Context, tx engine.Querier, p Policy, c *Capturer, done func(Report) error) (Report, error) {
	if p == Fail {
		if err := r.refuse(ctx, tx); err != nil {
			return Report{}, err
		}
	}
	if err := r.takeNames(ctx, tx); err != nil {
		return Report{}, err
	}
	if err := r.takePlace(ctx, tx, nil, true); err != nil {
		return Report{}, err
	}
	if err := r.makeAside(ctx, tx); err != nil {
		return Report{}, err
	}
	if left := r.pendingKept(); len(left) > 0 {
		return Report{}, &PlaceError{Table: left[0].Home, Rows: left[0].Rows}
	}
	if left := r.pendingColumns(); len(left) > 0 {
		x := left[0]
		lies, err := r.s.holder(ctx, tx, x.capture)
		if err == nil && lies == nil {
			err = columnsGone(x.capture)
		}
		if err == nil {
			err = &PlaceError{Table: x.Home, Columns: x.Columns, Rows: x.Rows}
		}
		return Report{}, err
	}
	targets, tables, err := r.targets(ctx, tx)
	if err != nil {
		return Report{}, err
	}
	theirs, err := r.spares(ctx, tx, c)
	if err != nil {
		return Report{}, err
	}
	for _, x := range theirs {
		tables = distinct(append(tables, x.t))
	}
	if r.severed, err = r.severs(ctx, tx, c); err != nil {
		return Report{}, err
	}
	for _, x := range r.severed {
		tables = distinct(append(tables, x.t))
	}
	var rep Report
	err = r.ready(ctx, tx, tables, func() error {
		if rep, err = r.bring(ctx, tx, targets, tables, theirs, p, c); err != nil || done == nil {
			return err
		}
		return done(rep)
	})
	return rep, err
}

// bring puts everything back that is not back yet.
func (r *Restorer) bring(ctx context.Context, tx engine.Querier, targets []*target, tables []*engine.Table, theirs []*spared, p Policy, c *Capturer) (Report, error) {
	if err := r.again(ctx, tx, c); err != nil {
		return Report{}, err
	}
	if err := r.freed(ctx, tx, targets); err != nil {
		return Report{}, err
	}
	if p == Fail {
		if err := r.refuse(ctx, tx); err != nil {
			return Report{}, err
		}
	}
	if err := r.follow(ctx, tx, targets, c); err != nil {
		return Report{}, err
	}
	if err := r.carried(ctx, tx, targets, c); err != nil {
		return Report{}, err
	}
	for _, g := range targets {
		if len(g.x.Key) > 0 {
			if err := r.newer(ctx, tx, g); err != nil {
				return Report{}, err
			}
		}
	}
	if p == Fail {
		if err := r.refuse(ctx, tx); err != nil {
			return Report{}, err
		}
	}
	var overridden []Conflict
	if p == Restore {
		var err error
		if overridden, err = r.override(ctx, tx, targets, c); err != nil {
			return Report{}, err
		}
	}
	if err := r.refilled(ctx, tx, targets, c); err != nil {
		return Report{}, err
	}
	if len(tables) > 0 {
		err := r.amid(ctx, tx, targets, tables, c, nil, nil, func() (err error) {
			if targets, err = r.returnSpared(ctx, tx, targets, theirs); err != nil {
				return err
			}
			if err := r.staysOut(ctx, tx, targets, false); err != nil {
				return err
			}
			return r.putBack(ctx, tx, targets, tables, p, c)
		})
		if err != nil {
			return Report{}, err
		}
	}
	if err := r.doubles(ctx, tx, targets, c); err != nil {
		return Report{}, err
	}
	if p == Fail {
		if err := r.refuse(ctx, tx); err != nil {
			return Report{}, err
		}
	}
	conflicts, _, err := r.conflicts(ctx, tx, true)
	if err != nil {
		return Report{}, err
	}
	if err := r.tellSpared(ctx, tx, theirs); err != nil {
		return Report{}, err
	}
	if err := r.tellWritten(ctx, tx, c); err != nil {
		return Report{}, err
	}
	for _, x := range r.captures {
		if x.later != nil {
			if err := r.s.setStatus(ctx, tx, x.ID, statusWaiting); err != nil {
				return Report{}, err
			}
			continue
		}
		if err := r.forget(ctx, tx, x); err != nil {
			return Report{}, err
		}
		if x.work {
			if err := r.s.drop(ctx, tx, "forget conflicts", r.s.own(x.conflicts())); err != nil {
				return Report{}, err
			}
			x.work = false
		}
		if x.moving != nil && r.s.db.Caps.TransactionalDDL {
			for _, at := range []string{backFirst, backSecond} {
				if err := r.s.ddl(ctx, tx, "forget seals", "DROP TABLE IF EXISTS "+r.s.own(x.companionAt(at))); err != nil {
					return Report{}, err
				}
			}
			x.moving = nil
		}
		if err := r.s.setStatus(ctx, tx, x.ID, statusRestored); err != nil {
			return Report{}, err
		}
	}
	for _, y := range slices.Concat(r.relays, r.captures) {
		if y.ties != "" {
			if err := r.s.drop(ctx, tx, "forget ties", y.ties); err != nil {
				return Report{}, err
			}
		}
		if y.Relay {
			if err := r.s.setStatus(ctx, tx, y.ID, statusRestored); err != nil {
				return Report{}, err
			}
		}
	}
	out := Report{Conflicts: slices.Concat(overridden, r.won, conflicts), Verified: true, Notes: r.notes, Later: r.Later()}
	for _, n := range r.order {
		out.Tables = append(out.Tables, *r.report[n])
	}
	return out, nil
}

// targets finds the places of all captures, newest first.
func (r *Restorer) targets(ctx context.Context, tx engine.Querier) ([]*target, []*engine.Table, error) {
	var out []*target
	var tables []*engine.Table
	all := r.tables()
	standing := map[engine.Name]*engine.Table{} // asked once a table: a migration of many statements has as many captures of it
	for i := len(all) - 1; i >= 0; i-- {
		x := all[i]
		if _, asked := standing[x.Home]; !asked {
			var err error
			if standing[x.Home], err = r.inspect(ctx, tx, x.Home); err != nil {
				return nil, nil, err
			}
		}
		t := standing[x.Home]
		if t == nil {
			if x.Rows == 0 || r.dropped(x) {
				continue
			}
			return nil, nil, &PlaceError{Table: x.Home, Rows: x.Rows}
		}
		r.of(x.Home)
		if err := r.otherKey(ctx, tx, x, t); err != nil {
			return nil, nil, err
		}
		g, err := r.aim(x, t, x.Rows == 0)
		if err != nil {
			return nil, nil, err
		}
		out, tables = append(out, g), append(tables, t)
	}
	return out, distinct(tables), nil
}

// dropped tells whether an up has taken the table of a capture away again: what a rollback has written over in it was there for as long as the
// table was.
func (r *Restorer) dropped(x *restoring) bool {
	c := r.capturer
	return c != nil && c.meta.Direction == "up" && c.Dropped(x.Home)
}

// Dropped tells whether a table was dropped by a statement so far.
func (c *Capturer) Dropped(table engine.Name) bool {
	return slices.ContainsFunc(c.captures, func(x *capture) bool { return x.drops(table) })
}

// putBack writes all targets and proves them. What a rewrite has put back is only looked at when the proof, which comes last, shows
// that something became of it since.
func (r *Restorer) putBack(ctx context.Context, tx engine.Querier, targets []*target, tables []*engine.Table, p Policy, c *Capturer) error {
	err := r.putAll(ctx, tx, targets, tables, p, c)
	var unproven *ProofError
	if !errors.As(err, &unproven) {
		return err
	}
	for _, g := range targets {
		if g.x.anew && g.x.ID == unproven.Capture {
			g.x.anew = false
			return r.putBack(ctx, tx, targets, tables, p, c)
		}
	}
	return err
}

func (r *Restorer) putAll(ctx context.Context, tx engine.Querier, targets []*target, tables []*engine.Table, p Policy, c *Capturer) error {
	targets, err := r.beforeKeysMove(ctx, tx, targets)
	if err != nil {
		return err
	}
	lift, err := r.s.d.shield(ctx, tx, tables)
	if err != nil {
		return err
	}
	older := func(i int) []*restoring { // captures of the same table that come after in undoing
		var out []*restoring
		for _, g := range targets[i+1:] {
			if g.x.Home == targets[i].x.Home && (g.x.Rows > 0 || len(g.x.Key) == 0) {
				out = append(out, g.x)
			}
		}
		return out
	}
	kin := func(i int) ([]*restoring, error) { // and those of tables that it is a part of, or that are parts of it
		out := older(i)
		for _, g := range targets[i+1:] {
			if related, err := r.related(ctx, tx, g.x, targets[i].x); err != nil {
				return nil, err
			} else if related && g.x.Rows > 0 {
				out = append(out, g.x)
			}
		}
		return out, nil
	}
	cover(targets)
	write := func() error {
		for i, g := range targets {
			if g.x.Rows == 0 && len(g.x.Key) > 0 {
				continue
			}
			if len(g.x.Key) == 0 {
				if slices.ContainsFunc(older(i), func(y *restoring) bool { return len(y.Key) == 0 && !y.Seal.Mixed }) {
					continue // an older capture of the whole table is what counts
				}
				if err := r.putBag(ctx, tx, g, p, c); err != nil {
					return err
				}
				continue
			}
			if g.x.anew {
				g.x.wrote = true
				continue
			}
			if err := r.clear(ctx, tx, g, targets); err != nil {
				return err
			}
			if err := r.removed(ctx, tx, g, c); err != nil {
				return err
			}
			if err := r.lost(ctx, tx, g); err != nil {
				return err
			}
			if late := slices.DeleteFunc(slices.Clone(g.fields), func(i int) bool { return !slices.Contains(g.x.late, g.x.Fields[i].Name) }); len(late) > 0 {
				watched := func(i int) bool { return g.x.Fields[i].Watched } // Down has computed it by now
				for _, part := range [][]int{slices.DeleteFunc(slices.Clone(late), watched), late} {
					if err := r.write(ctx, tx, g, part, !slices.ContainsFunc(part, watched) && !g.x.renumbered, false); err != nil {
						return err
					}
				}
			}
			if err := r.write(ctx, tx, g, g.fields, false, true); err != nil {
				return err
			}
			if err := r.parts(ctx, tx, g); err != nil {
				return err
			}
			if g.x.work { // a row may have found its place taken
				if _, err := r.orphans(ctx, tx, targets[i+1:]); err != nil {
					return err
				}
			}
			if len(older(i)) > 0 {
				if err := r.prove(ctx, tx, g, g.covered); err != nil {
					return err
				}
			}
		}
		return r.reconnect(ctx, tx, r.severed)
	}
	if err := r.refill(ctx, tx, tables, c, write); err != nil {
		return err
	}
	for _, t := range tables {
		var old []Sequence
		for _, g := range targets {
			if g.t.Name == t.Name {
				old = append(old, g.x.Sequences...)
			}
		}
		if err := r.s.f.raise(ctx, tx, r.s, t, old); err != nil {
			return err
		}
	}
	if err := lift(ctx, r.strays()); err != nil {
		return err
	}
	for i, g := range targets {
		if g.x.Rows == 0 || len(g.x.Key) == 0 {
			continue
		}
		after, err := kin(i)
		if err != nil {
			return err
		}
		if err := r.prove(ctx, tx, g, after); err != nil {
			return err
		}
	}
	return nil
}

// clear removes rows that the migration inserted and moves keys back. Where keys were moved this is done for all captures of a
// table at once, newest first, so that values can be put back after by the keys that rows had in the beginning.
func (r *Restorer) clear(ctx context.Context, tx engine.Querier, g *target, targets []*target) error {
	todo := []*target{g}
	if r.moves(g.x.Home) {
		todo = slices.DeleteFunc(slices.Clone(targets), func(h *target) bool { return h.x.Home != g.x.Home || len(h.x.Key) == 0 || h.x.Rows == 0 })
	}
	for _, h := range todo {
		if h.x.cleared {
			continue
		}
		h.x.cleared = true
		if err := r.spare(ctx, tx, h); err != nil {
			return err
		}
		deleted, err := r.remove(ctx, tx, h)
		if err != nil {
			return err
		}
		var moved int64
		if h.x.Moved && !h.x.landed {
			if moved, err = r.unmove(ctx, tx, h); err != nil {
				return err
			}
		}
		rep := r.of(h.x.Home)
		rep.Deleted, rep.Updated = rep.Deleted+deleted, rep.Updated+moved
	}
	return nil
}

// moves tells whether the migration moved keys of a table.
func (r *Restorer) moves(n engine.Name) bool {
	return slices.ContainsFunc(r.captures, func(x *restoring) bool { return x.Home == n && x.Moved && !x.Still && x.Rows > 0 })
}

// follow looks what became of rows whose keys the migration moved: a Down that moves them back itself is trusted when it
// put all of them where they were in the beginning.
func (r *Restorer) follow(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	if c == nil {
		return nil
	}
	s := r.s
	for _, g := range targets {
		x := g.x
		if err := r.unforeseen(ctx, tx, g, c); err != nil {
			return err
		}
		if !x.Moved || x.Rows == 0 || x.cleared || x.Seal.Mode != sealRows {
			continue
		}
		from, places := r.source(x)+" JOIN "+s.own(x.companion())+" s ON s.n = d.n", make([]string, len(x.Key))
		for i := range x.Key {
			places[i] = "d." + k(i)
			if x.Seal.Places {
				places[i] = "s." + k(i)
			}
		}
		start := slices.Clone(places)
		moved := 0
		for m, y := range c.captures {
			if !y.Moved || y.Identity != identity(g.t) || len(y.Key) != len(x.Key) {
				continue
			}
			var on []string
			for i := range x.Key {
				on = append(on, fmt.Sprintf("m%d.%s = %s", m, o(i), places[i]))
			}
			from += fmt.Sprintf(" LEFT JOIN %s m%d ON %s", s.own(y.data()), m, all(append(on, fmt.Sprintf("m%d.op = 'u'", m))...))
			for i := range x.Key {
				places[i] = fmt.Sprintf("coalesce(m%d.%s, %s)", m, k(i), places[i])
			}
			moved++
		}
		if moved == 0 {
			continue
		}
		var back, still []string
		for i := range x.Key {
			back = append(back, fmt.Sprintf("%s = d.%s", places[i], x.goal(i)))
			still = append(still, fmt.Sprintf("%s = %s", places[i], start[i]))
		}
		var of, landed, stayed int64
		err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(CASE WHEN %s THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN %s THEN 1 ELSE 0 END), 0) FROM %s WHERE %s",
			all(back...), all(still...), from, all("d.op = 'u'", r.free(x)))).Scan(&of, &landed, &stayed)
		if err != nil {
			return fmt.Errorf("follow keys of %s: %w", x.Home, err)
		}
		switch {
		case stayed == of:
		case landed == of:
			x.landed = true
		default:
			return &ProofError{Table: x.Home, Capture: x.ID, Rows: of - landed, Of: of, Reason: "Down moves keys in another way than Up did"}
		}
	}
	return nil
}

// override captures what the application wrote in places that captured values are about to take, and frees those places.
func (r *Restorer) override(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) ([]Conflict, error) {
	s := r.s
	out, err := r.revive(ctx, tx, targets)
	if err != nil {
		return nil, err
	}
	for _, g := range targets {
		x := g.x
		if !x.work {
			continue
		}
		work := s.own(x.conflicts())
		if c != nil && len(x.Key) > 0 {
			if err := c.overwritten(ctx, tx, r, g); err != nil {
				return nil, err
			}
		}
		settled := fmt.Sprintf("reason IN ('%s', '%s', '%s', '%s')", changedSince, insertedSince, computedSince, carriedSince)
		if x.entire() {
			settled = fmt.Sprintf("reason IN ('%s', '%s', '%s', '%s', '%s')", changedSince, insertedSince, computedSince, carriedSince, deletedSince)
		}
		list, total, err := r.conflictsOf(ctx, tx, x, settled, Restore)
		if err != nil {
			return nil, err
		}
		r.of(x.Home).Conflicts += total
		out = append(out, list...)
		if x.cleared && total > 0 { // what was inserted is gone already, but for these
			n, err := r.removeThose(ctx, tx, g, func() string {
				return fmt.Sprintf("EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.%s) AND NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')", work, settled, work, usedSince)
			})
			if err != nil {
				return nil, err
			}
			r.of(x.Home).Deleted += n
		}
		if _, err := exec(ctx, tx, "free conflicts", fmt.Sprintf("DELETE FROM %s WHERE %s", work, settled)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

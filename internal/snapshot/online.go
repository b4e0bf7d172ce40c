package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Restoring online: the comparison is made once, without a lock, and written down; then its entries are carried out in
// batches, each a restoration of its own in a short transaction that locks the table. A row that was written between the
// comparison and its batch was written by the application, and is a conflict. What is done stays done when a later
// batch fails: the same restoration begun again finds what is left.

// Position is how far an online restoration came.
type Position struct {
	phase, lot int
	n          int64
	pass       int   // how many times what had to wait was tried again
	waiting    int64 // how many entries had to, before that
	together   bool  // all of a table in one batch
	Done       bool
	Batches    int
}

// circle is how many entries that hold each other's unique values one batch writes.
const circle = 10_000

// mayCome are the reasons of conflicts that other batches can do away with.
const mayCome = "'" + valueTaken + "', '" + parentGone + "', '" + usedSince + "'"

// The phases: rows that are to go make room, values and rows come back, parents first; then those go that a row pointed to.
const (
	goFirst = iota
	comeBack
	goLast
	phases
)

// Begin compares, in a transaction of its own, and refuses what cannot be done in batches.
func (x *Restoration) Begin(ctx context.Context, tx engine.Querier) (Position, error) {
	x.online = true
	x.busy()
	if x.ask.OnConflict == Fail {
		return Position{}, &AskError{Message: "--on-conflict fail changes nothing at all when there is a conflict: batches cannot promise that", Hint: "leave --online out, or look at the preview first"}
	}
	for i, l := range x.lots {
		if l.live == nil {
			continue
		}
		for _, fk := range l.live.ForeignKeys {
			if slices.ContainsFunc(x.lots[i:], func(o *lot) bool { return o.name == fk.Parent }) {
				return Position{}, &UnsafeError{Message: fmt.Sprintf("rows of %s point to rows of %s that come after them: they have to come back in one transaction", l.name, fk.Parent), Hint: "leave --online out"}
			}
		}
		if len(l.live.Triggers) > 0 && !x.s.db.Caps.TransactionalDDL {
			return Position{}, &UnsafeError{Message: fmt.Sprintf("%s has triggers, and here they can only be switched off for everybody", l.name), Hint: "leave --online out, at a time when nobody writes"}
		}
	}
	err := x.s.pinned(ctx, tx, func() error {
		if err := x.check(ctx, tx); err != nil {
			return err
		}
		if err := x.compare(ctx, tx); err != nil {
			return err
		}
		for _, l := range x.lots {
			if l.w == nil {
				return &UnsafeError{Message: fmt.Sprintf("%s has no key: its rows have to be put back in one transaction", l.name), Hint: "leave --online out"}
			}
		}
		if err := errors.Join(x.settle(ctx, tx), x.settled(ctx)); err != nil {
			return err
		}
		for _, l := range x.lots {
			if l.w.work {
				continue
			}
			if err := x.s.make(ctx, tx, "note conflicts", x.s.own(l.w.conflicts()), []string{"n bigint NOT NULL", "reason varchar(40) NOT NULL"}, ""); err != nil {
				return err
			}
			l.w.work = true
		}
		return nil
	})
	return Position{lot: x.start(goFirst)}, err
}

// start is the first table of a phase.
func (x *Restoration) start(phase int) int {
	if phase == comeBack {
		return 0
	}
	return len(x.lots) - 1
}

// Batch carries out at most size entries, in a transaction of its own, and says how far it came then. When it fails, or its
// transaction does, the same position can be tried again.
func (x *Restoration) Batch(ctx context.Context, tx engine.Querier, c *Capturer, p Position, size int) (Position, error) {
	for !p.Done {
		for p.lot >= 0 && p.lot < len(x.lots) {
			l := x.lots[p.lot]
			last, err := x.end(ctx, tx, l, p, size)
			if err != nil {
				return p, err
			}
			if last.some {
				next := p
				next.n, next.Batches = last.n, p.Batches+1
				err := x.s.pinned(ctx, tx, func() error { return x.batch(ctx, tx, c, l, p, last.n) })
				if err == nil {
					err = c.Seal(ctx, tx, nil)
				}
				return next, err
			}
			p.n = 0
			if p.phase == comeBack {
				p.lot++
			} else {
				p.lot--
			}
		}
		p.phase++
		if p.n = 0; p.phase < phases {
			p.lot = x.start(p.phase)
			continue
		}
		var err error
		if p, err = x.onceMore(ctx, tx, p); err != nil {
			return p, err
		}
	}
	return p, nil
}

// onceMore begins another pass, over entries that had to wait: for a unique value that a row had whose own came with a later batch, or goes last, and for parents that waited
// for one. Each pass goes the other way, because rows that were moved on by one stand in line. When nothing comes of that, they stand in a circle, and are written together.
func (x *Restoration) onceMore(ctx context.Context, tx engine.Querier, p Position) (Position, error) {
	next := Position{phase: comeBack, pass: p.pass + 1, Batches: p.Batches}
	var most int64
	for _, l := range x.lots {
		n, err := number(ctx, tx, "look for what waits", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", x.s.own(l.w.data()), x.next(l, next)))
		if err != nil {
			return p, err
		}
		next.waiting, most = next.waiting+n, max(most, n)
	}
	next.together = p.pass > 0 && next.waiting >= p.waiting
	next.Done = next.waiting == 0 || next.together && (p.together || most > circle)
	return next, nil
}

// backwards tells whether a pass goes from the last entry to the first.
func (p Position) backwards() bool { return p.phase == comeBack && p.pass%2 == 1 }

type batchEnd struct {
	n    int64
	some bool
}

// next gives the conditions on the entries of a phase that are still to be carried out. Rows that came later are numbered below
// zero, none is 0.
func (x *Restoration) next(l *lot, p Position) string {
	var after string
	if p.n != 0 {
		after = fmt.Sprintf("d.n > %d", p.n)
		if p.backwards() {
			after = fmt.Sprintf("d.n < %d", p.n)
		}
	}
	work := x.s.own(l.w.conflicts())
	only := func(reasons string) string {
		return fmt.Sprintf("d.n IN (SELECT u.n FROM %[1]s u WHERE u.reason IN (%[2]s)) AND NOT EXISTS (SELECT 1 FROM %[1]s u WHERE u.n = d.n AND u.reason NOT IN (%[2]s))", work, reasons)
	}
	switch {
	case p.phase == goFirst:
		return all("d.op = 'i'", after, x.r.free(l.w))
	case p.phase == goLast:
		return all("d.op = 'i'", after, only("'"+usedSince+"'"))
	case p.pass == 0:
		return all("d.op <> 'i'", after, x.r.free(l.w))
	}
	// A value that a row has which is none of those that wait will not become free.
	s, g := x.s, l.g
	stands := func(e string) string { return s.on(l.w.capture, l.live, "t", e, g.name, k) }
	hope := []string{"d.op <> 'i'", after, only(mayCome)}
	for _, key := range slices.Concat(l.live.Keys, l.live.Unique) {
		if holds := x.r.meets(g, key); holds != nil {
			hope = append(hope, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s AND NOT EXISTS (SELECT 1 FROM %s e JOIN %s u ON u.n = e.n WHERE %s))", s.f.from(s.db, l.live),
				all(append(holds, "NOT ("+stands("d")+")")...), s.own(l.w.data()), work, all(stands("e"), "u.reason IN ("+mayCome+")")))
		}
	}
	return all(hope...)
}

// end finds the last entry of the next batch.
func (x *Restoration) end(ctx context.Context, tx engine.Querier, l *lot, p Position, size int) (batchEnd, error) {
	which, order := "max", ""
	if p.backwards() {
		which, order = "min", " DESC"
	}
	if p.together && p.phase == comeBack {
		size = circle
	}
	var last *int64
	err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT %s(y.n) FROM (SELECT d.n FROM %s d WHERE %s ORDER BY d.n%s LIMIT %d) y", which, x.s.own(l.w.data()), x.next(l, p), order, size)).Scan(&last)
	if err != nil {
		return batchEnd{}, fmt.Errorf("find the next batch: %w", err)
	}
	if last == nil {
		return batchEnd{}, nil
	}
	return batchEnd{*last, true}, nil
}

// batch restores some entries of one table.
func (x *Restoration) batch(ctx context.Context, tx engine.Querier, c *Capturer, l *lot, p Position, last int64) error {
	s := x.s
	part := &lot{name: l.name, live: l.live, was: l.was, x: l.x}
	y := &Restoration{s: s, ask: x.ask, from: x.from, online: true, r: &Restorer{s: s, report: map[engine.Name]*TableReport{}}, lots: []*lot{part}}
	if err := y.hold(ctx, tx); err != nil {
		return err
	}
	if !slices.Equal(part.live.Columns, l.live.Columns) {
		return fmt.Errorf("%s was altered while its rows were put back: %w", l.name, errBusy)
	}
	until := "<="
	if p.backwards() {
		until = ">="
	}
	these := all(x.next(l, p), fmt.Sprintf("d.n %s %d", until, last))
	w := &restoring{capture: &capture{Info: l.w.Info, detail: l.w.detail}, onward: true}
	w.ID = newID()
	if err := y.into(ctx, tx, part, w); err != nil {
		return err
	}
	names, _ := w.capture.columns()
	columns := list(append([]string{"n", "b"}, names...))
	if err := x.grip(ctx, tx, part, l, these); err != nil {
		return err
	}
	if err := x.meanwhile(ctx, tx, l, these); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "take the next batch", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s d WHERE %s", s.own(w.data()), columns, columns, s.own(l.w.data()), these)); err != nil {
		return err
	}
	if err := s.indexed(ctx, tx, w.capture, k); err != nil {
		return err
	}
	if p.phase == goFirst { // what goes with a later batch is captured there: of a row that was captured twice only the last capture tells what was left in its place
		if err := y.used(ctx, tx, part); err != nil {
			return err
		}
	}
	if err := y.write(ctx, tx, c); err != nil {
		return err
	}
	if err := y.unsave(ctx, tx, part, c); err != nil {
		return err
	}
	if p.phase == goLast || p.pass > 0 {
		if _, err := exec(ctx, tx, "note conflicts", fmt.Sprintf("DELETE FROM %s WHERE reason IN (%s) AND n IN (SELECT n FROM %s)", s.own(l.w.conflicts()), mayCome, s.own(w.data()))); err != nil {
			return err
		}
	}
	if w.work {
		if _, err := exec(ctx, tx, "note conflicts", fmt.Sprintf("INSERT INTO %s (n, reason) SELECT n, reason FROM %s", s.own(l.w.conflicts()), s.own(w.conflicts()))); err != nil {
			return err
		}
	}
	return y.forget(ctx, tx)
}

// meanwhile looks what was written to rows since they were compared.
func (x *Restoration) meanwhile(ctx context.Context, tx engine.Querier, l *lot, these string) error {
	s, w, g := x.s, l.w, l.g
	place := s.on(w.capture, l.live, "t", "d", g.name, k)
	there := "t." + s.q(g.name(0))
	if x.ask.OnConflict != Restore {
		return x.r.mark(ctx, tx, w, fmt.Sprintf(
			"SELECT d.n, CASE WHEN d.op = 'd' THEN '%s' WHEN %s IS NULL THEN '%s' ELSE '%s' END FROM %s d LEFT JOIN %s t ON %s WHERE %s",
			insertedSince, there, deletedSince, changedSince, s.own(w.data()), s.f.from(s.db, l.live), place,
			all(these, fmt.Sprintf("(d.op = 'd' AND %[1]s IS NOT NULL OR d.op = 'u' AND %[1]s IS NULL OR d.op <> 'd' AND %[1]s IS NOT NULL AND %[2]s <> d.b)",
				there, s.hash(s.images(columnNames(l.live), l.live, "t"))))))
	}
	return x.turned(ctx, tx, l, these)
}

// Finish counts what was done and drops the comparison, in a transaction of its own.
func (x *Restoration) Finish(ctx context.Context, tx engine.Querier) ([]Preview, []Conflict, error) {
	err := x.s.pinned(ctx, tx, func() error {
		if err := x.report(ctx, tx); err != nil {
			return err
		}
		return x.forget(ctx, tx)
	})
	return x.previews(), x.Conflicts(), err
}

// Leave drops the comparison after a batch has failed. There is no open transaction.
func (x *Restoration) Leave(ctx context.Context, session *engine.Session) error {
	var drops []string
	for _, t := range x.needed() {
		drops = append(drops, "DROP TABLE IF EXISTS "+x.s.own(t))
	}
	if !x.s.db.Caps.TransactionalDDL {
		return x.s.aside(ctx, drops...)
	}
	return session.Tx(ctx, func(tx *sql.Tx) error { return x.s.ddl(ctx, tx, "forget the comparison", drops...) })
}

package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Apply writes the rows back, in the caller's transaction, which must be rolled back when it returns an error. What it writes
// over is captured through c first, and sealed at the end: restoring that undoes this. The counts are those of rows written.
func (x *Restoration) Apply(ctx context.Context, tx engine.Querier, c *Capturer) ([]Preview, []Conflict, error) {
	err := x.s.pinned(ctx, tx, func() error {
		if err := x.check(ctx, tx); err != nil {
			return err
		}
		if x.ask.Mode == Copy {
			return x.copy(ctx, tx)
		}
		return x.ready(ctx, tx, func() error {
			if err := x.hold(ctx, tx); err != nil {
				return err
			}
			if err := x.compare(ctx, tx); err != nil {
				return err
			}
			if err := x.write(ctx, tx, c); err != nil {
				return err
			}
			if err := x.report(ctx, tx); err != nil {
				return err
			}
			if err := x.forget(ctx, tx); err != nil {
				return err
			}
			if err := c.Seal(ctx, tx, nil); err != nil {
				return err
			}
			return x.settled(ctx)
		})
	})
	return x.previews(), append(x.overridden, x.conflicts...), err
}

// ready runs f with the tables prepared for rows that come back. On MySQL, where a table has triggers, the transaction is
// committed when f is done, because what was done to them cannot be taken back in any other way.
func (x *Restoration) ready(ctx context.Context, tx engine.Querier, f func() error) error {
	if x.s.f.ready == nil {
		return f()
	}
	var tables []*engine.Table
	var old []Sequence
	for _, l := range x.lots {
		if l.live == nil {
			continue
		}
		tables = append(tables, l.live)
		for _, c := range l.was.captures {
			for _, q := range c.Sequences {
				if q.Name == c.At {
					q.Name = l.live.Name
				}
				old = append(old, q)
			}
		}
	}
	done, err := x.s.f.ready(ctx, x.s, tx, distinct(tables), old)
	if err != nil {
		return err
	}
	err = f()
	return errors.Join(err, done(ctx, err))
}

// hold locks the tables, and reads them again: until now they could change. Where a row that goes would take rows of another table
// along, or change them, that one is locked as well: nobody may write such a row between the look for them and the write.
func (x *Restoration) hold(ctx context.Context, tx engine.Querier) error {
	var weak, strong []*engine.Table
	for _, n := range x.taking() {
		t, err := x.r.inspect(ctx, tx, n)
		if err != nil {
			return err
		}
		if t != nil {
			weak = append(weak, t)
		}
	}
	for _, l := range x.lots {
		switch {
		case l.live == nil:
		case x.strong(l):
			strong = append(strong, l.live)
		default:
			weak = append(weak, l.live)
		}
	}
	for i, tables := range [][]*engine.Table{strong, weak} {
		if len(tables) == 0 {
			continue
		}
		if err := x.s.d.lock(ctx, tx, distinct(tables), i == 0); err != nil {
			return fmt.Errorf("lock before restoring: %w", err)
		}
	}
	for _, l := range x.lots {
		if l.live == nil {
			continue
		}
		t, err := x.s.db.Inspect(ctx, tx, l.live.Name)
		if errors.Is(err, engine.ErrNoTable) {
			return fmt.Errorf("%s went away meanwhile: %w", l.name, errBusy)
		}
		if err != nil {
			return err
		}
		l.live, l.was.live = t, t
	}
	return nil
}

// taking lists the tables, others than those restored, of which a foreign key would delete or change rows along.
func (x *Restoration) taking() []engine.Name {
	var out []engine.Name
	for _, l := range x.lots {
		if l.live == nil || x.ask.Mode != Replace && !slices.ContainsFunc(l.was.captures, func(c *capture) bool { return c.Ops }) {
			continue
		}
		for _, fk := range l.live.Referenced {
			quiet := func(action string) bool { return action == "NO ACTION" || action == "RESTRICT" }
			if quiet(fk.OnDelete) && quiet(fk.OnUpdate) || slices.Contains(out, fk.Table) ||
				slices.ContainsFunc(x.lots, func(o *lot) bool { return o.live != nil && o.live.Name == fk.Table }) {
				continue
			}
			out = append(out, fk.Table)
		}
	}
	return out
}

// strong tells whether readers have to stay out as well: writing switches off something that only an exclusive lock can.
func (x *Restoration) strong(l *lot) bool {
	ours := func(n engine.Name) bool {
		return slices.ContainsFunc(x.lots, func(o *lot) bool { return o.live != nil && o.live.Name == n })
	}
	return l.live.Rules ||
		slices.ContainsFunc(l.live.ForeignKeys, func(fk engine.ForeignKey) bool {
			return !fk.Validated || !fk.Deferrable && ours(fk.Parent)
		}) ||
		slices.ContainsFunc(l.live.Referenced, func(fk engine.ForeignKey) bool { return !fk.Deferrable && ours(fk.Table) }) ||
		slices.ContainsFunc(l.live.Columns, func(c engine.Column) bool {
			return c.Identity == "always" && !slices.ContainsFunc(l.live.Keys, func(k engine.Key) bool { return slices.Contains(k.Columns, c.Name) })
		})
}

// write carries the differences out.
func (x *Restoration) write(ctx context.Context, tx engine.Querier, c *Capturer) error {
	if !x.online { // a batch has done it before it looked what was written meanwhile
		for _, l := range x.keyed() {
			if err := x.grip(ctx, tx, l, l, "1 = 1"); err != nil {
				return err
			}
			if err := x.turned(ctx, tx, l, "1 = 1"); err != nil {
				return err
			}
		}
	}
	for _, l := range x.keyed() {
		if err := x.going(ctx, tx, l); err != nil {
			return err
		}
	}
	if err := x.settle(ctx, tx); err != nil {
		return err
	}
	if err := x.r.staysOut(ctx, tx, x.targets(), false); err != nil {
		return err
	}
	for _, l := range x.keyed() {
		if err := x.changed(ctx, tx, l); err != nil {
			return err
		}
	}
	if x.ask.OnConflict == Fail {
		if err := x.r.refuse(ctx, tx); err != nil {
			return err
		}
	}
	for _, l := range x.lots {
		if err := x.save(ctx, tx, l, c); err != nil {
			return err
		}
	}
	var tables []*engine.Table
	for _, l := range x.lots {
		tables = append(tables, l.live)
	}
	lift, err := x.s.d.shield(ctx, tx, distinct(tables))
	if err != nil {
		return err
	}
	if err := x.put(ctx, tx); err != nil {
		return err
	}
	for _, l := range x.lots {
		var old []Sequence
		for _, y := range l.was.captures {
			old = append(old, y.Sequences...)
		}
		if err := x.s.f.raise(ctx, tx, x.s, l.live, old); err != nil {
			return err
		}
	}
	if err := lift(ctx, x.r.strays()); err != nil {
		return err
	}
	for _, l := range x.keyed() {
		if err := x.alone(ctx, tx, l); err != nil {
			return err
		}
		if err := x.r.prove(ctx, tx, l.g, nil); err != nil {
			return err
		}
	}
	if x.ask.OnConflict == Fail {
		return x.r.refuse(ctx, tx)
	}
	return nil
}

// changed marks rows whose referenced values are to change while rows go on pointing to them.
func (x *Restoration) changed(ctx context.Context, tx engine.Querier, l *lot) error {
	s, w := x.s, l.w
	for _, fk := range l.live.Referenced {
		if err := x.needs(ctx, tx, l, fk); err != nil {
			return err
		}
		changes := x.moved(l, fk)
		child, err := x.r.inspect(ctx, tx, fk.Table)
		if err != nil {
			return err
		}
		if changes == "" || child == nil {
			continue
		}
		if err := x.r.mark(ctx, tx, w, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s t ON %s WHERE %s", usedSince, s.own(w.data()), s.f.from(s.db, l.live),
			s.on(w.capture, l.live, "t", "d", l.g.name, k), all("d.op = 'u'", changes, x.r.free(w), x.pointed(l, child, fk)))); err != nil {
			return err
		}
	}
	return nil
}

// needs marks rows that are to go while rows come back that point to them: those of another table may be of another moment.
func (x *Restoration) needs(ctx context.Context, tx engine.Querier, l *lot, fk engine.ForeignKey) error {
	s := x.s
	for _, o := range x.keyed() {
		if o == l || o.live.Name != fk.Table {
			continue
		}
		on := []string{"e.op <> 'i'"}
		for i, c := range fk.Columns {
			for _, f := range o.g.fields {
				if x.r.column(o.live, o.w.Fields[f].Name) == c {
					on = append(on, s.f.back("e."+o.w.v(f), o.w.Fields[f], o.live.Columns[columnIndex(o.live, c)])+" = t."+s.q(fk.ParentColumns[i]))
				}
			}
		}
		if len(on) <= len(fk.Columns) {
			continue // they point to what they point to now
		}
		if o.w.work {
			on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s ew WHERE ew.n = e.n)", s.own(o.w.conflicts())))
		}
		if err := x.r.mark(ctx, tx, l.w, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s t ON %s WHERE %s", usedSince, s.own(l.w.data()), s.f.from(s.db, l.live),
			s.on(l.w.capture, l.live, "t", "d", l.g.name, k), all("d.op = 'i'", x.r.free(l.w), fmt.Sprintf("EXISTS (SELECT 1 FROM %s e WHERE %s)", s.own(o.w.data()), all(on...))))); err != nil {
			return err
		}
	}
	return nil
}

// put writes. That a unique value is taken can show only then: rows that point to one which stays out for that have to stay out as well, and it is begun again.
func (x *Restoration) put(ctx context.Context, tx engine.Querier) error {
	const what = "put back rows"
	for {
		works, previews := make([]bool, len(x.lots)), make([]Preview, len(x.lots))
		for i, l := range x.lots {
			works[i], previews[i] = l.w != nil && l.w.work, l.preview
		}
		if _, err := exec(ctx, tx, what, "SAVEPOINT dbrollback_again"); err != nil {
			return err
		}
		x.r.collided = map[*restoring][]int64{}
		err := x.putAll(ctx, tx)
		if len(x.r.collided) == 0 || err == nil && !x.awaited() {
			if err == nil {
				_, err = exec(ctx, tx, what, "RELEASE SAVEPOINT dbrollback_again")
			}
			return err
		}
		if _, back := exec(ctx, tx, what, "ROLLBACK TO SAVEPOINT dbrollback_again"); back != nil {
			return cmp.Or(err, back)
		}
		for i, l := range x.lots {
			if l.preview = previews[i]; l.w != nil && x.s.db.Caps.TransactionalDDL { // a table that was made since is gone
				l.w.work = works[i]
			}
		}
		for w, entries := range x.r.collided {
			if err := x.r.mark(ctx, tx, w, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE d.n IN (%s)", valueTaken, x.s.own(w.data()), numbered(entries))); err != nil {
				return err
			}
		}
		if err := x.r.staysOut(ctx, tx, x.targets(), false); err != nil {
			return err
		}
	}
}

// awaited tells whether rows that were written may point to rows that stay out.
func (x *Restoration) awaited() bool {
	for _, l := range x.keyed() {
		if len(x.r.collided[l.w]) > 0 && slices.ContainsFunc(x.keyed(), func(o *lot) bool {
			return slices.ContainsFunc(o.live.ForeignKeys, func(fk engine.ForeignKey) bool { return fk.Parent == l.live.Name })
		}) {
			return true
		}
	}
	return false
}

// putAll does it once: keys go back, rows that are to go make room, values and rows come back, parents first; then go those that could not
// before, because a row that has been put right since pointed to them.
func (x *Restoration) putAll(ctx context.Context, tx engine.Querier) error {
	for _, l := range x.keyed() {
		if !l.w.Moved {
			continue
		}
		l.w.at = "" // they are written
		if _, err := x.r.unmove(ctx, tx, l.g); err != nil {
			return err
		}
	}
	remove := func() (gone int64, err error) {
		for _, l := range slices.Backward(x.keyed()) {
			n, err := x.r.remove(ctx, tx, l.g)
			if err != nil {
				return gone, err
			}
			gone += n
		}
		return gone, nil
	}
	if _, err := remove(); err != nil {
		return err
	}
	for _, l := range x.lots {
		if l.w == nil {
			if err := x.putBag(ctx, tx, l); err != nil {
				return err
			}
			continue
		}
		if _, err := x.r.update(ctx, tx, l.g, l.g.fields, false); err != nil {
			return err
		}
		some, err := number(ctx, tx, "look for rows that are gone", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op <> 'u'", x.s.own(l.w.data())))
		if err != nil {
			return err
		}
		if some == 0 && !l.w.Moved && len(x.lots) == 1 {
			continue // each row of then is there, and none goes that could take one along
		}
		if _, err := x.r.insert(ctx, tx, l.g); err != nil {
			return err
		}
	}
	for {
		for _, l := range x.keyed() {
			if !l.w.work {
				continue
			}
			if _, err := exec(ctx, tx, "look again", fmt.Sprintf("DELETE FROM %s WHERE reason = '%s' AND n IN (SELECT d.n FROM %s d WHERE d.op = 'i')", x.s.own(l.w.conflicts()), usedSince, x.s.own(l.w.data()))); err != nil {
				return err
			}
		}
		gone, err := remove()
		if err != nil || gone == 0 || len(x.r.collided) == 0 {
			return err
		}
		if more, err := x.retry(ctx, tx); err != nil || !more {
			return err
		}
	}
}

// retry writes rows again whose unique values were taken: what has gone since may have had them. It tells whether any came in.
func (x *Restoration) retry(ctx context.Context, tx engine.Querier) (more bool, err error) {
	for _, l := range x.keyed() {
		entries := x.r.collided[l.w]
		if len(entries) == 0 {
			continue
		}
		delete(x.r.collided, l.w)
		if _, err := exec(ctx, tx, "look again", fmt.Sprintf("DELETE FROM %s WHERE reason = '%s' AND n IN (%s)", x.s.own(l.w.conflicts()), valueTaken, numbered(entries))); err != nil {
			return more, err
		}
		if _, err := x.r.update(ctx, tx, l.g, l.g.fields, false); err != nil {
			return more, err
		}
		if _, err := x.r.insert(ctx, tx, l.g); err != nil {
			return more, err
		}
		more = more || len(x.r.collided[l.w]) < len(entries)
	}
	return more, nil
}

// report counts conflicts and what was left alone.
func (x *Restoration) report(ctx context.Context, tx engine.Querier) error {
	for _, l := range x.lots {
		if l.w != nil {
			if err := x.tally(ctx, tx, l); err != nil {
				return err
			}
		}
		n, err := x.rows(ctx, tx, l)
		if err != nil {
			return err
		}
		p := &l.preview
		if l.rows != nil { // counted before
			n += p.Inserted - p.Deleted
		}
		p.Left = n - p.Inserted - p.Updated
		p.Samples, p.Tied, p.Locks = []Change{}, []Tied{}, []Lock{}
	}
	return nil
}

// save captures what is about to be written over: rows that change or go as they are, of rows that come the key.
func (x *Restoration) save(ctx context.Context, tx engine.Querier, l *lot, c *Capturer) error {
	if l.w == nil {
		return x.saveBag(ctx, tx, l, c)
	}
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	s, w, g := x.s, l.w, l.g
	a := &action{kind: Rows, table: l.live, events: events{insert: true, update: true, remove: true}, moved: w.Moved, reason: "restored over"}
	for i := range w.Key {
		a.key = append(a.key, g.name(i))
	}
	y, err := c.prepare(ctx, tx, len(c.captures)+1, a)
	if err != nil {
		return err
	}
	names, _ := y.columns()
	place := s.on(w.capture, l.live, "t", "d", g.name, k)
	// after gives the keys that entries have once they are restored, now those that rows have.
	var after, now, was, none []string
	for i, f := range y.Key {
		live := l.live.Columns[columnIndex(l.live, f.At)]
		now = append(now, s.f.value("t."+s.q(f.At), f))
		after = append(after, s.f.value(s.as(s.f.back("d."+w.old(i), w.Key[i], live), live), f))
	}
	for _, f := range y.Fields {
		was, none = append(was, s.f.value("t."+s.q(f.At), f)), append(none, "NULL")
	}
	keys := func(op string, key, old []string) []string {
		out := append([]string{"'" + op + "'"}, key...)
		if y.Moved {
			out = append(out, old...)
		}
		return out
	}
	from := fmt.Sprintf("%s d JOIN %s t ON %s", s.own(w.data()), s.f.from(s.db, l.live), place)
	for i, q := range []string{
		fmt.Sprintf("SELECT %s FROM %s WHERE %s", list(append(keys("u", after, now), was...)), from, all("d.op = 'u'", w.at, x.r.free(w))),
		fmt.Sprintf("SELECT %s FROM %s WHERE %s", list(append(keys("d", now, now), was...)), from, all("d.op = 'i'", x.r.free(w))),
		fmt.Sprintf("SELECT %s FROM %s d WHERE %s", list(append(keys("i", after, after), none...)), s.own(w.data()), all("d.op = 'd'", x.r.free(w))),
	} {
		n, err := exec(ctx, tx, "capture what is restored over", fmt.Sprintf("INSERT INTO %s (%s) %s", s.own(y.data()), list(names), q))
		if err != nil {
			return err
		}
		if y.Rows += n; i > 0 || w.at == "" {
			continue
		}
		// Nobody could write since the rows were found where they stand: should one not be there all the same, nothing is written over it.
		of, err := number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", s.own(w.data()), all("d.op = 'u'", x.r.free(w))))
		if err != nil {
			return err
		}
		if n != of {
			return &ProofError{Table: l.name, Capture: l.x.ID, Rows: of - n, Of: of, Reason: "rows moved between their comparison and the safety snapshot"}
		}
	}
	if y.Rows == 0 {
		return s.drop(ctx, tx, "drop an empty capture", s.own(y.data()))
	}
	l.saved, l.savedAs = y, after
	return c.record(ctx, tx, y)
}

// unsave takes from the safety capture of a batch what was not written over after all. Another batch may do so, and captures it then: of a row that was captured
// twice only the last capture tells what was left in its place.
func (x *Restoration) unsave(ctx context.Context, tx engine.Querier, l *lot, c *Capturer) error {
	s, w, y := x.s, l.w, l.saved
	if y == nil || !w.work {
		return nil
	}
	var same []string
	for i := range y.Key {
		same = append(same, fmt.Sprintf("y.%s = %s", k(i), l.savedAs[i]))
	}
	const what = "drop what was not restored over"
	n, err := exec(ctx, tx, what, fmt.Sprintf("DELETE FROM %[1]s WHERE n IN (SELECT z.n FROM (SELECT y.n FROM %[1]s y JOIN %[2]s d ON %[3]s JOIN %[4]s u ON u.n = d.n) z)", s.own(y.data()), s.own(w.data()), all(same...),
		s.own(w.conflicts())))
	if err != nil {
		return err
	}
	if y.Rows -= n; y.Rows > 0 {
		return nil
	}
	c.captures = slices.DeleteFunc(c.captures, func(o *capture) bool { return o == y })
	if _, err := exec(ctx, tx, what, fmt.Sprintf("DELETE FROM %s WHERE id = %s", s.db.Quote(s.catalog), s.db.Arg(1)), y.ID); err != nil {
		return err
	}
	return s.drop(ctx, tx, what, s.own(y.data()))
}

// forget drops the tables that the comparison needed.
func (x *Restoration) forget(ctx context.Context, tx engine.Querier) error {
	for _, t := range x.needed() {
		if err := x.s.drop(ctx, tx, "forget the comparison", x.s.own(t)); err != nil {
			return err
		}
	}
	return nil
}

// needed lists the tables of the comparison that are still there.
func (x *Restoration) needed() []string {
	var out []string
	for _, l := range x.lots {
		for _, y := range []*restoring{l.entries, l.w} {
			if y == nil {
				continue
			}
			if y.work {
				out = append(out, y.conflicts())
			}
			if y == l.w || !slices.ContainsFunc(l.was.captures, func(c *capture) bool { return c.ID == y.ID }) {
				out = append(out, y.data())
			}
		}
	}
	return out
}

package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// again looks once more which places were written since they were sealed, where no lock has held since Check because the
// statements of the opposite direction committed by themselves. Rows that those statements wrote are left out: that they look
// different is their doing. The rows that are looked at stay as they are until the transaction ends.
func (r *Restorer) again(ctx context.Context, tx engine.Querier, c *Capturer) error {
	if !r.bySteps() {
		return nil
	}
	if r.s.db.Caps.TransactionalDDL {
		if err := r.still(ctx, tx, r.tables()); err != nil {
			return err
		}
	}
	for _, x := range r.tables() {
		if err := r.going(ctx, tx, x, c); err != nil {
			return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
		if err := r.lookAgain(ctx, tx, x, c); err != nil {
			return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
	}
	return nil
}

// going locks the rows that are to go with the migration that inserted them, where no lock of a whole table lasts as long as a transaction does, and lets go of entries whose rows
// are gone already: what somebody puts there from now on is not taken out, uncaptured.
func (r *Restorer) going(ctx context.Context, tx engine.Querier, x *restoring, c *Capturer) error {
	s := r.s
	if s.db.Caps.TransactionalDDL || !x.Ops || x.Rows == 0 || len(x.Key) == 0 || x.Seal.Mode != sealRows || x.Seal.Places || r.moves(x.Home) {
		return nil
	}
	if r.rekeyed(x, r.statements) || c != nil && slices.ContainsFunc(c.captures, func(y *capture) bool { return y.Moved && !y.Still }) {
		return nil // Down alone has moved keys: they may be elsewhere; see strayed.go
	}
	var back []entries
	for _, y := range r.tables() { // what brings a row back does so first
		switch {
		case y == x || y.Home != x.Home || y.Rows == 0 || !y.entire():
			continue
		case !sameKey(x, y):
			return nil
		}
		e := s.entriesOf(y.capture)
		if y.Ops {
			e.where = "y.op <> 'i'"
		}
		back = append(back, e)
	}
	t, err := r.inspect(ctx, tx, x.Home)
	if err != nil || t == nil {
		return err
	}
	g, err := r.aim(x, t, true)
	if err != nil {
		return err
	}
	for i := range x.Key {
		if columnIndex(t, g.name(i)) < 0 {
			return nil
		}
	}
	from, place := s.f.from(s.db, t), s.on(x.capture, t, "t", "d", g.name, k)
	for range manyTimes {
		// Others were gone when the migration ended.
		stay := all(append(absent(back, k), x.inserted(true), r.free(x), fmt.Sprintf("EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", s.own(x.companion())))...)
		of, err := number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", s.own(x.data()), stay))
		if err != nil || of == 0 {
			return err
		}
		n, err := number(ctx, tx, "lock rows of "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT d.n FROM %s d JOIN %s t ON %s WHERE %s%s) y", s.own(x.data()), from, place, stay, s.f.grip))
		if err != nil || n >= of {
			return err
		}
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", letBeGone, s.own(x.data()), all(stay, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", from, place)))); err != nil {
			return err
		}
	}
	return moved(t)
}

func (r *Restorer) lookAgain(ctx context.Context, tx engine.Querier, x *restoring, c *Capturer) error {
	switch {
	case x.lost && ofParts(x.Shape): // a part of its table may have come back, with its rows
		return nil
	case x.placed && x.moving != nil: // held since, through all statements
		return r.movingAgain(ctx, tx, x)
	case x.placed:
		return r.since(ctx, tx, x, c)
	case x.bag != nil && x.Rows > 0 && !x.lost && c != nil && c.watching != nil:
		return r.bagAgain(ctx, tx, x)
	case x.moving != nil && (!x.wrote || x.held) && !r.underway(x.Home):
		return r.movingAgain(ctx, tx, x)
	case x.wrote || x.Rows == 0 || len(x.Key) == 0 || x.Seal.Table.Name == "" || x.Seal.Mode == sealCovered || x.Seal.Mode == sealBag || r.underway(x.Home):
		return nil
	}
	t, err := r.inspect(ctx, tx, x.Seal.Table)
	if err != nil {
		return err
	}
	if t == nil || t.Name != x.Home || slices.ContainsFunc(slices.Concat(x.Seal.Columns, x.Seal.All, x.Seal.Key), func(n string) bool { return columnIndex(t, n) < 0 }) {
		return nil
	}
	if slices.ContainsFunc(slices.Concat(x.Seal.Columns, x.Seal.Key), func(n string) bool {
		was, compared := x.types[strings.ToLower(n)]
		return compared && was != t.Columns[columnIndex(t, n)].Type
	}) {
		return nil // values of another type look different: those of recover --abort, which gives columns their types back
	}
	untouched, known := "", true
	if c != nil {
		untouched, known = r.untouched(x, c)
	}
	if !known {
		return nil
	}
	if err := r.lockPlaces(ctx, tx, x, x.capture, t); err != nil {
		return err
	}
	return r.compareWhere(ctx, tx, x, t, all(append(r.outAgain(x, x.capture, t), untouched, r.free(x))...))
}

// writtenSince looks what others wrote to captures that are followed, and of which something is about to go back: after that they look otherwise.
func (r *Restorer) writtenSince(ctx context.Context, tx engine.Querier, of []*restoring) error {
	if !r.bySteps() {
		return nil
	}
	followed := slices.DeleteFunc(slices.Clone(of), func(x *restoring) bool {
		return x.moving == nil || x.lost || len(x.Key) == 0 || r.moves(x.Home) || x.wrote && !x.placed && !x.held
	})
	if r.s.db.Caps.TransactionalDDL {
		if err := r.still(ctx, tx, followed); err != nil {
			return err
		}
	}
	for _, x := range followed {
		if err := r.movingAgain(ctx, tx, x); err != nil {
			return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
	}
	return nil
}

// since finds the rows that were put back when their place came back, and that somebody wrote after.
func (r *Restorer) since(ctx context.Context, tx engine.Querier, x *restoring, c *Capturer) error {
	t, err := r.inspect(ctx, tx, x.Home)
	if err != nil || t == nil || len(x.Key) == 0 || r.moves(x.Home) {
		return err
	}
	untouched, known := "", true
	if c != nil {
		untouched, known = r.untouched(x, c)
	}
	var older, inserted []entries
	for _, y := range r.tables() { // an older capture's values stand there in its stead
		if y == x {
			break
		}
		if y.Ops && y.Rows > 0 && sameKey(x, y) { // a row of Up's, which goes
			e := r.s.entriesOf(y.capture)
			e.where = "y.op = 'i'"
			inserted = append(inserted, e)
		}
		if y.Home != x.Home || y.Rows == 0 || !slices.ContainsFunc(x.Fields, func(f field) bool {
			return slices.ContainsFunc(y.Fields, func(h field) bool { return h.Name == f.Name })
		}) {
			continue
		}
		known = known && sameKey(x, y)
		older = append(older, r.s.entriesOf(y.capture))
	}
	conditions := append(absent(older, k), untouched, x.inserted(false), r.free(x))
	g, err := r.aim(x, t, true)
	if err != nil || !known {
		return err
	}
	fields := slices.DeleteFunc(slices.Clone(g.fields), func(i int) bool { // others of its columns were there all along, maybe under other names
		return len(x.remade) > 0 && !x.Fields[i].Watched && !slices.Contains(x.remade, x.Fields[i].Name)
	})
	if len(fields) == 0 || columnIndex(t, g.name(0)) < 0 {
		return nil
	}
	s := r.s
	g.stands = true
	kept, live := r.images(g, fields, false)
	gone := "t." + s.q(g.name(0)) + " IS NULL"
	place := fmt.Sprintf("%s d LEFT JOIN %s t ON %s", s.own(x.data()), s.f.from(s.db, t), s.on(x.capture, t, "t", "d", g.name, k))
	// No WHERE: the server lets go of rows that it has looked at and that do not fulfil one. Mostly nobody has written to any.
	other, err := number(ctx, tx, "lock "+x.Home.String(), fmt.Sprintf("SELECT coalesce(sum(CASE WHEN %s OR %s THEN 1 ELSE 0 END), 0) FROM %s%s", gone, s.differ(live, kept), place, s.locking(s.f.grip)))
	if err != nil || other == 0 {
		return err
	}
	deleted := gone
	if !x.wrote || !x.entire() { // values went to the rows that were there; those that come with another capture are still to come
		switch x.Seal.Mode {
		case sealAbsent:
			deleted = "1 = 0"
		case sealRows:
			deleted += fmt.Sprintf(" AND EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", s.own(x.companion()))
		}
	}
	deleted = all(append(absent(inserted, k), deleted)...)
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, CASE WHEN %s THEN '%s' ELSE '%s' END FROM %s WHERE %s AND (%s OR NOT (%s) AND %s)",
		gone, deletedSince, changedSince, place, all(conditions...), deleted, gone, s.differ(live, kept)))
}

// untouched gives the condition that a statement of the opposite direction did not write the row of an entry d; known is false
// when that cannot be told.
func (r *Restorer) untouched(x *restoring, c *Capturer) (condition string, known bool) {
	var written []entries
	for _, y := range c.captures {
		if y.Kind == Definition || y.At != x.Seal.Table && y.Home != x.Home && y.At != x.Home {
			continue
		}
		if x.placed && (y.Statement <= x.behind || y.drops(y.Home)) {
			continue // before it was back, or of another table: the one that it is back in is there
		}
		if y.Kind == Columns && !slices.ContainsFunc(y.Fields, func(f field) bool {
			return slices.Contains(slices.Concat(x.Seal.Columns, x.Seal.All, x.Seal.Key), f.At)
		}) {
			continue // of a column that goes; the others are as they were
		}
		if !y.Ops || y.Moved || len(y.Key) != len(x.Key) {
			return "", false
		}
		for i, f := range x.Key {
			if y.Key[i].Decl != f.Decl {
				return "", false
			}
		}
		written = append(written, r.s.entriesOf(y))
	}
	return all(absent(written, k)...), true
}

// movingAgain looks which places do not look as the statements of this run left them.
func (r *Restorer) movingAgain(ctx context.Context, tx engine.Querier, x *restoring) error {
	m := x.moving
	t, err := r.inspect(ctx, tx, m.Seal.Table)
	if err != nil || m.Seal.Mode == sealCovered || len(m.Key) == 0 {
		return err
	}
	if t != nil && len(m.Seal.Key) == len(m.Key) {
		if err := r.lockPlaces(ctx, tx, x, m, t); err != nil {
			return err
		}
	}
	y := *x
	y.capture = m
	err = r.compareWhere(ctx, tx, &y, t, all(append(r.outAgain(x, m, t), r.free(x))...))
	if x.work = y.work; err != nil || !x.work || t == nil || m.Seal.Mode != sealRows || !m.Seal.Waits && !(x.placed && r.s.db.Caps.TransactionalDDL) {
		return err
	}
	return r.markWritten(ctx, tx, m, t)
}

// outAgain gives the conditions that the row of an entry d, which stood as m says, is not one that the migration had inserted and that has gone from there ahead of a statement.
func (r *Restorer) outAgain(x *restoring, m *capture, t *engine.Table) []string {
	var out []string
	for _, y := range r.tables() {
		if y == x {
			break
		}
		if t == nil || !y.Ops || !y.cleared || y.Rows == 0 || !sameKey(x, y) || len(m.Seal.Key) != len(x.Key) {
			continue
		}
		e := r.s.entriesOf(y.capture)
		e.where = "y.op = 'i'"
		there := fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s)", r.s.f.from(r.s.db, t), r.s.on(m, t, "t", "d", func(i int) string { return m.Seal.Key[i] }, k))
		out = append(out, fmt.Sprintf("(%s OR %s)", there, all(absent([]entries{e}, k)...)))
	}
	return out
}

// markWritten marks in the seal of what has come back the rows that do not look as sealed: a row in conflict, too, whose values of columns that were made again were not anybody's
// when they came back, may have been written since (see parts.go).
func (r *Restorer) markWritten(ctx context.Context, tx engine.Querier, m *capture, t *engine.Table) error {
	s, columns := r.s, []string{"y.n", "s.h AS hash"}
	if m.Ops {
		columns = append(columns, "y.op")
	}
	columns = append(columns, m.stands("y")...)
	_, err := exec(ctx, tx, "mark what was written", fmt.Sprintf("UPDATE %s SET h = %s WHERE n IN (SELECT w.n FROM (SELECT DISTINCT d.n FROM (SELECT %s FROM %s y JOIN %s s ON s.n = y.n) d JOIN %s t ON %s WHERE %s) w)",
		s.own(m.companion()), s.foreign(), list(columns), s.own(m.data()), s.own(m.companion()), s.f.from(s.db, t),
		s.on(m, t, "t", "d", func(i int) string { return m.Seal.Key[i] }, k), all("d.hash <> "+s.foreign(), "d.hash <> "+s.sealHash(m, t, "t", "d"))))
	return err
}

// lockPlaces locks the rows of a table in the places of a capture's entries, which m was sealed against last.
func (r *Restorer) lockPlaces(ctx context.Context, tx engine.Querier, x *restoring, m *capture, t *engine.Table) error {
	s := r.s
	from, at := s.own(x.data())+" d", func(i int) string { return "d." + k(i) }
	if m.Seal.Mode == sealRows && m.Seal.Places {
		from += " LEFT JOIN " + s.own(m.companion()) + " s ON s.n = d.n"
		at = func(i int) string { return fmt.Sprintf("coalesce(s.%[1]s, d.%[1]s)", k(i)) }
	}
	var on []string
	for i, f := range m.Key {
		name := r.keyName(x, t, i)
		if len(m.Seal.Key) == len(m.Key) {
			name = m.Seal.Key[i]
		}
		j := columnIndex(t, name)
		if j < 0 {
			return nil
		}
		on = append(on, s.f.match("t."+s.q(name), at(i), f, t.Columns[j]))
	}
	_, err := number(ctx, tx, "lock "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s JOIN %s t ON %s%s", from, s.f.from(s.db, t), all(on...), s.locking(s.f.grip)))
	return err
}

// underway tells whether rows of a table whose keys go back are not all any more where its captures were sealed.
func (r *Restorer) underway(n engine.Name) bool {
	return r.moves(n) && slices.ContainsFunc(r.captures, func(x *restoring) bool { return x.Home == n && (x.wrote || x.cleared || x.landed) })
}

// unsealed tells whether no statement of this run has sealed a capture that goes back: its table may have got other names, and no more.
func (x *restoring) unsealed() bool {
	return x.moving == nil || x.moving.Seal.At != backFirst && x.moving.Seal.At != backSecond
}

// bagAgain looks whether somebody else wrote to a table without a key since its capture was compared, or since the last statement that
// wrote to it. The table is locked by then.
func (r *Restorer) bagAgain(ctx context.Context, tx engine.Querier, x *restoring) error {
	s, m := r.s, x.moving
	if m == nil {
		m = x.capture
	}
	t, err := r.inspect(ctx, tx, m.Seal.Table)
	if err != nil || t == nil || m.Seal.Mode != sealBag {
		return err
	}
	if _, err := number(ctx, tx, "lock "+x.Home.String(), "SELECT count(*) FROM "+s.f.from(s.db, t)+s.locking(" FOR UPDATE")); err != nil {
		return err
	}
	if x.unsealed() { // no statement wrote to it: which rows are whose can be told as before
		return r.compareBag(ctx, tx, x, t)
	}
	// What the application wrote before the first of these statements is still needed.
	since, err := r.bagSince(ctx, tx, m, t, newID())
	if err != nil {
		return err
	}
	drop := since
	if !since.same {
		since.mixed = true
		drop, x.bag = x.bag, since
	}
	return r.forgetBag(ctx, tx, drop)
}

// bagAhead does that before rows without a key go back in their place, while statements are still to come.
func (r *Restorer) bagAhead(ctx context.Context, tx engine.Querier, x *restoring) error {
	if !r.bySteps() || x.bag == nil || x.Rows == 0 || x.lost || r.capturer == nil || r.capturer.watching == nil {
		return nil
	}
	if r.s.db.Caps.TransactionalDDL {
		if err := r.still(ctx, tx, []*restoring{x}); err != nil {
			return err
		}
	}
	if err := r.bagAgain(ctx, tx, x); err != nil {
		return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
	}
	return nil
}

// holdWaiting seals what stands in tables that are there again, or of which a part is, and whose rows wait for more: what others write meanwhile is told from nothing that was
// captured, and a table that was built anew was never sealed.
func (r *Restorer) holdWaiting(ctx context.Context, tx engine.Querier, waiting []come) error {
	for _, c := range waiting {
		if !r.capturer.bySteps() || c.x.waits(c.t) {
			continue
		}
		if err := r.bagAhead(ctx, tx, c.x); err != nil {
			return err
		}
		g, err := r.aim(c.x, c.t, true)
		if err != nil {
			return err
		}
		if len(c.x.Key) == 0 {
			err = r.hold(ctx, tx, g)
		} else {
			err = r.holdPlaces(ctx, tx, g)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waits tells whether a capture is sealed in a table as one whose rows wait there, in all columns of now: its own, or of the table where that has no key.
func (x *restoring) waits(t *engine.Table) bool {
	m := x.moving
	if m == nil || x.lost || m.Seal.Table != t.Name || !m.Seal.Waits {
		return false
	}
	if len(x.Key) > 0 {
		return !slices.ContainsFunc(x.Fields, func(f field) bool { return columnIndex(t, f.Name) >= 0 && !slices.Contains(m.Seal.Columns, f.Name) })
	}
	return !slices.ContainsFunc(t.Columns, func(col engine.Column) bool { return !col.Generated && !slices.Contains(m.Seal.Columns, col.Name) })
}

// holdPlaces seals the places of a capture in a table that is there again.
func (r *Restorer) holdPlaces(ctx context.Context, tx engine.Querier, g *target) error {
	for i := range g.x.Key {
		if columnIndex(g.t, g.name(i)) < 0 {
			return nil
		}
	}
	if r.s.db.Caps.TransactionalDDL {
		if err := r.s.still(ctx, tx, []*engine.Table{g.t}); err != nil {
			return err
		}
	}
	was := g.x.moving
	if was != nil && (g.x.lost || !was.Seal.Waits || was.Seal.Mode != sealRows) {
		was = nil
	}
	if was != nil { // it waited before, and more of it is there now
		if err := r.movingAgain(ctx, tx, g.x); err != nil {
			return err
		}
	}
	if err := r.followFromHere(ctx, tx, g); err != nil {
		return err
	}
	m := g.x.moving
	if m.Seal.Waits = true; was == nil || m.Seal.Mode != sealRows {
		return nil
	}
	_, err := exec(ctx, tx, "mark what was written", fmt.Sprintf("UPDATE %s SET h = %s WHERE n IN (SELECT w.n FROM %s w WHERE w.h = %s)", r.s.own(m.companion()), r.s.foreign(), r.s.own(was.companion()), r.s.foreign()))
	return err
}

// hold seals the rows of a table without a key that stand there while statements are still to come.
func (r *Restorer) hold(ctx context.Context, tx engine.Querier, g *target) error {
	c, x := r.capturer, g.x
	if c == nil || !r.bySteps() {
		return nil
	}
	m := x.moving
	if m == nil {
		m = x.follower()
	}
	m.Home, m.live, m.Fields = g.t.Name, g.t, nil
	m.Here, m.Seal.Table = true, g.t.Name
	for _, n := range columnNames(g.t) {
		m.Fields = append(m.Fields, field{Name: n, At: n})
	}
	m.Seal.Mode = sealBag
	if err := c.room(ctx, tx, &plan{}, &following{x: m, index: -1, t: g.t}); err != nil {
		return err
	}
	if err := c.sealNow(ctx, tx, m, -1, nil); err != nil {
		return err
	}
	m.Seal.Waits = true
	x.lost = false // whatever others wrote before has given way to what stands there now
	if x.moving = m; x.bag == nil {
		x.bag = &bag{same: true}
	}
	return nil
}

// holdRows seals the values and rows that have come back early, where statements to come write them as well: what those make of them is told
// from what somebody else writes in between.
func (r *Restorer) holdRows(ctx context.Context, tx engine.Querier, g *target, rest []effects.Statement) error {
	c, x := r.capturer, g.x
	if !c.bySteps() || len(x.Key) == 0 || x.Rows == 0 {
		return nil
	}
	if x.moving != nil && (!x.wrote || x.placed && r.s.db.Caps.TransactionalDDL) {
		return r.followFromHere(ctx, tx, g)
	}
	touched := r.moves(x.Home) || r.overlaps(x) || r.touchedBy(x.Home, rest) || r.droppedBy(x.Home, rest) || r.s.db.Caps.TransactionalDDL && (r.reached(x, rest) || r.renamed(x.Home, rest))
	if !x.placed || !touched {
		if x.wrote { // what was sealed on the way here looks otherwise by now
			x.moving = nil
		}
		return nil
	}
	return r.followFromHere(ctx, tx, g)
}

// overlaps tells whether another capture has values of the same columns: what stands there is of the older one, and says nothing about what the newer one has put there.
func (r *Restorer) overlaps(x *restoring) bool {
	return slices.ContainsFunc(r.tables(), func(y *restoring) bool {
		return y != x && y.Home == x.Home && y.Rows > 0 && slices.ContainsFunc(x.Fields, func(f field) bool {
			return slices.ContainsFunc(y.Fields, func(h field) bool { return h.Name == f.Name })
		})
	})
}

// leave gives up following a capture whose table goes, or whose place another one takes. What somebody else wrote until then Down may have carried on, and it is not written over.
func (r *Restorer) leave(ctx context.Context, tx engine.Querier, x *restoring) error {
	m := x.moving
	if x.unsealed() && !x.lost && r.s.db.Caps.TransactionalDDL {
		if err := r.still(ctx, tx, []*restoring{x}); err != nil {
			return err
		}
		if err := r.lookAgain(ctx, tx, x, r.capturer); err != nil {
			return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
		}
	}
	if m != nil && len(m.Key) > 0 && m.Seal.Mode == sealRows && !x.unsealed() {
		var t *engine.Table
		if r.s.db.Caps.TransactionalDDL {
			var err error
			if t, err = r.inspect(ctx, tx, m.Seal.Table); err != nil {
				return err
			}
		}
		if t != nil {
			if err := r.s.still(ctx, tx, []*engine.Table{t}); err != nil {
				return err
			}
			if err := r.markWritten(ctx, tx, m, t); err != nil {
				return err
			}
		}
		reason := changedSince
		if x.placed {
			reason = carriedSince
		}
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s s ON s.n = d.n WHERE %s", reason, r.s.own(x.data()), r.s.own(m.companion()), all("s.h = "+r.s.foreign(), r.free(x)))); err != nil {
			return err
		}
		if t != nil { // others were deleted
			if err := r.movingAgain(ctx, tx, x); err != nil {
				return err
			}
		}
	}
	x.lost, x.moving = !x.placed, nil
	return nil
}

// followFromHere seals the values and rows of a capture that have just gone back.
func (r *Restorer) followFromHere(ctx context.Context, tx engine.Querier, g *target) error {
	c, x := r.capturer, g.x
	m := *x.capture
	m.Home, m.At, m.Identity, m.live = g.t.Name, g.t.Name, identity(g.t), g.t
	m.Key, m.Fields = slices.Clone(x.Key), nil
	for i := range m.Key {
		m.Key[i].Name = g.name(i)
	}
	for _, i := range g.fields {
		n := r.live(g, i).Name
		m.Fields = append(m.Fields, field{Name: n, At: n, Num: strings.ToLower(n)})
	}
	m.atHome, m.homes = x.placed && r.moves(x.Home), x.final
	m.Seal = seal{Places: m.atHome, After: c.statement}
	if x.moving != nil {
		m.Seal.At = x.moving.Seal.At
	}
	if err := c.room(ctx, tx, &plan{}, &following{x: &m, index: -1, t: g.t}); err != nil {
		return err
	}
	if err := c.sealNow(ctx, tx, &m, -1, nil); err != nil {
		return err
	}
	x.moving, x.lost = &m, false
	return nil
}

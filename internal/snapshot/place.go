package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// come is a capture whose place, or part of it, is there again.
type come struct {
	x      *restoring
	t      *engine.Table
	fresh  bool // the table itself is new
	fields []string
	late   bool // the place had another name until now: statements may have written into what they made there
}

// Place puts data back into tables and columns that the last statement made again, so that the statements after it
// find it there. rest are the statements still to come: a table that one of them inserts into waits until after that
// one, because rows that are there already would be in its way.
func (r *Restorer) Place(ctx context.Context, tx engine.Querier, rest ...effects.Statement) error {
	if slices.ContainsFunc(r.statements, switches) {
		return r.s.pinned(ctx, tx, func() error { return r.place(ctx, tx, rest) })
	}
	return r.place(ctx, tx, rest)
}

// switches tells whether a statement may change who we are: our tables are ours alone.
func switches(st effects.Statement) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session })
}

func (r *Restorer) place(ctx context.Context, tx engine.Querier, rest []effects.Statement) error {
	if err := r.takeNames(ctx, tx); err != nil {
		return err
	}
	if err := r.takePlace(ctx, tx, rest, false); err != nil {
		return err
	}
	if err := r.makeAside(ctx, tx); err != nil {
		return err
	}
	var back, waiting []come
	all, live := r.tables(), map[engine.Name]*engine.Table{}
	for i := len(all) - 1; i >= 0; i-- {
		x := all[i]
		if x.Rows == 0 || len(x.Key) == 0 && slices.ContainsFunc(all[:i], func(y *restoring) bool { return y.Home == x.Home && len(y.Key) == 0 && !y.Seal.Mixed }) {
			continue
		}
		t, known := live[x.Home]
		if !known {
			var err error
			if t, err = r.inspect(ctx, tx, x.Home); err != nil {
				return err
			}
			live[x.Home] = t
		}
		if t == nil {
			c, err := r.elsewhere(ctx, tx, x, rest)
			if err != nil {
				return err
			}
			if c != nil {
				waiting = append(waiting, *c)
			}
			x.look(nil)
			continue
		}
		c := come{x: x, t: t, fresh: identity(t) != x.table}
		if c.fresh && !r.made(t, nil) {
			c.fresh, c.late = false, true // it was there all along, under another name
		}
		for _, f := range x.Fields {
			name := r.column(t, f.Name)
			j := columnIndex(t, name)
			if j >= 0 && (c.fresh || x.columns[name] != columnIdentity(t, t.Columns[j]) && r.made(t, &t.Columns[j])) && r.s.akin(f.Type, r.s.typed(t.Columns[j])) {
				c.fields = append(c.fields, f.Name)
			}
		}
		if len(c.fields) == 0 && !c.fresh {
			x.look(t)
			continue
		}
		if r.runsAsBefore(rest) {
			continue
		}
		if c.fresh && slices.ContainsFunc(x.Parents, func(n engine.Name) bool { return r.moves(n) || r.parentRekeyed(n, rest) }) {
			waiting = append(waiting, c)
			continue // its rows point to keys that are not back yet
		}
		if wait, err := r.parentsCome(ctx, tx, x, rest); err != nil {
			return err
		} else if c.fresh && wait {
			waiting = append(waiting, c)
			continue // they are not back themselves
		}
		if !c.fresh && (r.moves(x.Home) || r.unnumbered(x)) {
			x.look(t)
			x.late = append(x.late, c.fields...)
			continue // its rows are not back under their keys yet
		}
		if !c.fresh && len(x.Key) == 0 && r.loosened(t.Name, rest) {
			waiting = append(waiting, c)
			continue // whole rows go back, and a constraint of Up's stands in their way
		}
		if !c.fresh && len(x.Key) == 0 && (r.wider(x, t) || r.capturedLater(t, rest)) {
			waiting = append(waiting, c)
			continue // whole rows go back, and what stands beside the captured columns would go with those of now
		}
		if c.fresh && (r.alien(x, t) || r.renames(x, t, rest)) {
			waiting = append(waiting, c)
			continue
		}
		if c.fresh {
			refused, err := r.stricter(ctx, tx, x, t, rest)
			if err == nil && !refused {
				refused, err = r.strictParents(ctx, tx, x, rest)
			}
			if err != nil {
				return err
			}
			if refused {
				waiting = append(waiting, c)
				continue // until the end, when what was not there before Up is taken off first
			}
		}
		if until := r.carriedTo(x, rest); c.fresh && !r.s.db.Caps.TransactionalDDL && len(until) > 0 && !slices.ContainsFunc(until, func(st effects.Statement) bool { return r.reads(x.Home, st) }) {
			waiting = append(waiting, c)
			continue // what goes along with rows of another table is seen by no capture of a table that this run has made
		}
		above, err := r.s.above(ctx, tx, t)
		if err != nil {
			return err
		}
		if c.fresh && slices.ContainsFunc(above, func(n engine.Name) bool { return r.insertedInto(n, rest) }) {
			waiting = append(waiting, c)
			continue // what goes into the whole may come into this part
		}
		if c.fresh && (r.insertedInto(x.Home, rest) || t.Kind == "partitioned" && partitionsCome(rest) || r.moves(x.Home) && r.touchedBy(x.Home, rest) ||
			r.rekeyed(x, rest)) {
			waiting = append(waiting, c)
			continue // stays as last looked at, so that it is found again after the next statement
		}
		if c.fresh && !x.entire() && slices.ContainsFunc(all[i+1:], func(y *restoring) bool {
			return y.Home == x.Home && y.entire() && y.Rows > 0 && !y.placed && !y.wrote && !slices.ContainsFunc(back, func(b come) bool { return b.x == y })
		}) {
			waiting = append(waiting, c)
			continue // the rows themselves are not back yet
		}
		x.look(t)
		back = append(back, c)
	}
	if len(back) == 0 && len(waiting) == 0 {
		return nil
	}
	return r.s.pinned(ctx, tx, func() error {
		if err := r.holdWaiting(ctx, tx, waiting); err != nil || len(back) == 0 {
			return err
		}
		var tables []*engine.Table
		var early []*restoring
		for _, c := range back {
			tables = append(tables, c.t)
			if c.fresh {
				early = r.parents(c.x, early, rest)
			}
		}
		var targets []*target
		for i := len(early) - 1; i >= 0; i-- {
			t, err := r.inspect(ctx, tx, early[i].Home)
			if err != nil {
				return err
			}
			if t == nil || slices.ContainsFunc(back, func(c come) bool { return c.x == early[i] }) {
				continue
			}
			g, err := r.aim(early[i], t, true)
			if err != nil {
				return err
			}
			tables, targets = append(tables, t), append(targets, g)
		}
		renewed := slices.Clone(targets)
		for _, c := range back {
			if c.fresh {
				g, err := r.aim(c.x, c.t, true)
				if err != nil {
					return err
				}
				renewed = append(renewed, g)
			}
		}
		return r.ready(ctx, tx, distinct(tables), func() error {
			if err := r.freed(ctx, tx, renewed); err != nil {
				return err
			}
			own := of(targets)
			for _, c := range back {
				own = append(own, c.x)
			}
			if err := r.writtenSince(ctx, tx, own); err != nil {
				return err
			}
			return r.amid(ctx, tx, renewed, distinct(tables), r.capturer, targets, own, func() error { return r.backInPlace(ctx, tx, back, targets, tables, rest) })
		})
	})
}

// elsewhere finds the table of a capture under the name that Up gave to it, where Down has built it anew or made columns of it again by now, and gives it its first name later: its rows wait for
// that. It gives nil where there is none.
func (r *Restorer) elsewhere(ctx context.Context, tx engine.Querier, x *restoring, rest []effects.Statement) (*come, error) {
	if !r.capturer.bySteps() || x.placed || !r.s.sameName(x.Seal.Table.Name, r.nameAhead(x.Home, rest)) {
		return nil, nil
	}
	t, err := r.inspect(ctx, tx, x.Seal.Table)
	if err != nil || t == nil {
		return nil, err
	}
	c := &come{x: x, t: t, fresh: r.made(t, nil)}
	for _, f := range x.Fields {
		if j := columnIndex(t, r.column(t, f.Name)); j >= 0 && (c.fresh || f.Seal == "" && r.made(t, &t.Columns[j])) && r.s.akin(f.Type, r.s.typed(t.Columns[j])) {
			c.fields = append(c.fields, f.Name)
		}
	}
	if len(c.fields) == 0 && !c.fresh {
		return nil, nil
	}
	return c, nil
}

// nameAhead is the name of a table that is called n behind the statements to come; "" when they make it.
func (r *Restorer) nameAhead(n engine.Name, rest []effects.Statement) string {
	first, there := r.s.calledFirst(n, rest)
	if !there {
		return ""
	}
	return first.Name
}

// backInPlace writes the rows and values whose places are there.
func (r *Restorer) backInPlace(ctx context.Context, tx engine.Querier, back []come, targets []*target, tables []*engine.Table, rest []effects.Statement) error {
	lift, err := r.shield(ctx, tx, distinct(tables))
	if err != nil {
		return err
	}
	var parents []*engine.Table
	for _, g := range targets {
		parents = append(parents, g.t)
	}
	first := func() error {
		for _, g := range targets {
			if err := r.write(ctx, tx, g, g.fields, false, true); err != nil {
				return err
			}
		}
		return nil
	}
	if c := r.capturer; c != nil && c.meta.Direction == "up" {
		err = r.refill(ctx, tx, distinct(parents), c, first)
	} else {
		err = r.early(ctx, tx, distinct(parents), rest, first)
	}
	if err != nil {
		return err
	}
	// Parents before children: the order of the foreign keys, as they were.
	slices.SortStableFunc(back, func(a, b come) int {
		switch {
		case slices.Contains(a.x.Parents, b.x.Home):
			return 1
		case slices.Contains(b.x.Parents, a.x.Home):
			return -1
		}
		return 0
	})
	var same []*target // newest first
	for _, c := range back {
		g, err := r.aim(c.x, c.t, true)
		if err != nil {
			return err
		}
		same = append(same, g)
	}
	for i, c := range back {
		g := same[i]
		if len(c.x.Key) == 0 {
			if err := r.bagAhead(ctx, tx, c.x); err != nil {
				return err
			}
			// Rows without a key come back all together, when all their columns are there.
			if (c.x.bag == nil && !c.x.Seal.Mixed || c.x.bag != nil && c.x.bag.same) && r.complete(g) && !r.alien(c.x, c.t) {
				if (c.fresh || !c.x.alone && r.made(c.t, nil)) && c.x.Seal.Mode == sealAbsent && r.s.db.Caps.TransactionalDDL {
					n, err := number(ctx, tx, "look at "+c.x.Home.String(), "SELECT count(*) FROM "+r.s.f.from(r.s.db, c.t)+" t")
					if err != nil {
						return err
					}
					if c.x.alone = n == 0; n == c.x.Rows {
						missing, err := r.missing(ctx, tx, g)
						if err != nil {
							return err
						}
						c.x.alone = missing == 0 // Down has copied what was put back before
					}
				}
				if err := r.early(ctx, tx, []*engine.Table{c.t}, rest, func() error { return r.putBag(ctx, tx, g, Keep, nil) }); err != nil {
					return err
				}
				c.x.numbered = true
			}
			if err := r.hold(ctx, tx, g); err != nil {
				return err
			}
			continue
		}
		if c.fresh {
			if err := r.newer(ctx, tx, g); err != nil {
				return err
			}
			if _, err := r.orphans(ctx, tx, []*target{g}); err != nil {
				return err
			}
		}
		if c.fresh && (r.moves(c.x.Home) || c.x.New) { // rows that the migration inserted hold unique values of those that come back
			if err := r.clear(ctx, tx, g, same); err != nil {
				return err
			}
		}
		came := slices.DeleteFunc(slices.Clone(g.fields), func(i int) bool { return !slices.Contains(c.fields, c.x.Fields[i].Name) })
		// A column made again has nothing of anyone's in it: also rows in conflict get their old value. Not so where Down
		// has computed one by now.
		empty := slices.DeleteFunc(slices.Clone(came), func(i int) bool {
			return c.x.Fields[i].Watched && (c.fresh || c.late) || c.fresh && c.x.Fields[i].Seal != ""
		})
		if !c.fresh && !c.late && len(empty) == len(came) {
			waits, err := r.putOff(ctx, tx, g, came)
			if err != nil {
				return err
			}
			if waits {
				continue
			}
		}
		anew := false
		r.single = len(back) == 1 && len(targets) == 0
		if !c.fresh && len(empty) == len(came) {
			var err error
			if anew, err = r.anew(ctx, tx, g, came); err != nil {
				return err
			}
		}
		if !anew {
			if err := r.write(ctx, tx, g, empty, true, false); err != nil {
				return err
			}
			if _, err := r.stay(ctx, tx, g, empty); err != nil {
				return err
			}
			// What is written between here and the end is looked for, and the proof comes last: no need to go over all rows once more.
			c.x.anew = !c.fresh && !c.late && len(empty) == len(came) && !r.s.db.Caps.TransactionalDDL && r.alonePut(g, came)
		}
		if !c.fresh {
			for _, i := range empty {
				c.x.remade = append(c.x.remade, c.x.Fields[i].Name)
			}
			if c.late && !anew {
				if err := r.write(ctx, tx, g, came, false, false); err != nil {
					return err
				}
			}
			r.isPlaced(g, len(came) == len(g.fields))
			continue
		}
		// A table built anew carries what the application wrote into the columns that were there.
		if err := r.write(ctx, tx, g, came, false, true); err != nil {
			return err
		}
		r.isPlaced(g, len(came) == len(g.fields))
	}
	for _, g := range same {
		if g.x.later != nil {
			continue
		}
		if err := r.holdRows(ctx, tx, g, rest); err != nil {
			return err
		}
	}
	if err := r.holdAhead(ctx, tx, targets, sealedAt(targets)); err != nil {
		return err
	}
	return lift(ctx, r.strays())
}

// isPlaced notes whether all of a capture is back in its place, behind which statement that is, and in columns of which types.
func (r *Restorer) isPlaced(g *target, all bool) {
	x := g.x
	if x.placed = all; r.capturer != nil {
		x.behind = r.capturer.statement
	}
	if !all || !r.bySteps() {
		return
	}
	x.into = map[string]string{}
	for _, i := range g.fields {
		x.into[x.Fields[i].Name] = r.s.typed(r.live(g, i))
	}
}

// made tells whether this run made a table, or a column of it, rather than renamed it. Before names matter nothing was renamed.
func (r *Restorer) made(t *engine.Table, column *engine.Column) bool {
	if r.capturer == nil || r.capturer.track.origin == nil {
		return true
	}
	if column == nil {
		return r.capturer.track.made(t)
	}
	return r.capturer.track.madeColumn(t, *column) && !r.capturer.track.given[place(t.Name.Name, column.Name)]
}

// complete tells whether each captured column is there, and not another one of its name.
func (r *Restorer) complete(g *target) bool {
	return len(g.fields) == len(g.x.Fields) && !slices.ContainsFunc(g.fields, func(i int) bool {
		now := r.live(g, i)
		return g.x.Fields[i].Seal == "" && !r.made(g.t, &now)
	})
}

// wider tells whether a table that was there all along has columns that were not captured and that this run did not make: a
// statement still to come may read them, or capture them.
func (r *Restorer) wider(x *restoring, t *engine.Table) bool {
	return !r.s.db.Caps.TransactionalDDL && slices.ContainsFunc(t.Columns, func(col engine.Column) bool {
		return !col.Generated && !r.made(t, &col) && !slices.ContainsFunc(x.Fields, func(f field) bool { return r.s.sameName(r.column(t, f.Name), col.Name) })
	})
}

// capturedLater tells whether a statement still to come inserts into a table without a key, which may be given the very number of a row that has come back, or, where DDL is
// not transactional, destroys rows of it: its capture, of the whole table, would hold what has come back and not what stood there. An up captures that ahead of what comes back.
func (r *Restorer) capturedLater(t *engine.Table, rest []effects.Statement) bool {
	if r.insertedInto(t.Name, rest) {
		return true
	}
	return !r.s.db.Caps.TransactionalDDL && !r.capturer.refills(t) && (r.touchedBy(t.Name, rest) || r.emptiedBy(t.Name, rest))
}

// unnumbered tells whether what rows are known by goes back with a table that has no key without it, and is not back yet: another row may stand under it.
func (r *Restorer) unnumbered(x *restoring) bool {
	return len(x.Key) > 0 && slices.ContainsFunc(r.tables(), func(y *restoring) bool {
		return y.Home == x.Home && len(y.Key) == 0 && (y.Rows > 0 || y.bag != nil && !y.bag.same) && !y.numbered && !slices.ContainsFunc(x.Key, func(f field) bool {
			return !slices.ContainsFunc(y.Fields, func(g field) bool { return r.s.sameName(g.Name, f.Name) && g.Seal == "" })
		})
	})
}

// alien finds a column that only bears the name of a captured one: a value of that type could not stand in it. The real one may
// still come.
func (r *Restorer) alien(x *restoring, t *engine.Table) bool {
	return slices.ContainsFunc(x.Fields, func(f field) bool {
		j := columnIndex(t, r.column(t, f.Name))
		return j >= 0 && !r.s.akin(f.Type, r.s.typed(t.Columns[j]))
	})
}

// akin tells whether values of one type go into the other without being read anew.
func (s *Store) akin(a, b string) bool {
	if s.f.typed != nil {
		return mysqlAkin(a, b)
	}
	a, b = strings.ToLower(bare(a)), strings.ToLower(bare(b))
	texts := []string{"text", "character varying", "character", "varchar", "char"}
	return a == b || slices.Contains(numeric, a) && slices.Contains(numeric, b) || slices.Contains(texts, a) && slices.Contains(texts, b)
}

// carried looks for rows that were put back early and whose keys a later statement moved all the same, in a trigger or a function:
// they would come back a second time.
func (r *Restorer) carried(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	if c == nil {
		return nil
	}
	s := r.s
	for _, g := range targets {
		x := g.x
		if !x.settled || r.moves(x.Home) {
			continue
		}
		for _, y := range c.captures {
			if !y.Moved || y.Statement <= r.settled || y.Identity != identity(g.t) || len(y.Key) != len(x.Key) {
				continue
			}
			var from, same []string
			for i := range x.Key {
				from, same = append(from, fmt.Sprintf("y.%s = d.%s", o(i), x.old(i))), append(same, fmt.Sprintf("y.%s = y.%s", o(i), k(i)))
			}
			gone := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.old))
			n, err := number(ctx, tx, "look for rows that moved on", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s AND EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(x.data()),
				all(x.inserted(false), r.free(x), gone), s.own(y.data()), all(append(from, "y.op = 'u'", "NOT ("+all(same...)+")")...)))
			if err != nil {
				return err
			}
			if n > 0 {
				return &ProofError{Table: x.Home, Capture: x.ID, Rows: n, Of: x.Rows, Reason: "a statement moved the keys of rows that a constraint before it needed back"}
			}
		}
	}
	return nil
}

// parents adds the captures of the tables that a table's foreign keys point to, and of theirs: without their rows
// the table's own could not come back.
func (r *Restorer) parents(x *restoring, found []*restoring, rest []effects.Statement) []*restoring {
	for _, y := range r.tables() {
		if y == x || y.Home == x.Home || !slices.Contains(x.Parents, y.Home) || slices.Contains(found, y) || !y.Whole || len(y.Key) == 0 || y.placed ||
			r.insertedInto(y.Home, rest) {
			continue
		}
		found = append(found, y)
		found = r.parents(y, found, rest)
	}
	return found
}

// distinct drops tables that occur twice.
func distinct(tables []*engine.Table) []*engine.Table {
	tables = slices.Clone(tables)
	slices.SortStableFunc(tables, func(a, b *engine.Table) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return slices.CompactFunc(tables, func(a, b *engine.Table) bool { return a.Name == b.Name })
}

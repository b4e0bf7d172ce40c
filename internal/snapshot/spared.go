package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Down says DELETE FROM t, or TRUNCATE t, of a table that was there before Up. What Up had put into it is to go, and what was there before comes back with the
// captures. The rest is the application's: rows that it has inserted since, and rows of before that it has changed. They are spared: put back as
// the application left them, from what Down itself has captured. Of a DELETE with a condition, which may be what makes room for the old schema, only rows that were there before Up.
// So it is only where Down does nothing else with the rows: one that carries them on, or fills the table again, knows better what is to become of them.

// spared is what Down has captured of one table, on its way back.
type spared struct {
	x    *restoring
	t    *engine.Table
	only string // condition that an entry d was there before Up; "" where all rows that Up did not insert are spared
}

// Sparing is a Restorer of a migration that has captured nothing, where its Down deletes rows; else nil.
func (s *Store) Sparing(down []effects.Statement) *Restorer {
	for _, st := range down {
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Delete || e.Kind == effects.Truncate }) {
			return &Restorer{s: s, report: map[engine.Name]*TableReport{}}
		}
	}
	return nil
}

// spares finds what is to be spared, and leaves out what the captures bring back or take away by themselves.
func (r *Restorer) spares(ctx context.Context, tx engine.Querier, c *Capturer) ([]*spared, error) {
	if c == nil || c.meta.Direction != "down" {
		return nil, nil
	}
	var out []*spared
	pruned := int64(-1)
	begone := map[engine.Name]bool{} // asked once a table: a Down may delete row by row
	standing := map[engine.Name]*engine.Table{}
	for _, y := range c.captures {
		if y.Rows == 0 || len(y.Key) == 0 || !y.entire() || y.Moved || y.Statement < 1 || y.Statement > len(r.run) || y.Kind != Rows && y.Kind != Table {
			continue
		}
		all, deletes := r.deletes(y)
		began, there := r.s.calledFirst(y.At, r.run[:y.Statement-1])
		if !deletes || !there {
			continue
		}
		if _, asked := begone[began]; !asked {
			begone[began] = r.onlyDeletes(began)
		}
		if !begone[began] {
			continue
		}
		if pruned < 0 { // which rows Up has put there may be known no more
			var err error
			if pruned, err = number(ctx, tx, "look for pruned captures", fmt.Sprintf("SELECT count(*) FROM %s WHERE migration = %d AND direction = 'up' AND status = '%s'",
				r.s.db.Quote(r.s.catalog), c.meta.Migration, statusExpired)); err != nil {
				return nil, err
			}
		}
		if pruned > 0 {
			return nil, nil
		}
		x := r.s.sparing(y, r.run[y.Statement:])
		if r.Own == nil || r.Own(x.Home) {
			continue
		}
		if _, asked := standing[x.Home]; !asked {
			var err error
			if standing[x.Home], err = r.inspect(ctx, tx, x.Home); err != nil {
				return nil, err
			}
		}
		t := standing[x.Home]
		if t == nil || slices.ContainsFunc(x.Key, func(f field) bool { return columnIndex(t, f.Name) < 0 }) {
			continue
		}
		p := &spared{x: &restoring{capture: x, onward: true, cleared: true, spared: true}, t: t}
		known, theirs, err := r.apartFromUp(ctx, tx, p)
		if err != nil {
			return nil, err
		}
		if !known {
			continue
		}
		if !all {
			p.only = either(theirs)
		}
		out = append(out, p)
	}
	return out, nil
}

// sparing is a capture of Down's as one of rows that are to be inserted into the table as it is called behind the statements that came after it.
func (s *Store) sparing(y *capture, after []effects.Statement) *capture {
	x := *y
	x.Seal, x.Bystander = seal{Mode: sealAbsent}, false
	x.Key, x.Fields = slices.Clone(y.Key), slices.Clone(y.Fields)
	for _, list := range [][]field{x.Key, x.Fields} {
		then := make([]string, len(list))
		for i, f := range list {
			then[i] = f.At
		}
		x.Home, then = s.calledThen(y.At, then, after)
		for i := range list {
			list[i].Name, list[i].At, list[i].Seal = then[i], then[i], ""
		}
	}
	return &x
}

// deletes tells whether the statement of a capture deletes rows, and whether it deletes all of them. What triggers and foreign keys delete along with all rows of
// another table counts as all.
func (r *Restorer) deletes(y *capture) (all, deletes bool) {
	for _, e := range r.run[y.Statement-1].Effects {
		whole := e.Kind == effects.Truncate && e.Object.Kind != "partition" && !strings.HasPrefix(e.Detail, "EXCHANGE") ||
			e.Kind == effects.Delete && !e.HasWhere && e.From == "" && !e.Volatile && !e.Unordered && !e.Nested
		deletes = deletes || whole || e.Kind == effects.Delete
		if e.Kind == effects.Delete || e.Kind == effects.Truncate {
			if r.s.sameName(e.Table.Name, y.At.Name) {
				return whole, deletes
			}
			all = all || whole
		}
	}
	return all, deletes
}

// onlyDeletes tells whether all that the statements of the run do with the rows of a table, which has a name ahead of them, is to delete them.
func (r *Restorer) onlyDeletes(began engine.Name) bool {
	return r.only(began, r.run, func(e effects.Effect) bool {
		return e.Kind == effects.Truncate || e.Kind == effects.Delete && (r.s.sameName(e.Table.Name, began.Name) || !e.HasWhere && e.From == "")
	})
}

// only tells whether statements do nothing to a table, which has a name ahead of the first of them, but change its name and shape, and what else is allowed.
func (r *Restorer) only(n engine.Name, list []effects.Statement, allowed func(effects.Effect) bool) bool {
	now, then, written := r.s.calledNow(list), n, word(n.Name)
	for i, st := range now {
		if st.Opaque() {
			return false
		}
		named := written.MatchString(st.SQL)
		if next, _ := r.s.calledThen(then, nil, list[i:i+1]); next != then {
			then, written = next, word(next.Name)
		}
		if !named {
			continue
		}
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.AddColumn, effects.DropColumn, effects.AlterColumnType, effects.AlterColumn, effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull,
				effects.AddConstraint, effects.DropConstraint, effects.Comment, effects.Grant, effects.Maintenance:
				return false
			case effects.Create, effects.Drop:
				return e.Object.Kind != "index"
			}
			return !allowed(e)
		}) {
			return false
		}
	}
	return true
}

// makeRoom takes rows out that Up has inserted, ahead of a constraint or a type of Down that may not take them, where nothing of them goes elsewhere with a statement still to come.
func (r *Restorer) makeRoom(ctx context.Context, tx engine.Querier, targets []*target, rest []effects.Statement) error {
	if c := r.capturer; c == nil || c.meta.Direction != "down" || len(rest) == 0 || !constrains(rest[0]) && !retypes(rest[0]) {
		return nil
	}
	for _, g := range targets {
		writes := func(e effects.Effect) bool { // to rows that go anyway, or to others
			return r.s.sameName(e.Table.Name, g.t.Name.Name) && (e.Kind == effects.Update || e.Kind == effects.Delete || e.Kind == effects.Truncate) && e.From == "" && !e.Nested
		}
		if !g.x.Ops || !r.only(g.t.Name, rest, writes) || !slices.ContainsFunc(rest[0].Effects, func(e effects.Effect) bool { return r.s.sameName(e.Table.Name, g.t.Name.Name) }) {
			continue
		}
		if early := !destroys(rest); r.toBeKept(early) && g.x.Seal.Mode != sealAbsent { // recover --abort brings them back, but those that were gone when Up ended, and that are there by a table that came back
			stood := ""
			if g.x.Seal.Mode == sealRows {
				stood = fmt.Sprintf("EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", r.s.own(g.x.companion()))
			}
			going := fmt.Sprintf("(SELECT d.* FROM %s d WHERE %s) d", r.s.own(g.x.data()), all(g.x.inserted(true), r.free(g.x), stood))
			if _, err := r.capturer.standingIn(ctx, tx, r, g, nil, going, "1 = 0", early); err != nil {
				return err
			}
		}
		if err := r.clear(ctx, tx, g, targets); err != nil {
			return err
		}
	}
	return nil
}

// apartFromUp tells whether the rows that Up wrote can be told from the others; theirs are conditions that an entry d was there before Up and is not as Up left it.
func (r *Restorer) apartFromUp(ctx context.Context, tx engine.Querier, p *spared) (known bool, theirs []string, err error) {
	for _, x := range r.captures {
		if x.Kind == Definition {
			continue
		}
		if x.Home != p.x.Home {
			if related, err := r.related(ctx, tx, x, p.x); err != nil || related {
				return false, nil, err
			}
			continue
		}
		if x.Rows > 0 && !sameKey(x, p.x) || x.Moved || x.Kind.Stays() || x.Kind == Table && !x.Ops || x.later != nil {
			return false, nil, nil
		}
		if x.work {
			theirs = append(theirs, r.standsIn(x, fmt.Sprintf("EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n AND w.reason IN ('%s', '%s'))", r.s.own(x.conflicts()), letBe, changedSince), true))
		}
	}
	return true, theirs, nil
}

// standsIn is the condition that an entry d is that of a capture, under the key that its row had when the migration ended.
func (r *Restorer) standsIn(x *restoring, condition string, before bool) string {
	return present([]entries{r.ended(x, condition, before)}, k)[0]
}

// ended are the entries of a capture under the keys that their rows had when the migration ended; before: without the rows that it inserted.
func (r *Restorer) ended(x *restoring, condition string, before bool) entries {
	e := entries{from: r.s.own(x.data()) + " y", where: condition}
	at := func(i int) string { return "y." + k(i) }
	if x.Seal.Mode == sealRows && x.Seal.Places {
		e.from += " LEFT JOIN " + r.s.own(x.companion()) + " s ON s.n = y.n"
		at = func(i int) string { return fmt.Sprintf("coalesce(s.%[1]s, y.%[1]s)", k(i)) }
	}
	if before && x.Ops {
		e.where = all(condition, "y.op <> 'i'")
	}
	for i := range x.Key {
		e.key = append(e.key, at(i))
	}
	return e
}

// returnSpared adds what Down has captured of the application's rows to what goes back, ahead of the captures: those find the rows where they would be had Down not deleted them.
func (r *Restorer) returnSpared(ctx context.Context, tx engine.Querier, targets []*target, list []*spared) ([]*target, error) {
	s := r.s
	for _, p := range list {
		x := p.x
		out := []string{}
		if x.Ops {
			out = append(out, "d.op <> 'd'")
		}
		if p.only != "" {
			out = append(out, "NOT "+p.only)
		}
		out = append(out, fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, p.t), s.on(x.capture, p.t, "t", "d", func(i int) string { return x.Key[i].At }, k)))
		var going []entries
		for _, y := range r.tables() {
			if y.Home != x.Home || y.Rows == 0 {
				continue
			}
			if y.Ops {
				going = append(going, r.ended(y, "y.op = 'i'", false))
			}
			if y.entire() {
				free := ""
				if y.work {
					free = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n)", s.own(y.conflicts()))
				}
				going = append(going, r.ended(y, free, true))
			}
		}
		out = append(out, present(going, k)...)
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", letBeGone, s.own(x.data()), either(out))); err != nil {
			return nil, err
		}
		g, err := r.aim(x, p.t, true)
		if err != nil {
			return nil, err
		}
		r.captures = append(r.captures, x)
		targets = append([]*target{g}, targets...)
	}
	return targets, nil
}

// tellSpared says how many rows were spared, and takes what was added off again.
func (r *Restorer) tellSpared(ctx context.Context, tx engine.Querier, list []*spared) error {
	for _, p := range list {
		x := p.x
		n, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", r.s.own(x.data()), all(r.free(x))))
		if err != nil {
			return err
		}
		if n > 0 {
			r.notes = append(r.notes, fmt.Sprintf("%s: Down deletes %d row(s) that the application has written since; they were put back as it left them", x.Home, n))
		}
		if x.work {
			if err := r.s.drop(ctx, tx, "forget conflicts", r.s.own(x.conflicts())); err != nil {
				return err
			}
		}
		r.captures = slices.DeleteFunc(r.captures, func(y *restoring) bool { return y == x })
	}
	return nil
}

// tellWritten says how many rows that Up left alone, and that the application has changed since, Down has written over: they stay as it makes them.
func (r *Restorer) tellWritten(ctx context.Context, tx engine.Querier, c *Capturer) error {
	if c == nil || c.meta.Direction != "down" {
		return nil
	}
	for _, x := range r.captures {
		if !x.Bystander || !x.work {
			continue
		}
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		if t == nil || len(x.Key) == 0 {
			continue
		}
		written := func(columns []string) (int64, error) { // how many rows of which Down has made something else in one of these
			var hit []string
			for _, y := range c.captures {
				if slices.ContainsFunc(r.severed, func(v *severed) bool { return v.y == y }) { // those point to what is back
					continue
				}
				if on := r.madeOf(x, y, t, columns); on != "" {
					hit = append(hit, fmt.Sprintf("EXISTS (SELECT 1 FROM %s y, %s t WHERE %s)", r.s.own(y.data()), r.s.f.from(r.s.db, t), on))
				}
			}
			return number(ctx, tx, "count rows", fmt.Sprintf("SELECT count(DISTINCT d.n) FROM %s w JOIN %s d ON d.n = w.n WHERE w.reason = '%s' AND %s", r.s.own(x.conflicts()), r.s.own(x.data()), letBe, either(hit)))
		}
		var columns []string
		for _, f := range x.Fields {
			n, err := written([]string{f.Name})
			if err != nil {
				return err
			}
			if n > 0 {
				columns = append(columns, f.Name)
			}
		}
		if len(columns) == 0 {
			continue
		}
		n, err := written(columns)
		if err != nil {
			return err
		}
		r.notes = append(r.notes, fmt.Sprintf("%s: Down writes over %s of %d row(s) that Up left alone and that the application has changed since; they are as Down makes them, and the next up brings back what stood there",
			x.Home, strings.Join(columns, ", "), n))
	}
	return nil
}

// madeOf is the condition that a row t, of which a capture of Down's has an entry y and a bystander an entry d, stands otherwise in one of some columns than Down found it; "" when the
// two are not of one table, or that one has none of the columns.
func (r *Restorer) madeOf(x *restoring, y *capture, t *engine.Table, columns []string) string {
	if y.Kind != Rows || !y.Ops || y.Rows == 0 || !slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return a.Decl == b.Decl }) {
		return ""
	}
	z := r.s.sparing(y, r.run[min(y.Statement, len(r.run)):]) // by the names of now
	var names, kept []string
	for i, f := range z.Fields {
		if slices.Contains(columns, f.Name) && columnIndex(t, f.Name) >= 0 {
			names, kept = append(names, f.Name), append(kept, r.s.image("y."+y.v(i), f))
		}
	}
	if y.Home != x.Home && z.Home != x.Home || len(names) == 0 {
		return ""
	}
	on := []string{"y.op = 'u'", "(" + r.s.differ(r.s.images(names, t, "t"), kept) + ")", r.s.on(x.capture, t, "t", "d", func(i int) string { return x.Key[i].Name }, k)}
	for i := range x.Key {
		on = append(on, fmt.Sprintf("y.%s = d.%s", y.old(i), k(i)))
	}
	return all(on...)
}

// unfit tells whether a row stays out because the table that Down has left does not take it: it was captured, and is listed.
func (x *restoring) unfit(err error) bool {
	e, ok := engine.AsError(err)
	return x.spared && ok && e.Class == engine.Constraint
}

package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// incomplete is the reason of a conflict: only some columns of the row were captured (or asked for), and it is gone.
const incomplete = "deleted since, and not held whole"

// UnsafeError says that an ask cannot be carried out without guessing. Nothing was written.
type UnsafeError struct{ Message, Hint string }

func (e *UnsafeError) Error() string { return e.Message }

// condition makes sure that a condition is one, and only reads.
func (s *Store) condition(where string) error {
	if where == "" {
		return nil
	}
	wrong := &AskError{Message: fmt.Sprintf("--where %q is not a condition that only reads", where), Hint: "write it as after WHERE: --where \"id = 7 OR status = 'lost'\""}
	for _, q := range []string{"(\n" + where + "\n)", where} { // the one takes no ORDER BY, the other no brackets that close more than they open
		list, err := effects.Parse(effects.Dialect(s.db.Kind), "SELECT 1 FROM t WHERE "+q)
		if err != nil || len(list) != 1 || slices.ContainsFunc(list[0].Effects, func(e effects.Effect) bool { return e.Kind != effects.Read }) {
			return wrong
		}
	}
	return nil
}

// compare finds, table by table, what differs between the rows as they were and as they are.
func (x *Restoration) compare(ctx context.Context, tx engine.Querier) error {
	for _, l := range x.lots {
		if err := x.compareOne(ctx, tx, l); err != nil {
			return err
		}
	}
	return nil
}

func (x *Restoration) compareOne(ctx context.Context, tx engine.Querier, l *lot) error {
	if l.live == nil {
		l.preview.Findings = []verify.Finding{{Kind: "missing table", Object: l.name.String(), Rows: l.was.captures[0].Rows, Blocks: true,
			Message: fmt.Sprintf("the table %s is gone", l.name), Remedy: "dbrollback rollback brings it back with the migration that dropped it; --mode copy --into NAME shows its rows"}}
		return &IncompatibleError{Table: l.name, Findings: l.preview.Findings}
	}
	var err error
	if l.entries, err = x.from.entries(ctx, tx, l.was); err != nil {
		return err
	}
	l.x = l.entries.capture
	if x.ask.Mode == Replace && l.was.changes == nil && !l.was.complete() && !slices.ContainsFunc(l.was.captures, func(c *capture) bool { return c.Direction == Restored }) {
		return &UnsafeError{Message: fmt.Sprintf("--mode replace wants the whole of %s, and there is only: %s", l.name, l.was.holds()), Hint: "--mode merge puts back what there is"}
	}
	if len(l.x.Key) == 0 && x.ask.Mode == Merge {
		return &UnsafeError{Message: fmt.Sprintf("%s has no key by which a row could be known again: what of it changed cannot be told from what came later", l.name),
			Hint: "--mode replace makes the table as it was; --mode copy --into NAME puts the rows beside it"}
	}
	if len(l.x.Key) == 0 && (x.whereOf(l) != "" || len(x.columnsOf(l)) > 0) {
		return &UnsafeError{Message: fmt.Sprintf("%s has no key: it can only be replaced whole, without --where and --columns", l.name), Hint: "--mode copy --into NAME puts the rows beside it"}
	}
	if err := x.pick(ctx, tx, l); err != nil {
		return err
	}
	fit := x.fit(l)
	found := fit.Shape(x.s.db)
	if !verify.Blocked(found) {
		more, err := fit.Values(ctx, x.s.db, tx)
		if err != nil {
			return err
		}
		found = append(found, more...)
	}
	l.preview.Findings = found
	if verify.Blocked(found) {
		return &IncompatibleError{Table: l.name, Findings: found}
	}
	if len(l.x.Key) == 0 {
		return x.aimBag(ctx, tx, l)
	}
	if err := x.differ(ctx, tx, l); err != nil {
		return err
	}
	from, inserted := x.wouldBe(l)
	more, err := fit.Rows(ctx, x.s.db, tx, from, inserted)
	if err != nil {
		return err
	}
	l.preview.Findings = append(l.preview.Findings, more...)
	if verify.Blocked(l.preview.Findings) {
		return &IncompatibleError{Table: l.name, Findings: l.preview.Findings}
	}
	return x.unpick(ctx, tx, l)
}

// whereOf and columnsOf are of the tables that were named, not of those that come along.
func (x *Restoration) whereOf(l *lot) string {
	if l.was.along {
		return ""
	}
	return x.ask.Where
}

func (x *Restoration) columnsOf(l *lot) []string {
	if l.was.along {
		return nil
	}
	return x.ask.Columns
}

// asked tells whether a captured column is to be written.
func (x *Restoration) asked(l *lot, f field) bool {
	columns := x.columnsOf(l)
	return len(columns) == 0 || slices.ContainsFunc(columns, func(c string) bool { return x.s.sameName(c, f.Name) })
}

// fit asks whether the entries fit into the table.
func (x *Restoration) fit(l *lot) verify.Fit {
	s := x.s
	f := verify.Fit{Now: l.live, Same: l.x.Identity == identity(l.live), From: x.chosen(l)}
	for _, c := range l.x.Key {
		f.Key = append(f.Key, c.Name)
	}
	for i, c := range l.x.Fields {
		kept := verify.Captured{Name: c.Name, Type: c.Type, Num: c.Num, Decl: c.Decl, Ref: "d." + l.x.v(i), Asked: x.asked(l, c)}
		if j := columnIndex(l.live, x.r.column(l.live, c.Name)); j >= 0 && s.typed(l.live.Columns[j]) == c.Type {
			kept.Type = l.live.Columns[j].Type
		}
		kept.Round = func(ref string) (string, string) {
			j := columnIndex(l.live, x.r.column(l.live, c.Name))
			now := l.live.Columns[j]
			return ref, s.f.value(s.as(s.f.back(ref, c, now), now), field{Type: s.typed(now), Decl: c.Decl, Text: c.Text, Set: c.Set})
		}
		f.Columns = append(f.Columns, kept)
	}
	return f
}

// chosen is a FROM item of the entries that the condition picks, under the alias d.
func (x *Restoration) chosen(l *lot) string {
	data := x.s.own(l.x.data())
	if l.picked == "" {
		return data + " d"
	}
	return fmt.Sprintf("(SELECT d.* FROM %s d WHERE %s) d", data, l.picked)
}

// pick makes the condition of the ask on entries under the alias d: it speaks of columns by their names, and of values as they were, of
// their types and collations.
func (x *Restoration) pick(ctx context.Context, tx engine.Querier, l *lot) error {
	if x.whereOf(l) == "" {
		return nil
	}
	columns, defs := []string{"d.n AS " + x.s.q(entryNumber)}, []string{x.s.q(entryNumber) + " INTEGER PRIMARY KEY"}
	add := func(ref string, f field) error {
		collation := ""
		if l.live != nil {
			if j := columnIndex(l.live, x.r.column(l.live, f.Name)); j >= 0 && x.s.typed(l.live.Columns[j]) == f.Type {
				collation = l.live.Columns[j].Collation
			}
		}
		value, err := x.s.f.asked(ctx, tx, ref, f, collation)
		columns = append(columns, value+" AS "+x.s.q(f.Name))
		if x.s.f.condition != nil {
			def := x.s.q(f.Name) + " " + x.s.f.condition(f)
			if collation != "" {
				def += " COLLATE " + collation
			}
			defs = append(defs, def)
		}
		return err
	}
	for i, f := range l.x.Fields {
		if err := add("d."+l.x.v(i), f); err != nil {
			return err
		}
	}
	for i, f := range l.x.Key {
		if slices.ContainsFunc(l.x.Fields, func(o field) bool { return o.Name == f.Name }) {
			continue
		}
		if err := add("d."+l.x.old(i), f); err != nil {
			return err
		}
	}
	from := fmt.Sprintf("(SELECT %s FROM %s d)", list(columns), x.s.own(l.x.data()))
	if x.s.f.condition != nil {
		place := x.s.own("dbrollback_work_" + compact(newID()))
		for _, q := range []string{"CREATE TABLE " + place + " (" + list(defs) + ")", "INSERT INTO " + place + " SELECT w.* FROM " + from + " w"} {
			if _, err := exec(ctx, tx, "read what the condition is asked of", q); err != nil {
				return err
			}
		}
		from, l.asked = place, place
	}
	l.picked = fmt.Sprintf("d.n IN (SELECT w.%s FROM %s w WHERE (\n%s\n))", x.s.q(entryNumber), from, x.whereOf(l))
	// By itself it says what is wrong with it, be it with a value of one row.
	_, err := exec(ctx, tx, "look for rows that the condition picks", "SELECT count(*) FROM "+x.chosen(l))
	if e, ok := engine.AsError(err); err == nil || ctx.Err() != nil || ok && e.Class != engine.Syntax && e.Class != engine.Constraint && e.Class != engine.Unknown {
		return err
	}
	return x.misput(l, err)
}

// unpick drops what pick made, when its rows have been read.
func (x *Restoration) unpick(ctx context.Context, tx engine.Querier, l *lot) error {
	if l.asked == "" {
		return nil
	}
	place := l.asked
	l.asked, l.picked = "", ""
	return x.s.drop(ctx, tx, "drop what the condition was asked of", place)
}

// differ writes down which entries differ from what stands in their place: op u for a row that is there, d for one that is gone, i
// for one that is to go. That is the form of an observed capture, as if all that happened since had been one statement.
func (x *Restoration) differ(ctx context.Context, tx engine.Querier, l *lot) error {
	s := x.s
	w := &restoring{capture: &capture{Info: l.x.Info, detail: l.x.detail}, onward: true}
	w.ID, w.Kind, w.Home, w.Ops, w.Shape, w.Spare, w.Of = newID(), Rows, l.live.Name, true, l.live, nil, ""
	w.Whole = l.x.Whole && !slices.ContainsFunc(l.x.Fields, func(f field) bool {
		j := columnIndex(l.live, x.r.column(l.live, f.Name))
		return !x.asked(l, f) && j >= 0 && !l.live.Columns[j].Generated
	})
	if err := x.into(ctx, tx, l, w); err != nil {
		return err
	}
	if err := x.fill(ctx, tx, l); err != nil {
		return err
	}
	if err := s.indexed(ctx, tx, w.capture, k); err != nil {
		return err
	}
	if l.entries.work {
		if err := x.r.mark(ctx, tx, w, fmt.Sprintf("SELECT w.n, c.reason FROM %s c JOIN %s w ON w.n = c.n", s.own(l.entries.conflicts()), s.own(w.data()))); err != nil {
			return err
		}
		if err := s.drop(ctx, tx, "compare "+l.name.String(), s.own(l.entries.conflicts())); err != nil {
			return err
		}
		l.entries.work = false
	}
	if !w.Whole {
		return x.r.mark(ctx, tx, w, fmt.Sprintf("SELECT d.n, '%s' FROM %s d WHERE %s", incomplete, s.own(w.data()), all("d.op = 'd'", x.r.free(w))))
	}
	return nil
}

// into makes room for differences, and makes them what is put back.
func (x *Restoration) into(ctx context.Context, tx engine.Querier, l *lot, w *restoring) error {
	s := x.s
	g, err := x.r.aim(w, l.live, true)
	if err != nil {
		return err
	}
	g.fields = slices.DeleteFunc(g.fields, func(i int) bool { return !x.asked(l, w.Fields[i]) })
	l.w, l.g = w, g
	x.r.captures = append(x.r.captures, w)
	if _, ok := s.d.(comparer); ok && !x.online {
		return nil // the comparison makes it
	}
	names, decls := w.capture.columns()
	defs := []string{"n bigint NOT NULL"}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	if x.online {
		defs = append(defs, "b "+s.f.hash) // how the row looked when it was compared
	}
	return s.desk(ctx, tx, "compare "+l.name.String(), w.capture, defs)
}

// look adds how a live row looks to what is written down of it, where that is asked for later.
func (x *Restoration) look(l *lot, names, values []string) (string, string) {
	if !x.online {
		return list(names), list(values)
	}
	return list(append(slices.Clone(names), "b")), list(append(slices.Clone(values), x.s.hash(x.s.images(columnNames(l.live), l.live, "t"))))
}

// fill writes the differences down.
func (x *Restoration) fill(ctx context.Context, tx engine.Querier, l *lot) error {
	s, w, g := x.s, l.w, l.g
	names, _ := w.capture.columns()
	live := s.f.from(s.db, l.live)
	there := "t." + s.q(g.name(0))
	values := []string{"d.n", fmt.Sprintf("CASE WHEN %s IS NULL THEN 'd' ELSE 'u' END", there)}
	for _, n := range names[1:] {
		values = append(values, "d."+n)
	}
	kept, now := x.r.images(g, g.fields, false)
	differs := s.differ(now, kept)
	if w.Moved {
		var same []string
		for i := range w.Key {
			same = append(same, fmt.Sprintf("d.%s = d.%s", o(i), k(i)))
		}
		differs = "NOT (" + all(same...) + ") OR " + differs
	}
	place := s.on(l.x, l.live, "t", "d", g.name, k)
	into, chosen := x.look(l, append([]string{"n"}, names...), values)
	from := fmt.Sprintf("%s LEFT JOIN %s t ON %s WHERE %s", x.chosen(l), live, place, all(l.x.inserted(false), fmt.Sprintf("(%s IS NULL OR %s)", there, differs)))
	todo := []string{fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", s.own(w.data()), into, chosen, from)}
	if c, ok := s.d.(comparer); ok && !x.online {
		if err := x.anew(ctx, tx, l, c, append([]string{"n"}, names...), values, from); err != nil {
			return err
		}
		todo = nil
	}
	if l.x.Ops {
		gone := []string{"d.n", "'i'"}
		for _, n := range names[1:] {
			gone = append(gone, "d."+n)
		}
		into, chosen = x.look(l, append([]string{"n"}, names...), gone)
		todo = append(todo, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s JOIN %s t ON %s WHERE %s",
			s.own(w.data()), into, chosen, x.chosen(l), live, place, l.x.inserted(true)))
	}
	for _, q := range todo {
		if _, err := exec(ctx, tx, "compare "+l.name.String(), q); err != nil {
			return x.blame(l, err)
		}
	}
	if x.ask.Mode != Replace || !l.was.complete() {
		return nil
	}
	if none, err := x.noneLater(ctx, tx, l); err != nil || none {
		return err
	}
	if _, err := exec(ctx, tx, "compare "+l.name.String(), x.later(l)); err != nil {
		return x.blame(l, err)
	}
	return nil
}

// anew makes the table of differences of what a query finds, with where the rows stand.
func (x *Restoration) anew(ctx context.Context, tx engine.Querier, l *lot, c comparer, names, values []string, from string) error {
	_, decls := l.w.capture.columns()
	decls = append([]string{"bigint"}, decls...)
	var columns []string
	for i, n := range names {
		value := values[i]
		if n == "op" {
			value = "(" + value + ")::" + decls[i]
		}
		columns = append(columns, value+" AS "+n)
	}
	if at := c.found(l.live, "t"); at != "" {
		columns = append(columns, at+" AS "+standsAt)
		l.w.at = at + " = d." + standsAt
	}
	err := c.compared(ctx, tx, "compare "+l.name.String(), x.s.own(l.w.data()), "SELECT "+list(columns)+" FROM "+from)
	if err != nil {
		return x.blame(l, err)
	}
	return nil
}

// standsAt is the column of differences that says where a row stands.
const standsAt = "p"

// noneLater tells whether the table has no other rows than those that the entries found: to count them costs a tenth of looking each one up. It
// says no where a count does not tell: of a part of the rows, and where others may write meanwhile.
func (x *Restoration) noneLater(ctx context.Context, tx engine.Querier, l *lot) (bool, error) {
	if x.online || x.whereOf(l) != "" || l.x.Moved || l.x.Ops {
		return false, nil
	}
	s := x.s
	what := "compare " + l.name.String()
	gone, err := number(ctx, tx, what, fmt.Sprintf("SELECT count(*) FROM %s w WHERE w.op = 'd'", s.own(l.w.data())))
	if err != nil {
		return false, err
	}
	there, err := number(ctx, tx, what, "SELECT count(*) FROM "+s.f.from(s.db, l.live))
	l.rows = &there
	return there == l.x.Rows-gone, err
}

// later gives the statement that writes down the rows that came later: they are in none of the entries.
func (x *Restoration) later(l *lot) string {
	s, w, g := x.s, l.w, l.g
	names, values := []string{"n", "op"}, []string{"-row_number() OVER ()", "'i'"}
	for i, f := range w.Key {
		now := l.live.Columns[columnIndex(l.live, g.name(i))]
		names, values = append(names, k(i)), append(values, s.f.value("t."+s.q(now.Name), field{Type: s.typed(now), Decl: f.Decl, Text: f.Text, Set: f.Set}))
		if w.Moved {
			names, values = append(names, o(i)), append(values, values[len(values)-1])
		}
	}
	from := s.f.from(s.db, l.live)
	if where := x.whereOf(l); where != "" {
		from = fmt.Sprintf("(SELECT * FROM %s WHERE (\n%s\n))", from, where)
	}
	into, chosen := x.look(l, names, values)
	entries := s.own(l.x.data())
	if s.f.keyed { // where nothing is sorted or hashed for a join, a table that is read first gets an index
		columns := []string{"n"}
		for i := range l.x.Key {
			columns = append(columns, l.x.old(i))
		}
		entries = fmt.Sprintf("(SELECT %s FROM %s LIMIT 9223372036854775807)", list(columns), entries)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s t LEFT JOIN %s d ON %s WHERE d.n IS NULL", s.own(w.data()), into, chosen, from, entries,
		s.on(l.x, l.live, "t", "d", g.name, l.x.old))
}

// blame tells a condition that the server does not understand from other failures.
func (x *Restoration) blame(l *lot, err error) error {
	e, ok := engine.AsError(err)
	if x.whereOf(l) == "" || !ok || e.Class != engine.Syntax {
		return err
	}
	return x.misput(l, err)
}

// misput is the error about a condition that cannot be answered.
func (x *Restoration) misput(l *lot, err error) error {
	says := errors.Unwrap(err) // what it was asked for is nobody's business
	if e, ok := engine.AsError(err); ok {
		says = e
	}
	return &AskError{Message: fmt.Sprintf("--where: %s", strings.TrimSpace(cmp.Or(says, err).Error())), Hint: "it speaks of the columns that were captured: " + strings.Join(l.was.columns(), ", ")}
}

// entryNumber is a column of wouldBe.
const entryNumber = "dbrollback n"

// wouldBe is a FROM item of the rows of a table as they would be, with the names of now, and the condition on it that a row is new.
func (x *Restoration) wouldBe(l *lot) (from, inserted string) {
	s, g := x.s, l.g
	var columns []string
	for _, c := range l.live.Columns {
		value := "t." + s.q(c.Name)
		for _, i := range g.fields {
			if x.r.column(l.live, l.w.Fields[i].Name) == c.Name {
				value = s.as(s.f.back("d."+l.w.v(i), l.w.Fields[i], c), c)
			}
		}
		columns = append(columns, value+" AS "+s.q(c.Name))
	}
	columns = append(columns, "d.op AS "+s.q("dbrollback op"), "d.n AS "+s.q(entryNumber))
	return fmt.Sprintf("(SELECT %s FROM %s d LEFT JOIN %s t ON %s WHERE %s) AS w", list(columns), s.own(l.w.data()), s.f.from(s.db, l.live),
		s.on(l.w.capture, l.live, "t", "d", g.name, k), all(l.w.inserted(false), x.r.free(l.w))), s.q("dbrollback op") + " = 'd'"
}

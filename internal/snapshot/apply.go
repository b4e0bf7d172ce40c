package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// target is the live table that a capture goes back to, with the captured columns that are there.
type target struct {
	x      *restoring
	t      *engine.Table
	fields []int            // of x.Fields, those with a column to write
	keys   []int            // of x.Fields, those whose value is not what was captured but the row's first key
	name   func(int) string // of a key column in the live table
	// covered by these older captures, which hold the same columns: what they hold of a row is written in the end, and what
	// this one holds of it never stands there, not even for a moment. It may break a constraint that is back already.
	covered []*restoring
	covers  []*target // the other way round, newest first
	// Or only some fields are in older captures as well, by their place in x.Fields: likewise.
	partly  map[int][]*restoring
	retyped []retyped // fields that are left to older captures
	ahead   bool      // statements are still to come
	saved   *int64    // how many rows were captured ahead of what goes, and locked, where no lock of the whole table lasts as long as a transaction does
	stood   bool      // its columns were there all along: what the application wrote in them stays
	stands  bool      // it has been written there: values are compared as what its columns made of them
	// computed are unique indexes that a preview asks by what the rows would be.
	computed []computedKey
	wouldBe  func() string
}

// aim finds where a capture goes. Missing columns are an error unless part is set.
func (r *Restorer) aim(x *restoring, t *engine.Table, part bool) (*target, error) {
	g := &target{x: x, t: t, name: func(i int) string { return r.keyName(x, t, i) }}
	var missing []string
	for i, f := range x.Fields {
		switch j := columnIndex(t, r.column(t, f.Name)); {
		case j < 0 && engine.Aside(f.Name): // it was kept for a rollback that nobody wants any more
		case j < 0, part && r.another(x, t, i, t.Columns[j]):
			missing = append(missing, f.Name)
		case t.Columns[j].Generated:
		case x.final != "" && slices.ContainsFunc(x.Key, func(k field) bool { return k.Name == f.Name }):
			g.keys = append(g.keys, i) // its value is the key that the row had in the beginning
		default:
			if older, ok := r.before(x, i, t.Columns[j]); ok {
				g.retyped = append(g.retyped, older)
				continue
			}
			g.fields = append(g.fields, i)
		}
	}
	for i, f := range x.Key {
		if columnIndex(t, r.keyName(x, t, i)) < 0 && !slices.Contains(missing, f.Name) {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) > 0 && !part {
		return nil, &PlaceError{Table: x.Home, Columns: missing, Rows: x.Rows}
	}
	return g, nil
}

// column finds the spelling of a column in a live table.
func (r *Restorer) column(t *engine.Table, name string) string {
	if columnIndex(t, name) >= 0 {
		return name
	}
	for _, c := range t.Columns {
		if r.s.sameName(c.Name, name) {
			return c.Name
		}
	}
	return name
}

func (r *Restorer) live(g *target, i int) engine.Column {
	return g.t.Columns[columnIndex(g.t, r.column(g.t, g.x.Fields[i].Name))]
}

// images gives expressions for the fields as captured and as they are in the live table; cast when they are to be compared in
// the type in which they were captured, whatever the column's type is now.
func (r *Restorer) images(g *target, fields []int, cast bool) (kept, live []string) {
	for _, i := range fields {
		f, now := g.x.Fields[i], r.live(g, i)
		decl, text := r.s.f.store(now)
		asText := r.s.akin("text", r.s.typed(now)) && !r.s.akin(f.Type, r.s.typed(now)) // texts that stand there need not be of the captured type
		if (g.x.onward || asText) && !cast && (text != f.Text || bare(decl) != bare(f.Decl)) {
			// Every captured value is known to fit into the type of now; the other way round that need not be so.
			as := r.s.kept(now)
			kept = append(kept, r.s.image(r.s.f.value(r.s.f.back("d."+g.x.v(i), f, now), as), as))
			live = append(live, r.s.image(r.s.f.value("t."+r.s.q(now.Name), as), as))
			continue
		}
		if was, known := g.x.into[f.Name]; g.stands && !cast && (text != f.Text || decl != f.Decl || known && was != r.s.typed(now)) {
			as, put := r.s.kept(now), now
			value := r.s.f.back("d."+g.x.v(i), f, now)
			if known && was != r.s.typed(now) { // it was another type by then
				put.Type, put.Base = was, was
				value = r.s.put(r.s.f.back("d."+g.x.v(i), f, put), f, put)
			}
			kept = append(kept, r.s.image(r.s.f.value(r.s.put(value, f, now), as), as))
			live = append(live, r.s.image(r.s.f.value("t."+r.s.q(now.Name), as), as))
			continue
		}
		if r.s.f.typed != nil && mysqlLabelsAsText(f.Decl, r.s.typed(now)) {
			kept, live = append(kept, mysqlLabelText("d."+g.x.v(i))), append(live, mysqlLabelText("t."+r.s.q(now.Name)))
			continue
		}
		as := field{Decl: f.Decl, Text: f.Text, Set: f.Set, Type: r.s.typed(now)}
		if !cast && !f.Text && bare(decl) == bare(f.Decl) {
			as.Decl, as.Type = decl, decl
			if r.s.typed(now) != decl {
				as.Type = r.s.typed(now)
			}
		}
		kept = append(kept, r.s.image("d."+g.x.v(i), f))
		live = append(live, r.s.image(r.s.f.value("t."+r.s.q(now.Name), as), f))
	}
	if len(kept) == 0 {
		return []string{"1"}, []string{"1"}
	}
	return kept, live
}

// bare strips the modifiers of a type.
func bare(decl string) string {
	if i := strings.IndexByte(decl, '('); i >= 0 {
		if j := strings.IndexByte(decl, ')'); j > i {
			return decl[:i] + decl[j+1:]
		}
	}
	return decl
}

// update writes captured values over rows that stand in their places and differ.
func (r *Restorer) update(ctx context.Context, tx engine.Querier, g *target, fields []int, conflicts bool) (int64, error) {
	x := g.x
	if x.spared { // only rows that are missing
		return 0, nil
	}
	fields, again, err := r.identities(ctx, tx, g, fields)
	if err != nil || len(fields) == 0 {
		return 0, err
	}
	if !conflicts {
		if n, done, err := r.retype(ctx, tx, g, fields); err != nil {
			return 0, err
		} else if done {
			return n, again()
		}
	}
	query := r.updating(g, fields, conflicts, "")
	n, bulk, err := r.inBulk(ctx, tx, g, fields, conflicts)
	if err != nil {
		return 0, err
	}
	if bulk {
		return n, again()
	}
	if x.at != "" {
		n, err = r.attempt(ctx, tx, "put back values of "+x.Home.String(), r.updating(g, fields, conflicts, x.at))
		if err == nil { // rows that a foreign key has written meanwhile stand elsewhere
			var todo int64
			if todo, err = number(ctx, tx, "count", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", r.s.own(x.data()), all("d.op = 'u'", r.free(x)))); err == nil && n < todo {
				var more int64
				more, err = r.attempt(ctx, tx, "put back values of "+x.Home.String(), query)
				n += more
			}
		}
	} else {
		n, err = r.attempt(ctx, tx, "put back values of "+x.Home.String(), query)
	}
	if err != nil && taken(err) {
		n, err = r.updateEach(ctx, tx, g, query)
	}
	if err != nil {
		return n, err
	}
	return n, again()
}

// updating spells the UPDATE of such rows. at, when it is not "", says where they stand.
func (r *Restorer) updating(g *target, fields []int, conflicts bool, at string) string {
	s, x := r.s, g.x
	var sets [][2]string
	older := r.others(g)
	for _, i := range fields {
		now := r.live(g, i)
		value := s.f.back("d."+x.v(i), x.Fields[i], now)
		if len(g.partly[i]) > 0 {
			value = fmt.Sprintf("CASE WHEN %s THEN %s ELSE t.%s END", older.none(g, i), value, s.q(now.Name))
		}
		sets = append(sets, [2]string{s.q(now.Name), value})
	}
	kept, live := r.images(g, fields, false)
	conditions := []string{at, s.on(x.capture, g.t, "t", "d", g.name, x.goal), x.inserted(false), "(" + s.differ(live, kept) + ")"}
	conditions = append(conditions, r.uncovered(g)...)
	if x.onward && !s.db.Caps.TransactionalDDL { // a row that has come where there was none is locked by nobody and captured nowhere
		conditions = append(conditions, "d.op <> 'd'")
	}
	if !conflicts {
		conditions = append(conditions, r.free(x))
	} else if x.work { // a row that the application put there is not the one that was captured
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason IN ('%s', '%s'))", s.own(x.conflicts()), insertedSince, carriedSince))
		if m := x.moving; m != nil && m.Seal.Waits && m.Seal.Mode == sealRows { // nor is a value that it put there while the row waited
			conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n AND s.h = %s)", s.own(m.companion()), s.foreign()))
		}
	}
	return s.update(s.f.from(s.db, g.t), "t", s.unstamped(g.t, sets), r.source(x)+older.joins, all(conditions...))
}

// unstamped adds the columns that an UPDATE of others would change by itself, ON UPDATE CURRENT_TIMESTAMP: they stay as they are.
func (s *Store) unstamped(t *engine.Table, sets [][2]string) [][2]string {
	for _, c := range t.Columns {
		name := s.q(c.Name)
		if c.OnUpdate && !slices.ContainsFunc(sets, func(set [2]string) bool { return set[0] == name }) {
			sets = append(sets, [2]string{name, "t." + name})
		}
	}
	return sets
}

// unmove gives rows the key that they had before a statement moved it.
func (r *Restorer) unmove(ctx context.Context, tx engine.Querier, g *target) (int64, error) {
	s, x := r.s, g.x
	if x.Still {
		return 0, nil
	}
	var sets [][2]string
	var same []string
	var columns []engine.Column
	for i, f := range x.Key {
		now := g.t.Columns[columnIndex(g.t, g.name(i))]
		columns = append(columns, now)
		sets = append(sets, [2]string{s.q(now.Name), s.f.back("d."+o(i), f, now)})
		same = append(same, fmt.Sprintf("d.%s = d.%s", o(i), k(i)))
	}
	query := s.update(s.f.from(s.db, g.t), "t", s.unstamped(g.t, sets), s.own(x.data())+" d", all(s.on(x.capture, g.t, "t", "d", g.name, k), "d.op = 'u'", "NOT ("+all(same...)+")", r.free(x)))
	if slices.ContainsFunc(columns, func(c engine.Column) bool { return c.Identity == "always" }) { // no need to lock readers out for nothing
		if some, err := number(ctx, tx, "look for moved keys", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", s.own(x.data()), all("d.op = 'u'", "NOT ("+all(same...)+")"))); err != nil || some == 0 {
			return 0, err
		}
	}
	if err := r.carry(ctx, tx, g, all("d.op = 'u'", "NOT ("+all(same...)+")")); err != nil {
		return 0, err
	}
	again, err := r.giveWay(ctx, tx, g.t, columns)
	if err != nil {
		return 0, err
	}
	n, err := r.attempt(ctx, tx, "put back keys of "+x.Home.String(), query)
	if err != nil && taken(err) {
		if n, err = r.updateEach(ctx, tx, g, query); err == nil {
			err = r.stranded(ctx, tx, g)
		}
	}
	if err != nil {
		return n, err
	}
	return n, again()
}

// stranded follows rows whose old key was taken meanwhile: they stay under the key that they have, where newer captures find them;
// for older ones they are in conflict.
func (r *Restorer) stranded(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if !x.work {
		return nil
	}
	captures := r.tables()
	at := slices.Index(captures, x)
	for _, y := range captures[at+1:] {
		if y.final == "" || !sameKey(x, y) {
			continue
		}
		var sets [][2]string
		var on []string
		for i := range x.Key {
			sets = append(sets, [2]string{"f" + itoa(i+1), "d." + k(i)})
			on = append(on, fmt.Sprintf("d.%s = z.f%s", x.goal(i), itoa(i+1)))
		}
		if _, err := exec(ctx, tx, "follow keys", s.update(y.final, "z", sets,
			fmt.Sprintf("(SELECT d.* FROM %s WHERE EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')) d", r.source(x), s.own(x.conflicts()), valueTaken), all("z.born = 0", all(on...)))); err != nil {
			return err
		}
	}
	return r.spread(ctx, tx, x, captures[:at])
}

// source is the data of a capture, under the alias d, with the keys that its rows had in the beginning; where keys were moved,
// without the rows that the migration itself had inserted before.
func (r *Restorer) source(x *restoring) string {
	if x.final == "" {
		return r.s.own(x.data()) + " d"
	}
	columns := []string{"d.*"}
	for i := range x.Key {
		columns = append(columns, "z.f"+itoa(i+1))
	}
	return fmt.Sprintf("(SELECT %s FROM %s d JOIN %s z ON z.n = d.n WHERE z.born = 0) d", list(columns), r.s.own(x.data()), x.final)
}

// goal is the column of source with the key that a row had when the migration began.
func (x *restoring) goal(i int) string {
	if x.final != "" {
		return "f" + itoa(i+1)
	}
	return x.old(i)
}

// attempt runs a statement so that it can be tried in another way when it fails.
func (r *Restorer) attempt(ctx context.Context, tx engine.Querier, what, query string) (int64, error) {
	if r.bare {
		return exec(ctx, tx, what, query)
	}
	if _, err := tx.ExecContext(ctx, "SAVEPOINT dbrollback_put"); err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	n, err := exec(ctx, tx, what, query)
	if err != nil {
		if _, back := tx.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT dbrollback_put"); back != nil {
			return 0, err
		}
	}
	if _, release := tx.ExecContext(context.WithoutCancel(ctx), "RELEASE SAVEPOINT dbrollback_put"); release != nil && err == nil {
		return 0, fmt.Errorf("%s: %w", what, release)
	}
	return n, err
}

// updateEach writes row by row, the last one captured first: that is the order in which unique values become free
// again. What still collides was taken by the application.
func (r *Restorer) updateEach(ctx context.Context, tx engine.Querier, g *target, query string) (int64, error) {
	s, x := r.s, g.x
	todo, err := numbers(ctx, tx, fmt.Sprintf("SELECT d.n FROM %s d WHERE %s ORDER BY d.n DESC", s.own(x.data()), all(x.inserted(false), r.free(x))))
	if err != nil {
		return 0, err
	}
	at, todo, err := r.unhindered(ctx, tx, g, query, todo)
	if err != nil {
		return 0, err
	}
	done, left, err := r.each(ctx, tx, x, query, todo)
	done += at
	if err == nil {
		left, err = r.unblocked(ctx, tx, g, left)
	}
	if err != nil || len(left) == 0 {
		return done, err
	}
	for _, way := range []func(context.Context, engine.Querier, *target, string, []int64) (int64, bool, error){r.retrace, r.rotate, r.renumber} {
		if n, ok, err := way(ctx, tx, g, query, left); ok || err != nil {
			return done + n, err
		}
	}
	return done, r.collide(ctx, tx, x, fmt.Sprintf("%s d WHERE d.n IN (%s)", s.own(x.data()), numbered(left)))
}

// each writes entries one by one, over and over while that gets any further; left are those that still collide.
func (r *Restorer) each(ctx context.Context, tx engine.Querier, x *restoring, query string, todo []int64) (done int64, left []int64, err error) {
	for {
		left = nil
		for _, n := range todo {
			m, err := r.attempt(ctx, tx, "put back values of "+x.Home.String(), fmt.Sprintf("%s AND d.n = %d", query, n))
			switch {
			case err == nil:
				done += m
			case taken(err):
				left = append(left, n)
			default:
				return done, left, err
			}
		}
		if len(left) == 0 || len(left) == len(todo) {
			return done, left, nil
		}
		slices.Reverse(left)
		todo = left
	}
}

// numbers runs a query that gives one number a row.
func numbers(ctx context.Context, q engine.Querier, query string) ([]int64, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

// remove deletes rows that the migration inserted, that nobody changed since and that nothing points to.
func (r *Restorer) remove(ctx context.Context, tx engine.Querier, g *target) (int64, error) {
	return r.removeThose(ctx, tx, g, func() string { return r.free(g.x) })
}

// removeThose does it with the entries that fulfil a condition.
func (r *Restorer) removeThose(ctx context.Context, tx engine.Querier, g *target, those func() string) (int64, error) {
	s, x := r.s, g.x
	if !x.Ops {
		return 0, nil
	}
	some, err := number(ctx, tx, "look for inserted rows", fmt.Sprintf("SELECT count(*) FROM %s d WHERE %s", s.own(x.data()), all(x.inserted(true), those())))
	if err != nil || some == 0 {
		return 0, err
	}
	if err := r.leaving(ctx, tx, g, all(x.inserted(true), those())); err != nil {
		return 0, err
	}
	place := s.on(x.capture, g.t, "t", "d", g.name, k)
	for _, fk := range g.t.Referenced {
		child, err := r.inspect(ctx, tx, fk.Table)
		if err != nil {
			return 0, err
		}
		if child == nil {
			continue
		}
		var on []string
		for i, c := range fk.Columns {
			on = append(on, fmt.Sprintf("c.%s = t.%s", s.q(c), s.q(fk.ParentColumns[i])))
		}
		if child.Name == g.t.Name {
			var same []string // a row that points to itself is in nobody's way
			for i := range x.Key {
				n := s.q(g.name(i))
				same = append(same, "c."+n+" = t."+n)
			}
			on = append(on, "NOT ("+all(same...)+")")
		}
		for _, y := range r.tables() { // nor is one that goes, too
			if y.Home == child.Name && y.Ops && len(y.Key) > 0 {
				leaves := s.on(y.capture, child, "c", "d", func(i int) string { return r.keyName(y, child, i) }, k)
				on = append(on, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s d WHERE %s)", s.own(y.data()), all(leaves, y.inserted(true), r.free(y))))
			}
		}
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s t ON %s WHERE %s", usedSince, s.own(x.data()), s.f.from(s.db, g.t), place,
			all(x.inserted(true), those(), fmt.Sprintf("EXISTS (SELECT 1 FROM %s c WHERE %s)", s.f.from(s.db, child), all(on...))))); err != nil {
			return 0, err
		}
	}
	return exec(ctx, tx, "remove rows of "+x.Home.String(), s.remove(s.f.from(s.db, g.t), "t", s.own(x.data())+" d", all(place, x.inserted(true), those())))
}

// prove counts captured rows that are not byte-equal in their place. older are captures whose rows win over this one's.
func (r *Restorer) prove(ctx context.Context, tx engine.Querier, g *target, older []*restoring) error {
	s, x := r.s, g.x
	differs := []string{"1 = 0"}
	own := slices.DeleteFunc(slices.Clone(g.fields), func(i int) bool { return len(g.partly[i]) > 0 })
	if len(own) > 0 {
		kept, live := r.images(g, own, true)
		differs = append(differs, s.differ(live, kept))
	}
	others := r.others(g)
	for _, i := range g.fields {
		if len(g.partly[i]) > 0 { // of other rows the older value stands there
			kept, live := r.images(g, []int{i}, true)
			differs = append(differs, all(others.none(g, i), "("+s.differ(live, kept)+")"))
		}
	}
	conditions := []string{x.inserted(false), r.free(x)}
	back := int64(1)
	if len(older) > fewCaptures { // to ask for them first is cheaper than to compare none
		var err error
		if back, err = number(ctx, tx, "prove "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.source(x), all(conditions...))); err != nil {
			return err
		}
	}
	conditions = append(conditions, r.known(g)...)
	var in []entries
	for _, y := range older {
		e := entries{from: s.own(y.data()) + " y"}
		for _, f := range x.Key {
			j := slices.IndexFunc(y.Key, func(h field) bool { return h.Name == f.Name && h.Decl == f.Decl })
			if j < 0 || len(y.Key) != len(x.Key) {
				return nil // rows cannot be told apart across the two; this one was proven when it was written
			}
			e.key = append(e.key, "y."+k(j))
		}
		in = append(in, e)
	}
	conditions = append(conditions, absent(in, x.old)...)
	at := s.on(x.capture, g.t, "t", "d", g.name, x.goal)
	var of, good, written int64
	some := "0"
	if x.uncount { // its columns were empty
		var values []string
		for _, i := range g.fields {
			values = append(values, "d."+x.v(i)+" IS NOT NULL")
		}
		some = fmt.Sprintf("coalesce(sum(CASE WHEN t.%s IS NOT NULL AND (%s) THEN 1 ELSE 0 END), 0)", s.q(g.name(0)), strings.Join(values, " OR "))
	}
	if back > 0 {
		err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*), coalesce(sum(CASE WHEN t.%s IS NOT NULL AND NOT (%s) THEN 1 ELSE 0 END), 0), %s FROM %s LEFT JOIN %s t ON %s WHERE %s",
			s.q(g.name(0)), either(differs), some, r.source(x)+others.joins, s.f.from(s.db, g.t), at, all(conditions...))).Scan(&of, &good, &written)
		if err != nil {
			return fmt.Errorf("prove %s: %w", x.Home, err)
		}
	}
	if x.uncount {
		x.uncount = false
		r.of(x.Home).Updated += written
	}
	if of != good {
		return &ProofError{Table: x.Home, Capture: x.ID, Rows: of - good, Of: of}
	}
	if !x.Ops {
		return nil
	}
	gone := []string{x.inserted(true), r.free(x)}
	if r.moves(x.Home) { // the key may be that of a row which was moved away from it, and is back
		for _, y := range r.tables() {
			if y == x || !sameKey(x, y) || y.Rows == 0 {
				continue
			}
			var on []string
			for i := range x.Key {
				on = append(on, fmt.Sprintf("b.%s = d.%s", y.goal(i), k(i)))
			}
			gone = append(gone, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM (SELECT d.* FROM %s WHERE %s) b WHERE %s)", r.source(y), all(y.inserted(false)), all(on...)))
		}
	}
	left, err := number(ctx, tx, "prove "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s d JOIN %s t ON %s WHERE %s", s.own(x.data()), s.f.from(s.db, g.t),
		s.on(x.capture, g.t, "t", "d", g.name, k), all(gone...)))
	if err != nil {
		return err
	}
	if left > 0 && len(older) == 0 {
		return &ProofError{Table: x.Home, Capture: x.ID, Rows: left, Of: x.Rows, Reason: "rows that the migration inserted are still there"}
	}
	return nil
}

// write updates rows that are there, also in conflict if it says so, and inserts those that are not if it says so.
func (r *Restorer) write(ctx context.Context, tx engine.Querier, g *target, fields []int, conflicts, insert bool) error {
	for i := range g.x.Key {
		if columnIndex(g.t, g.name(i)) < 0 {
			return nil // its key is not back yet
		}
	}
	updated, err := r.update(ctx, tx, g, fields, conflicts)
	if err != nil {
		return err
	}
	g.x.wrote = g.x.wrote || insert && len(g.x.Fields) > 0 || slices.ContainsFunc(fields, func(i int) bool { return g.x.Fields[i].Seal != "" })
	var inserted int64
	if insert {
		if inserted, err = r.insert(ctx, tx, g); err != nil {
			return err
		}
	}
	if g.x.Of != "" { // the same rows are counted with the other values
		updated = 0
	}
	rep := r.of(g.x.Home)
	rep.Updated, rep.Inserted = rep.Updated+updated, rep.Inserted+inserted
	return nil
}

package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// An up that follows a rollback inserts the rows of its migration once more, and a table that gives out keys gives them new ones. Those
// that the application has used, and that others point to, come back under their old keys: each row would be there twice, could not come back
// at all where its values are unique, or would be written over a new row that is another one. So a new row that looks like one that is to come
// back takes its key before that one comes, along with what points to it by a foreign key, and a new row that has the key meanwhile gets one that nobody
// had. Where something else of what the migration has written may point to one of them, all stay as they are; see doubles.

// searched is how many rows are looked for in texts; above that any text may name one of them.
const searched = 1000

// rekeying is a run's new rows of one table that take other keys.
type rekeying struct {
	g        *target
	y        *capture // whose entries of op i they are
	made     bool     // y is no capture: the run has made the table, and all that stands there is its own
	list     string   // table: n the entry of y, m that of the target or NULL, now and was their keys
	rows     int64    // of list
	children []child
}

// child is a table that points to the rows, by one column.
type child struct {
	t      *engine.Table
	column engine.Column
}

// rekeys finds the new rows of a table that take other keys.
func (r *Restorer) rekeys(ctx context.Context, tx engine.Querier, g *target, c *Capturer) ([]*rekeying, error) {
	x := g.x
	if c == nil || c.meta.Direction != "up" || !x.Whole || x.Rows == 0 || len(x.Key) != 1 || x.Key[0].Text || x.final != "" || x.Moved && !x.Still || x.placed {
		return nil, nil
	}
	j := columnIndex(g.t, g.name(0))
	if j < 0 || !given(g.t, g.t.Columns[j]) {
		return nil, nil // whoever inserts says what the key is
	}
	if err := c.origins(ctx, tx); err != nil {
		return nil, err
	}
	children, ok, err := r.pointing(ctx, tx, g, c)
	if err != nil || !ok {
		return nil, err
	}
	var all []*rekeying
	if c.track.made(g.t) {
		y, err := r.standing(ctx, tx, g, c)
		if err != nil {
			return nil, err
		}
		all = append(all, &rekeying{g: g, y: y, made: true, children: children})
	}
	for _, y := range c.captures {
		if y.Kind == Definition {
			continue
		}
		if t, err := c.now(ctx, tx, y); err != nil {
			return nil, err
		} else if t == nil || t.Name != g.t.Name {
			continue
		}
		if y.Kind != Rows && y.Kind != Columns || len(y.Key) != 1 || y.Key[0].Decl != x.Key[0].Decl || y.Moved && !y.Still {
			return nil, nil // what that one says of a row would not be found under another key
		}
		if y.Ops && !y.Refill && !c.track.made(g.t) {
			all = append(all, &rekeying{g: g, y: y, children: children})
		}
	}
	var out []*rekeying
	for _, z := range all {
		if z.y.Rows == 0 {
			continue
		}
		if err := r.alike(ctx, tx, z); err != nil {
			return nil, err
		}
		free := false
		if z.rows > 0 {
			if free, err = r.unpointed(ctx, tx, z, c); err != nil {
				return nil, err
			}
		}
		if free {
			out = append(out, z)
			continue
		}
		if z.rows > 0 && z.made {
			r.note(fmt.Sprintf("%s: %d row(s) that the migration has inserted are there under other keys than before the rollback, and others may point to them; compare them", x.Home, z.rows))
		}
		if err := r.unlist(ctx, tx, z); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// note adds to the notes of the report what is not there yet.
func (r *Restorer) note(text string) {
	if !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// unlist forgets a list of rows.
func (r *Restorer) unlist(ctx context.Context, tx engine.Querier, z *rekeying) error {
	if z.list != "" {
		if err := r.s.drop(ctx, tx, "forget keys", z.list); err != nil {
			return err
		}
	}
	if z.made {
		return r.s.drop(ctx, tx, "forget keys", r.s.own(z.y.data()))
	}
	return nil
}

// standing lists the keys of all rows of a table, like a capture of what was inserted into it.
func (r *Restorer) standing(ctx context.Context, tx engine.Querier, g *target, c *Capturer) (*capture, error) {
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, events: events{insert: true}, reason: "made anew"})
	if err != nil {
		return nil, err
	}
	if len(y.Key) == 1 && y.Key[0].Decl == g.x.Key[0].Decl && y.Key[0].At == g.name(0) {
		y.Rows, err = exec(ctx, tx, "look for rows that had other keys", fmt.Sprintf("INSERT INTO %s (op, %s) SELECT 'i', %s FROM %s t",
			r.s.own(y.data()), k(0), r.s.f.value("t."+r.s.q(y.Key[0].At), y.Key[0]), r.s.f.from(r.s.db, g.t)))
	}
	return y, err
}

// given tells whether a table itself gives out the values of a key column.
func given(t *engine.Table, c engine.Column) bool {
	if len(t.Keys) == 0 || len(t.Keys[0].Columns) != 1 || t.Keys[0].Columns[0] != c.Name {
		return false
	}
	return c.Default != "" || c.Identity != "" || t.RowID && strings.EqualFold(c.Type, "integer")
}

// pointing lists what foreign keys point to a table; ok is false where they cannot be led to other keys.
func (r *Restorer) pointing(ctx context.Context, tx engine.Querier, g *target, c *Capturer) (out []child, ok bool, err error) {
	for _, fk := range g.t.Referenced {
		if !slices.Contains(fk.ParentColumns, g.name(0)) {
			continue
		}
		t, err := r.inspect(ctx, tx, fk.Table)
		if err != nil {
			return nil, false, err
		}
		if t == nil {
			continue
		}
		i := columnIndex(t, fk.Columns[0])
		if len(fk.Columns) != 1 || i < 0 || t.Columns[i].Generated || r.s.f.detached && len(t.Triggers) > 0 && !slices.ContainsFunc(r.tables(), func(y *restoring) bool { return y.Home == t.Name }) {
			return nil, false, nil
		}
		for _, y := range c.captures { // what those say of a row is found by its key
			if now, err := c.now(ctx, tx, y); err != nil {
				return nil, false, err
			} else if y.Kind == Definition || now == nil || now.Name != t.Name {
				continue
			}
			if slices.ContainsFunc(y.Key, func(f field) bool { return c.nameNow(y, t, f) == t.Columns[i].Name }) && (y.Kind != Rows || !y.Ops || y.Moved && !y.Still) {
				return nil, false, nil
			}
		}
		if !slices.ContainsFunc(out, func(h child) bool { return h.t.Name == t.Name && h.column.Name == t.Columns[i].Name }) {
			out = append(out, child{t: t, column: t.Columns[i]})
		}
	}
	return out, true, nil
}

// alike lists the rows that have the content of captured ones, or their unique values. When a row was written is no part of that.
func (r *Restorer) alike(ctx context.Context, tx engine.Querier, z *rekeying) error {
	s, g, y, x := r.s, z.g, z.y, z.g.x
	z.list = s.own("dbrollback_pairs_" + compact(newID()))
	if err := s.make(ctx, tx, "look for rows that had other keys", z.list, []string{"n bigint NOT NULL", "m bigint", "now " + y.Key[0].Decl, "was " + y.Key[0].Decl}, "n"); err != nil {
		return err
	}
	rows := fmt.Sprintf("%s i JOIN %s t ON %s", s.own(y.data()), s.f.from(s.db, g.t), s.on(y, g.t, "t", "i", func(int) string { return g.name(0) }, k))
	var fields []int
	var moments []string
	for _, i := range g.fields {
		now := r.live(g, i)
		if now.Name == g.name(0) {
			continue
		}
		if recent := s.f.recent("t."+s.q(now.Name), now, false); recent != "" {
			n, err := number(ctx, tx, "look when rows were written", fmt.Sprintf("SELECT count(*) FROM %s WHERE i.op = 'i' AND NOT coalesce(%s, 1 = 0)", rows, recent))
			if err != nil {
				return err
			}
			if n == 0 {
				moments = append(moments, now.Name)
				continue
			}
		}
		fields = append(fields, i)
	}
	if len(fields) == 0 {
		return nil
	}
	back := []string{x.inserted(false), r.free(x)}
	if !z.made { // what stands under its key is that row, or somebody else's
		back = append(back, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal)))
	}
	kept, live := r.images(g, fields, false)
	add := func(from string, conditions ...string) error {
		_, err := exec(ctx, tx, "look for rows that had other keys", fmt.Sprintf("INSERT INTO %s (n, m, now, was) SELECT i.n, d.n, i.%s, d.%s FROM %s WHERE %s", z.list, k(0), x.goal(0), from, all(conditions...)))
		return err
	}
	if err := add(fmt.Sprintf("%s JOIN %s ON d.%s = i.%s", rows, r.source(x), x.goal(0), k(0)), append(slices.Clone(back), "i.op = 'i'", "NOT ("+s.differ(live, kept)+")")...); err != nil {
		return err
	}
	equal := func(fields []int, conditions ...string) error {
		kept, live := r.images(g, fields, false)
		return add(fmt.Sprintf("(SELECT i.n, i.%[1]s, %[2]s AS h, row_number() OVER (PARTITION BY %[2]s ORDER BY i.%[1]s) AS nth FROM %[3]s WHERE %[4]s) i JOIN (SELECT d.n, d.%[5]s, %[6]s AS h, row_number() OVER (PARTITION BY %[6]s ORDER BY d.%[5]s) AS nth FROM %[7]s WHERE %[8]s) d ON d.h = i.h AND d.nth = i.nth",
			k(0), s.hash(live), rows, all(append(conditions, "i.op = 'i'", fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.n = i.n)", z.list))...),
			x.goal(0), s.hash(kept), r.source(x), all(append(slices.Clone(back), fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.m = d.n)", z.list))...)))
	}
	if err := equal(fields); err != nil {
		return err
	}
	for _, u := range slices.Concat(g.t.Keys, g.t.Unique) {
		var columns []int
		var filled []string
		for _, i := range fields {
			if n := r.live(g, i).Name; slices.Contains(u.Columns, n) {
				columns, filled = append(columns, i), append(filled, "t."+s.q(n)+" IS NOT NULL")
			}
		}
		if len(columns) == len(u.Columns) {
			if err := equal(columns, filled...); err != nil {
				return err
			}
		}
	}
	if err := r.inserted(ctx, tx, z, rows, moments, back, add); err != nil {
		return err
	}
	if err := r.displaced(ctx, tx, z, back); err != nil {
		return err
	}
	if _, err := exec(ctx, tx, "look for rows that had other keys", "DELETE FROM "+z.list+" WHERE now = was"); err != nil {
		return err
	}
	var err error
	z.rows, err = number(ctx, tx, "look for rows that had other keys", "SELECT count(*) FROM "+z.list)
	return err
}

// displaced lists the rows that have the key of another one that comes back: they get one that nobody had. A row that looks otherwise than the one
// of its key, which no other looks like, may be that one, and the application has changed it since: so it is where the migration spells its rows out.
func (r *Restorer) displaced(ctx context.Context, tx engine.Querier, z *rekeying, back []string) error {
	s, g := r.s, z.g
	if !z.made || !counts(g.t.Columns[columnIndex(g.t, g.name(0))].Type) {
		return nil
	}
	top, err := r.top(ctx, tx, z)
	if err != nil {
		return err
	}
	in := fmt.Sprintf("EXISTS (SELECT 1 FROM %s p WHERE p.was = i.%s)", z.list, k(0))
	if !r.spelled(g.t) {
		in = fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s)", r.source(g.x), all(append(slices.Clone(back), fmt.Sprintf("d.%s = i.%s", g.x.goal(0), k(0)))...))
	}
	_, err = exec(ctx, tx, "look for rows that had other keys", fmt.Sprintf("INSERT INTO %[1]s (n, now, was) SELECT i.n, i.%[2]s, %[3]d + row_number() OVER (ORDER BY i.n) FROM %[4]s i WHERE i.op = 'i' AND %[5]s AND NOT EXISTS (SELECT 1 FROM %[1]s o WHERE o.n = i.n)",
		z.list, k(0), top, s.own(z.y.data()), in))
	return err
}

// spelled tells whether the statements of the run say themselves which rows go into a table that they make, instead of making them from others.
func (r *Restorer) spelled(t *engine.Table) bool {
	return r.told && !slices.ContainsFunc(r.statements, func(st effects.Statement) bool {
		return st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch e.Kind {
			case effects.Insert, effects.Upsert, effects.Replace, effects.Merge, effects.CreateTable:
				return strings.EqualFold(e.Table.Name, t.Name.Name) && (e.Kind == effects.Merge || len(e.Sources) > 0 || e.Kind == effects.CreateTable && e.Define != nil && e.Define.AsSelect)
			case effects.RenameTable:
				return true
			}
			return false
		})
	})
}

// top is the highest key that a table has, had or is about to have.
func (r *Restorer) top(ctx context.Context, tx engine.Querier, z *rekeying) (int64, error) {
	key := r.s.q(z.g.name(0))
	return number(ctx, tx, "look for keys", fmt.Sprintf("SELECT coalesce(max(top), 0) FROM (SELECT max(t.%s) AS top FROM %s t UNION ALL SELECT max(d.%s) FROM %s UNION ALL SELECT max(was) FROM %s) k",
		key, r.s.f.from(r.s.db, z.g.t), z.g.x.goal(0), r.source(z.g.x), z.list))
}

// inserted lists rows that the application has changed since: an earlier run of the same migration has sealed what it had inserted under
// those keys.
func (r *Restorer) inserted(ctx context.Context, tx engine.Querier, z *rekeying, rows string, moments, back []string, add func(from string, conditions ...string) error) error {
	s, g, x := r.s, z.g, z.g.x
	if z.made {
		return nil
	}
	a := s.db.Arg
	earlier, err := s.load(ctx, tx, fmt.Sprintf("migration = %s AND direction = 'up' AND status = %s AND kind = %s", a(1), a(2), a(3)), x.Migration, statusRestored, string(Rows))
	if err != nil {
		return err
	}
	var columns []string
	for _, c := range g.t.Columns {
		if !c.Generated {
			columns = append(columns, c.Name)
		}
	}
	for _, e := range earlier {
		if e.Seal.Table != x.Home || !e.Ops || e.Refill || len(e.Key) != 1 || e.Key[0].Decl != x.Key[0].Decl || e.Seal.Mode != sealRows || e.Seal.Places || !slices.Equal(e.Seal.All, columns) {
			continue
		}
		unlisted := []string{fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.n = i.n)", z.list), fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.m = d.n)", z.list)}
		of, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT (SELECT count(*) FROM %s i WHERE i.op = 'i' AND %s) * (SELECT count(*) FROM %s e WHERE e.op = 'i')", s.own(z.y.data()), unlisted[0], s.own(e.data())))
		if err != nil {
			return err
		}
		if of > searched*searched {
			continue
		}
		var images []string
		for _, n := range columns {
			i := slices.IndexFunc(x.Fields, func(f field) bool { return r.column(g.t, f.Name) == n })
			if i < 0 {
				return nil // it is younger than the captured row
			}
			if slices.Contains(moments, n) || n == g.name(0) {
				kept, _ := r.images(g, []int{i}, false)
				images = append(images, kept...)
				continue
			}
			images = append(images, s.images([]string{n}, g.t, "t")...)
		}
		pairs := fmt.Sprintf("SELECT min(i.n) AS n, d.n AS m FROM %s JOIN (%s e JOIN %s s ON s.n = e.n JOIN %s ON d.%s = e.%s) ON s.h = %s WHERE %s GROUP BY d.n", // rows of one content are the same to us
			rows, s.own(e.data()), s.own(e.companion()), r.source(x), x.goal(0), k(0), s.hash(images), all(slices.Concat(back, unlisted, []string{"i.op = 'i'", "e.op = 'i'"})...))
		if err := add(fmt.Sprintf("%s i JOIN (SELECT n, min(m) AS m FROM (%s) f GROUP BY n) f ON f.n = i.n JOIN %s ON d.n = f.m", s.own(z.y.data()), pairs, r.source(x))); err != nil {
			return err
		}
	}
	return nil
}

// unpointed tells whether nothing that the migration has written or made holds one of the new keys, but for what a foreign key leads along.
func (r *Restorer) unpointed(ctx context.Context, tx engine.Querier, z *rekeying, c *Capturer) (bool, error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
	stays := func(t *engine.Table) string { // a row that moves looks as it did under another key
		if t.Name != z.g.t.Name {
			return "1 = 1"
		}
		return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s q WHERE %s)", z.list, s.f.match("t."+s.q(key.Name), "q.now", z.y.Key[0], key))
	}
	for _, y := range c.captures {
		if y.Kind == Definition || y.Refill || y.Rows == 0 {
			continue
		}
		t, err := c.now(ctx, tx, y)
		if err != nil {
			return false, err
		}
		if t == nil {
			continue
		}
		rows, conditions := s.f.from(s.db, t)+" t", []string{stays(t)}
		if y.Kind == Rows && y.Ops && len(y.Key) > 0 {
			rows = fmt.Sprintf("%s d JOIN %s ON %s", s.own(y.data()), rows, s.on(y, t, "t", "d", func(i int) string { return c.nameNow(y, t, y.Key[i]) }, k))
			conditions = append(conditions, "d.op <> 'd'")
		}
		if free, err := r.without(ctx, tx, z, t, rows, all(conditions...)); err != nil || !free {
			return false, err
		}
	}
	now, err := s.d.shapes(ctx, tx)
	if err != nil {
		return false, err
	}
	for id, sh := range now {
		if _, before := c.track.origin[id]; before {
			continue
		}
		t, err := r.inspect(ctx, tx, sh.Name)
		if err != nil {
			return false, err
		}
		if t == nil || !c.track.made(t) {
			continue
		}
		if free, err := r.without(ctx, tx, z, t, s.f.from(s.db, t)+" t", stays(t)); err != nil || !free {
			return false, err
		}
	}
	return true, nil
}

// without tells whether rows t of a table hold none of the new keys.
func (r *Restorer) without(ctx context.Context, tx engine.Querier, z *rekeying, t *engine.Table, rows, which string) (bool, error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
	var holds []string
	for _, col := range t.Columns {
		elsewhere := slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool {
			return fk.Parent != z.g.t.Name && slices.Contains(fk.Columns, col.Name)
		})
		if elsewhere || given(t, col) || slices.ContainsFunc(z.children, func(h child) bool { return h.t.Name == t.Name && h.column.Name == col.Name }) {
			continue
		}
		if h := r.holds(z, key, col, "t."+s.q(col.Name)); h != "" {
			holds = append(holds, h)
		}
	}
	if len(holds) == 0 {
		return true, nil
	}
	n, err := number(ctx, tx, "look what points to rows", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 AS one FROM %s JOIN %s p ON (%s) WHERE %s LIMIT 1) f",
		rows, z.list, strings.Join(holds, " OR "), which))
	return n == 0, err
}

// holds is the condition that a live column may hold the key p.now of a row; "" where it holds no keys.
func (r *Restorer) holds(z *rekeying, key, col engine.Column, ref string) string {
	s, name := r.s, strings.ToLower(col.Type)
	for _, part := range []string{"date", "time", "year", "interval", "bool"} {
		if strings.Contains(name, part) {
			return ""
		}
	}
	if counts(key.Type) && counts(name) {
		return ref + " = p.now"
	}
	if z.rows > searched {
		return ref + " IS NOT NULL"
	}
	f := field{At: col.Name, Type: s.typed(col)}
	f.Decl, f.Text = s.f.store(col)
	return fmt.Sprintf("%s LIKE %s", s.f.text(s.f.value(ref, f), f), s.join("'%'", "p.now", "'%'"))
}

// counts tells the types of whole and other numbers.
func counts(name string) bool {
	name = strings.ToLower(name)
	if strings.Contains(name, "range") || strings.HasSuffix(name, "]") {
		return false
	}
	return slices.ContainsFunc([]string{"tinyint", "smallint", "mediumint", "int", "bigint", "serial", "bigserial", "smallserial", "numeric", "decimal", "real", "double", "float", "number", "oid"},
		func(n string) bool { return strings.HasPrefix(name, n) })
}

// join spells texts one behind the other.
func (s *Store) join(parts ...string) string {
	if s.f.concat != nil {
		return s.f.concat(parts)
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

// rekey gives the rows their keys.
func (r *Restorer) rekey(ctx context.Context, tx engine.Querier, z *rekeying, c *Capturer) (err error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
	tables := []*engine.Table{z.g.t}
	for _, h := range z.children {
		tables = append(tables, h.t)
	}
	again, err := r.giveWay(ctx, tx, z.g.t, []engine.Column{key})
	if err != nil {
		return err
	}
	lift, err := s.d.shield(ctx, tx, distinct(tables))
	if err != nil {
		return err
	}
	lead := func(t *engine.Table, col engine.Column, from, to string) (int64, error) {
		return exec(ctx, tx, "give rows of "+t.Name.String()+" the keys that they had", s.update(s.f.from(s.db, t), "t",
			s.unstamped(t, [][2]string{{s.q(col.Name), s.f.back(to, z.g.x.Key[0], col)}}), z.list+" p", s.f.match("t."+s.q(col.Name), from, z.y.Key[0], col)))
	}
	move := func(from, to string) error {
		for _, h := range z.children {
			if _, err := lead(h.t, h.column, from, to); err != nil {
				return err
			}
		}
		n, err := lead(z.g.t, key, from, to)
		if err == nil && n != z.rows {
			err = &ProofError{Table: z.g.t.Name, Capture: z.y.ID, Rows: z.rows - n, Of: z.rows, Reason: "rows did not take the keys that they had before the rollback"}
		}
		return err
	}
	taken, err := number(ctx, tx, "look for keys", fmt.Sprintf("SELECT count(*) FROM %s p JOIN %s t ON %s", z.list, s.f.from(s.db, z.g.t), s.f.match("t."+s.q(key.Name), "p.was", z.y.Key[0], key)))
	if err != nil {
		return err
	}
	if taken > 0 { // by rows that move as well
		top, err := r.top(ctx, tx, z)
		if err != nil {
			return err
		}
		aside := fmt.Sprintf("(p.now + %d)", top)
		if err := move("p.now", aside); err != nil {
			return err
		}
		if err := move(aside, "p.was"); err != nil {
			return err
		}
	} else if err := move("p.now", "p.was"); err != nil {
		return err
	}
	if err := lift(ctx, nil); err != nil {
		return err
	}
	if err := again(); err != nil {
		return err
	}
	for _, y := range c.captures { // what was captured on the way here is found by the keys of now
		if y.Kind == Definition || y.Rows == 0 {
			continue
		}
		t, err := c.now(ctx, tx, y)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		for i, f := range y.Key {
			at := c.nameNow(y, t, f)
			if t.Name == z.g.t.Name && at == key.Name || slices.ContainsFunc(z.children, func(h child) bool { return t.Name == h.t.Name && at == h.column.Name }) {
				if _, err := exec(ctx, tx, "follow keys", s.update(s.own(y.data()), "d", [][2]string{{k(i), "p.was"}}, z.list+" p", "d."+k(i)+" = p.now")); err != nil {
					return err
				}
			}
		}
	}
	return r.unlist(ctx, tx, z)
}

// oldKeys gives the rows that the run has inserted once more the keys that they had, those that others point to first.
func (r *Restorer) oldKeys(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	for again := true; again; {
		again = false
		for _, g := range targets {
			list, err := r.rekeys(ctx, tx, g, c)
			if err != nil {
				return err
			}
			for _, z := range list {
				if err := r.rekey(ctx, tx, z, c); err != nil {
					return err
				}
				again = true
			}
		}
	}
	return nil
}

// amid writes rows back: first those that the run has inserted once more get their old keys; see Capturer.amid.
func (r *Restorer) amid(ctx context.Context, tx engine.Querier, targets []*target, tables []*engine.Table, c *Capturer, write func() error) error {
	renewed, err := r.renewed(ctx, tx, targets, c)
	if err != nil {
		return err
	}
	return c.amid(ctx, tx, distinct(slices.Concat(tables, renewed)), func() error {
		if len(renewed) > 0 {
			if err := r.oldKeys(ctx, tx, targets, c); err != nil {
				return err
			}
		}
		return write()
	})
}

// renewed lists the tables whose rows get other keys by oldKeys, or point to such rows: none when there are no such rows.
func (r *Restorer) renewed(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) ([]*engine.Table, error) {
	any := false
	for _, g := range targets {
		list, err := r.rekeys(ctx, tx, g, c)
		if err != nil {
			return nil, err
		}
		for _, z := range list {
			any = true
			if err := r.unlist(ctx, tx, z); err != nil {
				return nil, err
			}
		}
	}
	if !any {
		return nil, nil
	}
	var out []*engine.Table
	for _, g := range targets { // once some have their old keys, those that point to them may be found as well
		children, ok, err := r.pointing(ctx, tx, g, c)
		if err != nil {
			return nil, err
		}
		out = append(out, g.t)
		for i := range children {
			if ok {
				out = append(out, children[i].t)
			}
		}
	}
	return distinct(out), nil
}

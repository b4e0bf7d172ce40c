package snapshot

import (
	"context"
	"fmt"
	"regexp"
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
	rows     int64    // of list, whose keys differ
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
	if z, err := r.strayed(ctx, tx, g, c); err != nil || z != nil {
		return []*rekeying{z}, err
	}
	if c == nil || c.meta.Direction != "up" && !r.numbered(g) || !x.Whole || x.Rows == 0 || len(x.Key) != 1 || x.Key[0].Text || x.final != "" || x.Moved && !x.Still || x.placed {
		return nil, nil
	}
	j := columnIndex(g.t, g.name(0))
	if j < 0 {
		return nil, nil
	}
	drawn := !given(g.t, g.t.Columns[j]) || r.keyed(g.t, g.name(0)) // whoever inserts says what the key is
	if drawn && !r.random(g.t, j) {
		return nil, nil
	}
	if err := c.origins(ctx, tx); err != nil {
		return nil, err
	}
	if drawn && !c.track.made(g.t) {
		return nil, nil
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
		if drawn {
			continue // of the table before, under the same name: its keys are none of these
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
		if z.rows > 0 && !free && z.made {
			for _, w := range [][2]string{{"m IS NOT NULL AND now <> was", "are there under other keys than before the rollback"}, {"m IS NULL", "were given other keys, as those that had them before the rollback are back"}} {
				n, err := number(ctx, tx, "count rows", "SELECT count(*) FROM "+z.list+" WHERE "+w[0])
				if err != nil {
					return nil, err
				}
				if n > 0 {
					r.note(r.worded(fmt.Sprintf("%s: %d row(s) that the migration has inserted %s, and others may point to them; compare them", x.Home, n, w[1]), c))
				}
			}
		}
		if free || z.made { // a row that stands where another one stood goes in any case: it would be written over
			if err := r.keep(ctx, tx, z, free); err != nil {
				return nil, err
			}
			if z.rows > 0 {
				out = append(out, z)
				continue
			}
		}
		if err := r.unlist(ctx, tx, z); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// numbered tells whether Down fills a table without saying what the keys are: which row stands under which is chance.
func (r *Restorer) numbered(g *target) bool {
	if len(g.x.Key) != 1 || !r.made(g.t, nil) {
		return false
	}
	fills := false
	for _, st := range r.run {
		for _, e := range st.Effects {
			if e.Kind == effects.Insert && r.s.sameName(e.Table.Name, g.t.Name.Name) {
				if len(e.Columns) == 0 || slices.ContainsFunc(e.Columns, func(n string) bool { return r.s.sameName(n, g.name(0)) }) {
					return false
				}
				fills = true
			}
		}
	}
	return fills
}

// keep leaves on a list the rows that move: all, or those alone that stand under the key of another one.
func (r *Restorer) keep(ctx context.Context, tx engine.Querier, z *rekeying, all bool) (err error) {
	which := "now = was"
	if !all {
		which = "m IS NOT NULL"
	}
	if z.rows > 0 {
		if _, err = exec(ctx, tx, "look for rows that had other keys", "DELETE FROM "+z.list+" WHERE "+which); err == nil {
			z.rows, err = number(ctx, tx, "look for rows that had other keys", "SELECT count(*) FROM "+z.list)
		}
	}
	return err
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

// inserts gives what the statements of the run do to put rows into a table, under any of its names; known is false where one of them may do more
// than it says.
func (r *Restorer) inserts(t *engine.Table) (list []effects.Effect, known bool) {
	known = r.run != nil
	names := []string{strings.ToLower(t.Name.Name)}
	for _, st := range slices.Backward(r.run) {
		known = known && !st.Opaque()
		for _, e := range slices.Backward(st.Effects) {
			was, is := strings.ToLower(e.Table.Name), strings.ToLower(e.NewName.Name)
			switch e.Kind {
			case effects.Insert, effects.Upsert, effects.Replace, effects.Merge, effects.CreateTable:
				if slices.Contains(names, was) && (e.Kind != effects.CreateTable || e.Define != nil && e.Define.AsSelect) {
					list = append(list, e)
				}
			case effects.RenameTable:
				if slices.Contains(names, is) {
					names = append(names, was)
				}
			}
		}
	}
	return list, known
}

// keyed tells whether every statement of the run that inserts into a table says which keys the rows get.
func (r *Restorer) keyed(t *engine.Table, key string) bool {
	list, known := r.inserts(t)
	return known && len(list) > 0 && !slices.ContainsFunc(list, func(e effects.Effect) bool { return !r.s.fills(e, key) })
}

// chance is what gives another value each time: a key that is made of it is no better known to the migration than one that the table gives out.
var chance = regexp.MustCompile(`(?i)\b(random|randomblob|rand|random_bytes|gen_random_bytes|uuid|uuid_short|uuid_v4|uuid_v7|uuidv4|uuidv7|sys_guid|gen_random_uuid|uuid_generate_v1|uuid_generate_v1mc|uuid_generate_v4|nextval)\s*\(`)

// random tells whether every statement of the run that inserts into a table draws by chance what it puts into a column, the j-th: a query makes it of no other
// column. Of VALUES it is enough that something is drawn: what is written out is the same each time.
func (r *Restorer) random(t *engine.Table, j int) bool {
	list, known := r.inserts(t)
	for _, e := range list {
		for i, fill := range e.Fills {
			if (r.s.sameName(fill.Column, t.Columns[j].Name) || fill.Column == "" && i == j) && len(fill.Reads) > 0 {
				return false
			}
		}
		if e.Fills == nil && len(e.Sources) > 0 || !slices.ContainsFunc(r.run, func(st effects.Statement) bool {
			return chance.MatchString(st.SQL) && slices.ContainsFunc(st.Effects, func(o effects.Effect) bool { return o.Kind == e.Kind && o.Table == e.Table })
		}) {
			return false
		}
	}
	return known && len(list) > 0
}

// says tells whether some statement of the run may say which keys rows of a table get.
func (r *Restorer) says(t *engine.Table, key string) bool {
	list, known := r.inserts(t)
	return !known || slices.ContainsFunc(list, func(e effects.Effect) bool { return r.s.fills(e, key) })
}

// fills tells whether an insert names a column.
func (s *Store) fills(e effects.Effect, column string) bool {
	return e.Kind != effects.CreateTable && (len(e.Columns) == 0 || slices.ContainsFunc(e.Columns, func(c string) bool { return s.sameName(c, column) }))
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
			if slices.ContainsFunc(y.Key, func(f field) bool { return c.keyNow(y, t, f) == t.Columns[i].Name }) && (y.Kind != Rows || !y.Ops || y.Moved && !y.Still) {
				return nil, false, nil
			}
		}
		if !slices.ContainsFunc(out, func(h child) bool { return h.t.Name == t.Name && h.column.Name == t.Columns[i].Name }) {
			out = append(out, child{t: t, column: t.Columns[i]})
		}
	}
	return out, true, nil
}

// unpointed tells whether nothing that the migration has written or made holds one of the new keys, but for what a foreign key leads along.
func (r *Restorer) unpointed(ctx context.Context, tx engine.Querier, z *rekeying, c *Capturer) (bool, error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
	known, err := r.pointers(ctx, tx, z.g.t)
	if err != nil {
		return false, err
	}
	stays := func(t *engine.Table) string { // a row that looks as it did before the rollback, under whichever key, points to no new one
		if t.Name != z.g.t.Name {
			return "1 = 1"
		}
		return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s q WHERE q.m IS NOT NULL AND %s)", z.list, s.f.match("t."+s.q(key.Name), "q.now", z.y.Key[0], key))
	}
	for _, y := range c.captures {
		if y.Kind == Definition || y.Kind == Columns || y.Refill || y.Rows == 0 { // a column that goes leaves the others as they were
			continue
		}
		t, err := c.now(ctx, tx, y)
		if err != nil {
			return false, err
		}
		if t == nil || !known(t) {
			continue
		}
		rows := s.f.from(s.db, t) + " t"
		if y.Kind != Rows || !y.Ops || len(y.Key) == 0 {
			if free, err := r.without(ctx, tx, z, t, t.Columns, rows, stays(t)); err != nil || !free {
				return false, err
			}
			continue
		}
		rows = fmt.Sprintf("%s d JOIN %s ON %s", s.own(y.data()), rows, s.on(y, t, "t", "d", func(i int) string { return c.keyNow(y, t, y.Key[i]) }, k))
		if free, err := r.without(ctx, tx, z, t, t.Columns, rows, all(stays(t), "d.op = 'i'")); err != nil || !free {
			return false, err
		}
		changed := slices.DeleteFunc(slices.Clone(t.Columns), func(col engine.Column) bool {
			return !slices.ContainsFunc(slices.Concat(y.Fields, y.Key), func(f field) bool { return c.nameNow(y, t, f) == col.Name })
		})
		if free, err := r.without(ctx, tx, z, t, changed, rows, all(stays(t), "d.op = 'u'")); err != nil || !free {
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
		if t == nil || !c.track.made(t) || !known(t) {
			continue
		}
		if free, err := r.without(ctx, tx, z, t, t.Columns, s.f.from(s.db, t)+" t", stays(t)); err != nil || !free {
			return false, err
		}
	}
	return true, nil
}

// without tells whether columns of rows t of a table hold none of the new keys.
func (r *Restorer) without(ctx context.Context, tx engine.Querier, z *rekeying, t *engine.Table, columns []engine.Column, rows, which string) (bool, error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
	var holds []string
	for _, col := range columns {
		elsewhere := slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool {
			return fk.Parent != z.g.t.Name && slices.Contains(fk.Columns, col.Name)
		})
		if elsewhere || given(t, col) && !r.says(t, col.Name) || slices.ContainsFunc(z.children, func(h child) bool { return h.t.Name == t.Name && h.column.Name == col.Name }) {
			continue
		}
		if h := r.holds(z, key, col, "t."+s.q(col.Name)); h != "" {
			holds = append(holds, h)
		}
	}
	if len(holds) == 0 {
		return true, nil
	}
	n, err := number(ctx, tx, "look what points to rows", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s AND (%s)", rows, which, strings.Join(holds, " OR ")))
	return n == 0, err
}

// holds is the condition that a live column may hold one of the new keys; "" where it holds no keys.
func (r *Restorer) holds(z *rekeying, key, col engine.Column, ref string) string {
	s, name := r.s, strings.ToLower(col.Type)
	if clocked(col) {
		return ""
	}
	if counts(key.Type) && counts(name) {
		if _, scale, ok := strings.Cut(name, ","); ok && !strings.HasPrefix(strings.TrimSpace(scale), "0") {
			return "" // a price, a measure
		}
		return fmt.Sprintf("EXISTS (SELECT 1 FROM %s p WHERE p.now <> p.was AND p.now = %s)", z.list, ref)
	}
	if z.rows > searched {
		return ref + " IS NOT NULL"
	}
	f := field{At: col.Name, Type: s.typed(col)}
	f.Decl, f.Text = s.f.store(col)
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s p WHERE p.now <> p.was AND %s LIKE %s)", z.list, s.f.text(s.f.value(ref, f), f), s.join("'%'", "p.now", "'%'"))
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
	rows := func(from, to string) error {
		n, err := lead(z.g.t, key, from, to)
		if err == nil && n != z.rows {
			err = &ProofError{Table: z.g.t.Name, Capture: z.y.ID, Rows: z.rows - n, Of: z.rows, Reason: "rows did not take the keys that they had before the rollback"}
		}
		return err
	}
	// Where the rows are committed by now, others may be about to point to them: they wait for a row that is written first. Where nobody sees them yet, a
	// foreign key would act on what still points to a row.
	move := func(from, to string) error {
		if s.f.detached {
			if err := rows(from, to); err != nil {
				return err
			}
		}
		for _, h := range z.children {
			if _, err := lead(h.t, h.column, from, to); err != nil {
				return err
			}
		}
		if s.f.detached {
			return nil
		}
		return rows(from, to)
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
			at := c.keyNow(y, t, f)
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

// amid writes rows back, some ahead of others of their table: first those that the run has inserted once more get their old keys; see Capturer.amid.
func (r *Restorer) amid(ctx context.Context, tx engine.Querier, targets []*target, tables []*engine.Table, c *Capturer, ahead []*target, own []*restoring, write func() error) error {
	renewed, err := r.renewed(ctx, tx, targets, c)
	if err != nil {
		return err
	}
	return c.amid(ctx, tx, distinct(slices.Concat(tables, renewed)), ahead, own, func() error {
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

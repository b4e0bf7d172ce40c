package snapshot

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An up that follows a rollback inserts the rows of its migration once more, and a table that gives out keys gives them new ones. Those
// that the application has used, and that others point to, come back under their old keys: each row would be there twice, or could not come back
// at all where its values are unique. So a new row that looks like one that is to come back takes its key before that one comes, along with what
// points to it by a foreign key. Where something else of what the migration has written may point to it, both stay; see doubles.

// pairings is how many rows of a statement take their old keys; above that it is data rather than a list of what there is.
const pairings = 1000

// rekeying is a run's new rows of one table that take old keys: entries of y, and for each of them the one of the target that it is.
type rekeying struct {
	g        *target
	y        *capture
	new, old []int64
	children []child
}

// child is a table that points to the rows, by one column.
type child struct {
	t      *engine.Table
	column engine.Column
}

// rekeys finds the new rows of a table that take old keys.
func (r *Restorer) rekeys(ctx context.Context, tx engine.Querier, g *target, c *Capturer) ([]*rekeying, error) {
	x := g.x
	if c == nil || c.meta.Direction != "up" || !x.Whole || x.Rows == 0 || len(x.Key) != 1 || x.Key[0].Text || x.final != "" || x.Moved && !x.Still || c.track.made(g.t) {
		return nil, nil
	}
	j := columnIndex(g.t, g.name(0))
	if j < 0 {
		return nil, nil
	}
	if !given(g.t, g.t.Columns[j]) {
		return nil, nil // whoever inserts says what the key is
	}
	children, ok, err := r.pointing(ctx, tx, g, c)
	if err != nil || !ok {
		return nil, err
	}
	var out []*rekeying
	for _, y := range c.captures {
		if y.Identity != identity(g.t) || y.Kind == Definition {
			continue
		}
		if y.Kind != Rows && y.Kind != Columns || len(y.Key) != 1 || y.Key[0].Decl != x.Key[0].Decl || y.Moved && !y.Still {
			return nil, nil // what that one says of a row would not be found under another key
		}
		if !y.Ops || y.Refill || y.Rows == 0 {
			continue
		}
		z, err := r.alike(ctx, tx, g, y)
		if err != nil {
			return nil, err
		}
		if len(z.new) == 0 {
			continue
		}
		z.children = children
		if free, err := r.unpointed(ctx, tx, z, c); err != nil {
			return nil, err
		} else if free {
			out = append(out, z)
		}
	}
	return out, nil
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
			if y.Identity == identity(t) && y.Kind != Definition && slices.ContainsFunc(y.Key, func(f field) bool { return f.At == t.Columns[i].Name }) &&
				(y.Kind != Rows || !y.Ops || y.Moved && !y.Still) {
				return nil, false, nil
			}
		}
		if !slices.ContainsFunc(out, func(h child) bool { return h.t.Name == t.Name && h.column.Name == t.Columns[i].Name }) {
			out = append(out, child{t: t, column: t.Columns[i]})
		}
	}
	return out, true, nil
}

// alike pairs rows that a statement has inserted with captured ones that are gone and have the same content. When a row was written is no part of that.
func (r *Restorer) alike(ctx context.Context, tx engine.Querier, g *target, y *capture) (*rekeying, error) {
	s, x, k0 := r.s, g.x, g.name(0)
	out := &rekeying{g: g, y: y}
	at := s.on(y, g.t, "t", "d", func(i int) string { return y.Key[i].At }, k)
	rows := fmt.Sprintf("%s d JOIN %s t ON %s", s.own(y.data()), s.f.from(s.db, g.t), at)
	var fields []int
	var moments []string
	for _, i := range g.fields {
		now := r.live(g, i)
		if now.Name == k0 {
			continue
		}
		if recent := s.f.recent("t."+s.q(now.Name), now, false); recent != "" {
			n, err := number(ctx, tx, "look when rows were written", fmt.Sprintf("SELECT count(*) FROM %s WHERE d.op = 'i' AND NOT coalesce(%s, 1 = 0)", rows, recent))
			if err != nil {
				return nil, err
			}
			if n == 0 {
				moments = append(moments, now.Name)
				continue
			}
		}
		fields = append(fields, i)
	}
	if len(fields) == 0 {
		return out, nil
	}
	kept, live := r.images(g, fields, false)
	gone := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal))
	nth := func(hash string) string {
		return fmt.Sprintf("d.n AS n, %[1]s AS h, row_number() OVER (PARTITION BY %[1]s ORDER BY d.%[2]s) AS p", hash, k(0))
	}
	found, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT i.n, b.n FROM (SELECT %s FROM %s WHERE d.op = 'i') i JOIN (SELECT %s FROM %s WHERE %s) b ON b.h = i.h AND b.p = i.p ORDER BY i.n LIMIT %d",
		nth(s.hash(live)), rows, nth(s.hash(kept)), r.source(x), all(x.inserted(false), r.free(x), gone), pairings+1))
	if err != nil {
		return nil, fmt.Errorf("look for rows that had other keys: %w", err)
	}
	if err := out.read(found); err != nil {
		return nil, err
	}
	if len(out.new) > pairings {
		out.new, out.old = nil, nil
		return out, nil
	}
	return out, r.inserted(ctx, tx, out, rows, all(x.inserted(false), r.free(x), gone), moments)
}

// read adds pairs to the list; a row of either side is part of one alone.
func (z *rekeying) read(found *sql.Rows) error {
	defer found.Close()
	for found.Next() {
		var now, was int64
		if err := found.Scan(&now, &was); err != nil {
			return fmt.Errorf("look for rows that had other keys: %w", err)
		}
		if !slices.Contains(z.new, now) && !slices.Contains(z.old, was) {
			z.new, z.old = append(z.new, now), append(z.old, was)
		}
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("look for rows that had other keys: %w", err)
	}
	return nil
}

// inserted pairs rows with captured ones that the application has changed since: an earlier run of the same migration has sealed what
// it had inserted under those keys.
func (r *Restorer) inserted(ctx context.Context, tx engine.Querier, z *rekeying, rows, back string, moments []string) error {
	s, g, x := r.s, z.g, z.g.x
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
		if e.Home != x.Home || !e.Ops || e.Refill || len(e.Key) != 1 || e.Key[0].Decl != x.Key[0].Decl || e.Seal.Mode != sealRows || e.Seal.Places || !slices.Equal(e.Seal.All, columns) {
			continue
		}
		of, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT (SELECT count(*) FROM %s WHERE d.op = 'i') * (SELECT count(*) FROM %s e WHERE e.op = 'i')", rows, s.own(e.data())))
		if err != nil {
			return err
		}
		if of > pairings*pairings {
			continue
		}
		var images []string
		for _, n := range columns {
			switch i := slices.IndexFunc(x.Fields, func(f field) bool { return r.column(g.t, f.Name) == n }); {
			case i < 0 || slices.Contains(moments, n) || n == g.name(0):
				if i < 0 {
					return nil // it is younger than the captured row
				}
				kept, _ := r.images(g, []int{i}, false)
				images = append(images, kept...)
			default:
				images = append(images, s.images([]string{n}, g.t, "t")...)
			}
		}
		on := s.on(z.y, g.t, "t", "i", func(int) string { return g.name(0) }, k)
		found, err := tx.QueryContext(ctx, fmt.Sprintf("SELECT i.n, d.n FROM %s i JOIN %s t ON %s JOIN (%s e JOIN %s s ON s.n = e.n JOIN %s ON d.%s = e.%s) ON s.h = %s WHERE i.op = 'i' AND e.op = 'i' AND %s ORDER BY i.n, d.n",
			s.own(z.y.data()), s.f.from(s.db, g.t), on, s.own(e.data()), s.own(e.companion()), r.source(x), x.goal(0), k(0), s.hash(images), back))
		if err != nil {
			return fmt.Errorf("look for rows that had other keys: %w", err)
		}
		if err := z.read(found); err != nil {
			return err
		}
	}
	return nil
}

// pairs is the list, as an item of FROM called p: the key that each row has and, as the capture of the rollback has it, the one that it had.
func (z *rekeying) pairs(s *Store) string {
	return fmt.Sprintf("(SELECT i.%s AS now, b.%s AS was FROM %s i JOIN %s b ON b.n = %s) p", k(0), z.g.x.old(0), s.own(z.y.data()), s.own(z.g.x.data()), z.which("i.n"))
}

// which gives the entry of the rollback's capture that belongs to one of the new rows.
func (z *rekeying) which(n string) string {
	when := make([]string, len(z.new))
	for i := range z.new {
		when[i] = fmt.Sprintf("WHEN %d THEN %d", z.new[i], z.old[i])
	}
	return "CASE " + n + " " + strings.Join(when, " ") + " END"
}

// unpointed tells whether nothing that the migration has written holds one of the new keys, but for what a foreign key leads along.
func (r *Restorer) unpointed(ctx context.Context, tx engine.Querier, z *rekeying, c *Capturer) (bool, error) {
	s, key := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))]
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
		rows := s.f.from(s.db, t) + " t"
		var conditions []string
		if y.Kind == Rows && y.Ops && len(y.Key) > 0 {
			rows = fmt.Sprintf("%s d JOIN %s ON %s", s.own(y.data()), rows, s.on(y, t, "t", "d", func(i int) string { return c.nameNow(y, t, y.Key[i]) }, k))
			conditions = append(conditions, "d.op <> 'd'")
		}
		if t.Name == z.g.t.Name { // these look as they did under another key
			conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s WHERE %s)", z.pairs(s), s.f.match("t."+s.q(key.Name), "p.now", z.y.Key[0], key)))
		}
		var holds []string
		for _, col := range t.Columns {
			elsewhere := slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool {
				return fk.Parent != z.g.t.Name && slices.Contains(fk.Columns, col.Name)
			})
			if elsewhere || given(t, col) || slices.ContainsFunc(z.children, func(h child) bool { return h.t.Name == t.Name && h.column.Name == col.Name }) {
				continue
			}
			if h := r.holds(key, col, "t."+s.q(col.Name)); h != "" {
				holds = append(holds, h)
			}
		}
		if len(holds) == 0 {
			continue
		}
		n, err := number(ctx, tx, "look what points to rows", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 AS one FROM %s JOIN %s ON %s WHERE %s LIMIT 1) f",
			rows, z.pairs(s), "("+strings.Join(holds, " OR ")+")", all(append(conditions, "1 = 1")...)))
		if err != nil || n > 0 {
			return false, err
		}
	}
	return true, nil
}

// holds is the condition that a live column may hold the key p.now of a row; "" where it holds no keys.
func (r *Restorer) holds(key, col engine.Column, ref string) string {
	s, name := r.s, strings.ToLower(col.Type)
	for _, part := range []string{"date", "time", "year", "interval", "bool"} {
		if strings.Contains(name, part) {
			return ""
		}
	}
	if counts(key.Type) && counts(name) {
		return ref + " = p.now"
	}
	f := field{At: col.Name, Type: s.typed(col)}
	f.Decl, f.Text = s.f.store(col)
	return fmt.Sprintf("%s LIKE %s", s.f.text(s.f.value(ref, f), f), s.join("'%'", "p.now", "'%'"))
}

// counts tells the types of numbers.
func counts(name string) bool {
	name = strings.ToLower(name)
	for _, n := range []string{"tinyint", "smallint", "mediumint", "int", "bigint", "serial", "bigserial", "smallserial", "numeric", "decimal", "real", "double", "float", "number", "oid"} {
		if strings.HasPrefix(name, n) && !strings.Contains(name, "range") && !strings.HasSuffix(name, "]") {
			return true
		}
	}
	return false
}

// join spells texts one behind the other.
func (s *Store) join(parts ...string) string {
	if s.f.concat != nil {
		return s.f.concat(parts)
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

// rekey gives the rows their old keys.
func (r *Restorer) rekey(ctx context.Context, tx engine.Querier, z *rekeying, c *Capturer) (err error) {
	s, key, pairs := r.s, z.g.t.Columns[columnIndex(z.g.t, z.g.name(0))], z.pairs(r.s)
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
	lead := func(t *engine.Table, col engine.Column) (int64, error) {
		return exec(ctx, tx, "give rows of "+t.Name.String()+" the keys that they had", s.update(s.f.from(s.db, t), "t",
			s.unstamped(t, [][2]string{{s.q(col.Name), s.f.back("p.was", z.g.x.Key[0], col)}}), pairs, s.f.match("t."+s.q(col.Name), "p.now", z.y.Key[0], col)))
	}
	for _, h := range z.children {
		if _, err := lead(h.t, h.column); err != nil {
			return err
		}
	}
	n, err := lead(z.g.t, key)
	if err != nil {
		return err
	}
	if n != int64(len(z.new)) {
		return &ProofError{Table: z.g.t.Name, Capture: z.y.ID, Rows: int64(len(z.new)) - n, Of: int64(len(z.new)), Reason: "rows did not take the keys that they had before the rollback"}
	}
	if err := lift(ctx, nil); err != nil {
		return err
	}
	if err := again(); err != nil {
		return err
	}
	// What was captured on the way here is found by the keys of now; that of the rows themselves last, it is where the pairs come from.
	follow := func(y *capture, i int) error {
		_, err := exec(ctx, tx, "follow keys", s.update(s.own(y.data()), "d", [][2]string{{k(i), "p.was"}}, pairs, "d."+k(i)+" = p.now"))
		return err
	}
	for _, y := range c.captures {
		if y.Kind == Definition || y == z.y || y.Rows == 0 {
			continue
		}
		for i, f := range y.Key {
			mine := y.Identity == identity(z.g.t) && i == 0 && f.At == z.y.Key[0].At
			if mine || slices.ContainsFunc(z.children, func(h child) bool { return y.Identity == identity(h.t) && f.At == h.column.Name }) {
				if err := follow(y, i); err != nil {
					return err
				}
			}
		}
	}
	ids := make([]string, len(z.new))
	for i, n := range z.new {
		ids[i] = strconv.FormatInt(n, 10)
	}
	_, err = exec(ctx, tx, "follow keys", fmt.Sprintf("UPDATE %s SET %s = (SELECT b.was FROM (SELECT b.n AS nth, b.%s AS was FROM %s b) b WHERE b.nth = %s) WHERE n IN (%s)",
		s.own(z.y.data()), k(0), z.g.x.old(0), s.own(z.g.x.data()), z.which("n"), list(ids)))
	return err
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

// renewed lists the tables whose rows get other keys by oldKeys, or point to such rows: none when there are no such rows.
func (r *Restorer) renewed(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) ([]*engine.Table, error) {
	any := false
	for _, g := range targets {
		list, err := r.rekeys(ctx, tx, g, c)
		if err != nil {
			return nil, err
		}
		any = any || len(list) > 0
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

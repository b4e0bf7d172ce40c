package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// alike lists the rows that have the content of captured ones, or their unique values. When a row was written is no part of that.
func (r *Restorer) alike(ctx context.Context, tx engine.Querier, z *rekeying) error {
	s, g, y, x := r.s, z.g, z.y, z.g.x
	name := "dbrollback_pairs_" + compact(newID())
	z.list = s.own(name)
	columns := []string{"n bigint NOT NULL", "m bigint", "now " + y.Key[0].Decl, "was " + y.Key[0].Decl}
	for _, c := range []string{"m", "now", "was"} {
		if s.f.keyed {
			columns = append(columns, fmt.Sprintf("KEY dbrollback_%s (%s)", c, c))
		}
	}
	if err := s.make(ctx, tx, "look for rows that had other keys", z.list, columns, "n"); err != nil {
		return err
	}
	for _, c := range []string{"n", "m", "now", "was"} {
		if s.f.keyed {
			break
		}
		if err := s.ddl(ctx, tx, "index a table of our own", fmt.Sprintf("CREATE INDEX %s ON %s (%s)", s.q(name+"_"+c), z.list, c)); err != nil {
			return err
		}
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
	unique := slices.Concat(g.t.Keys, g.t.Unique)
	for _, st := range r.run { // an index may be still to come
		for _, e := range st.Effects {
			if e.Kind == effects.Create && e.Index != nil && e.Index.Unique && !e.Index.Expressions && e.Index.Where == "" && strings.EqualFold(e.Table.Name, g.t.Name.Name) {
				unique = append(unique, engine.Key{Columns: e.Index.Columns})
			}
		}
	}
	for _, u := range unique {
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
	if err := r.strangers(ctx, tx, z, back); err != nil {
		return err
	}
	var err error
	z.rows, err = number(ctx, tx, "look for rows that had other keys", "SELECT count(*) FROM "+z.list+" WHERE now <> was")
	return err
}

// strangers warns where rows come back to a table made anew that none of the new ones looks like: one of them may be one that the application has
// changed.
func (r *Restorer) strangers(ctx context.Context, tx engine.Querier, z *rekeying, back []string) error {
	if !z.made || r.spelled(z.g.t) {
		return nil
	}
	fresh, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT count(*) FROM %s i WHERE i.op = 'i' AND NOT EXISTS (SELECT 1 FROM %s p WHERE p.n = i.n AND p.m IS NOT NULL)", r.s.own(z.y.data()), z.list))
	if err != nil || fresh == 0 {
		return err
	}
	old, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.source(z.g.x), all(append(slices.Clone(back), fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s p WHERE p.m = d.n)", z.list))...)))
	if err == nil && old > 0 {
		r.note(r.worded(fmt.Sprintf("%s: %d row(s) that the migration has inserted look like none of those of before the rollback, nor do %d of those like a new one; where two are the same it is there twice: compare them", z.g.x.Home, fresh, old), r.capturer))
	}
	return err
}

// worded says of a rollback what a note says of an up after one.
func (r *Restorer) worded(note string, c *Capturer) string {
	if c != nil && c.meta.Direction == "down" {
		return strings.NewReplacer("the migration has inserted", "Down has inserted", "before the rollback", "before the migration").Replace(note)
	}
	return note
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
	list, known := r.inserts(t)
	return known && !slices.ContainsFunc(list, func(e effects.Effect) bool {
		return e.Kind == effects.Merge || e.Kind == effects.CreateTable || len(e.Sources) > 0
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

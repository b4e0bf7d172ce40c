package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table without a key is given one again, by numbers that the server gives out: what was captured under the old ones goes by those, and the rows get them back, all but
// those that somebody has written since.

// underKeys takes out of the conflicts what older captures hold of rows that are back, and so stand under their old keys; see renumbered.
func (r *Restorer) underKeys(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	for _, y := range x.speaks {
		if err := r.yieldToDeleted(ctx, tx, g, y); err != nil {
			return err
		}
		if y.Moved && !y.Still || x.Moved && !x.Still || len(y.Key) == 0 || r.movedBetween(y, x) {
			continue
		}
		var on, keys []string
		for i, f := range y.Key {
			if g, col := x.holds(s, f.Name); col != "" && g.Decl == f.Decl {
				on, keys = append(on, fmt.Sprintf("z.%s = d.%s", col, k(i))), append(keys, "z."+col)
			}
		}
		if len(on) < len(y.Key) {
			continue
		}
		back := fmt.Sprintf("SELECT d.n FROM %s d JOIN (SELECT %s, count(*) AS q FROM %s z WHERE %s GROUP BY %[2]s) z ON %[5]s", s.own(y.data()), list(keys), s.own(x.data()), all(x.freeAs(s, "z")), all(on...))
		if err := r.unmark(ctx, tx, y, back); err != nil {
			return err
		}
	}
	x.speaks = nil
	return nil
}

// deleted are captures of rows that the opposite direction deleted, ahead of the statement that took their table its key.
type deleted struct {
	of   []*restoring
	told bool // which of them somebody has deleted since they came back is noted
}

// deletedAhead looks which of such rows somebody has deleted since: they are no more missing in the bag then. Nobody can tell where several captures have them, or where they
// do not look as they were left.
func (r *Restorer) deletedAhead(ctx context.Context, tx engine.Querier, g *target, kept string) (*deleted, error) {
	s, x := r.s, g.x
	out := &deleted{told: true}
	for _, y := range x.speaks {
		if !y.Ops || !y.Whole {
			continue
		}
		n, err := number(ctx, tx, "look for rows that were deleted", fmt.Sprintf("SELECT count(*) FROM %s d WHERE d.op = 'd'", s.own(y.data())))
		if err != nil {
			return nil, err
		}
		if n > 0 {
			out.of = append(out.of, y)
		}
	}
	if len(out.of) == 0 {
		return out, nil
	}
	if out.told = x.bag.minus != "" && !x.bag.mixed; !out.told {
		return out, nil
	}
	gone, err := number(ctx, tx, "count rows written since", "SELECT count(*) FROM "+x.bag.minus)
	if err != nil || gone == 0 {
		return out, err
	}
	y := out.of[0]
	image := r.sealedOf(g, y)
	if out.told = len(out.of) == 1 && image != ""; !out.told {
		return out, nil
	}
	mine := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s d GROUP BY 1) k", kept, s.own(x.data()))
	theirs := fmt.Sprintf("(SELECT %s AS h, count(*) AS q FROM %s d WHERE d.op = 'd' GROUP BY 1) l", image, s.own(y.data()))
	untold, err := number(ctx, tx, "compare", fmt.Sprintf("SELECT count(*) FROM %s m LEFT JOIN %s ON k.h = m.h LEFT JOIN %s ON l.h = m.h WHERE m.q > coalesce(k.q, 0) + coalesce(l.q, 0)", x.bag.minus, mine, theirs))
	if out.told = untold == 0; err != nil || !out.told {
		return out, err
	}
	if err := r.mark(ctx, tx, y, fmt.Sprintf("SELECT e.n, '%s' FROM (SELECT d.n, %s AS h, row_number() OVER (PARTITION BY %s ORDER BY d.n) AS i FROM %s d WHERE d.op = 'd') e JOIN %s m ON m.h = e.h LEFT JOIN %s ON k.h = m.h WHERE e.i <= m.q - coalesce(k.q, 0)",
		deletedSince, image, image, s.own(y.data()), x.bag.minus, mine)); err != nil {
		return nil, err
	}
	for _, q := range []string{
		s.update(x.bag.minus, "m", [][2]string{{"q", "k.q"}}, mine, "k.h = m.h AND m.q > k.q"),
		fmt.Sprintf("DELETE FROM %s WHERE h NOT IN (SELECT %s FROM %s d)", x.bag.minus, kept, s.own(x.data())),
	} {
		if _, err := exec(ctx, tx, "compare", q); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// come lets them come back, all but those that were deleted since.
func (d *deleted) come(ctx context.Context, tx engine.Querier, r *Restorer) error {
	for _, y := range d.of {
		if err := r.unmark(ctx, tx, y, fmt.Sprintf("SELECT d.n FROM %s d WHERE d.op = 'd'", r.s.own(y.data()))); err != nil {
			return err
		}
	}
	return nil
}

// sealedOf gives the image of an entry of another capture, in the order of the sealed columns; "" where it does not have them all.
func (r *Restorer) sealedOf(g *target, y *restoring) string {
	var out []string
	for _, f := range g.x.Fields {
		if f.Seal == "" {
			continue
		}
		i := slices.IndexFunc(y.Fields, func(h field) bool { return h.Name == f.Name && h.Decl == f.Decl && h.Type == f.Type })
		if i < 0 {
			return ""
		}
		out = append(out, r.s.image("d."+y.v(i), y.Fields[i]))
	}
	if len(out) == 0 {
		return ""
	}
	return r.s.hash(out)
}

// unmark takes entries, whose numbers a query gives, out of the conflicts that renumbered noted, unless something else speaks against them as well.
func (r *Restorer) unmark(ctx context.Context, tx engine.Querier, y *restoring, entries string) error {
	if !y.work {
		return nil
	}
	work := r.s.own(y.conflicts())
	twice, err := number(ctx, tx, "count conflicts", fmt.Sprintf("SELECT count(*) - count(DISTINCT n) FROM %s WHERE reason <> '%s'", work, deletedSince))
	if err != nil {
		return err
	}
	once := ""
	if twice > 0 {
		once = fmt.Sprintf("n NOT IN (SELECT n FROM (SELECT w.n FROM %s w WHERE w.reason <> '%s' GROUP BY w.n HAVING count(*) > 1) o)", work, deletedSince)
	}
	_, err = exec(ctx, tx, "look which rows are back", fmt.Sprintf("DELETE FROM %s WHERE %s", work, all(fmt.Sprintf("reason = '%s' AND n IN (%s)", changedSince, entries), once)))
	return err
}

// freeAs gives the condition that an entry, under an alias, is no conflict.
func (x *restoring) freeAs(s *Store, alias string) string {
	if !x.work {
		return ""
	}
	return fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s w WHERE w.n = %s.n)", s.own(x.conflicts()), alias)
}

// movedBetween tells whether keys of a table moved between one of its captures and another.
func (r *Restorer) movedBetween(y, x *restoring) bool {
	between := false
	for _, z := range r.tables() {
		if z == x {
			break
		}
		if between && z.Home == x.Home && z.Moved && !z.Still {
			return true
		}
		between = between || z == y
	}
	return false
}

// yield gives rows that stay other numbers where the server has given them those of rows that come back: nobody has seen them under these yet.
func (r *Restorer) yield(ctx context.Context, tx engine.Querier, g *target, e exchanging) error {
	if len(g.t.Keys) == 0 || e.stays == "" && e.remove {
		return nil
	}
	for _, i := range g.fields {
		now := r.live(g, i)
		if !given(g.t, now) || g.x.Fields[i].Text {
			continue
		}
		from := fmt.Sprintf("FROM %s d WHERE %s", r.s.own(g.x.data()), all(r.free(g.x), e.comes))
		if err := r.yieldTo(ctx, tx, g.t, now, fmt.Sprintf("SELECT %s AS m %s", r.s.f.back("d."+g.x.v(i), g.x.Fields[i], now), from), e.live, fmt.Sprintf("SELECT %s AS h %s", e.kept, from)); err != nil {
			return err
		}
	}
	return nil
}

// yieldToDeleted does it for rows that were deleted ahead of the statement that took the table its key.
func (r *Restorer) yieldToDeleted(ctx context.Context, tx engine.Querier, g *target, y *restoring) error {
	if !y.Ops || !y.Whole || len(y.Key) != 1 || y.Key[0].Text || len(g.t.Keys) == 0 {
		return nil
	}
	j := columnIndex(g.t, r.column(g.t, y.Key[0].Name))
	if j < 0 || !given(g.t, g.t.Columns[j]) {
		return nil
	}
	coming := fmt.Sprintf("SELECT %s AS m FROM %s d WHERE %s", r.s.f.back("d."+k(0), y.Key[0], g.t.Columns[j]), r.s.own(y.data()), all("d.op = 'd'", r.free(y)))
	return r.yieldTo(ctx, tx, g.t, g.t.Columns[j], coming, "", "")
}

// yieldTo gives rows t that stand under one of the numbers m that come, and are none of the rows whose images h do, numbers behind all of them. live is the image of a row t; "" where
// none can be one.
func (r *Restorer) yieldTo(ctx context.Context, tx engine.Querier, t *engine.Table, key engine.Column, coming, live, images string) error {
	s := r.s
	column, from := "t."+s.q(key.Name), s.f.from(s.db, t)+" t"
	taken := fmt.Sprintf("(SELECT %s AS was, %s AS h FROM %s) l JOIN (SELECT c.m, count(*) AS q FROM (%s) c GROUP BY c.m) c ON c.m = l.was", column, cmp.Or(live, "1"), from, coming)
	if live != "" {
		taken += fmt.Sprintf(" LEFT JOIN (SELECT c.h, count(*) AS q FROM (%s) c GROUP BY c.h) k ON k.h = l.h WHERE k.h IS NULL", images)
	}
	n, err := number(ctx, tx, "look which numbers are taken", "SELECT count(*) FROM "+taken)
	if err != nil || n == 0 {
		return err
	}
	again, err := r.giveWay(ctx, tx, t, []engine.Column{key})
	if err != nil {
		return err
	}
	last := fmt.Sprintf("(SELECT max(m) FROM (SELECT max(%s) AS m FROM %s UNION ALL SELECT max(m) FROM (%s) c) l)", column, from, coming)
	to := fmt.Sprintf("(SELECT l.was, %s + row_number() OVER (ORDER BY l.was) AS now FROM %s) y", last, taken)
	if _, err := exec(ctx, tx, "give rows other numbers", s.update(s.db.Quote(t.Name), "t", [][2]string{{s.q(key.Name), "y.now"}}, to, column+" = y.was")); err != nil {
		return err
	}
	return again()
}

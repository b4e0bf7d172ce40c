package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// again looks once more which places were written since they were sealed, where no lock has held since Check because the
// statements of the opposite direction committed by themselves. Rows that those statements wrote are left out: that they look
// different is their doing. The rows that are looked at stay as they are until the transaction ends.
func (r *Restorer) again(ctx context.Context, tx engine.Querier, c *Capturer) error {
	if r.s.db.Caps.TransactionalDDL {
		return nil
	}
	s := r.s
	for _, x := range r.tables() {
		if x.placed {
			if err := r.since(ctx, tx, x, c); err != nil {
				return fmt.Errorf("compare %s with its capture: %w", x.Home, err)
			}
			continue
		}
		if x.wrote || x.Rows == 0 || len(x.Key) == 0 || x.Seal.Table.Name == "" || x.Seal.Mode == sealCovered || x.Seal.Mode == sealBag || r.moves(x.Home) {
			continue
		}
		t, err := r.inspect(ctx, tx, x.Seal.Table)
		if err != nil {
			return err
		}
		if t == nil || t.Name != x.Home || slices.ContainsFunc(slices.Concat(x.Seal.Columns, x.Seal.All, x.Seal.Key), func(n string) bool { return columnIndex(t, n) < 0 }) {
			continue
		}
		untouched, known := "", true
		if c != nil {
			untouched, known = r.untouched(x, c)
		}
		if !known {
			continue
		}
		name := func(i int) string { return r.column(t, x.Key[i].Name) }
		if _, err := number(ctx, tx, "lock "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s d JOIN %s t ON %s FOR UPDATE",
			s.own(x.data()), s.f.from(s.db, t), s.on(x.capture, t, "t", "d", name, k))); err != nil {
			return err
		}
		if err := r.compareWhere(ctx, tx, x, t, all(untouched, r.free(x))); err != nil {
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
	conditions := []string{untouched, x.inserted(false), r.free(x)}
	for _, y := range r.tables() { // an older capture's values stand there in its stead
		if y == x {
			break
		}
		if y.Home != x.Home || y.Rows == 0 || !slices.ContainsFunc(x.Fields, func(f field) bool {
			return slices.ContainsFunc(y.Fields, func(h field) bool { return h.Name == f.Name })
		}) {
			continue
		}
		known = known && sameKey(x, y)
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("y.%s = d.%s", k(i), k(i)))
		}
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", r.s.own(y.data()), all(on...)))
	}
	g, err := r.aim(x, t, true)
	if err != nil || !known || len(g.fields) == 0 || columnIndex(t, g.name(0)) < 0 {
		return err
	}
	s := r.s
	kept, live := r.images(g, g.fields, false)
	gone := "t." + s.q(g.name(0)) + " IS NULL"
	place := fmt.Sprintf("%s d LEFT JOIN %s t ON %s", s.own(x.data()), s.f.from(s.db, t), s.on(x.capture, t, "t", "d", g.name, k))
	if _, err := number(ctx, tx, "lock "+x.Home.String(), "SELECT count(*) FROM "+place+" FOR UPDATE"); err != nil {
		return err
	}
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, CASE WHEN %s THEN '%s' ELSE '%s' END FROM %s WHERE %s AND (%s OR %s <> %s)",
		gone, deletedSince, changedSince, place, all(conditions...), gone, s.hash(live), s.hash(kept)))
}

// untouched gives the condition that a statement of the opposite direction did not write the row of an entry d; known is false
// when that cannot be told.
func (r *Restorer) untouched(x *restoring, c *Capturer) (condition string, known bool) {
	var conditions []string
	for _, y := range c.captures {
		if y.Kind == Definition || y.At != x.Seal.Table && y.Home != x.Home && y.At != x.Home {
			continue
		}
		if y.Kind == Columns && !slices.ContainsFunc(y.Fields, func(f field) bool {
			return slices.Contains(slices.Concat(x.Seal.Columns, x.Seal.All, x.Seal.Key), f.At)
		}) {
			continue // of a column that goes; the others are as they were
		}
		if !y.Ops || y.Moved || len(y.Key) != len(x.Key) {
			return "", false
		}
		var on []string
		for i, f := range x.Key {
			if y.Key[i].Decl != f.Decl {
				return "", false
			}
			on = append(on, fmt.Sprintf("y.%s = d.%s", k(i), k(i)))
		}
		conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", r.s.own(y.data()), all(on...)))
	}
	return all(conditions...), true
}

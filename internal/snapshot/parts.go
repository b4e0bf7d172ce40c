package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A conflict is about what the application wrote. An entry may also have values of columns that were gone by then: nobody can have
// written to those, and they go back in a row in conflict, too. So do those of a column that Down has dropped and made again, whatever
// was written to the one of its name that is gone: else a newer capture, which is not in conflict, would have the last word. Where Down computes such a value it must not, but for rows
// of which what it is computed from is as it was.

// computedSince marks, beside the conflict, that what Down computes an entry's values from has changed. It is no conflict by itself.
const computedSince = "computed since"

// computed marks the entries of a capture of which the sources of watched columns have changed.
func (r *Restorer) computed(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) error {
	if t == nil || len(x.Seal.Sources) == 0 || x.Seal.Mode != sealRows || !x.work || x.Rows == 0 || x.Bystander {
		return nil
	}
	s := r.s
	columns := append([]string{"y.n", "s.w"}, x.stands("y")...)
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM (SELECT %s FROM %s y JOIN %s s ON s.n = y.n) d JOIN %s t ON %s WHERE d.w <> %s", computedSince,
		list(columns), s.own(x.data()), s.own(x.companion()), s.f.from(s.db, t), s.on(x.capture, t, "t", "d", func(i int) string { return x.Seal.Key[i] }, k),
		s.hash(s.images(x.Seal.Sources, t, "t"))))
}

// parts writes values of columns that were gone when they were sealed, or that were made again, into rows in conflict.
func (r *Restorer) parts(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if !x.work || x.Moved || x.final != "" || x.Bystander || !s.db.Caps.TransactionalDDL || x.Seal.Mode != sealRows || x.Seal.Places {
		return nil
	}
	for i := range x.Key {
		if columnIndex(g.t, g.name(i)) < 0 {
			return nil
		}
	}
	of := func(reason string) string {
		return fmt.Sprintf("EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason %s)", s.own(x.conflicts()), reason)
	}
	plain := []string{of("= '" + changedSince + "'"), "NOT " + of(fmt.Sprintf("NOT IN ('%s', '%s')", changedSince, computedSince)),
		// While the migration ran somebody may have written to them, before they went: the capture that was made then has that.
		fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n AND s.h = %s)", s.own(x.companion()), s.foreign())}
	if m := x.moving; m != nil && (x.placed || m.Seal.Waits) && m.Seal.Mode == sealRows { // and since they came back with their column
		plain = append(plain, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n AND s.h = %s)", s.own(m.companion()), s.foreign()))
	}
	for _, watched := range []bool{false, true} {
		if !watched && x.placed && x.moving == nil && r.bySteps() {
			continue // they did, also in rows in conflict, and no statement has written to them
		}
		var fields []int
		for _, i := range g.fields {
			if f := x.Fields[i]; (f.Seal == "" || slices.Contains(x.remade, f.Name)) && f.Watched == watched && r.live(g, i).Identity != "always" {
				fields = append(fields, i)
			}
		}
		if len(fields) == 0 {
			continue
		}
		conditions := plain
		if watched {
			conditions = append(plain, "NOT "+of("= '"+computedSince+"'"))
		}
		var sets [][2]string
		for _, i := range fields {
			now := r.live(g, i)
			sets = append(sets, [2]string{s.q(now.Name), s.f.back("d."+x.v(i), x.Fields[i], now)})
		}
		kept, live := r.images(g, fields, false)
		conditions = append(conditions, r.uncovered(g)...)
		query := s.update(s.f.from(s.db, g.t), "t", sets, r.source(x), all(append(conditions, s.on(x.capture, g.t, "t", "d", g.name, x.goal), x.inserted(false), "("+s.differ(live, kept)+")")...))
		n, err := r.attempt(ctx, tx, "put back values of "+x.Home.String(), query)
		if taken(err) {
			var todo, left []int64
			if todo, err = numbers(ctx, tx, fmt.Sprintf("SELECT d.n FROM %s d WHERE %s ORDER BY d.n DESC", s.own(x.data()), all(plain...))); err != nil {
				return err
			}
			if n, left, err = r.each(ctx, tx, x, query, todo); err != nil {
				return err
			}
			for _, at := range left {
				if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT %d, '%s'", at, valueTaken)); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return err
		}
		r.of(x.Home).Updated += n
	}
	return nil
}

// revive frees values of rows that the application deleted and that come back all the same, because another capture has them whole.
func (r *Restorer) revive(ctx context.Context, tx engine.Querier, targets []*target) ([]Conflict, error) {
	s := r.s
	var out []Conflict
	for _, g := range targets {
		x := g.x
		if !x.work || x.entire() || len(x.Key) == 0 {
			continue
		}
		for _, h := range targets {
			y := h.x
			if !y.work || !y.entire() || !sameKey(x, y) {
				continue
			}
			var on []string
			for i := range x.Key {
				on = append(on, fmt.Sprintf("y.%s = d.%s", y.goal(i), x.goal(i)))
			}
			back := fmt.Sprintf("reason = '%s' AND %%s IN (SELECT d.n FROM %s JOIN (SELECT d.* FROM %s WHERE EXISTS (SELECT 1 FROM %s w WHERE w.n = d.n AND w.reason = '%s')) y ON %s)",
				deletedSince, r.source(x), r.source(y), s.own(y.conflicts()), deletedSince, all(on...))
			list, total, err := r.conflictsOf(ctx, tx, x, fmt.Sprintf(back, "w.n"), Restore)
			if err != nil {
				return nil, err
			}
			r.of(x.Home).Conflicts += total
			out = append(out, list...)
			if _, err := exec(ctx, tx, "free conflicts", fmt.Sprintf("DELETE FROM %s WHERE %s", s.own(x.conflicts()), fmt.Sprintf(back, "n"))); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

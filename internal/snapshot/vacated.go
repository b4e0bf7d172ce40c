package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table that takes the place of a captured one has its rows, some under other keys. Those go back to the keys that they have left: where
// somebody has put a row of his own there since, that is a conflict.

// vacates tells of a capture that was just sealed whether nothing of the migration's stood under the keys that captured rows had left.
func (c *Capturer) vacates(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) (bool, error) {
	if !c.s.db.Caps.TransactionalDDL || x.Seal.Mode != sealRows || !x.Seal.Places || x.Moved || x.Ops || x.Bystander {
		return false, nil
	}
	n, err := number(ctx, tx, "seal", "SELECT count(*) FROM "+c.s.vacated(x, t))
	return n == 0 && err == nil, err
}

// vacated gives captured rows d that stood under another key in the end, of which the first has now a row t that was none of them.
func (s *Store) vacated(x *capture, t *engine.Table) string {
	var same, taken []string
	for i := range x.Key {
		same, taken = append(same, fmt.Sprintf("s.%[1]s = d.%[1]s", k(i))), append(taken, fmt.Sprintf("z.%[1]s = d.%[1]s", k(i)))
	}
	into := s.own(x.companion())
	return fmt.Sprintf("%s d JOIN %s s ON s.n = d.n JOIN %s t ON %s WHERE NOT (%s) AND NOT EXISTS (SELECT 1 FROM %s z WHERE %s)", s.own(x.data()), into,
		s.f.from(s.db, t), s.on(x, t, "t", "d", func(i int) string { return x.Seal.Key[i] }, k), all(same...), into, all(taken...))
}

// occupiedSince marks captured rows whose first key somebody has given to a row of his own, and what stands for them now.
func (r *Restorer) occupiedSince(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) error {
	if !x.Seal.Vacated || t == nil || x.Rows == 0 {
		return nil
	}
	for _, n := range x.Seal.Key {
		if columnIndex(t, n) < 0 {
			return nil
		}
	}
	s := r.s
	n, err := r.marked(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s AND %s", insertedSince, s.vacated(x.capture, t), all(r.free(x))))
	if err != nil || n == 0 {
		return err
	}
	for _, y := range r.tables() {
		if !y.New || y.Rows == 0 || !sameKey(x, y) {
			continue
		}
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("s.%[1]s = d.%[1]s", k(i)))
		}
		if err := r.mark(ctx, tx, y, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s s ON %s JOIN %s w ON w.n = s.n WHERE %s", changedSince, s.own(y.data()), s.own(x.companion()),
			all(on...), s.own(x.conflicts()), all(fmt.Sprintf("w.reason = '%s'", insertedSince), r.free(y)))); err != nil {
			return err
		}
	}
	return nil
}

// freed takes back what was found of rows that others had inserted under keys of captured ones: they stood in a table that this run has removed, with them,
// and in the one that it has made in its place nothing stands there.
func (r *Restorer) freed(ctx context.Context, tx engine.Querier, targets []*target) error {
	for _, g := range targets {
		x := g.x
		if !x.Whole || !x.work || len(x.Key) == 0 || !r.made(g.t, nil) || slices.ContainsFunc(x.Key, func(f field) bool { return columnIndex(g.t, r.column(g.t, f.Name)) < 0 }) {
			continue
		}
		if _, err := exec(ctx, tx, "look for places", fmt.Sprintf("DELETE FROM %s WHERE reason = '%s' AND n IN (SELECT d.n FROM %s WHERE NOT EXISTS (SELECT 1 FROM %s t WHERE %s))",
			r.s.own(x.conflicts()), insertedSince, r.source(x), r.s.f.from(r.s.db, g.t), r.s.on(x.capture, g.t, "t", "d", g.name, x.goal))); err != nil {
			return err
		}
	}
	return nil
}

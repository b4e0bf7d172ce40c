package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// rotate writes rows that hold each other's unique values, so that no order of updates works: all of them go, and come back
// with their old values. That is done only where it is the same as updating them: nothing points to them, and all their columns are held.
func (r *Restorer) rotate(ctx context.Context, tx engine.Querier, g *target, entries []int64) (n int64, ok bool, err error) {
	s, x := r.s, g.x
	written := func(c engine.Column) bool {
		return c.Generated || slices.ContainsFunc(g.fields, func(i int) bool { return r.column(g.t, x.Fields[i].Name) == c.Name })
	}
	if !x.onward || !x.Whole || len(g.t.Referenced) > 0 || len(entries) > 10_000 || slices.ContainsFunc(g.t.Columns, func(c engine.Column) bool { return !written(c) }) {
		return 0, false, nil
	}
	numbers := make([]string, len(entries))
	for i, e := range entries {
		numbers[i] = fmt.Sprint(e)
	}
	these := "d.n IN (" + strings.Join(numbers, ", ") + ")"
	var names, values []string
	for _, i := range g.fields {
		now := r.live(g, i)
		names, values = append(names, s.q(now.Name)), append(values, s.f.back("d."+v(i), x.Fields[i], now))
	}
	if _, err := exec(ctx, tx, "put back values of "+x.Home.String(), "SAVEPOINT dbrollback_rotate"); err != nil {
		return 0, false, err
	}
	for _, q := range []string{
		s.remove(s.f.from(s.db, g.t), "t", r.source(x), all(s.on(x.capture, g.t, "t", "d", g.name, x.goal), these)),
		fmt.Sprintf("INSERT INTO %s (%s) %s SELECT %s FROM %s WHERE %s", s.db.Quote(g.t.Name), list(names), s.f.overriding, list(values), r.source(x), these),
	} {
		if n, err = exec(ctx, tx, "put back values of "+x.Home.String(), q); err != nil {
			break
		}
	}
	if err != nil {
		if !taken(err) {
			return 0, false, err
		}
		_, err = exec(ctx, tx, "put back values of "+x.Home.String(), "ROLLBACK TO SAVEPOINT dbrollback_rotate")
		return 0, false, err
	}
	_, err = exec(ctx, tx, "put back values of "+x.Home.String(), "RELEASE SAVEPOINT dbrollback_rotate")
	return n, true, err
}

package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// identities looks at columns that number themselves (GENERATED ALWAYS). No UPDATE can write them, so where they differ the
// column gives way until again is called; where they do not they are left out.
func (r *Restorer) identities(ctx context.Context, tx engine.Querier, g *target, fields []int) (rest []int, again func() error, err error) {
	s, x := r.s, g.x
	var always []int
	for _, i := range fields {
		if r.live(g, i).Identity == "always" {
			always = append(always, i)
		}
	}
	again = func() error { return nil }
	if len(always) == 0 {
		return fields, again, nil
	}
	kept, live := r.images(g, always, false)
	n, err := number(ctx, tx, "compare identities of "+x.Home.String(), fmt.Sprintf("SELECT count(*) FROM %s JOIN %s t ON %s WHERE %s", r.source(x), s.f.from(s.db, g.t),
		s.on(x.capture, g.t, "t", "d", g.name, x.goal), all(x.inserted(false), s.hash(live)+" <> "+s.hash(kept))))
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return slices.DeleteFunc(slices.Clone(fields), func(i int) bool { return slices.Contains(always, i) }), again, nil
	}
	var columns []engine.Column
	for _, i := range always {
		columns = append(columns, r.live(g, i))
	}
	again, err = r.giveWay(ctx, tx, g.t, columns)
	return fields, again, err
}

// giveWay lets columns that number themselves (GENERATED ALWAYS) be written until again is called.
func (r *Restorer) giveWay(ctx context.Context, tx engine.Querier, t *engine.Table, columns []engine.Column) (again func() error, err error) {
	set := func(mode string) error {
		for _, c := range columns {
			if c.Identity != "always" {
				continue
			}
			if _, err := exec(ctx, tx, "put back identities of "+t.Name.String(), fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET GENERATED %s",
				r.s.db.Quote(t.Name), r.s.q(c.Name), mode)); err != nil {
				return err
			}
		}
		return nil
	}
	return func() error { return set("ALWAYS") }, set("BY DEFAULT")
}

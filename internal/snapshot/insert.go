package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// insert puts back rows that are not there.
func (r *Restorer) insert(ctx context.Context, tx engine.Querier, g *target) (int64, error) {
	s, x := r.s, g.x
	if !x.entire() || len(g.fields)+len(g.keys)+len(g.retyped) == 0 {
		return 0, nil
	}
	var names, values []string
	older := r.others(g)
	for _, i := range g.fields {
		now := r.live(g, i)
		names = append(names, s.q(now.Name))
		values = append(values, r.oldest(g, older, i))
	}
	for _, f := range x.Spare {
		if j := columnIndex(g.t, r.column(g.t, f.Name)); j >= 0 && !g.t.Columns[j].Generated {
			names = append(names, s.q(g.t.Columns[j].Name))
			values = append(values, s.f.back("d."+f.Slot, f, g.t.Columns[j]))
		}
	}
	for _, i := range g.keys {
		now := r.live(g, i)
		j := slices.IndexFunc(x.Key, func(k field) bool { return k.Name == x.Fields[i].Name })
		names = append(names, s.q(now.Name))
		values = append(values, s.f.back("d."+x.goal(j), x.Key[j], now))
	}
	for _, c := range g.retyped {
		now := r.live(g, c.field)
		names = append(names, s.q(now.Name))
		values = append(values, fmt.Sprintf("(SELECT %s FROM %s y WHERE %s)", s.f.back("y."+c.y.v(c.as), c.y.Fields[c.as], now), s.own(c.y.data()), c.row(x)))
	}
	missing := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal))
	conditions := append([]string{x.inserted(false), missing, r.free(x)}, r.known(g)...)
	query := fmt.Sprintf("INSERT INTO %s (%s) %s SELECT %s FROM %s WHERE %s", s.db.Quote(g.t.Name), list(names), s.f.overriding, list(values),
		r.source(x)+older.joins, all(conditions...))
	if slices.ContainsFunc(g.t.Columns, func(c engine.Column) bool { return !c.Generated && !slices.Contains(names, s.q(c.Name)) }) {
		// A column that has to be given a value is one also where there is no row to insert, to some servers.
		if n, err := number(ctx, tx, "look for rows that are missing", "SELECT count(*) FROM "+r.source(x)+" WHERE "+all(conditions...)); err != nil || n == 0 {
			return 0, err
		}
	}
	var n int64
	err := r.returned(ctx, tx, g, all(conditions...), func() error {
		return r.giving(ctx, tx, g, names, func() (err error) {
			n, err = r.insertFree(ctx, tx, g, query, conditions)
			return err
		})
	})
	return n, err
}

// insertFree runs what insert has put together: rows with a unique value that was taken meanwhile stay out.
func (r *Restorer) insertFree(ctx context.Context, tx engine.Querier, g *target, query string, conditions []string) (int64, error) {
	s, x := r.s, g.x
	n, err := r.attempt(ctx, tx, "put back rows of "+x.Home.String(), query+" ORDER BY d.n")
	if err == nil || !taken(err) && !x.unfit(err) {
		return n, err
	}
	if s.f.skip == "" || x.spared {
		return r.insertEach(ctx, tx, g, query)
	}
	n, err = r.attempt(ctx, tx, "put back rows of "+x.Home.String(), query+" ORDER BY d.n"+s.f.skip)
	switch {
	case engine.Answered(err): // a unique key that is checked late cannot be asked in this way
		return r.insertEach(ctx, tx, g, query)
	case err != nil:
		return 0, err
	}
	return n, r.collide(ctx, tx, x, fmt.Sprintf("%s WHERE %s", r.source(x), all(append(conditions[:2:2], append(r.known(g), r.free(x))...)...)))
}

// insertBag does it for rows without a key: a column that may be NULL can be unique among them. Where rows have gone to make room for them, those that stay out may
// be some of these: then it is an error.
func (r *Restorer) insertBag(ctx context.Context, tx engine.Querier, g *target, query string, gone int64) (int64, error) {
	if len(g.t.Unique) == 0 || gone > 0 {
		return exec(ctx, tx, "put back "+g.x.Home.String(), query+" ORDER BY d.n")
	}
	n, err := r.attempt(ctx, tx, "put back rows of "+g.x.Home.String(), query+" ORDER BY d.n")
	if err == nil || !taken(err) {
		return n, err
	}
	return r.insertEach(ctx, tx, g, query)
}

// insertEach inserts in ever smaller parts those rows whose unique values are free; what is left collides with what the
// application wrote.
func (r *Restorer) insertEach(ctx context.Context, tx engine.Querier, g *target, query string) (int64, error) {
	s, x := r.s, g.x
	todo, err := numbers(ctx, tx, fmt.Sprintf("SELECT d.n FROM %s d WHERE %s ORDER BY d.n", s.own(x.data()), all(x.inserted(false), r.free(x))))
	if err != nil {
		return 0, err
	}
	var put func(part []int64) (int64, error)
	put = func(part []int64) (int64, error) {
		if len(part) == 0 {
			return 0, nil
		}
		n, err := r.attempt(ctx, tx, "put back rows of "+x.Home.String(), fmt.Sprintf("%s AND d.n BETWEEN %d AND %d ORDER BY d.n", query, part[0], part[len(part)-1]))
		switch {
		case err == nil:
			return n, nil
		case !taken(err) && !x.unfit(err):
			return 0, err
		case len(part) == 1 && !taken(err):
			return 0, r.mark(ctx, tx, x, fmt.Sprintf("SELECT %d, '%s'", part[0], RemovedByDown))
		case len(part) == 1:
			return 0, r.collide(ctx, tx, x, fmt.Sprintf("%s d WHERE d.n = %d", s.own(x.data()), part[0]))
		}
		first, err := put(part[:len(part)/2])
		if err != nil {
			return first, err
		}
		rest, err := put(part[len(part)/2:])
		return first + rest, err
	}
	return put(todo)
}

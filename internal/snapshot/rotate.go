package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// rotate writes rows that hold each other's unique values, so that no order of updates works: all of them go, and come back
// with their old values. That is done only where it is the same as updating them: nothing points to them, and all their columns are held.
func (r *Restorer) rotate(ctx context.Context, tx engine.Querier, g *target, _ string, entries []int64) (n int64, ok bool, err error) {
	s, x := r.s, g.x
	written := func(c engine.Column) bool {
		return c.Generated || slices.ContainsFunc(g.fields, func(i int) bool { return r.column(g.t, x.Fields[i].Name) == c.Name })
	}
	if !x.onward || !x.Whole || len(g.t.Referenced) > 0 || len(entries) > 10_000 || slices.ContainsFunc(g.t.Columns, func(c engine.Column) bool { return !written(c) }) {
		return 0, false, nil
	}
	these := "d.n IN (" + numbered(entries) + ")"
	var names, values []string
	for _, i := range g.fields {
		now := r.live(g, i)
		names, values = append(names, s.q(now.Name)), append(values, s.f.back("d."+x.v(i), x.Fields[i], now))
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

// retrace puts back rows that hold each other's unique values the way the migration came: by the values that they had in between, which
// newer captures hold. Where the application took a value meanwhile that does not work out, and nothing is changed.
func (r *Restorer) retrace(ctx context.Context, tx engine.Querier, g *target, query string, entries []int64) (n int64, ok bool, err error) {
	s, x := r.s, g.x
	if r.bare || len(g.covers) == 0 || len(entries) > 10_000 {
		return 0, false, nil
	}
	if _, err := exec(ctx, tx, "put back values of "+x.Home.String(), "SAVEPOINT dbrollback_retrace"); err != nil {
		return 0, false, err
	}
	back := func() (int64, error) {
		for _, h := range g.covers {
			plain := *h
			plain.covered, plain.partly = nil, nil
			fields := slices.DeleteFunc(slices.Clone(h.fields), func(i int) bool { return r.live(h, i).Identity == "always" || !g.writes(h.x.Fields[i].Name) })
			if len(fields) == 0 {
				continue
			}
			step := r.updating(&plain, fields, false, "")
			_, err := r.attempt(ctx, tx, "put back values of "+x.Home.String(), step)
			if err == nil {
				continue
			}
			if !taken(err) {
				return 0, err
			}
			todo, err := numbers(ctx, tx, fmt.Sprintf("SELECT d.n FROM %s d WHERE %s ORDER BY d.n DESC", s.own(h.x.data()), all(h.x.inserted(false), r.free(h.x))))
			if err != nil {
				return 0, err
			}
			if _, left, err := r.each(ctx, tx, h.x, step, todo); err != nil || len(left) > 0 {
				return 0, errors.Join(err, errCircle)
			}
		}
		n, left, err := r.each(ctx, tx, x, query, entries)
		if err == nil && len(left) > 0 {
			err = errCircle
		}
		return n, err
	}
	if n, err = back(); err != nil {
		_, err = exec(context.WithoutCancel(ctx), tx, "put back values of "+x.Home.String(), "ROLLBACK TO SAVEPOINT dbrollback_retrace")
		return 0, false, err
	}
	_, err = exec(ctx, tx, "put back values of "+x.Home.String(), "RELEASE SAVEPOINT dbrollback_retrace")
	return n, true, err
}

// renumber puts back numbers that the server handed out otherwise when the column was made again, so that rows hold each other's: one row of each
// circle waits on 0 meanwhile. Where that does not work out nothing is changed.
func (r *Restorer) renumber(ctx context.Context, tx engine.Querier, g *target, query string, left []int64) (n int64, ok bool, err error) {
	s, x := r.s, g.x
	i := slices.IndexFunc(g.fields, func(i int) bool { return r.live(g, i).Identity == "auto_increment" })
	if i < 0 || r.bare || len(left) > 10_000 || g.knows(r.live(g, g.fields[i]).Name) {
		return 0, false, nil // a row that lost its key would not be found again
	}
	sets := s.unstamped(g.t, [][2]string{{s.q(r.live(g, g.fields[i]).Name), "0"}})
	on := s.on(x.capture, g.t, "t", "d", g.name, x.goal)
	if _, err := exec(ctx, tx, "put back values of "+x.Home.String(), "SAVEPOINT dbrollback_renumber"); err != nil {
		return 0, false, err
	}
	circle := func() (n int64, err error) {
		for len(left) > 0 {
			aside := s.update(s.f.from(s.db, g.t), "t", sets, r.source(x), all(on, fmt.Sprintf("d.n = %d", left[0])))
			if _, err := r.attempt(ctx, tx, "put back values of "+x.Home.String(), aside); err != nil {
				return n, err
			}
			todo := append(slices.Clone(left[1:]), left[0])
			m, rest, err := r.each(ctx, tx, x, query, todo)
			if n += m; err != nil {
				return n, err
			}
			if len(rest) == len(left) || slices.Contains(rest, left[0]) { // what holds the number is not among them
				return n, errCircle
			}
			left = rest
		}
		return n, nil
	}
	if n, err = circle(); err != nil {
		if !taken(err) && !errors.Is(err, errCircle) {
			return 0, false, err
		}
		_, err = exec(context.WithoutCancel(ctx), tx, "put back values of "+x.Home.String(), "ROLLBACK TO SAVEPOINT dbrollback_renumber")
		return 0, false, err
	}
	_, err = exec(ctx, tx, "put back values of "+x.Home.String(), "RELEASE SAVEPOINT dbrollback_renumber")
	return n, true, err
}

// knows tells whether rows are known by a column.
func (g *target) knows(column string) bool {
	for i := range g.x.Key {
		if g.name(i) == column {
			return true
		}
	}
	return false
}

// errCircle: rows still hold each other's values.
var errCircle = errors.New("unique values are taken")

func numbered(entries []int64) string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = fmt.Sprint(e)
	}
	return strings.Join(out, ", ")
}

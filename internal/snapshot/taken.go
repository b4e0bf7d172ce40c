package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// staysOut marks rows of which can be foreseen that they will not come back: their unique values are taken, or their parents are gone or stay out themselves. every
// has it look for taken values in all tables, and not only where other rows depend on it: only writing tells for good.
func (r *Restorer) staysOut(ctx context.Context, tx engine.Querier, targets []*target, every bool) error {
	for {
		found, err := r.orphans(ctx, tx, targets)
		if err != nil {
			return err
		}
		for _, g := range targets {
			points := func(o *target) bool {
				return slices.ContainsFunc(o.t.ForeignKeys, func(fk engine.ForeignKey) bool { return fk.Parent == g.t.Name })
			}
			if !every && !slices.ContainsFunc(targets, points) {
				continue
			}
			n, err := r.taken(ctx, tx, g)
			if err != nil {
				return err
			}
			found += n
		}
		if found == 0 {
			return nil
		}
	}
}

// taken marks rows whose unique values another row has now, of which no entry says that it goes or changes.
func (r *Restorer) taken(ctx context.Context, tx engine.Querier, g *target) (int64, error) {
	s, x := r.s, g.x
	if len(x.Key) == 0 || x.Rows == 0 && !x.onward || r.capturer != nil && r.moves(x.Home) {
		return 0, nil
	}
	known := []string{"NOT (" + s.on(x.capture, g.t, "t", "d", g.name, k) + ")"}
	for _, y := range r.tables() {
		if y.Home != x.Home || y.Rows == 0 && !y.onward {
			continue
		}
		name := func(i int) string { return r.keyName(y, g.t, i) }
		for i := range y.Key {
			if columnIndex(g.t, name(i)) < 0 {
				return 0, nil
			}
		}
		if len(y.Key) == 0 {
			return 0, nil // which rows it is about nobody knows
		}
		stands := []string{s.on(y.capture, g.t, "t", "e", name, k)}
		if y.work {
			stands = append(stands, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s ew WHERE ew.n = e.n)", s.own(y.conflicts())))
		}
		known = append(known, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s e WHERE %s)", s.own(y.data()), all(stands...)))
	}
	var from []string
	for _, key := range slices.Concat(g.t.Keys, g.t.Unique) {
		if on := r.meets(g, key); on != nil {
			from = append(from, fmt.Sprintf("%s d JOIN %s t ON %s", s.own(x.data()), s.f.from(s.db, g.t), all(on...)))
		}
	}
	for _, key := range g.computed {
		from = append(from, r.clash(g, key))
	}
	var found int64
	for _, clash := range from {
		n, err := r.marked(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", valueTaken, clash, all(append([]string{x.inserted(false), r.free(x)}, known...)...)))
		if err != nil {
			return found, err
		}
		found += n
	}
	return found, nil
}

// meets gives the conditions that a row t has the values of a unique key that an entry d is to have; nil when it says nothing about one of them.
func (r *Restorer) meets(g *target, key engine.Key) (on []string) {
	for _, c := range key.Columns {
		i := slices.IndexFunc(g.fields, func(i int) bool { return r.column(g.t, g.x.Fields[i].Name) == c })
		if i < 0 {
			return nil
		}
		f := g.x.Fields[g.fields[i]]
		on = append(on, r.s.points("t."+r.s.q(c), "d."+g.x.v(g.fields[i]), f, g.t.Columns[columnIndex(g.t, c)]), "t."+r.s.q(c)+" IS NOT NULL")
	}
	return on
}

// unhindered writes those entries of a restoration at once of which no other row has a unique value, and gives the others: of many rows that come back, most have theirs all along. Where another index is in
// the way nothing is written.
func (r *Restorer) unhindered(ctx context.Context, tx engine.Querier, g *target, query string, todo []int64) (n int64, left []int64, err error) {
	s, x := r.s, g.x
	var clash []string
	for _, key := range slices.Concat(g.t.Keys, g.t.Unique) {
		if on := r.meets(g, key); on != nil {
			clash = append(clash, fmt.Sprintf("EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), all(append(on, "NOT ("+s.on(x.capture, g.t, "t", "d", g.name, x.goal)+")")...)))
		}
	}
	if !x.onward || len(clash) == 0 {
		return 0, todo, nil
	}
	left, err = numbers(ctx, tx, fmt.Sprintf("SELECT d.n FROM %s WHERE %s ORDER BY d.n DESC", r.source(x), all(x.inserted(false), r.free(x), "("+strings.Join(clash, " OR ")+")")))
	if err != nil || len(left) == 0 || len(left) > 10_000 || 2*len(left) > len(todo) {
		return 0, todo, err
	}
	n, err = r.attempt(ctx, tx, "put back values of "+x.Home.String(), query+" AND d.n NOT IN ("+numbered(left)+")")
	if err != nil && taken(err) {
		return 0, todo, nil
	}
	return n, left, err
}

// unblocked parts entries of a restoration that only hold each other's unique values from those whose value some other row has, or one that stays out for that: these are
// marked, because with one of them none of a circle could be written.
func (r *Restorer) unblocked(ctx context.Context, tx engine.Querier, g *target, left []int64) ([]int64, error) {
	x := g.x
	if !x.onward || len(left) == 0 {
		return left, nil
	}
	for more := int64(1); more > 0; {
		var err error
		if more, err = r.taken(ctx, tx, g); err != nil {
			return nil, err
		}
	}
	if !x.work {
		return left, nil
	}
	marked, err := numbers(ctx, tx, fmt.Sprintf("SELECT DISTINCT n FROM %s WHERE reason = '%s' ORDER BY n", r.s.own(x.conflicts()), valueTaken))
	if r.collided != nil {
		r.collided[x] = slices.Compact(slices.Sorted(slices.Values(append(r.collided[x], marked...))))
	}
	return slices.DeleteFunc(left, func(n int64) bool {
		_, found := slices.BinarySearch(marked, n)
		return found
	}), err
}

// collide marks the entries of a FROM clause, of which writing has shown that their unique values are taken.
func (r *Restorer) collide(ctx context.Context, tx engine.Querier, x *restoring, from string) error {
	if r.collided != nil {
		entries, err := numbers(ctx, tx, "SELECT d.n FROM "+from)
		if err != nil || len(entries) == 0 {
			return err
		}
		r.collided[x] = append(r.collided[x], entries...)
	}
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s", valueTaken, from))
}

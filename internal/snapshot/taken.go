package snapshot

import (
	"context"
	"fmt"
	"slices"

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
	var found int64
	for _, key := range slices.Concat(g.t.Keys, g.t.Unique) {
		var on []string
		for _, c := range key.Columns {
			i := slices.IndexFunc(g.fields, func(i int) bool { return r.column(g.t, x.Fields[i].Name) == c })
			if i < 0 {
				break
			}
			on = append(on, s.points("t."+s.q(c), "d."+x.v(g.fields[i]), x.Fields[g.fields[i]], g.t.Columns[columnIndex(g.t, c)]), "t."+s.q(c)+" IS NOT NULL")
		}
		if len(on) < 2*len(key.Columns) {
			continue
		}
		n, err := r.marked(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s d JOIN %s t ON %s WHERE %s", valueTaken, s.own(x.data()), s.f.from(s.db, g.t), all(on...),
			all(append([]string{x.inserted(false), r.free(x)}, known...)...)))
		if err != nil {
			return found, err
		}
		found += n
	}
	return found, nil
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

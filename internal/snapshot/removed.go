package snapshot

import (
	"context"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// removed marks captured values that have no row to go to. The opposite direction removed it itself, and has captured it; or it is in
// conflict with a newer capture of the same row, and stays out.
func (r *Restorer) removed(ctx context.Context, tx engine.Querier, g *target, c *Capturer) error {
	s, x := r.s, g.x
	if x.Whole || x.spared {
		return nil
	}
	reason := noRow
	var taken []*capture // what Down took
	if c != nil {
		for _, y := range c.captures {
			if y.Kind != Definition && (y.At.Name == x.Home.Name || y.Identity == identity(g.t)) && (y.Kind == Table || y.Kind == Kept || y.Ops) {
				reason, taken = RemovedByDown, append(taken, y)
			}
		}
	}
	var in []string
	for _, y := range taken {
		known := y.Kind != Kept && len(y.Key) > 0 && slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return a.Name == b.Name && a.Decl == b.Decl })
		if !known {
			in = append(in, "1 = 1")
			continue
		}
		var on, by []string
		for i := range y.Key {
			on, by = append(on, fmt.Sprintf("y.%s = d.%s", y.old(i), x.goal(i))), append(by, y.old(i))
		}
		if err := s.search(ctx, tx, y.data(), by...); err != nil {
			return err
		}
		in = append(in, fmt.Sprintf("EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(on...)))
	}
	byDown := either(in)
	missing := fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal))
	if x.work && x.Ops && len(taken) > 0 { // a row that the run inserted, and that the application wrote since, is not where the application left it
		if _, err := exec(ctx, tx, "note conflicts", fmt.Sprintf("UPDATE %s SET reason = '%s' WHERE reason = '%s' AND n IN (SELECT d.n FROM %s WHERE %s)",
			s.own(x.conflicts()), RemovedByDown, changedSince, r.source(x), all("d.op = 'i'", missing, byDown))); err != nil {
			return err
		}
	}
	conditions := []string{x.inserted(false), r.free(x)}
	if x.entire() { // what Down did not take the application has deleted, and it is to come back all the same
		conditions = append(conditions, byDown)
	}
	for _, y := range r.tables() { // what was written over rows that the run had inserted itself goes with them
		if y == x || !y.Ops || y.Rows == 0 || !sameKey(x, y) || !x.Refill && y.Statement >= x.Statement {
			continue
		}
		if born, err := r.born(ctx, tx, y); err != nil {
			return err
		} else if !born {
			continue
		}
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("y.%s = d.%s", k(i), x.goal(i)))
		}
		born := fmt.Sprintf("EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(append(on, "y.op = 'i'")...))
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", letBeGone, r.source(x), all(x.inserted(false), r.free(x), missing, born))); err != nil {
			return err
		}
	}
	conditions[1] = r.free(x)
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", reason, r.source(x), all(append(conditions, missing)...)))
}

// born tells whether a capture has rows that the migration inserted. What a capture has does not change while it goes back.
func (r *Restorer) born(ctx context.Context, tx engine.Querier, x *restoring) (bool, error) {
	if x.births == nil {
		n, err := number(ctx, tx, "look for rows that were inserted", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 AS one FROM %s WHERE op = 'i' LIMIT 1) q", r.s.own(x.data())))
		if err != nil {
			return false, err
		}
		some := n > 0
		x.births = &some
	}
	return *x.births, nil
}

// lost reports bystanders that others wrote since and that the opposite direction has removed: it has captured them as they were then.
func (r *Restorer) lost(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if !x.Bystander || !x.work || len(x.Key) == 0 {
		return nil
	}
	conditions := []string{fmt.Sprintf("w.reason = '%s'", letBe), fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), s.on(x.capture, g.t, "t", "d", g.name, x.goal))}
	for _, y := range r.tables() { // that one says why it stays out
		if y.spared && y.work && sameKey(x, y) {
			conditions = append(conditions, "NOT "+r.standsIn(y, fmt.Sprintf("EXISTS (SELECT 1 FROM %s w WHERE w.n = y.n AND w.reason <> '%s')", s.own(y.conflicts()), letBeGone), false))
		}
	}
	return r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s w JOIN %s ON d.n = w.n WHERE %s", RemovedByDown, s.own(x.conflicts()), r.source(x), all(conditions...)))
}

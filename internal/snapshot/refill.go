package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// An up that follows a rollback also puts back what that one took: rows and values of the application. None of its statements has
// written those, so none has captured what was there before, and the next rollback would leave them where they are. They are captured
// like the rows of a statement; and that rollback captures them before it takes them again.

// refill puts back what a rollback took, and captures what stands there before.
func (r *Restorer) refill(ctx context.Context, tx engine.Querier, tables []*engine.Table, c *Capturer, write func() error) error {
	if c == nil || c.meta.Direction != "up" {
		return write()
	}
	if !r.s.db.Caps.TransactionalDDL {
		r.returning = c
		defer func() { r.returning = nil }()
		return write()
	}
	p, err := c.putting(ctx, tx, tables, "put back")
	if err != nil {
		return err
	}
	c.refill = true
	defer func() { c.refill = false }()
	return c.guarded(ctx, tx, c.statement, p, func() error {
		if err := write(); err != nil {
			return err
		}
		if d, ok := r.s.d.(interface {
			deferred(context.Context, engine.Querier) error
		}); ok { // no trigger goes while checks are outstanding
			return d.deferred(ctx, tx)
		}
		return nil
	})
}

// returned is refill where nothing can be observed: it captures which of the rows that are missing come back with insert, as rows that the
// migration has inserted. Else they would look as if they had been there all along (see Bystanders), and the next rollback would have them stay.
func (r *Restorer) returned(ctx context.Context, tx engine.Querier, g *target, missing string, insert func() error) error {
	c, x, s := r.returning, g.x, r.s
	if c == nil || len(x.Key) == 0 {
		return insert()
	}
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	if c.track.made(g.t) || c.track.keyless(g.t) {
		return insert()
	}
	conditions := []string{missing}
	for _, y := range r.left { // those were there
		var on []string
		for i, f := range x.Key {
			if at := slices.IndexFunc(y.Key, func(h field) bool { return h.At == r.column(g.t, f.Name) && h.Decl == f.Decl }); at >= 0 {
				on = append(on, fmt.Sprintf("y.%s = d.%s", k(at), x.goal(i)))
			}
		}
		if y.At == g.t.Name && len(on) == len(y.Key) {
			conditions = append(conditions, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s y WHERE %s)", s.own(y.data()), all(on...)))
		}
	}
	entries := r.source(x) + " WHERE " + all(conditions...)
	if n, err := number(ctx, tx, "look for rows that come back", "SELECT count(*) FROM "+entries); err != nil {
		return err
	} else if n == 0 {
		return insert()
	}
	c.refill = true
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: g.t, events: events{insert: true}, reason: "put back"})
	c.refill = false
	if err != nil {
		return err
	}
	if len(y.Key) != len(x.Key) || slices.ContainsFunc(x.Key, func(f field) bool {
		return !slices.ContainsFunc(y.Key, func(h field) bool { return h.At == r.column(g.t, f.Name) && h.Decl == f.Decl })
	}) {
		if err := s.drop(ctx, tx, "drop an empty capture", s.own(y.data())); err != nil {
			return err
		}
		return insert()
	}
	names, values := []string{"op"}, []string{"'i'"}
	for i, f := range x.Key {
		at := slices.IndexFunc(y.Key, func(h field) bool { return h.At == r.column(g.t, f.Name) })
		names, values = append(names, k(at)), append(values, "d."+x.goal(i))
	}
	if _, err := exec(ctx, tx, "capture rows that come back", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s ORDER BY d.n", s.own(y.data()), list(names), list(values), entries)); err != nil {
		return err
	}
	if err := insert(); err != nil {
		return err
	}
	there := s.on(y, g.t, "t", "d", func(i int) string { return y.Key[i].At }, k)
	if _, err := exec(ctx, tx, "forget rows that stay out", fmt.Sprintf("DELETE d FROM %s d WHERE NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.own(y.data()), s.f.from(s.db, g.t), there)); err != nil {
		return err
	}
	if y.Rows, err = number(ctx, tx, "count rows that came back", "SELECT count(*) FROM "+s.own(y.data())); err != nil {
		return err
	}
	if y.Rows == 0 {
		return s.drop(ctx, tx, "drop an empty capture", s.own(y.data()))
	}
	return c.record(ctx, tx, y)
}

// leaving captures, where nothing can be observed, the rows that an up is about to remove because a rollback had inserted them: they were there when it began, also where they come
// back at once with other values.
func (r *Restorer) leaving(ctx context.Context, tx engine.Querier, g *target, those string) error {
	c := r.returning
	if c == nil || len(g.x.Key) == 0 || c.track.made(g.t) || c.track.keyless(g.t) {
		return nil
	}
	c.refill = true
	y, err := c.standingIn(ctx, tx, r, g, nil, fmt.Sprintf("(SELECT d.* FROM %s d WHERE %s) d", r.s.own(g.x.data()), those), "1 = 0", false)
	c.refill = false
	if y != nil {
		r.left = append(r.left, y)
	}
	return err
}

// refilled captures rows as an up that followed a rollback had put them back, ahead of what was there before.
func (r *Restorer) refilled(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	if c == nil || c.meta.Direction != "down" {
		return nil
	}
	for _, g := range targets {
		x := g.x
		if !x.Refill || x.Rows == 0 || len(x.Key) == 0 || columnIndex(g.t, g.name(0)) < 0 {
			continue
		}
		entries := r.source(x)
		if free := r.free(x); free != "" {
			entries = "(SELECT d.* FROM " + entries + " WHERE " + free + ") d"
		}
		if _, err := c.standingIn(ctx, tx, r, g, nil, entries, "1 = 0", false); err != nil {
			return err
		}
	}
	return nil
}

// doubles warns of rows that an up has inserted although those of before the rollback come back: they had other keys then, which the
// table gives out, and others may point to either.
func (r *Restorer) doubles(ctx context.Context, tx engine.Querier, targets []*target, c *Capturer) error {
	if c == nil || c.meta.Direction != "up" {
		return nil
	}
	s := r.s
	for _, g := range targets {
		x := g.x
		if !x.Whole || x.Rows == 0 || len(x.Key) == 0 || r.of(x.Home).Inserted == 0 {
			continue
		}
		fields := slices.DeleteFunc(slices.Clone(g.fields), func(i int) bool {
			return slices.ContainsFunc(x.Key, func(f field) bool { return f.Name == x.Fields[i].Name })
		})
		if len(fields) == 0 {
			continue
		}
		kept, live := r.images(g, fields, false)
		for _, y := range c.captures {
			if y.Identity != identity(g.t) || !y.Ops || y.Refill || y.Rows == 0 || len(y.Key) == 0 {
				continue
			}
			n, err := number(ctx, tx, "look for rows that are there twice", fmt.Sprintf(
				"SELECT count(*) FROM (SELECT %s AS h FROM %s d JOIN %s t ON %s WHERE d.op = 'i') i JOIN (SELECT DISTINCT %s AS h FROM %s d WHERE %s) b ON b.h = i.h",
				s.hash(live), s.own(y.data()), s.f.from(s.db, g.t), s.on(y, g.t, "t", "d", func(i int) string { return y.Key[i].At }, k),
				s.hash(kept), s.own(x.data()), all(x.inserted(false))))
			if err != nil {
				return err
			}
			if n > 0 {
				r.notes = append(r.notes, fmt.Sprintf("%s: %d row(s) that the migration has inserted are there a second time, under the keys that they had before the rollback; compare them", x.Home, n))
			}
		}
	}
	return nil
}

// refills tells whether an up captures a table without a key ahead of what comes back, where nothing can be observed: one that had a key when the migration began is not captured so.
func (c *Capturer) refills(t *engine.Table) bool {
	return c != nil && !c.s.db.Caps.TransactionalDDL && c.meta.Direction == "up" && !c.track.made(t) && !c.track.unkeyed[strings.ToLower(t.Name.Name)] && !c.track.unkeyed[""]
}

// returnedBag does the same for a table without a key: it is captured whole ahead of what comes back, unless a statement of the migration has captured it.
func (r *Restorer) returnedBag(ctx context.Context, tx engine.Querier, g *target, exchange func() error) error {
	c := r.capturer // also of what comes back early
	if c == nil || r.s.db.Caps.TransactionalDDL || c.meta.Direction != "up" {
		return exchange()
	}
	if err := c.origins(ctx, tx); err != nil {
		return err
	}
	if !c.refills(g.t) || c.whole[identity(g.t)] {
		return exchange()
	}
	c.whole[identity(g.t)] = true
	c.refill = true
	y, err := c.prepare(ctx, tx, len(c.captures)+1, &action{kind: Rows, table: c.track.seen(g.t), reason: "put back"})
	c.refill = false
	if err != nil {
		return err
	}
	if err := c.copy(ctx, tx, y); err != nil {
		return err
	}
	if err := c.record(ctx, tx, y); err != nil {
		return err
	}
	if err := exchange(); err != nil {
		return err
	}
	if c.writing { // more goes back into it
		c.unsealed = append(c.unsealed, y)
		return nil
	}
	return c.sealBack(ctx, tx, y)
}

// sealBack seals what was captured with rows that went back: statements to come write to it, and others between those.
func (c *Capturer) sealBack(ctx context.Context, tx engine.Querier, y *capture) error {
	if err := c.seal(ctx, tx, slices.Index(c.captures, y), y, nil); err != nil {
		return fmt.Errorf("seal what stood in %s: %w", y.Home, err)
	}
	return c.s.finish(ctx, tx, y)
}

package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// underLock captures around a statement that commits by itself, or that no transaction holds: LOCK TABLES keeps everybody else
// out of its tables from before the capture until the statement has run. Each step is there at once: the capture and
// its row in the catalog before the statement begins.
func (c *Capturer) underLock(ctx context.Context, q engine.Querier, n int, p *plan, run func() error) (err error) {
	if err := c.lockable(ctx, q, p.actions); err != nil {
		return err
	}
	var made []*capture
	var seals []*following
	for i, a := range p.actions {
		x, err := c.prepare(ctx, q, n, a)
		if err != nil {
			return err
		}
		x.suffix, x.Ahead = itoa(i), true
		made, seals = append(made, x), append(seals, &following{x: x})
	}
	if c.watching != nil {
		if err := c.room(ctx, c.s.db, p, seals...); err != nil {
			return err
		}
	}
	// A transaction that is open is ended by LOCK TABLES, but not before the server has refused some tables in it.
	if _, err := exec(ctx, q, "lock before capture", "COMMIT"); err != nil {
		return err
	}
	if err := c.lockTables(ctx, q, p, made); err != nil {
		return err
	}
	defer func() {
		if _, unlock := exec(context.WithoutCancel(ctx), q, "unlock tables", "UNLOCK TABLES"); unlock != nil && err == nil {
			err = unlock
		}
	}()
	for _, a := range p.actions {
		if err := c.stands(ctx, a.table); err != nil {
			return err
		}
	}
	for _, f := range p.follows {
		if f.t == nil {
			continue
		}
		if err := c.stands(ctx, f.t); err != nil {
			return err
		}
	}
	if err := c.compareBags(ctx, q, p); err != nil {
		return err
	}
	for i, a := range p.actions {
		if !c.anew(p, a) {
			made[i] = nil
		} else if len(a.table.Keys) == 0 {
			c.whole[identity(a.table)] = true
		}
	}
	made = slices.DeleteFunc(made, func(x *capture) bool { return x == nil })
	had := len(c.captures)
	err = c.s.pinned(ctx, q, func() error {
		for _, x := range made {
			if err := c.copy(ctx, q, x); err != nil {
				return err
			}
			if err := c.record(ctx, q, x); err != nil {
				return err
			}
		}
		if err := c.before(ctx, q, p.follows); err != nil {
			return err
		}
		for i, a := range p.actions {
			if a.stead == nil {
				continue
			}
			for _, x := range made {
				if x.live == p.actions[i].table {
					if err := c.claim(ctx, q, x, a.stead, p.follows); err != nil {
						return fmt.Errorf("compare %s with its seal: %w", a.stead.Name, err)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, c.unrecord(context.WithoutCancel(ctx), q, had))
	}
	if err := run(); err != nil {
		// After an ALTER that failed MariaDB keeps everybody from the table until it is unlocked, those who only look as well.
		calm := context.WithoutCancel(ctx)
		if _, unlock := exec(calm, q, "unlock tables", "UNLOCK TABLES"); unlock == nil && c.untouched(calm, p.actions) {
			return errors.Join(err, c.unrecord(calm, q, had))
		}
		return err
	}
	return c.s.pinned(ctx, q, func() error {
		for _, x := range made {
			if err := c.settle(ctx, q, x); err != nil {
				return err
			}
		}
		if err := c.after(ctx, q, p, made); err != nil {
			return err
		}
		return c.told(ctx, q)
	})
}

// lockable refuses tables that MySQL does not let anybody lock together with ours, which take part in transactions.
func (c *Capturer) lockable(ctx context.Context, q engine.Querier, actions []*action) error {
	i := slices.IndexFunc(actions, func(a *action) bool { return a.table.Engine != "" && a.table.Engine != "InnoDB" })
	if i < 0 || c.s.db.Kind != engine.MySQL {
		return nil
	}
	var mode string
	if err := q.QueryRowContext(ctx, "SELECT @@GLOBAL.enforce_gtid_consistency").Scan(&mode); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if mode != "ON" && mode != "1" {
		return nil
	}
	t := actions[i].table
	return &LossError{Object: t.Name.String(), Reason: "it is a table of " + t.Engine + ", which the server does not let a statement use beside one with transactions (enforce_gtid_consistency)",
		Hint: "make it ENGINE=InnoDB in a migration before this one, or accept the loss: -- +dbrollback no-capture: <reason>"}
}

// beside lists the tables that new foreign keys point to: they have to be locked as well.
func beside(es []effects.Effect) []engine.Name {
	var out []engine.Name
	for _, e := range es {
		if e.Constraint != nil && e.Constraint.Parent.Name != "" {
			out = append(out, engine.Name(e.Constraint.Parent))
		}
		if e.Define != nil {
			for _, c := range e.Define.Constraints {
				if c.Parent.Name != "" {
					out = append(out, engine.Name(c.Parent))
				}
			}
		}
		if e.Column != nil {
			for _, c := range e.Column.Constraints {
				if c.Parent.Name != "" {
					out = append(out, engine.Name(c.Parent))
				}
			}
		}
	}
	return out
}

// lockTables locks the tables of a statement, their copies and what the caller uses.
func (c *Capturer) lockTables(ctx context.Context, q engine.Querier, p *plan, made []*capture) error {
	var names []engine.Name
	modes, aliases := map[engine.Name]string{}, map[engine.Name][]string{}
	add := func(n engine.Name, mode string, as ...string) {
		if modes[n] == "" {
			names, modes[n] = append(names, n), mode
		}
		aliases[n] = append(aliases[n], as...)
	}
	for i, a := range p.actions {
		add(a.table.Name, "WRITE")
		if x := slices.IndexFunc(made, func(x *capture) bool { return x.live == p.actions[i].table }); x >= 0 {
			add(c.s.db.Own(made[x].data()), "WRITE", made[x].d())
		}
	}
	var sealed []*following
	for i, x := range made {
		if x.next != "" {
			sealed = append(sealed, &following{x: x, t: x.live, index: len(c.captures) + i})
		}
	}
	for _, f := range append(sealed, p.follows...) {
		if movers := c.movers(f.index, f.x, f.t); len(movers) > 0 || f.index < 0 && f.x.Seal.Places {
			for _, y := range append(movers, f.x) {
				add(c.s.db.Own(y.data()), "WRITE", y.along())
			}
		}
	}
	for _, n := range c.sealLocks(append(sealed, p.follows...)) {
		add(n, "WRITE")
	}
	add(c.s.catalog, "WRITE")
	for _, n := range c.s.Alongside {
		add(n, "WRITE")
	}
	for _, a := range p.actions {
		if a.stead != nil {
			add(a.stead.Name, "WRITE")
		}
	}
	for _, n := range p.beside {
		if t, err := c.s.db.Resolve(ctx, c.s.db, n); err == nil {
			add(t, "READ")
		} else if !errors.Is(err, engine.ErrNoTable) {
			return err
		}
	}
	var locks []string
	for _, n := range names {
		locks = append(locks, c.s.db.Quote(n)+" "+modes[n])
		slices.Sort(aliases[n])
		for _, as := range slices.Compact(aliases[n]) {
			locks = append(locks, c.s.db.Quote(n)+" AS "+as+" "+modes[n])
		}
	}
	if _, err := exec(ctx, q, "lock before capture", "LOCK TABLES "+list(locks)); err != nil {
		return err
	}
	return nil
}

// untouched tells whether a statement that failed left its tables in their shape; whether it did is not known when the
// connection is gone.
func (c *Capturer) untouched(ctx context.Context, actions []*action) bool {
	return !slices.ContainsFunc(actions, func(a *action) bool { return c.stands(ctx, a.table) != nil || a.reduce })
}

// unrecord takes captures out of the catalog again, from the i-th on: their statement did nothing.
func (c *Capturer) unrecord(ctx context.Context, q engine.Querier, i int) error {
	for _, x := range c.captures[i:] {
		if _, err := exec(ctx, q, "write the catalog", fmt.Sprintf("DELETE FROM %s WHERE id = %s", c.s.db.Quote(c.s.catalog), c.s.db.Arg(1)), x.ID); err != nil {
			return err
		}
	}
	c.captures = c.captures[:i]
	return nil
}

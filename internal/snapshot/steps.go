package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Where DDL is transactional, the statements of a migration that is not one transaction have each their own, and others write between them. What was captured, and what goes
// back, is followed through these as it is where a statement commits by itself (see follow.go): tables of ours can be made within a transaction here, and a table's lock keeps others
// out from the look at its rows to the end of the statement.

// bySteps tells whether others may write between the statements.
func (c *Capturer) bySteps() bool {
	return c != nil && c.watching != nil && (!c.s.db.Caps.TransactionalDDL || c.meta.Steps)
}

// bySteps is the same of the way back.
func (r *Restorer) bySteps() bool { return !r.s.db.Caps.TransactionalDDL || r.Steps }

// foreign is the hash of a row that somebody else wrote between two statements: no row looks like it.
func (s *Store) foreign() string {
	const none = "00000000000000000000000000000000"
	if s.db.Kind == engine.Postgres {
		return `'\x` + none + "'::bytea"
	}
	return "x'" + none + "'"
}

// step locks the tables of the captures that a statement concerns, and marks in these what somebody else wrote since they were sealed.
func (c *Capturer) step(ctx context.Context, tx engine.Querier, st effects.Statement, p *plan) ([]*following, error) {
	if !c.s.db.Caps.TransactionalDDL || !c.bySteps() {
		return nil, nil
	}
	all := slices.Concat(st.Effects, c.effects) // of those that are not to be captured, too
	inserts := !slices.ContainsFunc(all, func(e effects.Effect) bool { return e.Changes() && (e.Kind != effects.Insert || e.Table.Name == "") }) && len(p.opaque) == 0 &&
		!slices.ContainsFunc(p.actions, func(a *action) bool { return len(a.table.Triggers) > 0 })
	changes := slices.ContainsFunc(all, func(e effects.Effect) bool { return e.Changes() && !leavesRows(e) })
	another := func(x *capture) bool { // takes the place that the table of a capture was dropped from, under the name that it had by then
		at, renamed := c.track.stands[strings.ToLower(x.Home.Name)]
		return renamed && x.Seal.Mode == sealAbsent && slices.ContainsFunc(all, func(e effects.Effect) bool { return c.takesPlace(e, at) })
	}
	concerned := func(x *capture) bool {
		if inserts && x.full && len(x.live.Triggers) == 0 {
			return false // its rows are there, and stay as they are
		}
		return x.Kind != Definition && !x.Kind.Stays() && x.Seal.Mode != "" && x.Seal.Mode != sealCovered && x.Seal.Mode != sealNone &&
			(another(x) || changes && ofParts(x.live) || c.replaces(x, x.sealedAt()) || slices.ContainsFunc(all, func(e effects.Effect) bool { return !leavesRows(e) && c.concerns(e, x) }) ||
				slices.ContainsFunc(p.actions, func(a *action) bool { return identity(a.table) == x.Identity || a.table.Name == x.sealedAt() })) // by a foreign key or a trigger
	}
	var out []*following
	for i, x := range c.captures {
		if concerned(x) {
			out = append(out, &following{x: x, index: i})
		}
	}
	if c.restorer != nil {
		for _, x := range c.restorer.tables() {
			m := x.moving
			if x.lost || (x.placed || x.wrote) && (m == nil || !x.placed && !x.held) {
				continue
			}
			if m == nil {
				m = x.follower()
			}
			if m.Seal.Table.Name != "" && !slices.ContainsFunc(p.actions, func(a *action) bool { return a.table.Name == m.sealedAt() }) && c.touches(m.sealedAt(), false) == touchNames {
				if err := c.respell(ctx, tx, []*capture{m}); err != nil {
					return nil, err
				}
				x.moving = m
				continue
			}
			table := (x.Kind == Table || x.Kind == Kept) && len(x.Key) > 0
			if slices.ContainsFunc(all, func(e effects.Effect) bool { // what stands there from now on is another table, or nothing
				return c.takesPlace(e, m.sealedAt()) || ofParts(m.live) && e.Kind == effects.CreateTable || table && e.Kind == effects.DropTable && c.s.sameName(e.Table.Name, m.sealedAt().Name)
			}) {
				if err := c.restorer.leave(ctx, tx, x); err != nil {
					return nil, err
				}
				continue
			}
			if concerned(m) || c.restorer.reached(x, []effects.Statement{st}) {
				out = append(out, &following{x: m, index: -1, back: x})
			}
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	c.last = nil
	end := c.looking()
	for _, f := range out {
		var err error
		if f.t, err = c.now(ctx, tx, f.x); err != nil {
			end()
			return nil, err
		}
	}
	end()
	if err := c.still(ctx, tx, out); err != nil {
		return nil, err
	}
	out, err := c.hit(ctx, tx, st, p, out)
	if err != nil {
		return nil, err
	}
	for _, f := range out {
		if f.back == nil {
			continue
		}
		if f.back.unsealed() {
			f.known = f.back.bag
		}
		f.back.moving = f.x
	}
	return out, c.s.pinned(ctx, tx, func() error {
		if err := c.room(ctx, tx, p, out...); err != nil {
			return err
		}
		return errors.Join(c.compareBags(ctx, tx, &plan{follows: out}), c.before(ctx, tx, out))
	})
}

// ofParts tells whether rows of a table may be in another one: a statement about that one is about them.
func ofParts(t *engine.Table) bool {
	return t != nil && (len(t.Children) > 0 || t.Parent.Name != "" || t.Heir)
}

// hit leaves out the captures of which a statement hits no row, where its predicate tells: those look afterwards as they do now. The locks hold by now.
func (c *Capturer) hit(ctx context.Context, tx engine.Querier, st effects.Statement, p *plan, follows []*following) ([]*following, error) {
	var e effects.Effect
	n := 0
	for _, other := range st.Effects {
		if other.Changes() {
			e, n = other, n+1
		}
	}
	if n != 1 || e.Kind != effects.Update && e.Kind != effects.Delete || len(p.actions) == 0 || len(p.opaque) > 0 {
		return follows, nil
	}
	t := p.actions[0].table
	if t.Kind != "table" || !c.asks(t, e) || slices.ContainsFunc(p.actions, func(a *action) bool {
		return a.table.Name != t.Name || a.kind != Rows || a.moved || a.chain || len(a.table.Triggers) > 0
	}) {
		return follows, nil
	}
	s, from := c.s, c.s.f.from(c.s.db, t)
	if e.Alias != "" {
		from += " AS " + s.q(e.Alias)
	}
	keys := func(x *capture) []string {
		out := slices.Clone(x.Seal.Key)
		for i := len(out); i < len(x.Key); i++ {
			out = append(out, x.Key[i].Name)
		}
		return out
	}
	ask := func(entries string, x *capture) string { // by d, of x or of captures whose rows are known as its are
		by := keys(x)
		return fmt.Sprintf("%s d JOIN (SELECT %s FROM %s WHERE (\n%s\n)) t ON %s", entries, s.db.Idents(by), from, e.Where, s.on(x, t, "t", "d", func(i int) string { return by[i] }, k))
	}
	var hit, small []*following
	err := s.pinned(ctx, tx, func() error {
		for _, f := range follows {
			x := f.x
			switch {
			case f.t == nil || f.t.Name != t.Name || len(x.Key) == 0 || x.Seal.Places || slices.ContainsFunc(keys(x), func(n string) bool { return columnIndex(t, n) < 0 }):
				hit = append(hit, f)
				continue
			case x.Rows <= smallCapture && (len(small) == 0 || slices.Equal(keys(x), keys(small[0].x)) && slices.EqualFunc(x.Key, small[0].x.Key, func(a, b field) bool { return a.Type == b.Type && a.Decl == b.Decl })):
				small = append(small, f)
				continue
			}
			rows, err := number(ctx, tx, "ask what is hit", "SELECT count(*) FROM (SELECT 1 AS one FROM "+ask(s.own(x.data()), x)+" LIMIT 1) h")
			if err != nil {
				return err
			}
			if rows > 0 {
				hit = append(hit, f)
			}
		}
		for part := range slices.Chunk(small, 100) { // asked together: a migration of many statements has as many
			var arms []string
			for i, f := range part {
				columns := []string{itoa(i) + " AS i"}
				for j := range f.x.Key {
					columns = append(columns, k(j))
				}
				arms = append(arms, "SELECT "+list(columns)+" FROM "+s.own(f.x.data()))
			}
			found, err := numbers(ctx, tx, "SELECT DISTINCT d.i FROM "+ask("("+strings.Join(arms, " UNION ALL ")+")", part[0].x))
			if err != nil {
				return fmt.Errorf("ask what is hit: %w", err)
			}
			for _, i := range found {
				hit = append(hit, part[i])
			}
		}
		return nil
	})
	// In the order in which they were made: newer ones look at what older ones say.
	return slices.DeleteFunc(slices.Clone(follows), func(f *following) bool { return !slices.Contains(hit, f) }), err
}

// smallCapture is how many rows a capture has at most that is asked for together with others.
const smallCapture = 20

// still locks the tables of captures against writes of others.
func (c *Capturer) still(ctx context.Context, tx engine.Querier, follows []*following) error {
	var tables []*engine.Table
	for _, f := range follows {
		if f.t != nil {
			tables = append(tables, f.t)
		}
	}
	return c.s.still(ctx, tx, tables)
}

func (s *Store) still(ctx context.Context, tx engine.Querier, tables []*engine.Table) error {
	if len(tables) == 0 {
		return nil
	}
	if err := s.d.lock(ctx, tx, distinct(tables), false); err != nil {
		return fmt.Errorf("lock what was captured: %w", err)
	}
	return nil
}

// still locks the tables that some captures go back into.
func (r *Restorer) still(ctx context.Context, tx engine.Querier, of []*restoring) error {
	var tables []*engine.Table
	for _, x := range of {
		names := []engine.Name{x.Home, x.Seal.Table}
		if x.moving != nil {
			names = append(names, x.moving.Seal.Table)
		}
		for _, n := range names {
			t, err := r.inspect(ctx, tx, n)
			if err != nil {
				return err
			}
			if t != nil {
				tables = append(tables, t)
			}
		}
	}
	return r.s.still(ctx, tx, tables)
}

// locking is what ends a query that locks rows, where the lock of a table does not do so.
func (s *Store) locking(rows string) string {
	if s.db.Caps.TransactionalDDL {
		return ""
	}
	return rows
}

// stepped seals anew what a statement concerned, once it has run.
func (c *Capturer) stepped(ctx context.Context, tx engine.Querier, follows []*following) error {
	c.last = nil
	if len(follows) == 0 {
		return nil
	}
	watch := c.watching(ctx, tx)
	return c.s.pinned(ctx, tx, func() error {
		for _, f := range follows {
			if err := c.sealNow(ctx, tx, f.x, f.index, watch); err != nil {
				return fmt.Errorf("seal the capture of %s: %w", f.x.Home, err)
			}
		}
		return nil
	})
}

// Recast runs a statement of the run's own that gives a column another type, on what its tables are changed on. Captures are followed through it where others write between
// statements: what it makes of the values is told from what these write.
func (c *Capturer) Recast(ctx context.Context, q engine.Querier, st effects.Statement, run func() error) error {
	if !c.bySteps() {
		return run()
	}
	c.effects = st.Effects
	if c.s.db.Caps.TransactionalDDL {
		follows, err := c.step(ctx, q, st, &plan{})
		if err != nil {
			return err
		}
		if err := run(); err != nil {
			return err
		}
		return c.stepped(ctx, q, follows)
	}
	p := &plan{alone: true}
	var err error
	if p.follows, err = c.concerned(ctx, p); err != nil {
		return err
	}
	if len(p.follows) == 0 {
		return run()
	}
	return c.underLock(ctx, q, c.statement, p, run)
}

// compareSum tells whether somebody else wrote to a table without a key since it was sealed.
func (c *Capturer) compareSum(ctx context.Context, tx engine.Querier, f *following) error {
	x := f.x
	if f.known == nil {
		sum, err := c.s.bagSum(ctx, tx, x, f.t)
		x.mixed = sum.Rows != x.Seal.Rows || sum.Sum != x.Seal.Sum
		return err
	}
	for _, y := range c.restorer.tables() { // which rows are whose can be told for the last time
		if y.bag != nil && y.bag == f.known {
			return c.restorer.compareBag(ctx, tx, y, f.t)
		}
	}
	return nil
}

// outlived drops the table of the last seal of a capture, "" for none, and the one that there was room in for the next, where that needs none.
func (s *Store) outlived(ctx context.Context, tx engine.Querier, x *capture, was, next string) error {
	drops := []string{was}
	if x.Seal.Mode != sealRows && x.Seal.Mode != sealBag && len(x.Seal.Rest) == 0 {
		drops = append(drops, next)
	}
	for _, table := range drops {
		if table == "" {
			continue
		}
		if err := s.ddl(ctx, tx, "seal", "DROP TABLE IF EXISTS "+s.own(table)); err != nil {
			return err
		}
	}
	return nil
}

// Stale tells that tables were changed otherwise than by a statement of the migration: what was sealed is sealed anew in the end.
func (c *Capturer) Stale() {
	for _, x := range c.captures {
		x.stale = x.Seal.Mode != ""
	}
}

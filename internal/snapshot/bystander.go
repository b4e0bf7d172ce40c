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

// Up sets status = 'active' where it was NULL, and Down sets it to NULL where it is 'active': that also hits those that were active
// all along. A migration that puts rows in where they are missing has a Down that deletes them, be they its own or not. Such rows
// are bystanders: Up leaves them alone, so nothing captures them, and Down would destroy them.

// bystander is a table of which the opposite direction writes rows that the migration may have left alone.
type bystander struct {
	table   *engine.Table
	columns []string // that it writes; nil: whole rows are at stake
	where   []reached
	all     bool // which rows it hits cannot be asked for: all of them are captured
	emptied bool // with all tables that point to it
	parent  *bystander
	fk      engine.ForeignKey // by which the parent's rows carry a change on to it
	made    *capture
	stamps  bool // columns that a write changes along, sealed by themselves: what the application wrote since into others leaves those that the statement names as they are
}

func (b *bystander) keyless() bool { return len(b.table.Keys) == 0 }

// reached is a predicate of the opposite direction, and what it calls the table.
type reached struct{ ref, condition string }

// Bystanders captures, at the end of a migration, the rows that it left alone and that the opposite direction would write, and seals
// them at once. n is the number of the last statement. What others changed about them since is theirs and stays, as with rows that came later.
func (c *Capturer) Bystanders(ctx context.Context, tx engine.Querier, n int, opposite []effects.Statement, watch func(context.Context, engine.Querier) Watch) error {
	look := tx
	if !c.s.db.Caps.TransactionalDDL {
		look = c.s.db // see Statement
	}
	if err := c.unmoved(ctx, tx); err != nil {
		return err
	}
	var found []*bystander
	listed := opposite
	opposite = c.s.calledNow(opposite)
	c.written = nil
	fed, others := map[effects.Name]int{}, 0 // tables that were looked at because rows go into them, and how many statements had done anything else by then
	for i, st := range opposite {
		es, err := c.s.normal(ctx, look, st.Effects)
		if err != nil {
			return err
		}
		if st.Opaque() {
			text, err := c.wording(ctx, look, st, listed[:i])
			if err != nil {
				return err
			}
			if found, err = c.suspected(ctx, look, found, text, nil, listed[:i]); err != nil {
				return err
			}
		}
		for _, e := range es {
			if e.Kind == effects.Insert {
				if at, known := fed[e.Table]; known && at == others {
					continue
				}
				fed[e.Table] = others
			} else if others++; !rewrites(e) {
				continue
			}
			if err := c.origins(ctx, look); err != nil {
				return err
			}
			if found, err = c.atStake(ctx, look, found, e, opposite[:i], listed[:i]); err != nil {
				return err
			}
		}
	}
	for i := 0; i < len(found); i++ {
		if err := c.carriedOn(ctx, look, &found, found[i]); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	return c.s.pinned(ctx, tx, func() error {
		var actions []*action
		for _, b := range found {
			a := &action{kind: Rows, table: b.table, columns: b.columns, events: events{update: true}, lossy: true, reason: "left alone"}
			a.sought = slices.ContainsFunc(found, func(o *bystander) bool { return o.parent == b }) // by what follows them
			if b.keyless() {
				a.events = events{} // copied whole: what counts is how many rows there are of each content
			}
			var err error
			// All tables of ours are made before the first of the user's is read.
			if b.made, err = c.prepare(ctx, tx, n, a); err != nil {
				return err
			}
			b.made.Bystander = true
			actions = append(actions, a)
		}
		if err := c.lock(ctx, tx, actions); err != nil {
			return err
		}
		for _, b := range found {
			if err := c.stillThere(ctx, tx, b, watch); err != nil {
				return fmt.Errorf("capture rows of %s that the migration left alone: %w", b.table.Name, err)
			}
		}
		return nil
	})
}

// WritesRows tells whether statements may write rows, so that those of a migration's end are of interest; else Bystanders and Relays have nothing to do.
func WritesRows(opposite []effects.Statement) bool {
	return slices.ContainsFunc(opposite, func(st effects.Statement) bool {
		return st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return rewrites(e) || e.Kind == effects.Insert || e.Kind == effects.Merge
		})
	})
}

// rewrites tells whether an effect may change or remove rows that are there.
func rewrites(e effects.Effect) bool {
	switch e.Kind {
	case effects.Update, effects.Delete, effects.Upsert, effects.Replace:
		return true
	case effects.Truncate:
		return !strings.HasPrefix(e.Detail, "EXCHANGE")
	case effects.Merge:
		return slices.Contains(e.Actions, "update") || slices.Contains(e.Actions, "delete")
	}
	return false
}

// disturbs tells whether a statement before it may change which rows of a table an effect hits.
func (c *Capturer) disturbs(before effects.Statement, e effects.Effect, t *engine.Table) bool {
	apart := func(columns []string) bool {
		return len(columns) > 0 && !slices.ContainsFunc(columns, func(n string) bool {
			return slices.ContainsFunc(e.Reads, func(r string) bool { return c.s.sameName(n, r) })
		})
	}
	computed := len(t.Triggers) > 0 || slices.ContainsFunc(t.Columns, func(x engine.Column) bool { return x.Generated || x.OnUpdate })
	return slices.ContainsFunc(before.Effects, func(b effects.Effect) bool {
		switch {
		case b.Kind == effects.Opaque:
			return true
		case !b.Changes():
			return false
		case b.Table.Name != "" && !c.s.sameName(b.Table.Name, e.Table.Name): // a foreign key may carry it on
			return slices.ContainsFunc(t.ForeignKeys, func(fk engine.ForeignKey) bool {
				return c.s.sameName(fk.Parent.Name, b.Table.Name) && (carries(fk.OnDelete) || carries(fk.OnUpdate))
			})
		case b.Kind == effects.AddColumn || b.Kind == effects.DropColumn || b.Kind == effects.AlterColumnType || b.Kind == effects.Update:
			return computed || !apart(b.Columns)
		}
		return true
	})
}

// carries tells whether a foreign key changes its rows along with those that they point to.
func carries(action string) bool { return action == "CASCADE" || strings.HasPrefix(action, "SET") }

// atStake adds the tables to whose rows an effect of the opposite direction is a danger. Where no statement before it is in the way its predicate hits now what it
// will hit then. before are those by the names of now, listed by their own.
func (c *Capturer) atStake(ctx context.Context, q engine.Querier, found []*bystander, e effects.Effect, before, listed []effects.Statement) ([]*bystander, error) {
	t, err := c.s.inspect(ctx, q, c.track, engine.Name{Schema: e.Table.Schema, Name: e.Table.Name}) // a key that the migration made goes with its column
	if errors.Is(err, engine.ErrNoTable) {
		return found, nil // it is made by the opposite direction itself
	}
	if err != nil {
		return found, err
	}
	fired, err := c.fired(ctx, q, t, e, listed)
	if err != nil {
		return found, err
	}
	if found, err = c.suspected(ctx, q, found, fired.all, t, listed); err != nil || !rewrites(e) || !c.inDanger(t) {
		return found, err
	}
	b := &bystander{table: t, emptied: e.Kind == effects.Truncate && e.Cascade}
	if (e.Kind == effects.Update || e.Kind == effects.Upsert) && len(e.Columns) > 0 {
		p := &planner{s: c.s, q: q, track: c.track}
		if b.columns = p.ownColumns(t, e.Columns); b.columns == nil {
			b.columns = []string{} // only some that the migration made, or that the opposite direction makes
		}
		along := &bystander{table: t, stamps: true, columns: p.ownColumns(t, slices.DeleteFunc(append(p.stamped(t, nil), fired.columns(t)...), func(n string) bool { return slices.Contains(b.columns, n) }))}
		if len(along.columns) > 0 && len(t.Keys) > 0 && !c.held(along) {
			found = join(found, c.reach(along, e, before))
		}
		if len(b.columns) == 0 {
			return found, nil
		}
	}
	if c.held(b) {
		return found, nil
	}
	return join(found, c.reach(b, e, before)), nil
}

// reach notes which rows of a table an effect hits, or that this cannot be asked.
func (c *Capturer) reach(b *bystander, e effects.Effect, before []effects.Statement) *bystander {
	t := b.table
	b.all = true
	if c.asks(t, e) && !slices.ContainsFunc(before, func(st effects.Statement) bool { return c.disturbs(st, e, t) }) {
		ref := e.Alias
		if ref == "" {
			ref = t.Name.Name
		}
		b.all, b.where = false, []reached{{ref, e.Where}}
	}
	return b
}

// inDanger tells whether rows of a table can be captured, and were there before the migration.
func (c *Capturer) inDanger(t *engine.Table) bool {
	switch t.Kind {
	case "table", "partitioned", "partition":
		return !c.track.made(t) && !c.s.db.Mine(t.Name)
	}
	return false
}

// held tells whether the migration has captured all rows of a table, with all that is at stake.
func (c *Capturer) held(b *bystander) bool {
	return slices.ContainsFunc(c.captures, func(x *capture) bool {
		if x.Ops || x.Identity != identity(b.table) || x.Kind == Definition {
			return false
		}
		if b.columns == nil || b.keyless() {
			return x.Whole && (!b.keyless() || len(x.Key) == 0)
		}
		return !slices.ContainsFunc(b.columns, func(n string) bool {
			num := columnIdentity(b.table, b.table.Columns[columnIndex(b.table, n)])
			return !slices.ContainsFunc(c.with(x), func(f field) bool { return f.Num == num })
		})
	})
}

// asks tells whether the predicate of an effect means the same here and now as where it stands: it looks at columns of the row alone, and
// at none whose text the settings of a session read in their own way.
func (c *Capturer) asks(t *engine.Table, e effects.Effect) bool {
	if !e.HasWhere || e.From != "" || e.With != "" || e.Nested || e.Volatile || e.Clock || len(e.Calls) > 0 || e.Reads == nil {
		return false
	}
	return !slices.ContainsFunc(e.Reads, func(n string) bool {
		i := slices.IndexFunc(t.Columns, func(x engine.Column) bool { return c.s.sameName(x.Name, n) })
		return i < 0 || slices.ContainsFunc([]string{"date", "time", "interval", "money"}, func(s string) bool {
			return strings.Contains(strings.ToLower(t.Columns[i].Type), s)
		})
	})
}

// join adds a table to those found, or widens what is at stake of it.
func join(found []*bystander, b *bystander) []*bystander {
	i := slices.IndexFunc(found, func(o *bystander) bool { return o.table.Name == b.table.Name && o.stamps == b.stamps })
	if i < 0 || found[i].parent != nil || b.parent != nil {
		return append(found, b)
	}
	o := found[i]
	o.all, o.emptied, o.where = o.all || b.all, o.emptied || b.emptied, append(o.where, b.where...)
	if o.columns == nil || b.columns == nil {
		o.columns = nil
		return found
	}
	for _, n := range b.columns {
		if !slices.Contains(o.columns, n) {
			o.columns = append(o.columns, n)
		}
	}
	return found
}

// carriedOn adds the tables to which foreign keys carry on what happens to rows of a table.
func (c *Capturer) carriedOn(ctx context.Context, q engine.Querier, found *[]*bystander, b *bystander) error {
	if b.stamps {
		return nil
	}
	for _, fk := range b.table.Referenced {
		goes := b.emptied || b.columns == nil && fk.OnDelete == "CASCADE"
		changes := b.columns == nil && strings.HasPrefix(fk.OnDelete, "SET") || carries(fk.OnUpdate) &&
			(b.columns == nil || slices.ContainsFunc(fk.ParentColumns, func(n string) bool { return slices.Contains(b.columns, n) }))
		known := slices.ContainsFunc(*found, func(o *bystander) bool { return o.parent == b && o.fk.Table == fk.Table && o.fk.Name == fk.Name })
		for up := b; up != nil; up = up.parent {
			known = known || up.table.Name == fk.Table
		}
		if known || !goes && !changes {
			continue
		}
		child, err := c.s.inspect(ctx, q, c.track, fk.Table)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		d := &bystander{table: child, parent: b, fk: fk, emptied: b.emptied, all: b.emptied}
		if !goes {
			d.columns = slices.Clone(fk.Columns)
		}
		if c.inDanger(child) && !c.held(d) {
			*found = append(*found, d)
		}
	}
	return nil
}

// stillThere captures the rows and seals them.
func (c *Capturer) stillThere(ctx context.Context, tx engine.Querier, b *bystander, watch func(context.Context, engine.Querier) Watch) error {
	x, s := b.made, c.s
	var err error
	if b.keyless() {
		err = c.copy(ctx, tx, x)
	} else {
		x.Rows, err = c.leftAlone(ctx, tx, b)
	}
	if err != nil {
		return err
	}
	if x.Rows == 0 {
		return s.drop(ctx, tx, "drop an empty capture", s.own(x.data()))
	}
	if err := c.record(ctx, tx, x); err != nil {
		return err
	}
	if err := c.seal(ctx, tx, len(c.captures)-1, x, watch(ctx, tx)); err != nil {
		return err
	}
	return s.finish(ctx, tx, x)
}

// leftAlone copies the rows at stake that the migration has not captured.
func (c *Capturer) leftAlone(ctx context.Context, tx engine.Querier, b *bystander) (int64, error) {
	if b.parent != nil && !b.emptied {
		if b.parent.made.Rows == 0 {
			return 0, nil
		}
		if b.parent.keyless() { // which of its rows are at stake is not known
			return c.leave(ctx, tx, b, b.made.t(), "")
		}
		return c.leave(ctx, tx, b, b.made.t(), c.follows(b))
	}
	if !b.all {
		var total int64
		err := c.s.within(ctx, tx, "dbrollback_by", true, func() error {
			for i, r := range b.where {
				var but []string
				for _, o := range b.where[:i] {
					if o.ref != r.ref {
						return fmt.Errorf("the table is called %s and %s", o.ref, r.ref)
					}
					but = append(but, "NOT coalesce(("+o.condition+"\n), 1 = 0)")
				}
				n, err := c.leave(ctx, tx, b, c.s.q(r.ref), all(append(but, "("+r.condition+"\n)")...))
				if err != nil {
					return err
				}
				total += n
			}
			return nil
		})
		if err == nil || ctx.Err() != nil {
			return total, err
		}
		// It says more than it seemed to: then all of them.
	}
	return c.leave(ctx, tx, b, b.made.t(), "")
}

// follows is the condition that a row points to one of the parent's that are at stake.
func (c *Capturer) follows(b *bystander) string {
	s, p := c.s, b.parent
	var on []string
	for i, n := range b.fk.ParentColumns {
		on = append(on, fmt.Sprintf("p.%s = %s.%s", s.q(n), b.made.t(), s.q(b.fk.Columns[i])))
	}
	return fmt.Sprintf("EXISTS (SELECT 1 FROM %s p JOIN %s d ON %s WHERE %s)", s.f.from(s.db, p.table), s.own(p.made.data()),
		s.on(p.made, p.table, "p", "d", func(i int) string { return p.made.Key[i].At }, k), all(on...))
}

// leave copies rows for which a condition holds, those left out that the migration itself has captured: of these the older values count.
func (c *Capturer) leave(ctx context.Context, tx engine.Querier, b *bystander, ref, condition string) (int64, error) {
	x, s := b.made, c.s
	if all, err := c.hasAll(ctx, tx, b); err != nil || all {
		return 0, err
	}
	var conditions []string
	if condition != "" {
		conditions = append(conditions, condition)
	}
	conditions = append(conditions, c.uncaptured(b, ref)...)
	names, _ := x.columns()
	values := []string{"'u'"}
	for _, f := range append(slices.Clone(x.Key), x.Fields...) {
		values = append(values, s.f.value(ref+"."+s.q(f.At), f))
	}
	where := ""
	if len(conditions) > 0 {
		where = " WHERE " + all(conditions...)
	}
	return exec(ctx, tx, "capture "+x.At.String(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS %s%s%s", s.own(x.data()), list(names), list(values),
		s.f.from(s.db, b.table), ref, where, s.f.locking))
}

// hasAll tells whether a capture of the migration has all rows of a table, as one of an UPDATE without a condition does: to find that out by its
// key is far cheaper there than to lock and look up each row.
func (c *Capturer) hasAll(ctx context.Context, tx engine.Querier, b *bystander) (bool, error) {
	x, s := b.made, c.s
	if !s.f.keyed {
		return false, nil
	}
	for _, y := range c.captures {
		if y.Identity != x.Identity || y.Kind == Definition || y.Kind == Kept || len(y.Key) == 0 || y.Moved && !y.Still || slices.ContainsFunc(x.Fields, func(f field) bool {
			return !slices.ContainsFunc(c.with(y), func(g field) bool { return g.Num == f.Num })
		}) {
			continue
		}
		left, err := number(ctx, tx, "count rows", fmt.Sprintf("SELECT (SELECT count(*) FROM %s) - (SELECT count(*) FROM %s d JOIN %s t ON %s)", s.f.from(s.db, b.table), s.own(y.data()),
			s.f.from(s.db, b.table), s.on(y, b.table, "t", "d", func(i int) string { return c.nameNow(y, b.table, y.Key[i]) }, k)))
		if err != nil || left == 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// uncaptured gives the conditions that no capture of the migration has a row, as far as that can be said; where it cannot the row is captured twice,
// which does no harm.
func (c *Capturer) uncaptured(b *bystander, ref string) []string {
	x, s := b.made, c.s
	var out []string
	for _, y := range c.captures {
		if y.Identity != x.Identity || y.Kind == Definition || len(y.Key) == 0 {
			continue
		}
		if y.Moved && !y.Still {
			return nil // keys went from row to row
		}
		conditions := []string{s.on(y, b.table, ref, "d", func(i int) string { return c.nameNow(y, b.table, y.Key[i]) }, k)}
		if slices.ContainsFunc(x.Fields, func(f field) bool {
			return !slices.ContainsFunc(c.with(y), func(g field) bool { return g.Num == f.Num })
		}) {
			if !y.Ops {
				continue
			}
			conditions = append(conditions, "d.op = 'i'") // of what it inserted itself nothing is at stake
		}
		from := s.own(y.data())
		if s.f.scans && conditions[0] != "1 = 0" { // as a list it is indexed
			var live, kept []string
			for i := range y.Key {
				live, kept = append(live, ref+"."+s.q(c.nameNow(y, b.table, y.Key[i]))+" COLLATE BINARY"), append(kept, "d."+k(i))
			}
			out = append(out, unlisted(list(live), fmt.Sprintf("SELECT %s FROM %s d WHERE %s", list(kept), from, all(append(conditions[1:], "1 = 1")...))))
			continue
		}
		if s.f.keyed { // where a table is searched for each row unless it has an index, which what is made of it here gets
			columns := []string{}
			for i := range y.Key {
				columns = append(columns, k(i))
			}
			if len(conditions) > 1 {
				columns = append(columns, "op")
			}
			from = fmt.Sprintf("(SELECT DISTINCT %s FROM %s)", list(columns), from)
		}
		out = append(out, fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s d WHERE %s)", from, all(conditions...)))
	}
	return out
}

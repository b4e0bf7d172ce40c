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

// A migration may give a table another name, put a new one in its place, and drop the old one later. Where others write between the statements, they write to the new one
// from the moment that it has the name: before the old one is captured. So what the migration itself puts into the new one is written down by its keys, and sealed, from
// the beginning; when the old one is captured, its rows are told by that from those that somebody else wrote.

// away gives the tables that the migration has renamed, also by the first effects of the n-th statement, and that it will drop, each as the capture that will be made of it.
func (c *Capturer) away(ctx context.Context, n int, es []effects.Effect, first int) ([]*capture, error) {
	if c.s.db.Caps.TransactionalDDL || c.watching == nil {
		return nil, nil
	}
	rest, known := c.ahead(n)
	if !known {
		return nil, nil
	}
	var out []*capture
	for key, o := range c.track.origin {
		at, now := engine.Name{Name: key}, key
		dropped := false
		follow := func(es []effects.Effect) {
			for _, e := range es {
				switch {
				case !c.s.sameName(e.Table.Name, now) || dropped:
				case e.Kind == effects.RenameTable:
					now = e.NewName.Name
				case e.Kind == effects.DropTable:
					dropped = true
				}
			}
		}
		if follow(es[:first]); c.s.sameName(now, o.Name.Name) || dropped {
			continue
		}
		follow(es[first:])
		for _, st := range rest {
			follow(st.Effects)
		}
		if !dropped {
			continue
		}
		t, err := c.s.inspect(ctx, c.s.db, c.track, at)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if t.Kind != "table" && t.Kind != "partitioned" || len(t.Keys) == 0 {
			continue
		}
		x := &capture{Info: Info{Kind: Table, Table: o.Name.String()}, detail: detail{Home: o.Name, Identity: identity(t), At: t.Name, Shape: t, Whole: true}, live: t}
		for _, col := range t.Columns {
			if !col.Generated && !c.track.madeColumn(t, col) {
				x.Fields = append(x.Fields, c.field(t, col))
			}
		}
		for _, k := range t.Keys[0].Columns {
			x.Key = append(x.Key, c.field(t, t.Columns[columnIndex(t, k)]))
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *capture) int { return strings.Compare(a.Home.String(), b.Home.String()) })
	return out, nil
}

// stead gives the table that stands by now in the place of one that is about to be dropped under another name; nil when none does.
func (c *Capturer) stead(ctx context.Context, a *action) (*engine.Table, error) {
	home := c.track.home(a.table)
	if c.s.db.Caps.TransactionalDDL || c.watching == nil || a.kind != Table && a.kind != Kept || home == a.table.Name || c.track.made(a.table) {
		return nil, nil
	}
	t, err := c.s.inspect(ctx, c.s.db, c.track, home)
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil || !c.track.made(t) || t.Kind != "table" && t.Kind != "partitioned" {
		return nil, err
	}
	return t, nil
}

// steads notes the tables that stand in the places of those that a statement drops: they are locked along with these.
func (c *Capturer) steads(ctx context.Context, p *plan) error {
	for _, a := range p.actions {
		t, err := c.stead(ctx, a)
		if err != nil {
			return err
		}
		a.stead = t
	}
	return nil
}

// awaits tells whether the table in whose place rows were put, or written, is still to be captured: which of them somebody else deletes is to be known by then.
func (c *Capturer) awaits(y *capture) bool {
	return (y.New || y.Stands) && !slices.ContainsFunc(c.replaced(), func(x *capture) bool { return x.Home == y.Home })
}

// claim marks the rows of a table that was just captured, and in whose place another one stands, which somebody else wrote there, or deleted from it. What was put there is
// compared with its seals by now.
func (c *Capturer) claim(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table, follows []*following) error {
	s := c.s
	if len(x.Key) == 0 || x.next == "" || !c.knownAlike(x, t) {
		return nil
	}
	name := func(i int) string { return t.Keys[0].Columns[i] }
	data, live := s.own(x.data()), s.db.Quote(t.Name)
	from := fmt.Sprintf("%s LEFT JOIN %s ON %s", data, live, s.on(x, t, live, data, name, k))
	there, gone := live+"."+s.q(name(0))+" IS NOT NULL", live+"."+s.q(name(0))+" IS NULL"
	var theirs, unknown, forget []string
	for _, f := range follows {
		y := f.x
		if !y.New || y.Home != x.Home || y.Seal.Mode != sealRows || len(y.Key) != len(x.Key) || f.t == nil || f.t.Name != t.Name {
			continue
		}
		its, old, next := s.own(y.data()), s.own(y.companion()), s.own(y.companionAt(y.next))
		var on []string
		for i := range x.Key {
			on = append(on, fmt.Sprintf("%s.%s = %s.%s", its, k(i), data, k(i)))
		}
		from += fmt.Sprintf(" LEFT JOIN %[2]s ON %[1]s LEFT JOIN %[3]s ON %[3]s.n = %[2]s.n LEFT JOIN %[4]s ON %[4]s.n = %[2]s.n", all(on...), its, old, next)
		theirs = append(theirs, next+".n IS NOT NULL", all(old+".n IS NOT NULL", gone))
		unknown = append(unknown, its+".n IS NULL")
		// Rows that were put there and are gone are nobody's any more.
		forget = append(forget, fmt.Sprintf("DELETE %[1]s FROM %[1]s LEFT JOIN %[2]s ON %[3]s WHERE %[4]s", its, live, s.on(y, t, live, its, name, k), gone))
	}
	theirs = append(theirs, "("+all(append(unknown, there)...)+")")
	names, values := []string{"n"}, []string{data + ".n"}
	for i := range x.Key {
		if x.nextKeys {
			names, values = append(names, k(i)), append(values, data+"."+k(i))
		}
	}
	var err error
	x.theirs, err = exec(ctx, tx, "compare", fmt.Sprintf("INSERT INTO %s (%s, h) SELECT DISTINCT %s, %s FROM %s WHERE %s", s.own(x.companionAt(x.next)), list(names), list(values), s.foreign(), from, strings.Join(theirs, " OR ")))
	for _, q := range forget {
		if err == nil {
			_, err = exec(ctx, tx, "compare", q)
		}
	}
	return err
}

// takesPlace tells whether an effect puts another table where one of a name was.
func (c *Capturer) takesPlace(e effects.Effect, n engine.Name) bool {
	return e.Kind == effects.CreateTable && c.s.sameName(e.Table.Name, n.Name) && !e.IfExists ||
		(e.Kind == effects.RenameTable || e.Kind == effects.Rename) && c.s.sameName(e.NewName.Name, n.Name)
}

// makes tells whether the statement at hand makes a table of a name, when there is none.
func (c *Capturer) makes(n engine.Name) bool {
	return slices.ContainsFunc(c.effects, func(e effects.Effect) bool {
		return e.Kind == effects.CreateTable && c.s.sameName(e.Table.Name, n.Name)
	})
}

// makesEmpty tells whether all that the statement at hand does is to make a table of a name, without rows.
func (c *Capturer) makesEmpty(n engine.Name) bool {
	return !slices.ContainsFunc(c.effects, func(e effects.Effect) bool {
		return e.Changes() && (e.Kind != effects.CreateTable || !c.s.sameName(e.Table.Name, n.Name) || e.Replaces || e.Define == nil || e.Define.AsSelect)
	})
}

// succeeds tells whether the statement at hand drops the table of a capture, which has another name by now, so that another one counts that was made under its first.
func (c *Capturer) succeeds(ctx context.Context, x *capture, n engine.Name) (bool, error) {
	if c.s.sameName(n.Name, x.Home.Name) || !slices.ContainsFunc(c.effects, func(e effects.Effect) bool { return e.Kind == effects.DropTable && c.s.sameName(e.Table.Name, n.Name) }) {
		return false, nil
	}
	_, err := c.s.db.Resolve(ctx, c.s.db, x.Home)
	if errors.Is(err, engine.ErrNoTable) {
		return false, nil
	}
	return err == nil, err
}

// Anew is told that tables will be made anew from their captures, and that what stands in their places goes: all rows are to come back. It says in which of them others have
// written meanwhile. It comes before Seal.
func (c *Capturer) Anew(ctx context.Context, tx engine.Querier, tables map[engine.Name]bool) ([]engine.Name, error) {
	var told []engine.Name
	if c.s.db.Caps.TransactionalDDL {
		return nil, nil
	}
	var of []*following
	for i, x := range c.captures {
		if x.Kind == Definition || x.Kind.Stays() || !tables[x.Home] && !c.awaits(x) || x.Seal.Mode != sealAbsent && x.Seal.Mode != sealPresent && x.Seal.Mode != sealRows && x.Seal.Mode != sealBag {
			continue
		}
		f := &following{x: x, index: i}
		of = append(of, f)
		if x.Seal.Table.Name == "" || len(x.Key) == 0 || x.stale {
			continue
		}
		t, err := c.s.db.Inspect(ctx, c.s.db, x.sealedAt())
		if err != nil && !errors.Is(err, engine.ErrNoTable) {
			return nil, err
		}
		if f.t = t; err == nil {
			if err := c.room(ctx, c.s.db, &plan{}, f); err != nil {
				return nil, err
			}
		}
	}
	err := c.s.pinned(ctx, tx, func() error {
		for _, f := range of {
			x := f.x
			if f.t != nil {
				if err := c.compare(ctx, tx, f); err != nil {
					return fmt.Errorf("compare %s with its seal: %w", x.Home, err)
				}
				if x.theirs > 0 && !slices.Contains(told, x.Home) {
					told = append(told, x.Home)
				}
			}
			x.stale = false
			if err := c.unseal(ctx, tx, x); err != nil {
				return err
			}
		}
		return nil
	})
	return told, err
}

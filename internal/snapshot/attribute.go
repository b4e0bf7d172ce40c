package snapshot

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// An attribute that goes from a composite type, or a column from a table, goes from every stored value of that type, wherever it is. The text of such a value says nothing
// of which attribute is which, and Down makes the attribute the last one: the value could come back in another order and nobody would see it. So up refuses.

// attributes has what may take an attribute from stored values rehearsed, which shows whose.
func (p *planner) attributes(ctx context.Context, e effects.Effect) error {
	if p.seen || p.track == nil || !p.track.up || p.track.accepts() || p.s.f.rowTypes == "" {
		return nil
	}
	if e.DropsAttribute() {
		p.opaque("an attribute goes from every value of type " + e.Object.Name.Name)
	}
	if e.Kind != effects.DropColumn {
		return nil
	}
	n, err := number(ctx, p.q, "look for columns of row types", p.s.f.rowTypes)
	if err == nil && n > 0 {
		p.opaque("a column goes, beside columns of row types")
	}
	return err
}

// ValuePlace is a column of a table.
type ValuePlace struct {
	Table  engine.Name
	Column string
}

// attributesOf are the attributes, separated by blanks, that the values of columns have by their row types, themselves or within others. The second query takes a
// while; where nothing is of such a type it is not asked.
type attributesOf map[ValuePlace]string

func (f *flavour) attributesOf(ctx context.Context, q engine.Querier) (attributesOf, error) {
	if f.attributes == "" {
		return nil, nil
	}
	n, err := number(ctx, q, "look for values of row types", "SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'c'")
	if err == nil && n == 0 {
		n, err = number(ctx, q, "look for values of row types", f.rowTypes)
	}
	if err != nil || n == 0 {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, f.attributes)
	if err != nil {
		return nil, fmt.Errorf("look for values of row types: %w", err)
	}
	defer rows.Close()
	out := attributesOf{}
	for rows.Next() {
		var p ValuePlace
		var list string
		if err := rows.Scan(&p.Table.Schema, &p.Table.Name, &p.Column, &list); err != nil {
			return nil, fmt.Errorf("look for values of row types: %w", err)
		}
		out[p] = list
	}
	return out, rows.Err()
}

// lost finds the columns that stand as they did, but for attributes of their values.
func (a attributesOf) lost(ctx context.Context, q engine.Querier, f *flavour) ([]ValuePlace, error) {
	if len(a) == 0 {
		return nil, nil
	}
	now, err := f.attributesOf(ctx, q)
	var out []ValuePlace
	for p, list := range a {
		left, there := now[p]
		if there && slices.ContainsFunc(strings.Fields(list), func(x string) bool { return !slices.Contains(strings.Fields(left), x) }) {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(x, y ValuePlace) int {
		return cmp.Compare(x.Table.String()+"."+x.Column, y.Table.String()+"."+y.Column)
	})
	return out, err
}

// intact refuses what takes an attribute from values that are there. Nobody writes one until the end.
func (c *Capturer) intact(ctx context.Context, tx engine.Querier, lost []ValuePlace) error {
	if !c.track.up || c.track.accepts() {
		return nil
	}
	for _, l := range lost {
		t, err := c.s.inspect(ctx, tx, c.track, l.Table)
		if err != nil {
			return err
		}
		if c.track.made(t) {
			continue
		}
		if err := c.s.d.lock(ctx, tx, []*engine.Table{t}, false); err != nil {
			return fmt.Errorf("lock %s: %w", t.Name, err)
		}
		n, err := number(ctx, tx, "look at "+t.Name.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s WHERE %s IS DISTINCT FROM NULL LIMIT 1) x", c.s.f.from(c.s.db, t), c.s.db.Ident(l.Column)))
		if err != nil {
			return err
		}
		if n > 0 {
			return &LossError{Object: t.Name.String() + "." + l.Column, Reason: "an attribute goes from its values, whose type has no place to give it back to",
				Hint: "copy the attribute into a column of its own first and set these values to NULL, or annotate the migration: -- +dbrollback irreversible: <reason>"}
		}
	}
	return nil
}

package snapshot

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// An attribute that goes from a composite type, or a column from a table, goes from every stored value of that type, wherever it is. The text of such a value says nothing
// of which attribute is which, and Down makes the attribute the last one: the value could come back in another order and nobody would see it. So up refuses. A rollback
// takes out the attributes that Up has added; it refuses where there is something in them.

// attributes has what may take an attribute from stored values rehearsed, which shows whose.
func (p *planner) attributes(ctx context.Context, e effects.Effect) error {
	if p.seen || p.track == nil || p.track.accepts() || p.s.f.rowTypes == "" {
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

// shortened is a column of which the values lose attributes, told as attributesOf tells them.
type shortened struct {
	ValuePlace
	attributes []string
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
func (a attributesOf) lost(ctx context.Context, q engine.Querier, f *flavour) ([]shortened, error) {
	if len(a) == 0 {
		return nil, nil
	}
	now, err := f.attributesOf(ctx, q)
	var out []shortened
	for p, list := range a {
		left, there := now[p]
		gone := slices.DeleteFunc(strings.Fields(list), func(x string) bool { return slices.Contains(strings.Fields(left), x) })
		if there && len(gone) > 0 {
			out = append(out, shortened{p, gone})
		}
	}
	slices.SortFunc(out, func(x, y shortened) int {
		return cmp.Compare(x.Table.String()+"."+x.Column, y.Table.String()+"."+y.Column)
	})
	return out, err
}

// intact refuses what takes an attribute from values that are there. Nobody writes one until the end.
func (c *Capturer) intact(ctx context.Context, tx engine.Querier, lost []shortened) error {
	if c.track.accepts() {
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
		set := c.s.db.Ident(l.Column) + " IS DISTINCT FROM NULL"
		if !c.track.up {
			if set, err = c.set(ctx, tx, l); err != nil {
				return err
			}
		}
		n, err := number(ctx, tx, "look at "+t.Name.String(), fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s WHERE %s LIMIT 1) x", c.s.f.from(c.s.db, t), set))
		if err != nil {
			return err
		}
		if n > 0 && !c.track.up {
			return &LossError{Object: t.Name.String() + "." + l.Column, Reason: "Down takes an attribute from its values, and something was written into that",
				Hint: "copy it into a column of its own, set it to NULL (UPDATE … SET column.attribute = NULL), and roll back again; or say in Down that it may go: -- +dbrollback no-capture: <reason>"}
		}
		if n > 0 {
			return &LossError{Object: t.Name.String() + "." + l.Column, Reason: "an attribute goes from its values, whose type has no place to give it back to",
				Hint: "copy the attribute into a column of its own first and set these values to NULL, or annotate the migration: -- +dbrollback irreversible: <reason>"}
		}
	}
	return nil
}

// set is the condition by which there is something in attributes of a column's values; where they are attributes of what the values hold, that there is a value.
func (c *Capturer) set(ctx context.Context, tx engine.Querier, l shortened) (string, error) {
	column := c.s.db.Ident(l.Column)
	var conditions []string
	for _, a := range l.attributes {
		id := strings.Split(a, ".")
		var name string
		err := tx.QueryRowContext(ctx, `SELECT a.attname FROM pg_catalog.pg_attribute a
			JOIN pg_catalog.pg_type t ON t.typrelid = a.attrelid
			JOIN pg_catalog.pg_attribute c ON c.atttypid = t.oid AND c.attname = $1 AND NOT c.attisdropped
			WHERE a.attrelid = $2::oid AND a.attnum = $3::int2 AND c.attrelid = to_regclass($4)`, l.Column, id[0], id[1], c.s.db.Quote(l.Table)).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) {
			return column + " IS DISTINCT FROM NULL", nil
		}
		if err != nil {
			return "", fmt.Errorf("look for an attribute of %s.%s: %w", l.Table, l.Column, err)
		}
		conditions = append(conditions, "("+column+")."+c.s.db.Ident(name)+" IS DISTINCT FROM NULL")
	}
	return "(" + strings.Join(conditions, " OR ") + ")", nil
}

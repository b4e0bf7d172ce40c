package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// enumAnew gives back the values of an enum of PostgreSQL, which can be renamed but not removed: a type of the old values takes its name and its
// columns. It gives nothing where more than columns may depend on the type, because only who knows that can write the statements.
func (d *differ) enumAnew(k objectKey, b, a *Object) []string {
	if at := renamedValue(b.Values, a.Values); at >= 0 {
		return []string{"ALTER TYPE " + d.name(k.name) + " RENAME VALUE " + literal(a.Values[at]) + " TO " + literal(b.Values[at])}
	}
	if d.after.doubt || b.SQL == "" {
		return nil
	}
	old := k.name
	if old.Name += "_old"; len(old.Name) > 63 || d.after.object(objectKey{kind: k.kind, name: old}) != nil {
		return nil
	}
	for ok, o := range d.after.allObjects() { // functions with such arguments, views, domains, other types
		if o != nil && ok != k && mentions(d.before.dialect, o.SQL, k.name.Name) {
			return nil
		}
	}
	tables := d.after.allTables()
	slices.SortFunc(tables, func(x, y *Table) int { return strings.Compare(x.Name.String(), y.Name.String()) })
	undo := []string{"ALTER TYPE " + d.name(k.name) + " RENAME TO " + d.ident(old.Name), d.createEnum(k, b.Values)}
	for _, t := range tables {
		if t.Unknown || t.Partial || t.Doubt {
			return nil // it may have columns of the type that no migration tells of
		}
		for i := range t.Columns {
			c := &t.Columns[i]
			switch {
			case d.madeSince(t, c, k):
				// gone by then
			case d.isType(c.Type, k.name):
				if d.after.readsColumn(t, c.Name) {
					return nil
				}
				undo = append(undo, d.retype(t, c, k.name))
			case mentions(d.before.dialect, c.Type+" "+c.Default+" "+c.Expression, k.name.Name):
				return nil // an array of it, or a value that is cast to it
			}
		}
	}
	return append(undo, "DROP TYPE "+d.name(old))
}

// madeSince says whether Up made a column, or its table, after it added the value: Down takes it away before it comes to the type.
func (d *differ) madeSince(t *Table, c *Column, enum objectKey) bool {
	if b := d.before.Table(t.Name); b != nil && b.column(c.Name) != nil {
		return false
	}
	order := func(entity string) int { return d.mid.played.order[d.mid.played.last[entity]] }
	return max(order(d.before.childEntity("column", t.Name, c.Name)), order(d.before.tableEntity(t.Name))) > order(d.before.objectEntity(enum))
}

// renamedValue is the place of the one value that has another name, or -1.
func renamedValue(b, a []string) int {
	at := -1
	if len(a) != len(b) {
		return -1
	}
	for i := range b {
		if a[i] == b[i] {
			continue
		}
		if at >= 0 || slices.Contains(b, a[i]) {
			return -1
		}
		at = i
	}
	return at
}

func (d *differ) createEnum(k objectKey, values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = literal(v)
	}
	return "CREATE TYPE " + d.name(k.name) + " AS ENUM (" + strings.Join(list, ", ") + ")"
}

// isType says whether a column's type is one by that name.
func (d *differ) isType(column string, name effects.Name) bool {
	is := typeName(d.before.dialect, column)
	return is == name.String() || name.Schema == d.before.schema && is == name.Name
}

// retype gives a column the new type of the same name. Its default would not follow.
func (d *differ) retype(t *Table, c *Column, name effects.Name) string {
	col, typ := d.ident(c.Name), d.name(name)
	alter := "ALTER TABLE " + d.name(t.Name)
	if c.HasDefault {
		alter += " ALTER COLUMN " + col + " DROP DEFAULT,"
	}
	alter += " ALTER COLUMN " + col + " TYPE " + typ + " USING " + col + "::text::" + typ
	if c.HasDefault {
		alter += ", ALTER COLUMN " + col + " SET DEFAULT " + c.Default
	}
	return alter
}

// readsColumn says whether something that compares values hangs on a column: it would go on comparing with the old type.
func (m *Model) readsColumn(t *Table, column string) bool {
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if mentions(m.dialect, x.Where, column) || x.Expressions && mentions(m.dialect, strings.Join(x.Columns, " "), column) {
			return true
		}
	}
	for i := range t.Constraints {
		c := &t.Constraints[i]
		if c.Kind != "primary key" && c.Kind != "unique" && (mentions(m.dialect, c.Expression, column) || hasName(c.Columns, column)) {
			return true
		}
	}
	for i := range t.Columns {
		if mentions(m.dialect, t.Columns[i].Expression, column) {
			return true
		}
	}
	for _, o := range m.allObjects() { // views, triggers, policies: of which table the column is they need not say
		if readsFrom(m.dialect, o, t.Name.Name) || m.key(o.Table) == t.Name {
			return true
		}
	}
	return false
}

// renameDefaults: a default that is a value of an enum has its new name when that gets one.
func (m *Model) renameDefaults(n effects.Name, from, to string) {
	for _, t := range m.allTables() {
		for i := range t.Columns {
			if c := &t.Columns[i]; c.HasDefault && usesType(c.Type, n) && slices.Equal(stringsIn(m.dialect, c.Default), []string{from}) {
				w := m.edit(t.Name)
				w.Columns[i].Default = strings.Replace(c.Default, literal(from), literal(to), 1)
				w.SQL = ""
			}
		}
	}
}

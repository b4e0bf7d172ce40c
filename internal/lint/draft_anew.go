package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// anew makes a table of SQLite as it was before Up, from the one that Up left: under another name, filled, the old one dropped, renamed, with its indexes
// and triggers. It is nil where the model does not know all of both, or where something else speaks of the table and would break the renaming.
func (d *differ) anew(k effects.Name) []string {
	b, a := d.before.Table(k), d.mid.Table(k)
	if b == nil || a == nil || b.Partial || b.Doubt || b.Temporary || a.Partial || a.Doubt || len(b.Columns) == 0 || a.Origin.Name != "" && a.Origin != k || d.spokenOfElsewhere(k) {
		return nil
	}
	n := *b
	n.Name.Name += "_back"
	for d.mid.Table(n.Name) != nil || d.before.Table(n.Name) != nil {
		n.Name.Name += "_"
	}
	create, ok := "", false
	if b.SQL != "" {
		create, ok = effects.Under(d.before.dialect, b.SQL, d.ident(n.Name.Name))
	} else {
		create, ok = d.tableSQL(&n), true
	}
	all := d.createTable(b) // the table, then what hangs on it
	if !ok || len(all) == 0 {
		return nil
	}
	var into, from []string
	for i := range b.Columns {
		c := &b.Columns[i]
		var value string
		x := a.column(c.Name)
		if x == nil {
			x = d.renamed(b, a, c)
		}
		if x == nil {
			if value = d.standIn(b, c); value == "" {
				continue
			}
			if b.NoRowID || a.NoRowID {
				return nil
			}
		} else {
			value = d.ident(x.Name)
		}
		if !c.Generated {
			into, from = append(into, d.ident(c.Name)), append(from, value)
		}
	}
	out := []string{create}
	if len(into) > 0 {
		out = append(out, "INSERT INTO "+d.name(n.Name)+" ("+strings.Join(into, ", ")+") SELECT "+strings.Join(from, ", ")+" FROM "+d.name(k))
	}
	return slices.Concat(out, []string{"DROP TABLE " + d.name(k), "ALTER TABLE " + d.name(n.Name) + " RENAME TO " + d.name(k)}, all[1:])
}

// renamed is the column that Up left under another name; nil when it took it away.
func (d *differ) renamed(b, a *Table, c *Column) *Column {
	for i := range a.Columns {
		if now := a.Columns[i].Name; b.column(now) == nil && strings.EqualFold(d.wasCalled(b, now), c.Name) {
			return &a.Columns[i]
		}
	}
	return nil
}

// standIn is the value of a column that Up took away, for as long as it takes until the captured one is back; "" when the column does without.
func (d *differ) standIn(t *Table, c *Column) string {
	if !c.NotNull || c.Generated || len(t.primary()) == 1 && strings.EqualFold(t.primary()[0], c.Name) && affinity(c.Type) == "integer" {
		return ""
	}
	in := func(columns []string) bool {
		return slices.ContainsFunc(columns, func(x string) bool { return strings.EqualFold(x, c.Name) })
	}
	unique := slices.ContainsFunc(t.Constraints, func(x Constraint) bool { return (x.Kind == "unique" || x.Kind == "primary key") && in(x.Columns) }) ||
		slices.ContainsFunc(t.Indexes, func(x Index) bool { return x.Unique && in(x.Columns) })
	switch kind := affinity(c.Type); {
	case unique && kind == "text":
		return "CAST(rowid AS TEXT)"
	case unique:
		return "rowid"
	case c.HasDefault && !strings.EqualFold(c.Default, "null"):
		return ""
	case kind == "text":
		return "''"
	case kind == "blob":
		return "x''"
	}
	return "0"
}

// spokenOfElsewhere says whether a view, or a trigger of another table, names a table: SQLite does not rename one into the place of what such an object misses.
func (d *differ) spokenOfElsewhere(k effects.Name) bool {
	for o := range d.mid.allObjects() {
		x := d.mid.object(o)
		if x == nil || x.Kind != "view" && (x.Kind != "trigger" || x.Table == k) {
			continue
		}
		if slices.ContainsFunc(effects.Tokens(d.mid.dialect, x.SQL), func(t effects.Token) bool { return strings.EqualFold(t.Text, k.Name) }) {
			return true
		}
	}
	return false
}

// triggersOf are those that go and come with a table.
func (d *differ) triggersOf(k effects.Name) []string {
	var out []string
	for _, m := range []*Model{d.before, d.mid} {
		for o := range m.allObjects() {
			if x := m.object(o); x != nil && x.Kind == "trigger" && x.Table == k {
				out = append(out, m.objectEntity(o))
			}
		}
	}
	return out
}

// retyped are the foreign keys that Up takes off and makes again as they were, while both of their sides get other types: none of the two can go back before the other while
// the key is there.
func (d *differ) retyped(changes []change) (drop, add []string) {
	typed := map[string]bool{}
	for _, c := range changes {
		if c.property == "type" && c.verdict == changed {
			typed[c.entity] = true
		}
	}
	if len(typed) < 2 || d.before.dialect == effects.SQLite {
		return nil, nil
	}
	for _, t := range d.before.allTables() {
		for i := range t.Constraints {
			c := &t.Constraints[i]
			parents := c.ParentColumns
			if p := d.before.Table(c.Parent); len(parents) == 0 && c.Kind == "foreign key" && p != nil {
				parents = p.primary()
			}
			both := slices.ContainsFunc(c.Columns, func(x string) bool { return typed[d.before.childEntity("column", t.Name, x)] }) &&
				slices.ContainsFunc(parents, func(x string) bool { return typed[d.before.childEntity("column", d.before.key(c.Parent), x)] })
			if c.Kind != "foreign key" || !both || d.mid.played.last[d.before.childEntity("constraint", t.Name, c.Name)] == nil || slices.ContainsFunc(changes, func(x change) bool { return x.entity == d.before.childEntity("constraint", t.Name, c.Name) }) {
				continue
			}
			drop, add = append(drop, d.dropConstraint(t.Name, c)), append(add, d.addConstraint(t.Name, c))
		}
	}
	return drop, add
}

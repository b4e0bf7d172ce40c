package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// madeAnew says whether a layer dropped a table that was there and made it anew under its name, t.
func madeAnew(layer *Model, k effects.Name, t *Table) bool {
	return t != nil && t.owner == layer && t.Origin.Name == "" && layer.parent.Table(k) != nil
}

// staysAnew says whether a table of PostgreSQL that Up made anew is still that one: what the server named itself bears the name that the table was made under.
func (d *differ) staysAnew(k effects.Name) bool {
	t := d.mid.Table(k)
	return d.before.dialect == effects.Postgres && madeAnew(d.mid, k, t) && d.after.Table(k) == t
}

// madeUp gives a constraint, for drafts, the name back that the server had made up for it.
func (d *differ) madeUp(b, m *Table, x, y *Constraint) {
	if !d.staysAnew(b.Name) || strings.EqualFold(x.Name, y.Name) || m.constraintNamed(x.Name) != nil {
		return
	}
	d.property(d.before.childEntity("constraint", b.Name, x.Name), "name", x.Name, y.Name, true, d.renameConstraint(b.Name, y, x), d.before.tableEntity(b.Name))
	d.out[len(d.out)-1].quiet = true
}

// madeUpSequence does the same for the sequence of a serial column.
func (d *differ) madeUpSequence(b *Table, c *Column) {
	m := d.mid.Table(b.Name)
	if !d.staysAnew(b.Name) || !c.Serial || m.column(c.Name) == nil || !m.column(c.Name).Serial || b.Made.Name == "" {
		return
	}
	was, is := serialSequence(b.Made.Name, c.Name), serialSequence(m.Made.Name, c.Name)
	if was == is && !slices.ContainsFunc(d.mid.moved, func(k effects.Name) bool { return k != b.Name }) {
		return
	}
	change := change{verdict: changed, entity: "sequence " + was, property: "name", before: was, after: is, quiet: true,
		undo: []string{"ALTER SEQUENCE " + d.name(effects.Name{Schema: b.Name.Schema, Name: is}) + " RENAME TO " + d.ident(was)}}
	if was == is { // which was taken when the table was made
		change.undo, change.note = nil, "sequence "+was+" of "+d.before.childEntity("column", b.Name, c.Name)+": the server gave it another name; rename it here (ALTER SEQUENCE … RENAME TO "+d.ident(was)+")"
	}
	d.add(change, d.before.tableEntity(b.Name))
}

// viewAnew gives a view its query back. Views that read it go before, and come back behind.
func (d *differ) viewAnew(k objectKey, b *Object) []string {
	out := d.createObject(k, b)
	if out == nil {
		return nil
	}
	for _, r := range d.readers(k, nil) {
		o := d.before.object(r)
		if o == nil {
			o = d.after.object(r)
		}
		if o.SQL == "" || o.Doubt {
			return nil
		}
		out = append(append(append([]string{d.dropObject(r)}, out...), o.SQL), d.viewIndexes(r)...)
	}
	return out
}

// viewIndexes make those of a materialized view, which go with it.
func (d *differ) viewIndexes(k objectKey) []string {
	t := d.before.Table(k.name)
	if k.kind != "materialized view" || t == nil || t.Doubt {
		return nil
	}
	var out []string
	for i := range t.Indexes {
		out = append(out, d.createIndex(t, &t.Indexes[i]))
	}
	return out
}

// readers are the views that read from a view, those nearest to it first.
func (d *differ) readers(k objectKey, seen []objectKey) []objectKey {
	var near []objectKey
	for r, o := range d.after.allObjects() {
		if o != nil && r != k && readsFrom(d.before.dialect, o, k.name.Name) && !slices.Contains(seen, r) {
			near = append(near, r)
		}
	}
	slices.SortFunc(near, compareKeys)
	for _, r := range near {
		// One that others read as well stands behind all of them.
		seen = append(slices.DeleteFunc(seen, func(s objectKey) bool { return s == r }), r)
	}
	for _, r := range near {
		seen = d.readers(r, seen)
	}
	return seen
}

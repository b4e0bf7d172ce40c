package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func (d *differ) indexes(b, m, a *Table) {
	renamed := map[string]bool{}
	for i := range b.Indexes {
		x := &b.Indexes[i]
		entity := d.before.indexEntity(b, x.Name)
		if y := a.indexNamed(x.Name); y != nil {
			if !d.before.sameIndex(x, y) {
				mi := m.indexNamed(y.Name)
				d.property(entity, "definition", describeIndex(x), describeIndex(y), mi != nil && d.before.sameIndex(mi, y),
					[]string{d.dropIndex(b, y), d.createIndex(b, x)}, d.before.tableEntity(b.Name))
			}
			d.reworked(b, x, y, entity)
			continue
		}
		if d.asConstraint(x, a) && !d.mysql() { // told with the constraint, but made by a statement of its own
			d.add(change{verdict: lost, entity: entity, undo: []string{d.createIndex(b, x)}, quiet: true}, d.before.childEntity("constraint", b.Name, x.Name))
		}
		if x.Implicit || a.Partial && !b.Partial && m == nil || d.moved(x.Name) || d.asConstraint(x, a) {
			continue
		}
		if y := d.sameElsewhere(x, b, a); y != "" && m.indexNamed(x.Name) == nil && m.indexNamed(y) != nil {
			renamed[y] = true
			d.property(entity, "name", x.Name, y, true, d.renameIndex(b, y, x), d.before.tableEntity(b.Name))
			continue
		}
		v := lost
		if m.indexNamed(x.Name) != nil && !madeAnew(d.mid, b.Name, m) {
			v = taken
		}
		d.add(change{verdict: v, entity: entity, before: describeIndex(x), undo: []string{d.createIndex(b, x)}, quiet: v == lost && d.reshaped(x.Columns, b)}, d.before.tableEntity(b.Name))
	}
	for i := range a.Indexes {
		y := &a.Indexes[i]
		if d.asConstraint(y, b) && a.constraintNamed(y.Name) == nil && !d.mysql() {
			d.add(change{verdict: left, entity: d.before.indexEntity(b, y.Name), undo: []string{d.dropIndex(b, y)}, quiet: true})
		}
		if b.indexNamed(y.Name) != nil || d.asConstraint(y, b) || renamed[y.Name] {
			continue
		}
		d.surplus(d.before.indexEntity(b, y.Name), b, y.Columns, m.indexNamed(y.Name) != nil, describeIndex(y), append(d.keysOwn(b, a, y.Name, y.Columns), d.dropIndex(b, y))...)
	}
}

// keysOwn makes the indexes again that MySQL had made for foreign keys, and that it took away when Up made another to serve them: without one the other cannot be dropped.
func (d *differ) keysOwn(b, a *Table, name string, columns []string) []string {
	if !d.mysql() {
		return nil
	}
	rest := a.clone()
	rest.Indexes = slices.DeleteFunc(rest.Indexes, func(x Index) bool { return strings.EqualFold(x.Name, name) })
	rest.Constraints = slices.DeleteFunc(rest.Constraints, func(c Constraint) bool { return strings.EqualFold(c.Name, name) })
	var out []string
	for i := range b.Indexes {
		x := &b.Indexes[i]
		if x.Implicit && prefix(x.Columns, columns) && !covered(rest, x.Columns) {
			out = append(out, d.createIndex(b, x))
		}
	}
	return out
}

// reworked: the server has written an index anew, because a column in it got another type, and does so again when that goes back. For drafts.
func (d *differ) reworked(b *Table, x, y *Index, entity string) {
	if y.Reworked && !x.Reworked && d.before.sameIndex(x, y) {
		var because []string
		for _, c := range b.Columns {
			if mentions(d.before.dialect, strings.Join(append(slices.Clone(x.Columns), x.Where), " "), c.Name) {
				because = append(because, d.before.childEntity("column", b.Name, c.Name))
			}
		}
		d.property(entity, "definition", describeIndex(x), describeIndex(y), true, []string{d.dropIndex(b, y), d.createIndex(b, x)}, because...)
		d.out[len(d.out)-1].quiet = true
	}
}

// sameElsewhere finds an index that says the same under a name which is new.
func (d *differ) sameElsewhere(x *Index, b, a *Table) string {
	for i := range a.Indexes {
		if y := &a.Indexes[i]; b.indexNamed(y.Name) == nil && d.before.sameIndex(x, y) {
			return y.Name
		}
	}
	return ""
}

// moved: the index is there under its name, on another table.
func (d *differ) moved(name string) bool {
	if d.before.mysql() {
		return false
	}
	_, i := d.after.findIndex(effects.Name{}, effects.Name{Name: name})
	return i >= 0
}

// asConstraint: a unique index and a unique constraint of the same name are reported once, as the constraint. On SQLite they may stand side by side.
func (d *differ) asConstraint(x *Index, other *Table) bool {
	return d.before.dialect != effects.SQLite && other.constraintNamed(x.Name) != nil
}

func (d *differ) object(k objectKey) {
	b, m, a := d.before.object(k), d.mid.object(k), d.after.object(k)
	if b != nil && b.Doubt || a != nil && a.Doubt && (m == nil || !m.Doubt || d.after != d.mid && d.after.objects[k] != nil) {
		return
	}
	if d.wentAlong(k) {
		return
	}
	// What hangs on a table that is itself reported, or goes with it, needs no words of its own.
	owner := k.table
	if owner.Name == "" {
		for _, o := range []*Object{b, a} {
			if o != nil && o.Owned.Name != "" {
				owner = o.Owned
			} else if o != nil && o.Table.Name != "" {
				owner = o.Table
			}
		}
	}
	if owner.Name != "" && d.tableIsReported(owner) {
		return
	}
	entity := d.before.objectEntity(k)
	switch {
	case a == nil && b == nil, a == b:
	case b == nil && m != nil && m.Doubt: // it may have been there
	case b == nil:
		v := left
		if m == nil {
			v = extra
			if d.after.maybe(k.name.Name) {
				return
			}
		}
		d.add(change{verdict: v, entity: entity, after: "exists", undo: []string{d.dropObject(k)}})
	case a == nil:
		v := lost
		if m != nil {
			v = taken
		}
		d.add(change{verdict: v, entity: entity, before: "exists", undo: d.createObject(k, b)})
	case a.Doubt:
		// Up altered it in a way that the model does not follow, and Down says nothing about it.
		d.add(change{verdict: changed, entity: entity, property: "definition"})
	default:
		if !d.before.sameObject(b, a) {
			same := m != nil && d.before.sameObject(m, a)
			d.property(entity, "definition", describeObject(b), describeObject(a), same, d.redefine(k, b, a))
		} else if d.before.reworded(b, a) {
			v := wrong
			if m != nil && !d.before.reworded(m, a) {
				v = changed
			}
			d.add(change{verdict: v, entity: entity, property: "text", before: "the same", undo: d.createObject(k, b), mild: true})
		} else if b.Comment != a.Comment {
			d.property(entity, "comment", b.Comment, a.Comment, m != nil && m.Comment == a.Comment,
				[]string{"COMMENT ON " + strings.ToUpper(k.kind) + " " + d.objectName(k) + " IS " + literalOrNull(b.Comment)})
		}
	}
}

// redefine gives an object that is there its definition back.
func (d *differ) redefine(k objectKey, b, a *Object) []string {
	if b.Values != nil && a.Values != nil {
		return d.enumAnew(k, b, a)
	}
	if strings.HasSuffix(k.kind, "view") && d.before.dialect == effects.Postgres {
		return d.viewAnew(k, b)
	}
	return d.createObject(k, b)
}

// wentAlong: its table has another name, which is told, and it is there under that name.
func (d *differ) wentAlong(k objectKey) bool {
	if k.table.Name == "" {
		return false
	}
	n := k
	if t := d.after.Table(k.table); t != nil && t.Origin.Name != "" && t.Origin != k.table {
		n.table = t.Origin
		return d.before.object(n) != nil && d.after.object(k) != nil
	}
	for _, t := range d.after.allTables() {
		if t.Origin == k.table && t.Name != k.table {
			n.table = t.Name
			return d.before.object(k) != nil && d.after.object(n) != nil
		}
	}
	return false
}

func (d *differ) tableIsReported(t effects.Name) bool {
	entity := d.before.tableEntity(t)
	return slices.ContainsFunc(d.out, func(c change) bool { return c.entity == entity && c.property == "" })
}

// settings: alterations that the model does not follow, of which Down says nothing.
func (d *differ) settings() {
	if d.after == d.mid || d.before.dialect != effects.Postgres || d.after.played.opaque {
		return
	}
	names := make([]string, 0, len(d.mid.played.settings))
	for e := range d.mid.played.settings {
		names = append(names, e)
	}
	slices.Sort(names)
	for _, e := range names {
		st := d.mid.played.settings[e]
		if d.after.played.settings[e] != nil || d.after.played.last[e] != nil || !d.settingMatters(e, st) {
			continue
		}
		d.out = append(d.out, change{verdict: changed, entity: e, property: "settings", up: st})
	}
}

// settingMatters: on something that was there before and still is.
func (d *differ) settingMatters(entity string, st *Statement) bool {
	kind, name, _ := strings.Cut(entity, " ")
	if kind != "table" || len(st.Effects) != 1 {
		return false
	}
	for _, e := range st.Effects {
		if d.before.tableEntity(e.Table) != entity {
			continue
		}
		t := d.before.Table(e.Table)
		return t != nil && !t.Doubt && d.after.Table(e.Table) != nil && !d.before.maybe(name)
	}
	return false
}

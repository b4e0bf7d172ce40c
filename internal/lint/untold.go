package lint

import (
	"github.com/dbrollback/dbrollback/internal/effects"
)

// untold is what takes back an effect on something that no migration which could be followed has made, or else what a person has to write about it. The
// comparison of schemas is silent there, and a draft without a word of it would look whole.
func (m *Model) untold(e *effects.Effect) (entity string, undo []string, note string) {
	d := &differ{before: m, mid: m, after: m}
	say := func(entity, how string) (string, []string, string) {
		return entity, nil, entity + ": no migration that could be followed tells what it was before; write here how it " + how
	}
	const back = "is brought back, if it was there"
	t := m.Table(e.Table)
	table := d.name(m.key(e.Table))
	switch e.Kind {
	case effects.DropTable:
		if t == nil && !m.wasDropped(m.key(e.Table)) && (!e.IfExists || m.maybe(e.Table.Name)) && m.findObject("view", e.Table) == nil {
			return say(m.tableEntity(e.Table), back)
		}
	case effects.CreateTable:
		if e.IfExists && t == nil && m.maybe(e.Table.Name) {
			return say(m.tableEntity(e.Table), "is dropped, if it was not there")
		}
	case effects.Alter:
		if isAddValue(*e) {
			if o := m.object(m.keyOf(e.Object, e.Table)); o == nil || o.Doubt {
				return say(m.objectEntity(m.keyOf(e.Object, e.Table)), "gets the values that it had: make it anew, as "+enumByHand)
			}
		}
	case effects.DropColumn, effects.AlterColumnType, effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull, effects.RenameColumn, effects.AddColumn:
		if len(e.Columns) != 1 || t == nil || !t.Partial && !t.Doubt || t.column(e.Columns[0]) != nil {
			break
		}
		entity := m.childEntity("column", e.Table, e.Columns[0])
		switch {
		case e.Kind == effects.AddColumn && !(e.IfExists && m.maybe(e.Columns[0])):
		case e.Kind == effects.RenameColumn:
			return entity, []string{"ALTER TABLE " + table + " RENAME COLUMN " + d.ident(e.NewName.Name) + " TO " + d.ident(e.Columns[0])}, ""
		case e.Kind == effects.AddColumn:
			return say(entity, "is dropped, if it was not there")
		case e.Kind == effects.DropColumn:
			return say(entity, back)
		default:
			return say(entity, "becomes what it was")
		}
	case effects.DropConstraint:
		if (t == nil || t.Partial || t.Doubt) && t.constraintNamed(e.Object.Name.Name) == nil && !m.wasDropped(m.key(e.Table)) {
			return say(m.childEntity("constraint", e.Table, e.Object.Name.Name), back)
		}
	case effects.Create:
		k := m.keyOf(e.Object, e.Table)
		if e.Object.Kind != "index" && (e.Replaces || e.IfExists) && !e.Temporary && m.object(k) == nil && m.maybe(k.name.Name) {
			return say(m.objectEntity(k), "becomes what it was, or is dropped, if it was not there")
		}
	case effects.Drop, effects.Rename:
		return m.untoldObject(d, e, say)
	}
	return "", nil, ""
}

// untoldObject is untold for what is no table.
func (m *Model) untoldObject(d *differ, e *effects.Effect, say func(entity, how string) (string, []string, string)) (entity string, undo []string, note string) {
	if e.Object.Kind == "index" {
		owner, i := m.findIndex(e.Table, e.Object.Name)
		switch {
		case i >= 0, owner == nil && m.knowsAll(), owner != nil && !owner.Partial && !owner.Doubt:
		case e.Kind == effects.Drop:
			return say("index "+e.Object.Name.Name, "is brought back, if it was there")
		case !m.mysql():
			to := effects.Name{Schema: e.Object.Name.Schema, Name: e.NewName.Name}
			return "index " + to.Name, []string{"ALTER INDEX " + pick(e.IfExists, "IF EXISTS ", "") + d.name(to) + " RENAME TO " + d.ident(e.Object.Name.Name)}, ""
		}
		return "", nil, ""
	}
	if e.Kind == effects.Rename || e.Object.Kind == "constraint" {
		return "", nil, ""
	}
	k := m.keyOf(e.Object, e.Table)
	if m.object(k) == nil && m.findObject(e.Object.Kind, e.Object.Name) == nil && m.maybe(k.name.Name) {
		return say(m.objectEntity(k), "is brought back, if it was there")
	}
	return "", nil, ""
}

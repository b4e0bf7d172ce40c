package lint

import (
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// column compares one.
func (d *differ) column(b *Table, bc, mc, ac *Column, entity string) {
	if d.unseen(entity) {
		return
	}
	dialect, t, c := d.before.dialect, d.name(b.Name), d.ident(bc.Name)
	alter := "ALTER TABLE " + t + " ALTER COLUMN " + c
	table := d.before.tableEntity(b.Name)
	add := func(property, before, after string, same bool, undo ...string) {
		if dialect != effects.Postgres {
			undo = d.modify(b, bc)
		}
		d.property(entity, property, before, after, same, undo, table)
	}
	if !sameType(dialect, bc.Type, ac.Type) && !d.doubtfulType(bc.Type, ac.Type) {
		undo := []string{alter + " TYPE " + bc.Type + d.using(bc, ac)}
		if bc.HasDefault && !bc.Serial && bc.Default != ac.Default && sameDefault(dialect, bc, ac) { // it is cast along, to another type
			undo = append(undo, alter+" SET DEFAULT "+bc.Default)
		}
		add("type", bc.Type, ac.Type, mc != nil && sameType(dialect, mc.Type, ac.Type), undo...)
	}
	if bc.NotNull != ac.NotNull {
		add("nullability", nullability(bc), nullability(ac), mc != nil && mc.NotNull == ac.NotNull, alter+pick(bc.NotNull, " SET", " DROP")+" NOT NULL")
	}
	if !sameDefault(dialect, bc, ac) {
		undo := alter + " DROP DEFAULT"
		if bc.HasDefault && bc.Default != "" {
			undo = alter + " SET DEFAULT " + bc.Default
		}
		add("default", orNone(bc), orNone(ac), mc != nil && sameDefault(dialect, mc, ac), undo)
	}
	if bc.Generated != ac.Generated || bc.Generated && !sameText(dialect, bc.Expression, ac.Expression) {
		add("generation expression", bc.Expression, ac.Expression, mc != nil && mc.Expression == ac.Expression)
	}
	if bc.Identity != ac.Identity && !bc.Serial && !ac.Serial {
		add("identity", onOff(bc.Identity), onOff(ac.Identity), mc != nil && mc.Identity == ac.Identity)
	}
	if bc.Serial != ac.Serial && dialect != effects.Postgres {
		add("AUTO_INCREMENT", yesNo(bc.Serial), yesNo(ac.Serial), mc != nil && mc.Serial == ac.Serial)
	}
	if bc.Serial && ac.Serial && mc != nil && mc.Serial && dialect == effects.Postgres && !d.after.strayed && mc.sequenceType() == ac.sequenceType() && ac.sequenceType() != bc.sequenceType() {
		name := effects.Name{Schema: b.Name.Schema, Name: serialSequence(b.Name.Name, bc.Name)}
		add("type of the sequence", bc.sequenceType(), ac.sequenceType(), true, "ALTER SEQUENCE "+d.name(name)+" AS "+bc.sequenceType())
	}
	if !sameText(dialect, bc.OnUpdate, ac.OnUpdate) {
		add("ON UPDATE", bc.OnUpdate, ac.OnUpdate, mc != nil && mc.OnUpdate == ac.OnUpdate)
	}
	if bc.Comment != ac.Comment {
		add("comment", bc.Comment, ac.Comment, mc != nil && mc.Comment == ac.Comment, commentSQL(dialect, t, c, bc.Comment))
	}
	if !strings.EqualFold(bc.Collation, ac.Collation) && (mc == nil || !strings.EqualFold(mc.Collation, bc.Collation) || d.mysql() && d.collates(b, bc) && d.collates(b, ac)) {
		add("collation", bc.Collation, ac.Collation, mc != nil && mc.Collation == ac.Collation)
	}
}

// renamedColumn tells of a column that Down leaves under another name.
func (d *differ) renamedColumn(b *Table, bc *Column, m, a *Table) bool {
	for i := range a.Columns {
		now := a.Columns[i].Name
		if b.column(now) != nil || !strings.EqualFold(d.wasCalled(b, now), bc.Name) {
			continue
		}
		d.property(d.before.childEntity("column", b.Name, bc.Name), "name", bc.Name, now, true,
			[]string{"ALTER TABLE " + d.name(b.Name) + " RENAME COLUMN " + d.ident(now) + " TO " + d.ident(bc.Name)})
		d.out[len(d.out)-1].first = true
		d.column(b, bc, m.column(now), &a.Columns[i], d.before.childEntity("column", b.Name, bc.Name))
		return true
	}
	return false
}

package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// verdict says how the schema after Down differs from that before Up.
type verdict int

const (
	left    verdict = iota // Up made it, Down leaves it
	lost                   // Up destroyed it, Down does not bring it back
	changed                // Up changed it, Down leaves it so
	wrong                  // Down brings it back with another definition
	taken                  // Down destroys what Up had not touched
	extra                  // Down makes what was not there before Up
)

// change is one difference.
type change struct {
	verdict  verdict
	entity   string
	property string // of wrong and changed: "type", "default" …
	before   string // definitions in a few words
	after    string
	up, down *Statement   // which statement of each direction is responsible, when one is
	undo     []string     // statements that lead from after to before
	quiet    bool         // another change tells it: for drafts only
	note     string       // for drafts: what a person has to write, when undo is empty
	mild     bool         // nothing but the writing of it differs
	first    bool         // its undo comes before all others: they go by the names that it gives back
	of       effects.Name // the table that the difference is in
	table    string       // in words
}

// differ compares three layers: before Up, after Up, after Down.
type differ struct {
	before, mid, after *Model
	out                []change
	alias              effects.Name // the name that the table at hand still has after Down
}

func compare(before, mid, after *Model) []change {
	d := &differ{before: before, mid: mid, after: after}
	if mid.played.doubted || after.played.doubted {
		return nil
	}
	for _, k := range d.touchedTables() {
		n := len(d.out)
		d.table(k)
		for i := n; i < len(d.out); i++ {
			d.out[i].table, d.out[i].of = d.before.show(k), k
		}
	}
	for _, k := range d.touchedObjects() {
		d.object(k)
	}
	d.settings()
	return d.out
}

// touchedTables are those that either direction wrote to.
func (d *differ) touchedTables() []effects.Name {
	seen := map[effects.Name]bool{}
	for _, l := range []*Model{d.mid, d.after} {
		if l == d.before {
			continue
		}
		for k := range l.tables {
			seen[k] = true
		}
	}
	out := make([]effects.Name, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b effects.Name) int { return strings.Compare(a.String(), b.String()) })
	return out
}

func (d *differ) touchedObjects() []objectKey {
	seen := map[objectKey]bool{}
	for _, l := range []*Model{d.mid, d.after} {
		for k := range l.objects {
			seen[k] = true
		}
	}
	out := make([]objectKey, 0, len(seen))
	for k := range seen {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}

// add completes a difference with the statements that are responsible for it.
func (d *differ) add(c change, fallback ...string) {
	if c.verdict == extra && d.mid.played.supposed[c.entity] {
		return // it was there: Up would have failed otherwise
	}
	if c.before != "" && c.property == "" && d.spokenOf(c.entity) {
		return // a statement of this migration that is not understood may bring it back
	}
	if c.verdict == left && d.mid.played.unknown[c.entity] && d.comesBack(c.entity) {
		return // Up drops one of that name first, of which only the Down may know what it was
	}
	find := func(m *Model) *Statement {
		if m.played == nil {
			return nil
		}
		for _, e := range append([]string{c.entity, d.aliased(c.entity)}, fallback...) {
			if st := m.played.last[e]; st != nil {
				return st
			}
		}
		return nil
	}
	c.up = find(d.mid)
	if d.after != d.mid {
		c.down = find(d.after)
	}
	d.out = append(d.out, c)
}

// comesBack says whether what Up drops without the model knowing it may be what is there after Down: it must have been there (no IF EXISTS), code may
// have made it, or Down makes one. What Down has only given its name to is another.
func (d *differ) comesBack(entity string) bool {
	st := d.after.played.last[entity]
	return d.mid.played.supposed[entity] || d.before.maybe(entity[strings.LastIndexAny(entity, ". ")+1:]) || d.after != d.mid && st != nil &&
		!slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.RenameTable })
}

// spokenOf says whether an opaque statement of this migration mentions an entity.
func (d *differ) spokenOf(entity string) bool {
	name := strings.ToLower(entity[strings.LastIndexAny(entity, ". ")+1:])
	return d.mid.mentioned[name] || d.after.mentioned[name]
}

// aliased is an entity of the table at hand under the name that the table has after Down.
func (d *differ) aliased(entity string) string {
	kind, name, _ := strings.Cut(entity, " ")
	if i := strings.LastIndexByte(name, '.'); i >= 0 && d.alias.Name != "" {
		child := name[i+1:]
		if d.mysql() {
			child = followed(child, name[strings.LastIndexByte(name[:i], '.')+1:i], d.alias.Name)
		}
		return d.before.childEntity(kind, d.alias, child)
	}
	return entity
}

func (d *differ) table(k effects.Name) {
	b, m, a := d.before.Table(k), d.mid.Table(k), d.after.Table(k)
	entity := d.before.tableEntity(k)
	switch {
	case b != nil && b.Doubt, a != nil && (a.Doubt || a.Temporary):
		return
	case b == nil && a == nil:
		return
	case b == nil && !a.Unknown:
		if d.after.maybe(k.Name) && m == nil || a.Origin.Name != "" && a.Origin != k && d.before.Table(a.Origin) != nil && d.after.Table(a.Origin) == nil {
			return // a rename: reported where the old name is missing
		}
		v := left
		if m == nil {
			v = extra
		}
		d.add(change{verdict: v, entity: entity, after: "exists", undo: []string{d.drop("TABLE", k)}})
		return
	case b == nil:
		b = &Table{Name: k, Partial: true, Unknown: true}
	case a == nil:
		if b.Unknown || d.renamedTable(k, b) {
			return
		}
		v := lost
		if m != nil && !madeAnew(d.mid, k, m) {
			v = taken
		}
		d.add(change{verdict: v, entity: entity, before: "exists", undo: d.createTable(b)})
		return
	}
	if a.Unknown && !b.Unknown && m == nil {
		return
	}
	d.inTable(b, m, a)
}

// inTable compares a table that is there before and after.
func (d *differ) inTable(b, m, a *Table) {
	entity := d.before.tableEntity(b.Name)
	d.columns(b, m, a)
	d.constraints(b, d.unrenamed(b, m), d.unrenamed(b, a))
	d.indexes(b, d.unrenamed(b, m), d.unrenamed(b, a))
	if b.Comment != a.Comment && !(b.Unknown && a.Comment == "") {
		d.property(entity, "comment", b.Comment, a.Comment, m != nil && m.Comment == a.Comment, []string{commentSQL(d.before.dialect, d.name(b.Name), "", b.Comment)})
	}
	if b.RowSecurity != a.RowSecurity && !b.Unknown {
		d.property(entity, "row level security", onOff(b.RowSecurity), onOff(a.RowSecurity), m != nil && m.RowSecurity == a.RowSecurity,
			[]string{"ALTER TABLE " + d.name(b.Name) + pick(b.RowSecurity, " ENABLE", " DISABLE") + " ROW LEVEL SECURITY"})
	}
	if b.ForceRows != a.ForceRows && !b.Unknown {
		d.property(entity, "forced row level security", onOff(b.ForceRows), onOff(a.ForceRows), m != nil && m.ForceRows == a.ForceRows,
			[]string{"ALTER TABLE " + d.name(b.Name) + pick(b.ForceRows, " FORCE", " NO FORCE") + " ROW LEVEL SECURITY"})
	}
	if b.PartitionOf != a.PartitionOf && !b.Unknown && !a.Unknown {
		var undo []string
		if a.PartitionOf.Name != "" && d.before.dialect == effects.Postgres {
			undo = append(undo, "ALTER TABLE "+d.name(a.PartitionOf)+" DETACH PARTITION "+d.name(a.Name))
		}
		if b.PartitionOf.Name != "" && b.Bound != "" {
			undo = append(undo, "ALTER TABLE "+d.name(b.PartitionOf)+" ATTACH PARTITION "+d.name(b.Name)+" "+b.Bound)
		}
		d.property(entity, "partition of", b.PartitionOf.String(), a.PartitionOf.String(), m != nil && m.PartitionOf == a.PartitionOf, undo)
	}
}

func yesNo(b bool) string { return pick(b, "yes", "no") }

func onOff(b bool) string { return pick(b, "enabled", "disabled") }

func pick(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// property adds a difference in one property; same says that it is as Up left it.
func (d *differ) property(entity, property, before, after string, same bool, undo []string, fallback ...string) {
	v := wrong
	if same {
		v = changed
	}
	d.add(change{verdict: v, entity: entity, property: property, before: before, after: after, undo: undo}, fallback...)
}

func (d *differ) columns(b, m, a *Table) {
	table := d.before.tableEntity(b.Name)
	for i := range b.Columns {
		bc := &b.Columns[i]
		entity := d.before.childEntity("column", b.Name, bc.Name)
		ac, mc := a.column(bc.Name), m.column(bc.Name)
		if ac != nil {
			d.column(b, bc, mc, ac, entity)
			d.madeUpSequence(b, bc)
			continue
		}
		if a.Partial || d.renamedColumn(b, bc, m, a) {
			continue
		}
		d.missing(entity, b, m, a, mc != nil, describeColumn(bc), d.bringColumn(b, bc), false)
	}
	for i := range a.Columns {
		ac := &a.Columns[i]
		if b.column(ac.Name) != nil {
			continue
		}
		entity := d.before.childEntity("column", b.Name, ac.Name)
		if from := d.wasCalled(b, ac.Name); from != "" && b.column(from) != nil && a.column(from) == nil {
			continue // a rename: reported where the old name is missing
		}
		byUp := m.column(ac.Name) != nil
		if !byUp && b.Partial {
			continue // it may have been there
		}
		if b.Partial && (d.mid.played.last[entity] == nil || d.asked(entity) && d.before.maybe(ac.Name)) {
			continue
		}
		v := left
		if !byUp {
			v = extra
		}
		d.add(change{verdict: v, entity: entity, after: describeColumn(ac),
			undo: []string{"ALTER TABLE " + d.name(b.Name) + " DROP COLUMN " + d.ident(ac.Name)}}, table)
	}
}

// asked says whether Up adds a column only where it is missing.
func (d *differ) asked(entity string) bool {
	st := d.mid.played.last[entity]
	return st != nil && slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.AddColumn && e.IfExists && len(e.Columns) == 1 && d.mid.childEntity("column", e.Table, e.Columns[0]) == entity
	})
}

// missing is something of a table that is not there after Down.
func (d *differ) missing(entity string, b, m, a *Table, atMid bool, before string, undo []string, quiet bool) {
	v := lost
	switch {
	case m == nil && a != nil, d.after != d.mid && madeAnew(d.after, b.Name, a): // Down made the table anew, without it
		v = wrong
	case atMid:
		v = taken
	}
	d.add(change{verdict: v, entity: entity, before: before, after: "", undo: undo, quiet: quiet}, d.before.tableEntity(b.Name))
}

// collates says whether the collation of a column of MySQL is told: where it is written neither there nor with the table, or is one that databases
// have unasked, it may be that of the database.
func (d *differ) collates(t *Table, c *Column) bool {
	switch strings.ToLower(c.Collation) {
	case "":
		return texts[typeBase(c.Type)] > 0 || strings.HasPrefix(c.Type, "varchar") || strings.HasPrefix(c.Type, "char")
	case strings.ToLower(t.Collation), "utf8mb4_0900_ai_ci", "utf8mb4_uca1400_ai_ci", "utf8mb4_unicode_ci", "utf8mb4_general_ci", "utf8_unicode_ci", "utf8_general_ci",
		"utf8mb3_unicode_ci", "utf8mb3_general_ci", "latin1_swedish_ci":
		return false
	}
	return true
}

// unseen says whether the statements did something to the column that the model does not follow.
func (d *differ) unseen(entity string) bool {
	return d.after != d.mid && d.after.played.settings[entity] != nil
}

// doubtfulType: the name of a type that the model saw renamed, or that is written in two ways.
func (d *differ) doubtfulType(a, b string) bool {
	return a == "" || b == "" || strings.Contains(a+b, "%") || strings.Contains(a+b, "?")
}

func nullability(c *Column) string { return pick(c.NotNull, "NOT NULL", "NULL") }

func orNone(c *Column) string {
	switch {
	case c.Serial:
		return "a sequence"
	case !c.HasDefault:
		return "none"
	}
	return strings.Join(strings.Fields(c.Default), " ")
}

func (d *differ) constraints(b, m, a *Table) {
	bs, as := slices.Clone(b.Constraints), slices.Clone(a.Constraints)
	// Those that say the same are the same, whatever they are called; first those with the same name as well.
	for _, named := range []bool{true, false} {
		bs = slices.DeleteFunc(bs, func(x Constraint) bool {
			i := slices.IndexFunc(as, func(y Constraint) bool {
				sameName := strings.EqualFold(x.Name, y.Name)
				return d.before.sameConstraint(&x, &y) && (sameName || !named && d.cosmetic(m, x, y))
			})
			if i < 0 {
				return false
			}
			d.madeUp(b, m, &x, &as[i])
			as = slices.Delete(as, i, i+1)
			return true
		})
	}
	for _, x := range bs {
		entity := d.before.childEntity("constraint", b.Name, x.Name)
		if i := slices.IndexFunc(as, func(y Constraint) bool { return strings.EqualFold(x.Name, y.Name) }); i >= 0 {
			y := as[i]
			as = slices.Delete(as, i, i+1)
			mi := m.constraintNamed(y.Name)
			drop := d.dropConstraint(b.Name, &y)
			if d.mysql() && y.Kind == "primary key" && len(y.Columns) == 1 && b.column(y.Columns[0]) == nil && a.counts(y.Columns[0]) {
				drop = "" // a column that counts has no life without it: it goes with the column
			}
			d.property(entity, "definition", describeConstraint(&x), describeConstraint(&y), mi != nil && d.before.sameConstraint(mi, &y),
				[]string{drop, d.addConstraint(b.Name, &x)}, d.before.tableEntity(b.Name))
			continue
		}
		if a.Partial && !b.Partial {
			continue
		}
		if i := slices.IndexFunc(as, func(y Constraint) bool {
			return d.before.sameConstraint(&x, &y) && m.constraintNamed(y.Name) != nil && m.constraintNamed(x.Name) == nil
		}); i >= 0 {
			y := as[i]
			as = slices.Delete(as, i, i+1)
			d.property(entity, "name", x.Name, y.Name, true, d.renameConstraint(b.Name, &y, &x), d.before.tableEntity(b.Name))
			continue
		}
		d.missing(entity, b, m, a, m.constraintNamed(x.Name) != nil, describeConstraint(&x), []string{d.bringConstraint(b, a, &x)}, d.reshaped(x.Columns, b))
	}
	for _, y := range as {
		d.surplus(d.before.childEntity("constraint", b.Name, y.Name), b, y.Columns, m.constraintNamed(y.Name) != nil, describeConstraint(&y), append(d.keysOwn(b, a, y.Name, y.Columns), d.dropConstraint(b.Name, &y))...)
	}
}

func (d *differ) renameConstraint(t effects.Name, from, to *Constraint) []string {
	if d.before.dialect == effects.Postgres {
		return []string{"ALTER TABLE " + d.name(t) + " RENAME CONSTRAINT " + d.ident(from.Name) + " TO " + d.ident(to.Name)}
	}
	return []string{d.dropConstraint(t, from), d.addConstraint(t, to)}
}

// cosmetic: names that the engine gave differ, and no statement gave the new one.
func (d *differ) cosmetic(m *Table, x, y Constraint) bool {
	if x.Kind == "primary key" && m == nil {
		return true
	}
	if c := m.constraintNamed(y.Name); c != nil && !c.Generated && m.constraintNamed(x.Name) == nil {
		return false // Up named it
	}
	return x.Generated || y.Generated || x.Kind == "primary key"
}

// reshaped: a column that is itself reported tells the rest.
func (d *differ) reshaped(columns []string, b *Table) bool {
	for _, c := range columns {
		entity := d.before.childEntity("column", b.Name, c)
		for i := range d.out {
			if d.out[i].entity == entity && d.out[i].property == "" {
				return true
			}
		}
	}
	return false
}

// surplus is a constraint or index that is there after Down only.
func (d *differ) surplus(entity string, b *Table, columns []string, atMid bool, after string, undo ...string) {
	v := left
	if !atMid {
		v = extra
		if b.Partial {
			return
		}
	}
	if b.Partial && d.mid.played.last[entity] == nil {
		return
	}
	quiet := d.reshaped(columns, b)
	stays := slices.ContainsFunc(columns, func(c string) bool { return !d.reshaped([]string{c}, b) })
	if quiet && !(d.mysql() && (strings.HasPrefix(after, "foreign key") || stays)) && !(d.before.dialect == effects.SQLite && strings.HasPrefix(entity, "index ")) {
		// It goes with its column. On MySQL the column does not go before the foreign key, and of an index over others only itself; on MariaDB not before such a unique one. On SQLite it does not go before any.
		return
	}
	d.add(change{verdict: v, entity: entity, after: after, undo: undo, quiet: quiet}, d.before.tableEntity(b.Name))
}

// counts tells whether a column gives its numbers itself.
func (t *Table) counts(column string) bool {
	c := t.column(column)
	return c != nil && (c.Identity || c.Serial)
}

func (t *Table) constraintNamed(name string) *Constraint {
	if t == nil {
		return nil
	}
	if i := t.constraint(name); i >= 0 {
		return &t.Constraints[i]
	}
	return nil
}

func (t *Table) indexNamed(name string) *Index {
	if t == nil {
		return nil
	}
	if i := t.index(name); i >= 0 {
		return &t.Indexes[i]
	}
	return nil
}

// renamedTable reports a rename that Down leaves, and goes on under the new name.
func (d *differ) renamedTable(k effects.Name, b *Table) bool {
	for now, m := range d.mid.tables {
		if m == nil || m.Origin != k || now == k {
			continue
		}
		a := d.after.Table(now)
		if a == nil || a.Doubt {
			return a != nil
		}
		verb := " RENAME TO " + d.ident(d.spelt(k).Name)
		if now.Schema != k.Schema {
			verb = " SET SCHEMA " + d.ident(k.Schema)
		}
		d.property(d.before.tableEntity(k), "name", d.before.show(k), d.before.show(now), true, []string{"ALTER TABLE " + d.name(now) + verb}, d.before.tableEntity(now))
		d.out[len(d.out)-1].first = true
		d.alias = now
		d.inTable(b, d.followedBack(m, k), d.followedBack(a, k))
		d.alias = effects.Name{}
		return true
	}
	return false
}

// followedBack is a table of MySQL with the names of constraints that the server gives them when the table has its old name again.
func (d *differ) followedBack(t *Table, old effects.Name) *Table {
	if t == nil || !d.mysql() {
		return t
	}
	c := t.clone()
	for i := range c.Constraints {
		c.Constraints[i].Name = followed(c.Constraints[i].Name, t.Name.Name, old.Name)
	}
	return c
}

// wasCalled is the name that a column had before Up renamed it.
func (d *differ) wasCalled(b *Table, column string) string {
	entity := d.before.childEntity("column", b.Name, column)
	if from := d.mid.played.columns[entity]; from != "" {
		return from
	}
	return d.mid.played.columns[d.aliased(entity)]
}

// unrenamed is a table with its renamed columns under their old names in keys and indexes: the rename is told
// once, where the column is.
func (d *differ) unrenamed(b, t *Table) *Table {
	if t == nil {
		return nil
	}
	var c *Table
	for i := range t.Columns {
		now := t.Columns[i].Name
		from := d.wasCalled(b, now)
		if from == "" || b.column(now) != nil || b.column(from) == nil {
			continue
		}
		if c == nil {
			c = t.clone()
		}
		c.renameInKeys(d.before.dialect, now, from)
	}
	if c == nil {
		return t
	}
	return c
}

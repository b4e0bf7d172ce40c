package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func (m *Model) createTable(e *effects.Effect) {
	k := m.key(e.Table)
	old := m.Table(e.Table)
	if e.IfExists && (old != nil || m.isRelation(e.Table)) {
		return
	}
	if old != nil && !old.Unknown && !old.Doubt && !e.Temporary && !old.Temporary && !m.maybe(k.Name) && !e.Replaces {
		m.fail("table " + m.show(k) + " is there already")
	}
	t := &Table{Name: k, Made: k, Temporary: e.Temporary, owner: m}
	// Under IF NOT EXISTS it may have been there before.
	t.Doubt = e.IfExists && m.maybe(k.Name)
	m.tables[k] = t
	m.touch(m.tableEntity(k))
	def := e.Define
	if def == nil {
		t.Partial = true
		return
	}
	t.Temporary = t.Temporary || def.Temporary
	t.Strict, t.NoRowID = def.Strict, def.NoRowID
	t.Partial = def.AsSelect || len(def.Like) > 0 || len(def.Inherits) > 0
	if def.PartitionOf.Name != "" {
		t.Partial, t.PartitionOf, t.Bound = true, m.key(def.PartitionOf), m.bound()
	}
	for _, c := range def.Columns {
		m.putColumn(t, c)
	}
	for _, c := range m.constraintsOf(def) {
		m.addConstraint(t, c, false)
	}
	m.tableOptions(t)
	if m.played.current != nil && len(m.saying().Effects) == 1 {
		t.SQL = m.saying().SQL
	}
}

// constraintsOf leaves out the references that are written with a column of MySQL, which takes no notice of them
// before release 9.
func (m *Model) constraintsOf(def *effects.TableDef) []effects.ConstraintDef {
	if m.dialect != effects.MySQL {
		return def.Constraints
	}
	return slices.DeleteFunc(slices.Clone(def.Constraints), func(c effects.ConstraintDef) bool { return c.Inline })
}

// putColumn adds a column without its constraints.
func (m *Model) putColumn(t *Table, c effects.ColumnDef) {
	if c.PrimaryKey && m.dialect != effects.SQLite {
		c.NotNull = true
	}
	t.Columns = append(t.Columns, Column{ColumnDef: c, Comment: c.Comment})
	m.touch(m.childEntity("column", t.Name, c.Name))
}

func (m *Model) dropTable(e *effects.Effect) {
	k := m.key(e.Table)
	t := m.Table(e.Table)
	if t == nil {
		// The name may also be that of a view, or of something that no migration made.
		m.missTable(e, k)
		return
	}
	m.detachReferences(k, e)
	m.tables[k] = nil
	if e.Cascade {
		m.doubtTakers(k.Name)
	}
	m.played.cleared[k] = true
	m.touch(m.tableEntity(k))
	for _, i := range t.Indexes {
		m.touch(m.indexEntity(t, i.Name))
	}
	for _, ok := range m.linked().objects[k] {
		if o := m.object(ok); o != nil && (o.Table == k || o.Owned == k) {
			m.objects[ok] = nil
			m.touch(m.objectEntity(ok))
		}
	}
	if e.Cascade {
		m.doubtReaders(k.Name)
	}
	for _, child := range m.hangers(k) { // partitions go with their table
		if child.PartitionOf.Name != "" && m.key(child.PartitionOf) == k {
			gone := *e
			gone.Table = child.Name
			m.dropTable(&gone)
		}
	}
}

func (m *Model) missTable(e *effects.Effect, k effects.Name) {
	if !e.IfExists && m.wasDropped(k) && !m.maybe(k.Name) {
		m.fail("table " + m.show(k) + " is not there any more")
	}
	m.miss(m.tableEntity(k), e)
}

// detachReferences removes the foreign keys that point to a table which goes.
func (m *Model) detachReferences(k effects.Name, e *effects.Effect) {
	if m.dialect == effects.SQLite || m.played.unchecked {
		return // they stay, and dangle
	}
	var together map[effects.Name]bool
	for _, t := range m.hangers(k) {
		if t.Name == k || !t.references(m, k) {
			continue
		}
		if together == nil {
			together = m.droppedTogether()
		}
		if !e.Cascade && !t.Doubt && !together[t.Name] {
			m.fail("table " + m.show(t.Name) + " still has a foreign key to " + m.show(k))
		}
		c := m.edit(t.Name)
		c.Constraints = slices.DeleteFunc(c.Constraints, func(f Constraint) bool {
			gone := f.Kind == "foreign key" && m.key(f.Parent) == k
			if gone {
				m.touch(m.childEntity("constraint", t.Name, f.Name))
			}
			return gone
		})
	}
}

// droppedTogether are the tables that the current statement drops.
func (m *Model) droppedTogether() map[effects.Name]bool {
	out := map[effects.Name]bool{}
	if m.played.current == nil {
		return out
	}
	for _, e := range m.saying().Effects {
		if e.Kind == effects.DropTable {
			out[m.key(e.Table)] = true
		}
	}
	return out
}

func (t *Table) references(m *Model, parent effects.Name) bool {
	for _, c := range t.Constraints {
		if c.Kind == "foreign key" && m.key(c.Parent) == parent {
			return true
		}
	}
	return false
}

// moveTable renames a table or moves it to another schema.
func (m *Model) moveTable(from, to effects.Name) {
	old, now := m.key(from), m.key(to)
	if m.Table(from) == nil {
		if o := m.findObject("view", from); o != nil {
			m.rekey(*o, objectKey{kind: o.kind, name: now, table: o.table, args: o.args})
			return
		}
		if m.wasDropped(old) && !m.maybe(old.Name) {
			m.fail("table " + m.show(old) + " is not there any more")
			return
		}
	}
	c := m.edit(from)
	c.Name, c.SQL = now, ""
	m.tables[old] = nil
	m.put(now, c)
	if m.dialect == effects.Postgres {
		m.moved = append(m.moved, now)
	}
	m.touch(m.tableEntity(old))
	m.touch(m.tableEntity(now))
	for i := range c.Indexes {
		c.Indexes[i].SQL = movedIndex(m.dialect, c.Indexes[i].SQL, old, now)
	}
	for i := range c.Constraints {
		if m.mysql() {
			c.Constraints[i].Name = followed(c.Constraints[i].Name, old.Name, now.Name)
		}
	}
	for _, t := range m.allTables() {
		if !t.references(m, old) {
			continue
		}
		w := m.edit(t.Name)
		for i := range w.Constraints {
			if w.Constraints[i].Kind == "foreign key" && m.key(w.Constraints[i].Parent) == old {
				w.Constraints[i].Parent = now
			}
		}
	}
	m.doubtViews(old.Name)
	for k, o := range m.allObjects() {
		if o.Owned == old {
			m.editObject(k).Owned = now
		}
		if o.Table == old {
			n := k
			n.table = now
			m.rekey(k, n)
			m.objects[n].Table = now
			m.objects[n].SQL = onTable(m.dialect, o.SQL, old, now)
		}
	}
}

// movedIndex is what creates an index whose table is called otherwise; "" where it is to be told by its columns.
func movedIndex(d effects.Dialect, sql string, from, to effects.Name) string {
	if moved := onTable(d, sql, from, to); moved != sql && from.Schema == to.Schema {
		return moved
	}
	return ""
}

// onTable gives what creates a trigger, a policy or a rule the other name of its table, where it stands behind ON or TO.
func onTable(d effects.Dialect, sql string, from, to effects.Name) string {
	return called(d, sql, from.Name, to.Name, "on", "to")
}

// doubtReaders: views that read from what a CASCADE drops go with it, and indexes with those that are materialized.
func (m *Model) doubtReaders(relation string) {
	for k, o := range m.allObjects() {
		if readsFrom(m.dialect, o, relation) {
			m.editObject(k).Doubt = true
			if t := m.Table(k.name); t != nil && t.Unknown {
				m.edit(k.name).Doubt = true
			}
		}
	}
}

// doubtViews: the server follows a rename into the text of views, the model does not.
func (m *Model) doubtViews(name string) {
	for k, o := range m.allObjects() {
		if strings.HasSuffix(k.kind, "view") && !o.Doubt && mentions(m.dialect, o.SQL, name) {
			m.editObject(k).Doubt = true
		}
	}
}

// alterTable follows the alterations that show in a schema and have an opposite.
func (m *Model) alterTable(e *effects.Effect) {
	if e.Table.Name == "" || !m.present(e) {
		return
	}
	what := strings.ToLower(e.Detail)
	switch {
	case strings.HasPrefix(what, "owner to"), strings.Contains(what, " trigger "), strings.HasPrefix(what, "alter constraint"), strings.Contains(what, " rule "):
		return
	case strings.HasSuffix(what, "row level security"):
		t := m.edit(e.Table)
		switch on := !strings.HasPrefix(what, "disable") && !strings.HasPrefix(what, "no "); {
		case strings.Contains(what, "force"):
			t.ForceRows = on
		default:
			t.RowSecurity = on
		}
		m.touch(m.tableEntity(e.Table))
		return
	}
	m.played.settings[m.tableEntity(e.Table)] = m.played.current
}

func (m *Model) partition(e *effects.Effect) {
	child := m.edit(e.Object.Name)
	if e.Kind == effects.AttachPartition {
		child.PartitionOf, child.Bound = m.key(e.Table), m.bound()
	} else {
		child.PartitionOf = effects.Name{}
	}
	m.touch(m.tableEntity(e.Object.Name))
}

// bound reads which rows a partition is for from the current statement.
func (m *Model) bound() string {
	if m.dialect != effects.Postgres || m.played.current == nil {
		return ""
	}
	tokens := effects.Tokens(m.dialect, m.saying().SQL)
	first := slices.IndexFunc(tokens, func(t effects.Token) bool { return t.Kind == effects.Word && t.Text == "values" })
	if first < 1 || tokens[first-1].Text != "for" {
		if n := len(tokens); n > 0 && tokens[n-1].Kind == effects.Word && tokens[n-1].Text == "default" {
			return "DEFAULT"
		}
		return ""
	}
	depth := 0
	for i := first + 1; i < len(tokens); i++ {
		switch tokens[i].Text {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 && (i+1 == len(tokens) || tokens[i+1].Text != "to") {
				return written(m.dialect, tokens[first-1:i+1])
			}
		}
	}
	return ""
}

func (m *Model) dropSchema(e *effects.Effect) {
	if m.dialect != effects.Postgres || e.Object.Kind != "schema" {
		m.doubtAll(false)
		return
	}
	name := e.Object.Name.Name
	k := objectKey{kind: "schema", name: effects.Name{Name: name}}
	if m.object(k) == nil {
		m.missObject(e, k)
	}
	m.removeObject(k, e)
	for _, t := range m.allTables() {
		if t.Name.Schema == name {
			m.dropTable(&effects.Effect{Kind: effects.DropTable, Table: t.Name, Cascade: true, IfExists: true})
		}
	}
	for k := range m.allObjects() {
		if k.name.Schema == name {
			m.objects[k] = nil
			m.touch(m.objectEntity(k))
		}
	}
}

// comment keeps the text of COMMENT ON … IS.
func (m *Model) comment(e *effects.Effect) {
	if m.played.current == nil || e.Detail == "SECURITY LABEL" {
		return
	}
	text := ""
	tokens := effects.Tokens(m.dialect, m.saying().SQL)
	for i := len(tokens) - 1; i > 0; i-- {
		if tokens[i].Kind == effects.Word && tokens[i].Text == "is" {
			for _, t := range tokens[i+1:] {
				if t.Kind == effects.String {
					text += t.Text
				}
			}
			break
		}
	}
	switch {
	case len(e.Columns) == 1 && e.Table.Name != "" && e.Object.Kind == "":
		// The table may be a view or a type, whose columns are not followed.
		if m.Table(e.Table) == nil {
			return
		}
		if c := m.edit(e.Table).column(e.Columns[0]); c != nil {
			c.Comment = text
			m.touch(m.childEntity("column", e.Table, e.Columns[0]))
		}
	case e.Table.Name != "" && e.Object.Kind == "":
		if m.Table(e.Table) == nil {
			return
		}
		m.edit(e.Table).Comment = text
		m.touch(m.tableEntity(e.Table))
	default:
		if k := m.findObject(e.Object.Kind, e.Object.Name); k != nil {
			m.editObject(*k).Comment = text
			m.touch(m.objectEntity(*k))
		}
	}
}

package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func (m *Model) applyColumn(e *effects.Effect) {
	if e.Table.Name == "" || !m.present(e) {
		return
	}
	if e.Kind == effects.AddColumn {
		m.addColumn(e)
		return
	}
	if len(e.Columns) == 0 { // CONVERT TO CHARACTER SET: every column of text
		m.edit(e.Table).Doubt = true
	}
	for _, name := range e.Columns {
		m.changeColumn(m.edit(e.Table), name, e)
	}
}

func (m *Model) addColumn(e *effects.Effect) {
	if e.Column == nil {
		return
	}
	t := m.edit(e.Table)
	if t.column(e.Column.Name) != nil {
		if !e.IfExists && !t.Doubt && !t.Unknown && !m.maybe(e.Column.Name) {
			m.fail("column " + m.show(t.Name) + "." + e.Column.Name + " is there already")
		}
		if m.dialect == effects.MariaDB && e.IfExists { // which adds the keys of a column that it does not add
			for _, c := range e.Column.Constraints {
				if c.Kind != "check" && (c.Kind != "primary key" || t.primary() == nil) {
					m.addConstraint(t, c, false)
				}
			}
		}
		return
	}
	if e.IfExists && t.Partial && !t.Unknown {
		t.Doubt = true // it may have been there before
	}
	m.putColumn(t, *e.Column)
	t.SQL = ""
	for _, c := range e.Column.Constraints {
		if c.Inline && m.dialect == effects.MySQL {
			continue // MySQL takes no notice of it before release 9
		}
		m.addConstraint(t, c, false)
	}
}

func (m *Model) changeColumn(t *Table, name string, e *effects.Effect) {
	c := t.column(name)
	if c == nil {
		m.changeUnknown(t, name, e)
		return
	}
	m.touch(m.childEntity("column", t.Name, c.Name)) // MySQL and SQLite take other letters for the same name
	t.SQL = ""
	switch e.Kind {
	case effects.DropColumn:
		m.dropColumn(t, name, e)
	case effects.RenameColumn:
		m.renameColumn(t, name, e.NewName.Name)
	case effects.AlterColumnType:
		m.alterType(t, c, e)
	case effects.SetDefault:
		if e.Column != nil {
			c.HasDefault, c.Default = true, e.Column.Default
			c.Serial = false
			if value(m.dialect, c.Default) == "null" {
				c.HasDefault, c.Default = false, ""
			}
		}
	case effects.DropDefault:
		c.HasDefault, c.Default, c.Serial = false, "", false
	case effects.SetNotNull:
		c.NotNull = true
	case effects.DropNotNull:
		c.NotNull = false
	case effects.DropExpression:
		c.Generated, c.Expression = false, ""
	case effects.AlterColumn:
		m.alterOther(t, c, e)
	}
}

// changeUnknown: a column of which the model has not seen the definition.
func (m *Model) changeUnknown(t *Table, name string, e *effects.Effect) {
	switch {
	case e.Kind == effects.DropColumn && !t.Partial && !t.Doubt:
		m.miss(m.childEntity("column", t.Name, name), e)
		if m.lacks(t, name) {
			delete(m.played.unknown, m.childEntity("column", t.Name, name))
		}
		if !e.IfExists {
			m.fail("column " + m.show(t.Name) + "." + name + " is not there")
		}
	case !e.IfExists && m.lacks(t, name):
		m.fail("column " + m.show(t.Name) + "." + name + " is not there")
	case e.Kind == effects.RenameColumn, e.Kind == effects.DropColumn:
		// Its definition, and which indexes and constraints go or stay with it, is not known.
		t.Partial = true
		for i := range t.Indexes {
			if mentions(m.dialect, strings.Join(t.Indexes[i].Columns, " "), name) {
				t.Doubt = true
			}
		}
		if e.Kind == effects.DropColumn {
			m.played.unknown[m.childEntity("column", t.Name, name)] = true
			m.played.settings[m.childEntity("column", t.Name, name)] = m.played.current
		}
		m.touch(m.childEntity("column", t.Name, name))
	}
}

// lacks says whether a table, all of which the model knows, has no column of a name.
func (m *Model) lacks(t *Table, name string) bool {
	return t != nil && !t.Partial && !t.Unknown && !t.Doubt && len(t.Columns) > 0 && t.column(name) == nil && !systemColumn(name) && !m.maybe(name)
}

// checkWritten: a statement about rows wants its table, and the columns that it writes to.
func (m *Model) checkWritten(e *effects.Effect) {
	if e.Table.Name == "" || e.Kind == effects.Read || e.Kind == effects.Maintenance || !m.isRelation(e.Table) && !m.present(e) {
		return
	}
	m.checkRead()
	if e.From == "" || !m.mysql() { // a column without its table may be any table's there
		m.checkColumns(m.Table(e.Table), e.Columns)
	}
}

// checkRead: a statement about rows wants the tables that it reads as well, behind FROM and JOIN.
func (m *Model) checkRead() {
	gone := func(n effects.Name) bool { return m.wasDropped(m.key(n)) && !m.isRelation(n) && !m.maybe(n.Name) }
	some := false
	for l := m; l.parent != nil; l = l.parent {
		for _, t := range l.tables {
			some = some || t == nil
		}
	}
	if m.played.current == nil || !some {
		return
	}
	tokens := effects.Tokens(m.dialect, m.saying().SQL)
	name := func(i int) string {
		if i < len(tokens) && tokens[i].Kind <= effects.Quoted {
			return tokens[i].Text
		}
		return ""
	}
	for i := 1; i < len(tokens); i++ {
		if !isWord("from", "join")(tokens[i-1]) || name(i) == "" {
			continue
		}
		n := effects.Name{Name: name(i)}
		if i+1 < len(tokens) && tokens[i+1].Text == "." && name(i+2) != "" {
			n = effects.Name{Schema: n.Name, Name: name(i + 2)}
		}
		named := func(t effects.Token) bool { return t.Kind <= effects.Quoted && strings.EqualFold(t.Text, n.Name) }
		if gone(n) && !slices.ContainsFunc(tokens, isWord("with")) && !slices.ContainsFunc(tokens[:i-1], named) {
			m.fail("table " + m.show(m.key(n)) + " is not there any more")
		}
	}
}

// checkColumns notes the columns that a statement takes for granted and that are not there.
func (m *Model) checkColumns(t *Table, columns []string) {
	for _, c := range columns {
		if m.lacks(t, c) {
			m.fail("column " + m.show(t.Name) + "." + c + " is not there")
		}
	}
}

func (m *Model) alterType(t *Table, c *Column, e *effects.Effect) {
	d := e.Column
	if d == nil {
		return
	}
	if m.mysql() {
		// MODIFY and CHANGE give the whole definition again.
		name, key, unique, cons := c.Name, c.PrimaryKey, c.Unique, c.Constraints
		c.ColumnDef = *d
		c.Name = name // CHANGE renames in an effect of its own
		c.PrimaryKey, c.Unique, c.Constraints = key || d.PrimaryKey, unique || d.Unique, cons
		c.NotNull = d.NotNull || c.PrimaryKey || hasName(t.primary(), name)
		c.Comment = d.Comment
		return
	}
	if d.Type != "" {
		if c.Serial {
			c.Sequence = c.sequenceType() // which stays
		}
		c.Type = d.Type
		c.Collation = d.Collation
		m.rework(t, c.Name)
	}
	if d.Generated {
		c.Generated, c.Expression = true, d.Expression
	}
}

// rework: expressions of indexes are parsed again when the type of a column in them changes, and may come out otherwise:
// date(d) is d once that is a date.
func (m *Model) rework(t *Table, column string) {
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if mentions(m.dialect, x.Where, column) || x.Expressions && slices.ContainsFunc(x.Columns, func(c string) bool { return mentions(m.dialect, c, column) }) {
			x.Reworked = true
		}
	}
}

func (m *Model) alterOther(t *Table, c *Column, e *effects.Effect) {
	what := strings.ToLower(e.Detail)
	switch {
	case strings.Contains(what, "generated") && strings.Contains(what, " add "):
		c.Identity, c.NotNull = true, true
	case strings.Contains(what, "drop identity"):
		c.Identity = false
	default:
		m.played.settings[m.childEntity("column", t.Name, c.Name)] = m.played.current
	}
}

func (m *Model) renameColumn(t *Table, from, to string) {
	m.touch(m.childEntity("column", t.Name, to))
	first := from
	if f := m.played.columns[m.childEntity("column", t.Name, from)]; f != "" {
		first = f
	}
	m.played.columns[m.childEntity("column", t.Name, to)] = first
	t.SQL = ""
	t.column(from).Name = to
	for i := range t.Constraints {
		if c := &t.Constraints[i]; c.Kind == "foreign key" && m.key(c.Parent) == t.Name {
			c.ParentColumns = renamed(c.ParentColumns, from, to)
		}
	}
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Expression != "" {
			c.Expression = renameWord(m.dialect, c.Expression, from, to)
		}
	}
	t.renameInKeys(m.dialect, from, to)
	m.doubtViews(from)
	for _, o := range m.allTables() {
		if o == t || !o.references(m, t.Name) {
			continue
		}
		w := m.edit(o.Name)
		for i := range w.Constraints {
			if w.Constraints[i].Kind == "foreign key" && m.key(w.Constraints[i].Parent) == t.Name {
				w.Constraints[i].ParentColumns = renamed(w.Constraints[i].ParentColumns, from, to)
			}
		}
	}
}

// renameInKeys follows a column's name into the table's constraints and indexes.
func (t *Table) renameInKeys(d effects.Dialect, from, to string) {
	for i := range t.Constraints {
		c := &t.Constraints[i]
		c.Columns = renamed(c.Columns, from, to)
		if c.Expression != "" {
			c.Expression = renameWord(d, c.Expression, from, to)
		}
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		x.Columns = slices.Clone(x.Columns)
		for j, col := range x.Columns {
			if strings.EqualFold(col, from) {
				x.Columns[j] = to
			} else if x.Expressions && mentions(d, col, from) {
				x.Columns[j] = renameWord(d, col, from, to)
			}
		}
		x.Include = renamed(x.Include, from, to)
		if x.Where != "" {
			x.Where = renameWord(d, x.Where, from, to)
		}
		x.SQL = ""
	}
}

func renamed(list []string, from, to string) []string {
	i := slices.IndexFunc(list, func(s string) bool { return strings.EqualFold(s, from) })
	if i < 0 {
		return list
	}
	out := slices.Clone(list)
	out[i] = to
	return out
}

// dropColumn takes the column with what the engine drops along with it.
func (m *Model) dropColumn(t *Table, name string, e *effects.Effect) {
	i := slices.IndexFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, name) })
	t.Columns = slices.Delete(t.Columns, i, i+1)
	switch {
	case m.dialect == effects.SQLite:
		m.sqliteDropColumn(t, name)
	case m.mysql():
		m.mysqlDropColumn(t, name)
	}
	t.Constraints = slices.DeleteFunc(t.Constraints, func(c Constraint) bool {
		gone := hasName(c.Columns, name) || c.Expression != "" && mentions(m.dialect, c.Expression, name)
		if m.mysql() && gone && c.Kind != "foreign key" && len(c.Columns) > 1 {
			return false // the key loses one column: see below
		}
		if gone {
			m.touch(m.childEntity("constraint", t.Name, c.Name))
		}
		return gone
	})
	if m.mysql() {
		for j := range t.Constraints {
			t.Constraints[j].Columns = without(t.Constraints[j].Columns, name)
		}
	}
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x Index) bool {
		if m.mysql() {
			if left := without(x.Columns, name); len(left) > 0 {
				return false
			}
		} else if !hasName(x.Columns, name) && !hasName(x.Include, name) && !mentions(m.dialect, x.Where, name) &&
			!(x.Expressions && mentions(m.dialect, strings.Join(x.Columns, " "), name)) {
			return false
		}
		m.touch(m.indexEntity(t, x.Name))
		return true
	})
	if m.mysql() {
		for j := range t.Indexes {
			t.Indexes[j].Columns = without(t.Indexes[j].Columns, name)
		}
		return
	}
	if e.Cascade {
		m.cascadeColumn(t, name)
	}
}

// cascadeColumn: foreign keys of other tables to the column, and views that read the table.
func (m *Model) cascadeColumn(t *Table, name string) {
	for _, o := range m.allTables() {
		if o.Name == t.Name || !o.references(m, t.Name) {
			continue
		}
		w := m.edit(o.Name)
		w.Constraints = slices.DeleteFunc(w.Constraints, func(c Constraint) bool {
			gone := c.Kind == "foreign key" && m.key(c.Parent) == t.Name && hasName(c.ParentColumns, name)
			if gone {
				m.touch(m.childEntity("constraint", o.Name, c.Name))
			}
			return gone
		})
	}
	for k, o := range m.allObjects() {
		if readsFrom(m.dialect, o, t.Name.Name) {
			m.doubtTakers(k.name.Name)
			m.editObject(k).Doubt = true
		}
	}
}

// mysqlDropColumn: MySQL refuses to drop a column of a foreign key, unless the same statement drops that.
func (m *Model) mysqlDropColumn(t *Table, name string) {
	for _, c := range t.Constraints {
		if c.Kind != "foreign key" || !hasName(c.Columns, name) || m.played.current == nil {
			continue
		}
		if !slices.ContainsFunc(m.saying().Effects, func(e effects.Effect) bool {
			return e.Kind == effects.DropConstraint && strings.EqualFold(e.Object.Name.Name, c.Name)
		}) {
			m.fail("column " + name + " cannot be dropped while foreign key " + c.Name + " uses it")
			return
		}
	}
}

// sqliteDropColumn: SQLite refuses to drop a column that a key, an index or a check uses.
func (m *Model) sqliteDropColumn(t *Table, name string) {
	for _, x := range t.Indexes {
		if hasName(x.Columns, name) {
			m.fail("column " + name + " cannot be dropped while index " + x.Name + " uses it")
			return
		}
	}
	for _, c := range t.Constraints {
		if hasName(c.Columns, name) && (c.Kind == "primary key" || c.Kind == "unique") {
			m.fail("column " + name + " cannot be dropped: it is part of a " + c.Kind)
			return
		}
	}
}

func hasName(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

func without(list []string, name string) []string {
	if !hasName(list, name) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return strings.EqualFold(s, name) })
}

package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func (m *Model) createIndex(e *effects.Effect) {
	if e.Index == nil || !m.present(e) {
		return
	}
	t := m.edit(e.Table)
	x := Index{IndexDef: *e.Index, Name: e.Object.Name.Name}
	if m.played.current != nil && len(m.saying().Effects) == 1 {
		x.SQL = m.saying().SQL
	}
	if x.Name == "" {
		x.Name = m.indexName(t, x.IndexDef)
	}
	if owner, i := m.findIndex(e.Table, effects.Name{Name: x.Name, Schema: m.key(e.Table).Schema}); owner != nil && i >= 0 {
		if e.IfExists {
			return
		}
		if !owner.Indexes[i].Implicit && !owner.Doubt && !owner.Unknown && !m.maybe(x.Name) {
			on := ""
			if owner.Name != t.Name {
				on = " on " + m.show(owner.Name) // also where that table is put aside under another name
			}
			m.fail("index " + x.Name + " is there already" + on)
			return
		}
		if owner.Name == t.Name {
			return
		}
	}
	if e.IfExists && (m.maybe(x.Name) || m.dialect == effects.Postgres && m.isRelation(effects.Name{Name: x.Name, Schema: m.key(e.Table).Schema})) {
		return
	}
	if !t.Partial && !x.Expressions {
		for _, c := range x.Columns {
			if t.column(c) == nil && !systemColumn(c) {
				m.fail("table " + m.show(t.Name) + " has no column " + c + " here, which index " + x.Name + " wants")
			}
		}
	}
	m.putIndex(t, x)
}

func (m *Model) putIndex(t *Table, x Index) {
	if x.Name == "" {
		x.Name = m.indexName(t, x.IndexDef)
	}
	if m.mysql() {
		x.IndexDef = unprefixed(t, x.IndexDef)
		m.dropImplicit(t, x.Columns)
	}
	t.Indexes = append(t.Indexes, x)
	m.noteIndex(t.Name, x.Name)
	m.touch(m.indexEntity(t, x.Name))
}

func systemColumn(name string) bool {
	switch strings.ToLower(name) {
	case "ctid", "xmin", "tableoid", "rowid", "oid":
		return true
	}
	return false
}

// indexName is the name that the engine gives.
func (m *Model) indexName(t *Table, x effects.IndexDef) string {
	if m.mysql() {
		return m.mysqlIndexName(t, x.Columns)
	}
	columns := slices.Clone(x.Columns)
	for i, c := range columns {
		if t.column(c) == nil && x.Expressions {
			columns[i] = "expr"
			if tokens := effects.Tokens(m.dialect, strings.TrimLeft(c, "( ")); len(tokens) > 1 && tokens[1].Text == "(" {
				columns[i] = tokens[0].Text
			}
		}
		if m.dialect == effects.Postgres { // which numbers what an index reads twice
			for n, name := 1, columns[i]; slices.Contains(columns[:i], columns[i]); n++ {
				columns[i] = name + strconv.Itoa(n)
			}
		}
	}
	base := strings.Join(columns, "_")
	name := objectName(t.Name.Name, base, "idx")
	for n := 1; m.nameTaken(t, name); n++ {
		name = objectName(t.Name.Name, base, "idx"+string(rune('0'+n%10)))
	}
	return name
}

// findIndex finds an index by name: within its table on MySQL, within the schema or the database elsewhere.
func (m *Model) findIndex(table, name effects.Name) (*Table, int) {
	if m.mysql() {
		t := m.Table(table)
		if t == nil {
			return nil, -1
		}
		return t, t.index(name.Name)
	}
	if table.Name != "" {
		if t := m.Table(table); t != nil {
			if i := t.index(name.Name); i >= 0 {
				return t, i
			}
		}
	}
	schema := m.key(name).Schema
	for l := m; l != nil; l = l.parent {
		for _, k := range l.indexed[strings.ToLower(name.Name)] {
			t := m.Table(k) // as it is now
			if t == nil || m.dialect == effects.Postgres && t.Name.Schema != schema {
				continue
			}
			if i := t.index(name.Name); i >= 0 {
				return t, i
			}
		}
	}
	return nil, -1
}

func (m *Model) dropIndex(e *effects.Effect) {
	if m.mysql() && !m.present(e) {
		return
	}
	t, i := m.findIndex(e.Table, e.Object.Name)
	if i < 0 || m.dialect == effects.SQLite && !slices.Contains([]string{"", "main", "temp"}, strings.ToLower(e.Object.Name.Schema)) {
		m.missIndex(e) // of SQLite: a table before the point is the name of a database that is not there
		return
	}
	if m.mysql() {
		m.neededByKey(t, i)
	}
	w := m.edit(t.Name)
	m.touch(m.indexEntity(w, w.Indexes[i].Name))
	w.Indexes = slices.Delete(w.Indexes, i, i+1)
}

// missIndex: an index that the model does not have, or that belongs to a constraint of MySQL.
func (m *Model) missIndex(e *effects.Effect) {
	name := e.Object.Name.Name
	if m.mysql() {
		if t := m.Table(e.Table); t != nil && t.constraint(name) >= 0 {
			m.dropConstraint(m.edit(e.Table), name, e)
			return
		}
	}
	if _, before := m.parent.findIndex(e.Table, e.Object.Name); before >= 0 && !e.IfExists && !m.maybe(name) {
		m.fail("index " + name + " is not there any more")
	} else if !e.IfExists && m.knowsAll() && !strings.HasSuffix(name, "_idx") && !strings.HasSuffix(name, "_key") {
		m.fail("there is no index " + name)
	}
	m.miss(m.indexEntity(&Table{Name: m.key(e.Table)}, name), e)
	m.played.settings["index "+name] = m.played.current
}

// knowsAll says whether every table was made by migrations that the model follows.
func (m *Model) knowsAll() bool {
	return !m.doubt && !m.mysql() && !slices.ContainsFunc(m.allTables(), func(t *Table) bool { return t.Partial || t.Doubt })
}

// neededByKey: MySQL refuses to drop the only index that serves a foreign key, MariaDB while it checks them.
func (m *Model) neededByKey(t *Table, i int) {
	if m.played.unchecked && m.dialect == effects.MariaDB {
		return
	}
	rest := t.clone()
	rest.Indexes = slices.Delete(rest.Indexes, i, i+1)
	for _, c := range t.Constraints {
		if c.Kind == "foreign key" && prefix(c.Columns, t.Indexes[i].Columns) && !covered(rest, c.Columns) {
			m.fail("index " + t.Indexes[i].Name + " on " + m.show(t.Name) + " is needed by foreign key " + c.Name)
		}
	}
}

func (m *Model) renameIndex(e *effects.Effect) {
	to := e.NewName.Name
	t, i := m.findIndex(e.Table, e.Object.Name)
	if i >= 0 {
		w := m.edit(t.Name)
		m.touch(m.indexEntity(w, w.Indexes[i].Name))
		m.touch(m.indexEntity(w, to))
		w.Indexes[i].Name, w.Indexes[i].SQL = to, ""
		m.noteIndex(w.Name, to)
		return
	}
	// The index of a constraint has the constraint's name.
	for _, t := range m.allTables() {
		if j := t.constraint(e.Object.Name.Name); j >= 0 && m.dialect == effects.Postgres {
			m.renameConstraint(m.edit(t.Name), e)
			return
		}
	}
}

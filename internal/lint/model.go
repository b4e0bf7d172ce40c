package lint

import (
	"iter"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Model is the schema that a sequence of statements builds, as far as their text tells.
//
// It is layered: a fork shares what it does not change with its parent, so that the schema before Up, after
// Up and after Down stand side by side at the cost of what the migration touches.
type Model struct {
	dialect effects.Dialect
	parent  *Model
	schema  string // where unqualified names lie
	tables  map[effects.Name]*Table
	objects map[objectKey]*Object
	// doubt: a statement ran that may have made or dropped anything.
	doubt bool
	// mentioned are the words of opaque statements: things so called may exist or not.
	mentioned map[string]bool
	played    *played                   // what a migration does to this layer; nil in the base
	indexed   map[string][]effects.Name // where indexes of a name, in lower case, may be found: tables of this layer
	moved     []effects.Name            // the tables of PostgreSQL that got another name in this layer
	links     *links                    // nil when something may have been added since they were made

	strayed bool // a sequence that cannot be told to be some column's got another type
	// spelled are the names of tables and objects as they were given, by their keys: they are matched in any letter case, and MySQL on Linux tells cases apart.
	spelled map[effects.Name]effects.Name
}

// objectKey names an object that is no table. Table is set where names are unique within a table only.
type objectKey struct {
	kind  string
	name  effects.Name
	table effects.Name
	args  string
}

// Table is a table of the model.
type Table struct {
	Name        effects.Name
	Columns     []Column
	Constraints []Constraint
	Indexes     []Index
	Comment     string
	RowSecurity bool
	ForceRows   bool
	Temporary   bool
	PartitionOf effects.Name
	Bound       string // of a partition of PostgreSQL: FOR VALUES …, or DEFAULT
	Charset     string // of MySQL, as its statements say: "" for that of the database
	Collation   string
	Partitions  []partition // of MySQL; nil when they are not known
	Strict      bool
	NoRowID     bool
	// Partial: it has columns and more that the model does not know of.
	Partial bool
	// Unknown: no migration made it; it is known only by what statements do to it.
	Unknown bool
	// Doubt: an opaque statement may have changed it.
	Doubt bool

	// SQL is the statement that made it, as long as that still says all.
	SQL string
	// Origin is its name when the layer began, Made the one that it was made under.
	Origin, Made effects.Name

	owner *Model // the layer that may write to it
}

// Column is a column of the model.
type Column struct {
	effects.ColumnDef
	Comment  string
	Sequence string // of a serial column: the type of its sequence, where that is not the column's
}

// Constraint is a constraint of the model.
type Constraint struct {
	effects.ConstraintDef
	Generated bool // the engine named it
	Guessed   bool // MySQL: on a table of which not all is known, so that the number may be another
}

// Index is an index of the model; that of a constraint is not one of its own.
type Index struct {
	effects.IndexDef
	Name     string
	SQL      string // as it was created, when it was created by a statement of its own
	Implicit bool   // MySQL made it for a foreign key
	Reworked bool   // the server has written its expressions anew since
}

// Object is an object of the model that is no table.
type Object struct {
	effects.Object
	Table   effects.Name // of a trigger, policy or rule
	SQL     string       // as it was created
	Values  []string     // of an enum
	Comment string
	Owned   effects.Name // of a sequence: the table whose column owns it
	Doubt   bool         // changed in a way that the model does not follow

	owner *Model
}

// NewModel is the schema of a new database.
func NewModel(d effects.Dialect) *Model {
	m := newLayer(d)
	if d == effects.Postgres {
		for _, o := range []Object{
			{Object: effects.Object{Kind: "schema", Name: effects.Name{Name: "public"}}, Comment: "standard public schema"},
			{Object: effects.Object{Kind: "extension", Name: effects.Name{Name: "plpgsql"}}, Comment: "PL/pgSQL procedural language"},
		} {
			o.owner, o.SQL = m, "CREATE "+strings.ToUpper(o.Kind)+" "+o.Name.Name
			m.objects[m.keyOf(o.Object, effects.Name{})] = &o
		}
	}
	return m
}

func newLayer(d effects.Dialect) *Model {
	m := &Model{dialect: d, tables: map[effects.Name]*Table{}, objects: map[objectKey]*Object{}, mentioned: map[string]bool{}, indexed: map[string][]effects.Name{},
		spelled: map[effects.Name]effects.Name{}}
	if d == effects.Postgres {
		m.schema = "public"
	}
	return m
}

// fork gives a layer above m.
func (m *Model) fork() *Model {
	f := newLayer(m.dialect)
	f.parent, f.doubt, f.played, f.spelled = m, m.doubt, newPlayed(), m.spelled
	return f
}

// commit takes over what a fork of m holds.
func (m *Model) commit(f *Model) {
	for k, t := range f.tables {
		if t == nil {
			delete(m.tables, k)
			continue
		}
		if t.Temporary {
			continue
		}
		if t.Doubt {
			// What is known from now on is what later statements say about it.
			t = &Table{Name: k, Partial: true, Unknown: true, Charset: t.Charset, Collation: t.Collation, Partitions: t.Partitions}
		}
		t.owner = m
		m.put(k, t)
	}
	for k, o := range f.objects {
		if o == nil {
			delete(m.objects, k)
			continue
		}
		if o.Doubt {
			delete(m.objects, k)
			m.mentioned[strings.ToLower(k.name.Name)] = true
			continue
		}
		o.owner = m
		m.objects[k] = o
	}
	for w := range f.mentioned {
		m.mentioned[w] = true
	}
	m.doubt = f.doubt
}

// key folds a name into the form that tables and objects are found by.
func (m *Model) key(n effects.Name) effects.Name {
	switch m.dialect {
	case effects.Postgres:
		if n.Schema == "" && n.Name != "" {
			n.Schema = m.schema
		}
		return n
	case effects.SQLite:
		n.Schema = ""
	}
	return effects.Name{Schema: strings.ToLower(n.Schema), Name: strings.ToLower(n.Name)}
}

// show writes a name for people.
func (m *Model) show(n effects.Name) string {
	if m.dialect == effects.Postgres && n.Schema == "public" {
		return n.Name
	}
	return n.String()
}

// Table finds a table, or nil.
func (m *Model) Table(n effects.Name) *Table {
	k := m.key(n)
	for l := m; l != nil; l = l.parent {
		if t, ok := l.tables[k]; ok {
			return t
		}
	}
	return nil
}

// edit gives a table to write to; one that is not known yet begins as an unknown one.
func (m *Model) edit(n effects.Name) *Table {
	k := m.key(n)
	t := m.Table(n)
	if t == nil {
		t = &Table{Name: k, Partial: true, Unknown: true, owner: m}
		m.tables[k] = t
		return t
	}
	if t.owner == m {
		return t
	}
	c := t.clone()
	c.owner, c.Origin = m, k
	m.put(k, c)
	return c
}

func (t *Table) clone() *Table {
	c := *t
	c.Columns = append([]Column(nil), t.Columns...)
	c.Constraints = append([]Constraint(nil), t.Constraints...)
	c.Indexes = append([]Index(nil), t.Indexes...)
	return &c
}

// put makes a table one of this layer.
func (m *Model) put(k effects.Name, t *Table) {
	m.tables[k] = t
	for i := range t.Indexes {
		m.noteIndex(k, t.Indexes[i].Name)
	}
}

// noteIndex remembers that a table of this layer may have an index: to look through all tables for each index that is made or dropped would take n times n looks.
func (m *Model) noteIndex(table effects.Name, name string) {
	if m.mysql() {
		return // they are looked up in their table
	}
	name = strings.ToLower(name)
	if !slices.Contains(m.indexed[name], table) {
		m.indexed[name] = append(m.indexed[name], table)
	}
}

// allTables gives each table once, in no order. The list is the caller's: tables may be edited on the way.
func (m *Model) allTables() []*Table {
	var out []*Table
	for l := m; l != nil; l = l.parent {
		for k, t := range l.tables {
			if t != nil && !m.tableAbove(l, k) {
				out = append(out, t)
			}
		}
	}
	return out
}

// tableAbove says whether a layer above l has its own version of a table.
func (m *Model) tableAbove(l *Model, k effects.Name) bool {
	for a := m; a != l; a = a.parent {
		if _, ok := a.tables[k]; ok {
			return true
		}
	}
	return false
}

// allObjects gives each object once, in no order. Objects may be edited on the way.
func (m *Model) allObjects() iter.Seq2[objectKey, *Object] {
	return func(yield func(objectKey, *Object) bool) {
		type entry struct {
			k objectKey
			o *Object
		}
		var all []entry
		for l := m; l != nil; l = l.parent {
			for k, o := range l.objects {
				if o != nil && !m.objectAbove(l, k) {
					all = append(all, entry{k, o})
				}
			}
		}
		for _, e := range all {
			if !yield(e.k, e.o) {
				return
			}
		}
	}
}

func (m *Model) objectAbove(l *Model, k objectKey) bool {
	for a := m; a != l; a = a.parent {
		if _, ok := a.objects[k]; ok {
			return true
		}
	}
	return false
}

// maybe says whether an opaque statement may have made or dropped something so called.
func (m *Model) maybe(name string) bool {
	if m.doubt {
		return true
	}
	name = strings.ToLower(name)
	for l := m; l != nil; l = l.parent {
		if l.mentioned[name] {
			return true
		}
	}
	return false
}

// column finds a column by name, or nil.
func (t *Table) column(name string) *Column {
	if t == nil {
		return nil
	}
	for i := range t.Columns { // no engine takes names of different lengths for one
		if c := &t.Columns[i]; len(c.Name) == len(name) && strings.EqualFold(c.Name, name) {
			return c
		}
	}
	return nil
}

func (t *Table) constraint(name string) int {
	for i := range t.Constraints {
		if strings.EqualFold(t.Constraints[i].Name, name) {
			return i
		}
	}
	return -1
}

func (t *Table) index(name string) int {
	for i := range t.Indexes {
		if strings.EqualFold(t.Indexes[i].Name, name) {
			return i
		}
	}
	return -1
}

// keyed says whether the table has a primary or a unique key.
func (t *Table) keyed() bool {
	for _, c := range t.Constraints {
		if c.Kind == "primary key" || c.Kind == "unique" {
			return true
		}
	}
	for _, i := range t.Indexes {
		if i.Unique && i.Where == "" && !i.Expressions {
			return true
		}
	}
	return false
}

// primary gives the primary key's columns.
func (t *Table) primary() []string {
	for _, c := range t.Constraints {
		if c.Kind == "primary key" {
			return c.Columns
		}
	}
	return nil
}

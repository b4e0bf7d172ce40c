package lint

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// addConstraint adds a constraint under the name that the engine gives it when the text has none.
func (m *Model) addConstraint(t *Table, c effects.ConstraintDef, maybeThere bool) {
	if c.Kind == "not null" {
		for _, name := range c.Columns {
			if col := t.column(name); col != nil {
				col.NotNull = true
			}
		}
		return
	}
	if c.Kind == "index" { // an INDEX among the columns of a table
		m.putIndex(t, Index{IndexDef: indexOf(c), Name: c.Name})
		return
	}
	con := Constraint{ConstraintDef: c, Generated: c.Name == "", Guessed: t.Partial || t.Unknown || t.Doubt}
	if c.UsingIndex != "" {
		m.adoptIndex(t, &con)
	}
	if con.Name == "" {
		con.Name = m.constraintName(t, c)
	}
	if maybeThere && (t.constraint(con.Name) >= 0 || m.mysql() && t.index(con.Name) >= 0) {
		return
	}
	if c.Kind != "check" && c.Kind != "exclude" && (c.Index == nil || !c.Index.Expressions) {
		m.checkColumns(t, c.Columns)
	}
	if c.Kind == "primary key" {
		m.keyColumns(t, c.Columns)
	}
	if c.Kind == "foreign key" {
		m.checkParent(t, c)
		m.coverForeignKey(t, con)
	}
	if m.mysql() && c.Kind == "unique" {
		// A unique key is an index there, and dropped like one.
		t.Indexes = append(t.Indexes, Index{IndexDef: unprefixed(t, indexOf(c)), Name: con.Name})
		m.touch(m.indexEntity(t, con.Name))
		m.dropImplicit(t, c.Columns)
		return
	}
	t.SQL = ""
	t.Constraints = append(t.Constraints, con)
	m.touch(m.childEntity("constraint", t.Name, con.Name))
}

// indexOf is the index that a constraint of MySQL is.
func indexOf(c effects.ConstraintDef) effects.IndexDef {
	x := effects.IndexDef{Columns: c.Columns}
	if c.Index != nil {
		x = *c.Index
	}
	x.Columns, x.Unique = c.Columns, c.Kind == "unique"
	return x
}

// unprefixed leaves out prefixes that are as long as their column.
func unprefixed(t *Table, x effects.IndexDef) effects.IndexDef {
	if len(x.Modes) != len(x.Columns) {
		return x
	}
	x.Modes = slices.Clone(x.Modes)
	for i, name := range x.Columns {
		if c := t.column(name); c != nil && strings.HasPrefix(x.Modes[i], "(") {
			if _, length, _ := strings.Cut(c.Type, "("); x.Modes[i] == "("+length {
				x.Modes[i] = ""
			}
		}
	}
	return x
}

// keyColumns: the columns of a primary key are NOT NULL, and on PostgreSQL stay so when the key goes.
func (m *Model) keyColumns(t *Table, columns []string) {
	if m.dialect == effects.SQLite {
		return
	}
	for _, name := range columns {
		if col := t.column(name); col != nil && !col.NotNull {
			col.NotNull = true
			m.touch(m.childEntity("column", t.Name, name))
		}
	}
}

// adoptIndex: ADD CONSTRAINT … USING INDEX turns an index into a constraint of the constraint's name.
func (m *Model) adoptIndex(t *Table, c *Constraint) {
	i := t.index(c.UsingIndex)
	if c.Name == "" {
		c.Name = c.UsingIndex
		c.Generated = false
	}
	if i < 0 {
		t.Doubt = true
		return
	}
	c.Columns = t.Indexes[i].Columns
	m.touch(m.indexEntity(t, c.UsingIndex))
	t.Indexes = slices.Delete(t.Indexes, i, i+1)
	c.UsingIndex = ""
}

// checkParent: a foreign key wants its parent to be there.
func (m *Model) checkParent(t *Table, c effects.ConstraintDef) {
	p := m.key(c.Parent)
	if m.dialect != effects.SQLite && !m.played.unchecked && p != t.Name && m.Table(c.Parent) == nil && m.wasDropped(p) && !m.maybe(p.Name) {
		m.fail("table " + m.show(p) + ", to which a foreign key of " + m.show(t.Name) + " points, is not there")
	}
	if m.dialect != effects.SQLite {
		m.checkColumns(m.Table(c.Parent), c.ParentColumns)
	}
}

// coverForeignKey: MySQL makes an index for a foreign key that no index serves, and it outlives the key.
func (m *Model) coverForeignKey(t *Table, c Constraint) {
	if !m.mysql() || t.Partial || covered(t, c.Columns) {
		return
	}
	name := c.Name
	if c.Generated {
		name = c.Columns[0]
	}
	t.Indexes = append(t.Indexes, Index{IndexDef: effects.IndexDef{Columns: c.Columns}, Name: name, Implicit: true})
	m.touch(m.indexEntity(t, name))
}

// dropImplicit: the index made for a foreign key goes when one is created that serves it, too.
func (m *Model) dropImplicit(t *Table, columns []string) {
	t.Indexes = slices.DeleteFunc(t.Indexes, func(x Index) bool {
		return x.Implicit && prefix(x.Columns, columns)
	})
}

// covered says whether an index or key begins with the columns.
func covered(t *Table, columns []string) bool {
	for _, x := range t.Indexes {
		if prefix(columns, x.Columns) && x.Where == "" {
			return true
		}
	}
	for _, c := range t.Constraints {
		if (c.Kind == "primary key" || c.Kind == "unique") && prefix(columns, c.Columns) {
			return true
		}
	}
	return false
}

// prefix says whether whole begins with the columns of part, in any order of these.
func prefix(part, whole []string) bool {
	if len(part) == 0 || len(whole) < len(part) {
		return false
	}
	for _, c := range part {
		if !hasName(whole[:len(part)], c) {
			return false
		}
	}
	return true
}

// constraintName is the name that the engine gives.
func (m *Model) constraintName(t *Table, c effects.ConstraintDef) string {
	switch {
	case m.dialect == effects.Postgres:
		return m.postgresName(t, c)
	case m.mysql():
		return m.mysqlName(t, c)
	}
	// SQLite names nothing; the model tells them apart by what they say.
	return c.Kind + "(" + strings.ToLower(strings.Join(c.Columns, ",")) + spaced(canonical(m.dialect, c.Expression)) + ")"
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func (m *Model) postgresName(t *Table, c effects.ConstraintDef) string {
	columns, label := c.Columns, ""
	switch c.Kind {
	case "primary key":
		columns, label = nil, "pkey"
	case "unique":
		label = "key"
	case "foreign key":
		label = "fkey"
	case "exclude":
		label = "excl"
	default:
		label = "check"
		columns = m.columnsOfCheck(t, c)
	}
	base := objectName(t.Name.Name, strings.Join(columns, "_"), label)
	name := base
	for n := 1; m.nameTaken(t, name); n++ {
		name = objectName(t.Name.Name, strings.Join(columns, "_"), label+strconv.Itoa(n))
	}
	return name
}

// columnsOfCheck: a check is called after its column when it reads one only.
func (m *Model) columnsOfCheck(t *Table, c effects.ConstraintDef) []string {
	var out []string
	for _, tok := range effects.Tokens(m.dialect, c.Expression) {
		if tok.Kind != effects.Word && tok.Kind != effects.Quoted {
			continue
		}
		if col := t.column(tok.Text); col != nil && !hasName(out, col.Name) {
			out = append(out, col.Name)
		}
	}
	if len(out) == 0 {
		out = c.Columns
	}
	if len(out) == 1 {
		return out
	}
	return nil
}

func (m *Model) nameTaken(t *Table, name string) bool {
	if t.constraint(name) >= 0 || t.index(name) >= 0 {
		return true
	}
	// PostgreSQL looks at the whole schema: a table that had this one's name keeps the names that were made of it.
	for _, k := range m.moved {
		if o := m.Table(k); o != nil && k != t.Name && k.Schema == t.Name.Schema && (o.constraint(name) >= 0 || o.index(name) >= 0) {
			return true
		}
	}
	return false
}

// objectName puts a generated name together as PostgreSQL does: the longer of the two parts is cut until the
// whole fits 63 bytes.
func objectName(a, b, label string) string {
	const most = 63
	over := len(label) + 1
	if b != "" {
		over++
	}
	for len(a)+len(b)+over > most {
		if len(a) > len(b) {
			a = a[:len(a)-1]
		} else {
			b = b[:len(b)-1]
		}
	}
	a, b = whole(a), whole(b)
	if b != "" {
		a += "_" + b
	}
	return a + "_" + label
}

// whole drops a character cut in two at the end.
func whole(s string) string {
	for s != "" && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

// mysqlName: the server counts on from the highest number that a table has, and MariaDB gives a check the first number that is free.
func (m *Model) mysqlName(t *Table, c effects.ConstraintDef) string {
	next := func(infix string) string {
		n := 0
		for _, x := range t.Constraints {
			n = max(n, number(x.Name, t.Name.Name, infix))
		}
		return t.Name.Name + infix + strconv.Itoa(n+1)
	}
	free := func(prefix string) string {
		n := 1
		for t.constraint(prefix+strconv.Itoa(n)) >= 0 {
			n++
		}
		return prefix + strconv.Itoa(n)
	}
	switch {
	case c.Kind == "primary key":
		return "PRIMARY"
	case c.Kind == "foreign key":
		return next("_ibfk_")
	case c.Kind == "unique":
		return m.mysqlIndexName(t, c.Columns)
	case m.dialect == effects.MySQL:
		return next("_chk_")
	case len(c.Columns) == 1: // written with its column, whose it is: it has no name
		return free(t.Name.Name + "." + c.Columns[0] + "_check_")
	}
	return free("CONSTRAINT_")
}

// numbered are the names that MySQL and MariaDB make up.
var numbered = regexp.MustCompile(`(_ibfk_\d+|_chk_\d+|^CONSTRAINT_\d+)$`)

// number reads a made-up name that begins with that of a table.
func number(name, table, infix string) int {
	digits, ok := strings.CutPrefix(name, table+infix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return 0
	}
	return n
}

// followed is the name that a constraint of MySQL has when its table has got another: made-up ones go along.
func followed(name, from, to string) string {
	if number(name, from, "_ibfk_") > 0 || number(name, from, "_chk_") > 0 {
		return to + strings.TrimPrefix(name, from)
	}
	return name
}

// mysqlIndexName: an index is called after its first column, with a number when that is taken.
func (m *Model) mysqlIndexName(t *Table, columns []string) string {
	if len(columns) == 0 {
		return "functional_index"
	}
	name := columns[0]
	for n := 2; t.index(name) >= 0; n++ {
		name = columns[0] + "_" + strconv.Itoa(n)
	}
	return name
}

// dropConstraint drops by name. A name that the model does not have may be one that the engine gave in a way
// that the model does not follow: the only generated one is then taken for it.
func (m *Model) dropConstraint(t *Table, name string, e *effects.Effect) {
	i := t.constraint(name)
	if m.mysql() {
		if kind := constraintKind(e); kind == "primary key" || i < 0 {
			i = slices.IndexFunc(t.Constraints, func(c Constraint) bool {
				return kind == "primary key" && c.Kind == kind
			})
		}
		if i < 0 && name != "" {
			if j := t.index(name); j >= 0 {
				m.touch(m.indexEntity(t, t.Indexes[j].Name))
				t.Indexes = slices.Delete(t.Indexes, j, j+1)
				return
			}
		}
	}
	if i < 0 && !t.Partial {
		i = onlyGenerated(t, name)
	}
	if i < 0 {
		m.miss(m.childEntity("constraint", t.Name, name), e)
		// What it was is not known: neither is what a Down that re-creates it ought to say.
		if t.Partial {
			m.played.settings[m.childEntity("constraint", t.Name, name)] = m.played.current
		}
		return
	}
	c := t.Constraints[i]
	t.SQL = ""
	m.touch(m.childEntity("constraint", t.Name, c.Name))
	t.Constraints = slices.Delete(t.Constraints, i, i+1)
	if e.Cascade && (c.Kind == "primary key" || c.Kind == "unique") {
		m.detachKey(t, c)
	}
}

// constraintKind reads what a DROP PRIMARY KEY and the like of MySQL drops.
func constraintKind(e *effects.Effect) string {
	if e.Constraint != nil {
		return e.Constraint.Kind
	}
	if strings.Contains(strings.ToLower(e.Object.Kind+" "+e.Detail), "primary") {
		return "primary key"
	}
	return e.Object.Kind
}

func onlyGenerated(t *Table, name string) int {
	found := -1
	for i, c := range t.Constraints {
		if !c.Generated || !resembles(name, c) {
			continue
		}
		if found >= 0 {
			return -1
		}
		found = i
	}
	return found
}

// resembles says whether a name looks like one generated for a constraint of this kind.
func resembles(name string, c Constraint) bool {
	name = strings.ToLower(name)
	switch c.Kind {
	case "primary key":
		return strings.HasSuffix(name, "_pkey")
	case "unique":
		return strings.Contains(name, "_key")
	case "foreign key":
		return strings.Contains(name, "_fkey") || strings.Contains(name, "_ibfk_")
	case "check":
		return strings.Contains(name, "_check") || strings.Contains(name, "_chk_") || strings.HasPrefix(name, "constraint_")
	}
	return false
}

// detachKey: DROP CONSTRAINT … CASCADE takes the foreign keys that rest on the key.
func (m *Model) detachKey(t *Table, key Constraint) {
	for _, o := range m.allTables() {
		if !o.references(m, t.Name) {
			continue
		}
		w := m.edit(o.Name)
		w.Constraints = slices.DeleteFunc(w.Constraints, func(c Constraint) bool {
			rests := c.Kind == "foreign key" && m.key(c.Parent) == t.Name &&
				(len(c.ParentColumns) == 0 && key.Kind == "primary key" || slices.Equal(c.ParentColumns, key.Columns))
			if rests {
				m.touch(m.childEntity("constraint", o.Name, c.Name))
			}
			return rests
		})
	}
}

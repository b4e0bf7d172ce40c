package verify

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

func (t *mysqlTaker) readTables(ctx context.Context) error {
	for _, n := range t.tables {
		_, text, err := t.show(ctx, "TABLE "+t.db.Quote(n), 1)
		if err != nil {
			return err
		}
		objects, err := apart(t.texts, "table\x00"+t.schema+"\x00"+n.String()+"\x00"+text, func() (Fingerprint, error) { return t.objects(n, text) })
		if err != nil {
			return err
		}
		maps.Copy(t.f, objects)
	}
	return nil
}

// objects are those that a table's text holds.
func (t *mysqlTaker) objects(n engine.Name, text string) (Fingerprint, error) {
	m, err := t.split(n, text)
	if err != nil {
		return nil, err
	}
	part := *t
	part.f = Fingerprint{}
	part.addTable(n, m)
	for _, e := range m.elements {
		part.addElement(n, m, e)
	}
	return part.f, nil
}

func (t *mysqlTaker) table(ctx context.Context, n engine.Name) (mysqlTable, error) {
	_, text, err := t.show(ctx, "TABLE "+t.db.Quote(n), 1)
	if err != nil {
		return mysqlTable{}, err
	}
	return t.split(n, text)
}

func (t *mysqlTaker) split(n engine.Name, text string) (mysqlTable, error) {
	m, err := splitMySQL(t.unqualified(text)) // MariaDB spells the sequence of a default with its database
	if err != nil {
		return m, fmt.Errorf("table %s: %w", n, err)
	}
	if t.shared { // MySQL says so of a table as soon as one was altered there
		m.options = strings.TrimSpace(strings.Replace(m.options, "/*!50100 TABLESPACE `innodb_system` */", "", 1))
	}
	return m, nil
}

// addTable puts the table itself and its columns.
func (t *mysqlTaker) addTable(n engine.Name, m mysqlTable) {
	alter, name := "ALTER TABLE "+t.db.Quote(n)+" ", n.String()
	t.put(Object{
		Kind: "table", Name: name, Table: n, Definition: "ENGINE=" + m.engine, Rank: 50, Next: m.next,
		Create: strictly(t.create(n, m)), Alter: []string{alter + "ENGINE=" + m.engine}, Drop: []string{"DROP TABLE " + t.db.Quote(n)},
	})
	if m.options != "" {
		set := []string{alter + mysqlOptions(m.options)}
		t.put(Object{Kind: "options", Name: name, Table: n, Definition: m.options, Rank: 55, Inline: true, Create: set, Alter: set})
	}
	if m.comment != "" {
		set := []string{alter + "COMMENT=" + m.comment}
		t.put(Object{Kind: "comment", Name: "TABLE " + name, Table: n, Definition: m.comment, Rank: 120, Inline: true, Create: set, Alter: set, Drop: []string{alter + "COMMENT=''"}})
	}
	if m.partition != "" {
		set := strictly(alter + m.partition)
		t.put(Object{Kind: "partitioning", Name: name, Table: n, Definition: m.partition, Rank: 84, Inline: true, Create: set, Alter: set, Drop: []string{alter + "REMOVE PARTITIONING"}})
	}
	if m.versioned { // without it the history of the rows is gone, so nothing takes it away
		t.put(Object{Kind: "system versioning", Name: name, Table: n, Definition: "WITH SYSTEM VERSIONING", Rank: 86, Inline: true, Create: []string{alter + "ADD SYSTEM VERSIONING"}})
	}
	position := 0
	for i, c := range m.columns {
		if !engine.Aside(c.name) { // kept for a rollback
			position++
			t.addColumn(n, m, i, position, c)
		}
	}
}

func (t *mysqlTaker) addColumn(n engine.Name, m mysqlTable, i, position int, c mysqlColumn) {
	alter, column, name := "ALTER TABLE "+t.db.Quote(n)+" ", t.db.Ident(c.name), n.String()+"."+c.name
	strictly := strictly
	if m.versioned {
		strictly = strictlyWithHistory
	}
	modify := strictly(alter + "MODIFY COLUMN " + column + " " + c.text)
	if c.noDefault {
		modify = append(modify, alter+"ALTER COLUMN "+column+" DROP DEFAULT")
	}
	// New and empty: the values come, and what demands them after that.
	add, rank := c.bare, 60
	if c.generated {
		add, rank = c.text, 61
	}
	t.put(Object{
		Kind: "column", Name: name, Table: n, Definition: c.definition, Position: position, Rank: rank, Inline: true,
		Create: strictly(alter + "ADD COLUMN " + column + " " + add + t.place(m, i)), Alter: modify, Drop: []string{alter + "DROP COLUMN " + column},
	})
	if c.notNull {
		rank := 75
		if c.auto { // wants a key
			rank = 87
		}
		t.put(Object{
			Kind: "not null", Name: name, Table: n, Definition: "NOT NULL", Rank: rank, Inline: true,
			Create: modify, Drop: strictly(alter + "MODIFY COLUMN " + column + " " + c.nullable),
		})
	}
	if c.auto {
		t.put(Object{
			Kind: "identity", Name: name, Table: n, Definition: "AUTO_INCREMENT", Rank: 88, Inline: true,
			Create: modify, Drop: strictly(alter + "MODIFY COLUMN " + column + " " + c.plain),
		})
	}
}

// place says behind which column the i-th goes: generated columns that read it, or what is behind it, come later.
func (t *mysqlTaker) place(m mysqlTable, i int) string {
	for k := i - 1; k >= 0; k-- {
		reads := m.columns[k].generated && !m.columns[i].generated && slices.ContainsFunc(m.columns[i:], func(c mysqlColumn) bool {
			return strings.Contains(m.columns[k].text, t.db.Ident(c.name))
		})
		if !reads {
			return " AFTER " + t.db.Ident(m.columns[k].name)
		}
	}
	return " FIRST"
}

// create makes the table with all but its foreign keys, which may need tables that are yet to come.
func (t *mysqlTaker) create(n engine.Name, m mysqlTable) string {
	var parts []string
	for _, c := range m.columns {
		parts = append(parts, t.db.Ident(c.name)+" "+c.text)
	}
	for _, e := range m.elements {
		if e.kind != "foreign key" {
			parts = append(parts, e.text)
		}
	}
	out := "CREATE TABLE " + t.db.Quote(n) + " (\n  " + strings.Join(parts, ",\n  ") + "\n) ENGINE=" + m.engine
	if m.options != "" {
		out += " " + m.options
	}
	if m.comment != "" {
		out += " COMMENT=" + m.comment
	}
	if m.versioned {
		out += " WITH SYSTEM VERSIONING"
	}
	if m.partition != "" {
		out += "\n" + m.partition
	}
	return out
}

// mysqlOptions are options, with those that would stay as they are set to nothing.
func mysqlOptions(options string) string {
	for _, o := range []string{"ROW_FORMAT=DEFAULT", "KEY_BLOCK_SIZE=0", "STATS_PERSISTENT=DEFAULT", "STATS_AUTO_RECALC=DEFAULT", "STATS_SAMPLE_PAGES=DEFAULT", "MAX_ROWS=0", "MIN_ROWS=0", "AVG_ROW_LENGTH=0"} {
		name, _, _ := strings.Cut(o, "=")
		if !strings.Contains(options, name+"=") {
			options += " " + o
		}
	}
	return options
}

// Recast gives the keys of the columns that are defined by the same words before and after, and hold another character set: the words name none, and the
// default of their table, which they mean then, is another one. Only MySQL and MariaDB have such columns.
func Recast(before, after Fingerprint) map[string]bool {
	tables := map[engine.Name]bool{}
	for key, b := range before {
		if a, ok := after[key]; ok && b.Kind == "options" && charset(b.Definition) != charset(a.Definition) {
			tables[b.Table] = true
		}
	}
	out := map[string]bool{}
	if len(tables) == 0 {
		return out
	}
	for key, b := range before {
		if a, ok := after[key]; ok && b.Kind == "column" && tables[b.Table] && a.Definition == b.Definition && mysqlTextual.MatchString(b.Definition) {
			out[key] = true
		}
	}
	return out
}

// Recasts tells whether an object is what columns without a character set of their own go by.
func Recasts(o Object) bool { return o.Kind == "options" && charset(o.Definition) != "" }

// mysqlTextual is the beginning of a column that has a character set.
var mysqlTextual = regexp.MustCompile(`(?i)^(var)?char\b|^(tiny|medium|long)?text\b|^enum\b|^set\b`)

// charset gives what options say of the character set and the collation.
func charset(options string) string {
	var out []string
	for _, o := range strings.Fields(options) {
		if strings.HasPrefix(o, "CHARSET=") || strings.HasPrefix(o, "COLLATE=") {
			out = append(out, o)
		}
	}
	return strings.Join(out, " ")
}

// mysqlMadeUp are names that the servers give to constraints without one.
var mysqlMadeUp = regexp.MustCompile(`(_ibfk_\d+|_chk_\d+|^CONSTRAINT_\d+)$`)

func (t *mysqlTaker) addElement(n engine.Name, m mysqlTable, e mysqlElement) {
	alter := "ALTER TABLE " + t.db.Quote(n) + " "
	o := Object{
		Kind: e.kind, Name: n.String() + "." + e.name, Table: n, Definition: e.definition, Inline: e.kind != "foreign key",
		Create: []string{alter + "ADD " + e.text},
	}
	quoted := t.db.Ident(e.name)
	switch e.kind {
	case "primary key":
		o.Rank, o.Drop = 80, []string{alter + "DROP PRIMARY KEY"}
		for _, c := range m.columns {
			if c.auto { // it may not be without a key
				o.Alter = []string{alter + "DROP PRIMARY KEY, ADD " + e.text}
				o.Drop = strictly(alter + "MODIFY COLUMN " + t.db.Ident(c.name) + " " + c.plain + ", DROP PRIMARY KEY")
			}
		}
	case "unique", "index":
		o.Rank, o.Drop = 81, []string{alter + "DROP INDEX " + quoted}
		if e.kind == "index" {
			o.Rank = 85
		}
		o.Alter = []string{alter + "DROP INDEX " + quoted + ", ADD " + e.text} // in one statement: a foreign key may need it
		switch {                                                               // which that statement forgets
		case strings.HasSuffix(e.text, " IGNORED"):
			o.Alter = append(o.Alter, alter+"ALTER INDEX "+quoted+" IGNORED")
		case strings.HasSuffix(e.text, " INVISIBLE */"):
			o.Alter = append(o.Alter, alter+"ALTER INDEX "+quoted+" INVISIBLE")
		}
		o.First = firstColumn(e)
		o.Generated = namedByColumn(e.name, o.First)
	case "check":
		o.Rank, o.Create, o.Drop = 82, strictly(o.Create...), []string{alter + "DROP CONSTRAINT " + quoted}
		o.Generated = mysqlMadeUp.MatchString(e.name)
	case "foreign key":
		o.Rank, o.Drop = 90, []string{alter + "DROP FOREIGN KEY " + quoted}
		o.Generated = mysqlMadeUp.MatchString(e.name)
	default: // a period: it comes and goes with its table
		o.Create = nil
	}
	t.put(o)
}

// firstColumn is the first of an index; "" when it begins with an expression.
func firstColumn(e mysqlElement) string {
	_, list, _ := strings.Cut(e.definition, "(")
	if tokens := mysqlTokens(list); len(tokens) > 0 {
		return mysqlName(tokens[0].text)
	}
	return ""
}

// namedByColumn tells whether an index has the name that the server gives it: its first column's, with a number
// when that is taken.
func namedByColumn(name, first string) bool {
	return first != "" && (name == first || strings.HasPrefix(name, first+"_") && strings.Trim(name[len(first)+1:], "0123456789") == "")
}

// readReferences adds the foreign keys that point to the tables in scope from others.
func (t *mysqlTaker) readReferences(ctx context.Context) error {
	children := map[engine.Name][]string{}
	for _, n := range t.tables {
		rows, err := t.references(ctx, n)
		if err != nil {
			return err
		}
		for _, r := range rows {
			child := engine.Name{Schema: r[0], Name: r[1]}
			if t.same(child.Schema, t.schema) {
				child.Schema = ""
			}
			if !slices.Contains(t.tables, child) && !slices.Contains(children[child], r[2]) {
				children[child] = append(children[child], r[2])
			}
		}
	}
	for child, names := range children {
		if t.db.Mine(child) {
			continue
		}
		m, err := t.table(ctx, child)
		if err != nil {
			return err
		}
		for _, e := range m.elements {
			if e.kind == "foreign key" && slices.Contains(names, e.name) {
				t.addElement(child, m, e)
			}
		}
	}
	return nil
}

// references lists schema, table and name of the foreign keys that point to a table.
func (t *mysqlTaker) references(ctx context.Context, n engine.Name) ([][]string, error) {
	schema := n.Schema
	if schema == "" {
		schema = t.schema
	}
	if !t.fold && t.db.Kind == engine.MariaDB {
		// information_schema opens every table of the server to tell, unless it is asked about one.
		if holders, ok := engine.MariaDBForeign(ctx, t.q, schema, n.Name, false); ok {
			var out [][]string
			for _, h := range holders {
				rows, err := t.rows(ctx, `SELECT constraint_schema, table_name, constraint_name FROM information_schema.referential_constraints
					WHERE constraint_schema = ? AND table_name = ? AND unique_constraint_schema = ? AND referenced_table_name = ?`, h.Schema, h.Name, schema, n.Name)
				if err != nil {
					return nil, err
				}
				out = append(out, rows...)
			}
			return out, nil
		}
	}
	return t.rows(ctx, `SELECT constraint_schema, table_name, constraint_name FROM information_schema.referential_constraints
		WHERE unique_constraint_schema = ? AND referenced_table_name = ?`, schema, n.Name)
}

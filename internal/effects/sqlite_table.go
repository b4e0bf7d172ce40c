package effects

import "strings"

func (p *sqliteParser) create() {
	temporary := p.acceptAny("TEMP", "TEMPORARY") != ""
	unique := !temporary && p.accept("UNIQUE")
	switch {
	case unique:
		p.expect("INDEX")
		p.createIndex(true)
	case p.accept("TABLE"):
		p.createTable(temporary)
	case p.accept("VIEW"):
		e := Effect{Kind: Create, Temporary: temporary, IfExists: p.ifNotExists()}
		e.Object = Object{Kind: "view", Name: p.name()}
		if p.punct(p.i) == '(' {
			e.Columns = p.columnList()
		}
		p.expect("AS")
		p.walkQuery()
		e.Temporary = temporary || isTemporary(e.Object.Name)
		p.add(e)
	case p.accept("TRIGGER"):
		p.createTrigger(temporary)
	case !temporary && p.accept("INDEX"):
		p.createIndex(false)
	case !temporary && p.accept("VIRTUAL", "TABLE"):
		e := Effect{Kind: CreateTable, IfExists: p.ifNotExists()}
		e.Table = p.name()
		p.expect("USING")
		e.Detail = "virtual table USING " + p.identifier()
		if !p.done() {
			p.bracket()
		}
		e.Define = &TableDef{}
		p.add(e)
	default:
		p.reject()
	}
}

func (p *sqliteParser) createTable(temporary bool) {
	e := Effect{Kind: CreateTable, IfExists: p.ifNotExists()}
	e.Table = p.name()
	e.Temporary = temporary || isTemporary(e.Table)
	def := &TableDef{Temporary: e.Temporary}
	e.Define = def
	if p.accept("AS") {
		def.AsSelect = true
		from := p.i
		p.walkQuery()
		f := p.facts(from, p.i)
		e.Unordered = f.unordered
		p.addWithCalls(e, f)
		return
	}
	p.expectPunct('(')
	for {
		if p.tableConstraintNext() {
			break
		}
		col, _ := p.column()
		def.Columns = append(def.Columns, col)
		def.Constraints = append(def.Constraints, col.Constraints...)
		if !p.acceptPunct(',') {
			break
		}
	}
	for p.punct(p.i) != ')' {
		def.Constraints = append(def.Constraints, p.tableConstraint())
		p.acceptPunct(',') // SQLite does without
	}
	if len(def.Columns) == 0 {
		p.reject()
	}
	p.expectPunct(')')
	p.tableOptions(def)
	p.add(e)
}

// tableOptions reads what follows the columns. Only now is known what a primary key means: in a table
// with a rowid it takes NULL.
func (p *sqliteParser) tableOptions(def *TableDef) {
	for !p.done() {
		switch {
		case p.accept("STRICT"):
			def.Strict = true
		case p.accept("WITHOUT", "ROWID"):
			def.NoRowID = true
		default:
			p.reject()
		}
		if !p.acceptPunct(',') {
			break
		}
	}
	nullable := make([]bool, len(def.Columns))
	for i, c := range def.Columns {
		nullable[i] = !c.NotNull && !def.Strict && !def.NoRowID
	}
	for _, con := range def.Constraints {
		if con.Kind == "primary key" || con.Kind == "unique" {
			markColumns(def.Columns, con)
		}
	}
	for i := range def.Columns {
		def.Columns[i].NotNull = def.Columns[i].NotNull && !nullable[i]
	}
}

func (p *sqliteParser) tableConstraintNext() bool {
	switch p.word(p.i) {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN":
		return true
	}
	return false
}

// sqliteColumnWords begin a constraint of a column, and so end its type.
var sqliteColumnWords = wordSet(`CONSTRAINT PRIMARY NOT NULL UNIQUE CHECK DEFAULT COLLATE REFERENCES GENERATED AS DEFERRABLE`)

// column reads a column definition; the spans are those of its constraints that need a value.
func (p *sqliteParser) column() (ColumnDef, []Span) {
	col := ColumnDef{Name: p.identifier()}
	col.Type = p.typeName()
	p.typed = p.i
	var spans []Span
	for {
		from := p.i
		name := ""
		if p.accept("CONSTRAINT") {
			name = p.identifier()
		}
		word := p.acceptAny("PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS", "DEFERRABLE")
		if word == "" {
			if name != "" && p.punct(p.i) != ',' && p.punct(p.i) != ')' && !p.done() {
				p.reject()
			}
			break
		}
		if p.columnConstraint(&col, name, word) {
			spans = append(spans, Span{Start: p.tokens[from].start - p.base, End: p.tokens[p.i-1].end - p.base, Column: col.Name, Text: "NOT NULL"})
		}
	}
	if col.HasDefault || col.Generated {
		spans = nil
	}
	return col, spans
}

// typeName reads the words of a type and its arguments; SQLite takes any.
func (p *sqliteParser) typeName() string {
	from := p.i
	for !p.done() && (p.isIdentifier() || p.tokens[p.i].kind == tokenString) && !sqliteColumnWords[p.word(p.i)] &&
		!(p.word(p.i) == "GENERATED" && p.word(p.i+1) == "ALWAYS") {
		p.i++
	}
	if p.i == from {
		return ""
	}
	out := strings.Join(strings.Fields(p.span(from, p.i)), " ")
	if p.punct(p.i) == '(' {
		a, b := p.bracket()
		out += "(" + strings.ReplaceAll(p.span(a, b), " ", "") + ")"
	}
	return out
}

// columnConstraint reads behind the first keyword; true for NOT NULL.
func (p *sqliteParser) columnConstraint(col *ColumnDef, name, word string) bool {
	con := ConstraintDef{Name: name, Columns: []string{col.Name}}
	switch word {
	case "PRIMARY":
		p.expect("KEY")
		p.acceptAny("ASC", "DESC")
		p.conflict()
		col.Serial = p.accept("AUTOINCREMENT")
		col.PrimaryKey, con.Kind = true, "primary key"
		col.Constraints = append(col.Constraints, con)
	case "NOT":
		if p.accept("DEFERRABLE") {
			p.initially()
			return false
		}
		p.expect("NULL")
		p.conflict()
		col.NotNull = true
		return true
	case "NULL":
		p.conflict()
	case "UNIQUE":
		p.conflict()
		col.Unique, con.Kind = true, "unique"
		col.Constraints = append(col.Constraints, con)
	case "CHECK":
		a, b := p.bracket()
		con.Kind, con.Expression = "check", p.span(a, b)
		col.Constraints = append(col.Constraints, con)
	case "DEFAULT":
		p.defaultValue(col)
	case "COLLATE":
		col.Collation = p.identifier()
	case "REFERENCES":
		con.Kind = "foreign key"
		p.references(&con)
		col.Constraints = append(col.Constraints, con)
	case "GENERATED", "AS":
		if word == "GENERATED" {
			p.expect("ALWAYS", "AS")
		}
		a, b := p.bracket()
		col.Generated, col.Expression = true, p.span(a, b)
		col.Stored = p.acceptAny("STORED", "VIRTUAL") == "STORED"
	case "DEFERRABLE":
		p.initially()
	}
	return false
}

func (p *sqliteParser) defaultValue(col *ColumnDef) {
	from := p.i
	if p.punct(p.i) == '(' {
		p.bracket()
	} else {
		if c := p.punct(p.i); c == '-' || c == '+' {
			p.i++
		}
		if p.done() || p.tokens[p.i].kind == tokenPunct {
			p.reject()
		}
		p.i++
	}
	col.Default = p.span(from, p.i)
	col.HasDefault = !strings.EqualFold(strings.Trim(col.Default, "( )"), "null")
}

func (p *sqliteParser) conflict() string {
	if !p.accept("ON", "CONFLICT") {
		return ""
	}
	w := p.acceptAny("ROLLBACK", "ABORT", "FAIL", "IGNORE", "REPLACE")
	if w == "" {
		p.reject()
	}
	return w
}

func (p *sqliteParser) initially() {
	if p.accept("INITIALLY") && p.acceptAny("DEFERRED", "IMMEDIATE") == "" {
		p.reject()
	}
}

// references reads behind REFERENCES.
func (p *sqliteParser) references(con *ConstraintDef) {
	con.Parent = Name{Name: p.identifier()}
	if p.punct(p.i) == '(' {
		con.ParentColumns = p.columnList()
	}
	for {
		switch {
		case p.accept("ON", "DELETE"):
			con.OnDelete = p.action()
		case p.accept("ON", "UPDATE"):
			con.OnUpdate = p.action()
		case p.accept("ON", "INSERT"):
			p.action()
		case p.accept("MATCH"):
			p.identifier()
		case p.accept("NOT", "DEFERRABLE"):
			p.initially()
		case p.accept("DEFERRABLE"):
			con.Deferrable = true
			con.Deferred = p.word(p.i) == "INITIALLY" && p.word(p.i+1) == "DEFERRED"
			p.initially()
		default:
			return
		}
	}
}

func (p *sqliteParser) action() string {
	for _, words := range [][]string{{"SET", "NULL"}, {"SET", "DEFAULT"}, {"CASCADE"}, {"RESTRICT"}, {"NO", "ACTION"}} {
		if p.accept(words...) {
			return strings.Join(words, " ")
		}
	}
	p.reject()
	return ""
}

func (p *sqliteParser) tableConstraint() ConstraintDef {
	var con ConstraintDef
	if p.accept("CONSTRAINT") {
		con.Name = p.identifier()
	}
	switch p.acceptAny("PRIMARY", "UNIQUE", "CHECK", "FOREIGN") {
	case "PRIMARY":
		p.expect("KEY")
		con.Kind = "primary key"
		con.Columns = p.keyColumns()
		p.conflict()
	case "UNIQUE":
		con.Kind = "unique"
		con.Columns = p.keyColumns()
		p.conflict()
	case "CHECK":
		a, b := p.bracket()
		con.Kind, con.Expression = "check", p.span(a, b)
		p.conflict()
	case "FOREIGN":
		p.expect("KEY")
		con.Kind, con.Columns = "foreign key", p.columnList()
		p.expect("REFERENCES")
		p.references(&con)
	default:
		if con.Name == "" || p.punct(p.i) != ')' && p.punct(p.i) != ',' { // a name alone is allowed
			p.reject()
		}
	}
	return con
}

// indexedColumns reads what an index or key is over; an expression appears as its text.
func (p *sqliteParser) indexedColumns(def *IndexDef) {
	p.expectPunct('(')
	for {
		from, to := p.expression("COLLATE", "ASC", "DESC", "AUTOINCREMENT")
		if to-from == 1 && p.tokens[from].kind != tokenPunct {
			def.Columns = append(def.Columns, unquoteToken(&p.source, from))
		} else {
			def.Columns, def.Expressions = append(def.Columns, p.span(from, to)), true
		}
		mode := ""
		if p.accept("COLLATE") {
			mode = "COLLATE " + strings.ToUpper(p.identifier())
		}
		if p.acceptAny("ASC", "DESC") == "DESC" {
			mode = strings.TrimSpace(mode + " desc")
		}
		def.mode(mode)
		p.accept("AUTOINCREMENT")
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(')')
}

// keyColumns reads what a key of a table is over.
func (p *sqliteParser) keyColumns() []string {
	var def IndexDef
	p.indexedColumns(&def)
	return def.Columns
}

// unquoteToken is the name that token i spells.
func unquoteToken(s *source, i int) string {
	t := s.tokens[i]
	text := s.text(t.start, t.end)
	if t.kind == tokenQuoted || t.kind == tokenString && text[0] == '\'' {
		return unquote(text)
	}
	return text
}

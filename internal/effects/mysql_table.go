package effects

import (
	"slices"
	"strings"
)

// createTable reads behind CREATE TABLE.
func (p *mysqlParser) createTable(pre mysqlPrefix) {
	e := Effect{Kind: CreateTable, Replaces: pre.replace, Temporary: pre.temporary, IfExists: p.accept("IF", "NOT", "EXISTS")}
	e.Table = p.name()
	def := &TableDef{Temporary: pre.temporary}
	e.Define = def
	p.implicit = !pre.temporary
	if pre.replace {
		p.replaced(e)
	}
	if p.accept("LIKE") {
		def.Like = append(def.Like, p.name())
		p.add(e)
		return
	}
	if p.punct(p.i) == '(' && p.word(p.i+1) == "LIKE" {
		p.i += 2
		def.Like = append(def.Like, p.name())
		p.expectPunct(')')
		p.add(e)
		return
	}
	if p.punct(p.i) == '(' && !slices.Contains([]string{"SELECT", "WITH", "VALUES", "TABLE"}, p.word(p.i+1)) {
		p.i++
		for {
			p.element(def)
			if !p.acceptPunct(',') {
				break
			}
		}
		p.expectPunct(')')
	}
	p.tableTail(e)
}

// tableTail reads options, partitions and the query of CREATE TABLE.
func (p *mysqlParser) tableTail(e Effect) {
	from := p.i
	query := -1
	for i := p.i; i < len(p.tokens); i = p.skip(i) {
		w := p.word(i)
		if p.punct(i) == '(' {
			w = p.word(i + 1)
		}
		switch {
		case w == "PARTITION" && p.word(i+1) == "BY":
			e.Define.Partitioned = true
		case query < 0 && p.punct(i-1) != '=' && slices.Contains([]string{"SELECT", "WITH", "VALUES", "TABLE"}, w) && p.word(i+1) != "SYSTEM" && !e.Define.Partitioned,
			query < 0 && w == "SELECT":
			query = i
		}
	}
	p.rest()
	if query < 0 {
		if len(e.Define.Columns) == 0 {
			p.reject()
		}
		p.add(e)
		return
	}
	e.Define.AsSelect = true
	p.addWithCalls(e, p.tokenFacts(from, p.i))
}

// element reads one column, index or constraint of CREATE TABLE.
func (p *mysqlParser) element(def *TableDef) {
	if !p.constraintNext() {
		col, _ := p.column(p.identifier())
		def.Columns = append(def.Columns, col)
		def.Constraints = append(def.Constraints, col.Constraints...)
		return
	}
	con, _, _ := p.tableConstraint()
	if con.Kind == "" {
		return
	}
	def.Constraints = append(def.Constraints, con)
	if con.Kind == "primary key" || con.Kind == "unique" {
		markColumns(def.Columns, con)
	}
}

func (p *mysqlParser) constraintNext() bool {
	second := p.word(p.i + 1)
	switch p.word(p.i) {
	case "CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "KEY", "INDEX", "FULLTEXT", "SPATIAL":
		return true
	case "PERIOD":
		return second == "FOR"
	case "VECTOR":
		return second == "INDEX" || second == "KEY" || p.punct(p.i+1) == '('
	}
	return false
}

// tableConstraint reads a constraint or index; the index is nil for a constraint that is none. Maybe: it says IF NOT EXISTS.
func (p *mysqlParser) tableConstraint() (con ConstraintDef, index *IndexDef, maybe bool) {
	if p.accept("CONSTRAINT") && !slices.Contains([]string{"PRIMARY", "UNIQUE", "FOREIGN", "CHECK"}, p.word(p.i)) {
		maybe = p.accept("IF", "NOT", "EXISTS")
		con.Name = p.identifier()
	}
	index = &IndexDef{}
	switch w := p.acceptAny("PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "KEY", "INDEX", "FULLTEXT", "SPATIAL", "VECTOR", "PERIOD"); w {
	case "PRIMARY":
		p.expect("KEY")
		con.Kind, index.Unique = "primary key", true
		maybe = p.indexName(nil)
	case "UNIQUE":
		p.acceptAny("KEY", "INDEX")
		con.Kind, index.Unique = "unique", true
		maybe = p.indexName(&con)
	case "KEY", "INDEX":
		con.Kind = "index"
		maybe = p.indexName(&con)
	case "FULLTEXT", "SPATIAL", "VECTOR":
		p.acceptAny("KEY", "INDEX")
		con.Kind, index.Method = "index", strings.ToLower(w)
		maybe = p.indexName(&con)
	case "FOREIGN":
		p.expect("KEY")
		maybe = p.accept("IF", "NOT", "EXISTS")
		con.Kind = "foreign key"
		if p.punct(p.i) != '(' {
			con.Name = firstOf(con.Name, p.identifier())
		}
		con.Columns = p.columnList()
		p.expect("REFERENCES")
		p.references(&con)
		return con, nil, maybe
	case "CHECK":
		a, b := p.bracket()
		con.Kind, con.Expression = "check", p.span(a, b)
		con.NotEnforced = p.accept("NOT", "ENFORCED")
		p.accept("ENFORCED")
		return con, nil, maybe
	case "PERIOD":
		p.walk()
		return ConstraintDef{}, nil, false
	default:
		p.reject()
	}
	p.using(index)
	p.indexColumns(index)
	con.Columns = index.Columns
	if con.Kind != "primary key" {
		con.Index = index
	}
	p.walk() // options of the index
	return con, index, maybe
}

// indexName reads the name of an index, if it has one, and says whether IF NOT EXISTS stands before it.
func (p *mysqlParser) indexName(con *ConstraintDef) bool {
	maybe := p.accept("IF", "NOT", "EXISTS")
	if p.punct(p.i) == '(' || p.word(p.i) == "USING" {
		return maybe
	}
	name := p.identifier()
	if con != nil {
		con.Name = name
	}
	return maybe
}

// references reads behind REFERENCES.
func (p *mysqlParser) references(con *ConstraintDef) {
	con.Parent = p.name()
	if p.punct(p.i) == '(' {
		con.ParentColumns = p.columnList()
	}
	for {
		switch {
		case p.accept("MATCH"):
			p.i++
		case p.accept("ON", "DELETE"):
			con.OnDelete = p.action()
		case p.accept("ON", "UPDATE"):
			con.OnUpdate = p.action()
		default:
			return
		}
	}
}

func (p *mysqlParser) action() string {
	for _, words := range [][]string{{"SET", "NULL"}, {"SET", "DEFAULT"}, {"CASCADE"}, {"RESTRICT"}, {"NO", "ACTION"}} {
		if p.accept(words...) {
			return strings.Join(words, " ")
		}
	}
	p.reject()
	return ""
}

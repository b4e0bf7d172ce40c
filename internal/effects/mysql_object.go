package effects

import "strings"

// definition reads what follows CREATE, ALTER, DROP, RENAME and TRUNCATE.
func (p *mysqlParser) definition(verb string) {
	switch verb {
	case "CREATE":
		p.create()
	case "ALTER":
		p.alter()
	case "DROP":
		p.drop()
	case "RENAME":
		p.rename()
	default:
		p.accept("TABLE")
		p.add(Effect{Kind: Truncate, Table: p.name()})
		p.wait()
	}
}

// wait: MariaDB's DDL takes WAIT n or NOWAIT.
func (p *mysqlParser) wait() {
	if p.accept("WAIT") {
		p.i++
	} else {
		p.accept("NOWAIT")
	}
}

// mysqlPrefix is what may stand between CREATE and the kind of object.
type mysqlPrefix struct {
	replace, temporary, unique bool
	special                    string // FULLTEXT, SPATIAL, VECTOR
}

func (p *mysqlParser) prefix() (out mysqlPrefix) {
	for {
		switch {
		case p.accept("OR", "REPLACE"):
			out.replace = true
		case p.accept("TEMPORARY"):
			out.temporary = true
		case p.accept("UNIQUE"):
			out.unique = true
		case p.word(p.i) == "FULLTEXT" || p.word(p.i) == "SPATIAL" && p.word(p.i+1) == "INDEX" || p.word(p.i) == "VECTOR":
			out.special = p.word(p.i)
			p.i++
		case p.accept("AGGREGATE"), p.accept("ONLINE"), p.accept("OFFLINE"), p.accept("IGNORE"), p.accept("SQL", "SECURITY", "DEFINER"), p.accept("SQL", "SECURITY", "INVOKER"):
		case p.accept("ALGORITHM"):
			p.expectPunct('=')
			p.i++
		case p.accept("DEFINER"):
			p.expectPunct('=')
			p.account()
		default:
			return out
		}
	}
}

// account reads user@host or CURRENT_USER, a role's name as well.
func (p *mysqlParser) account() Name {
	if p.done() || p.tokens[p.i].kind == tokenPunct {
		p.reject()
	}
	name := unquoteToken(&p.source, p.i)
	p.i++
	if p.punct(p.i) == '(' {
		p.bracket()
	}
	if p.acceptPunct('@') {
		if p.done() {
			p.reject()
		}
		name += "@" + unquoteToken(&p.source, p.i)
		p.i++
	}
	return Name{Name: name}
}

// mysqlKinds are the objects that are created, altered and dropped by one name.
var mysqlKinds = map[string]string{
	"VIEW": "view", "PROCEDURE": "procedure", "FUNCTION": "function", "TRIGGER": "trigger", "EVENT": "event", "DATABASE": "database",
	"SCHEMA": "database", "USER": "role", "ROLE": "role", "SEQUENCE": "sequence", "SERVER": "server", "TABLESPACE": "tablespace",
	"PACKAGE": "package", "LIBRARY": "library",
}

// kind reads the kind of an object.
func (p *mysqlParser) kind() string {
	switch {
	case p.accept("PACKAGE", "BODY"):
		return "package body"
	case p.accept("UNDO", "TABLESPACE"):
		return "tablespace"
	case p.accept("LOGFILE", "GROUP"):
		return "logfile group"
	case p.accept("RESOURCE", "GROUP"):
		return "resource group"
	case p.accept("SPATIAL", "REFERENCE", "SYSTEM"):
		return "spatial reference system"
	}
	kind := mysqlKinds[p.word(p.i)]
	if kind == "" {
		p.reject()
	}
	p.i++
	return kind
}

func (p *mysqlParser) create() {
	pre := p.prefix()
	switch {
	case p.accept("TABLE"):
		p.createTable(pre)
		return
	case p.accept("INDEX"):
		p.createIndex(pre)
		return
	}
	kind := p.kind()
	e := Effect{Kind: Create, Replaces: pre.replace, IfExists: p.accept("IF", "NOT", "EXISTS")}
	switch kind {
	case "role":
		e.Object = Object{Kind: kind, Name: p.account()}
		if p.find(p.i, len(p.tokens), "IDENTIFIED") >= 0 {
			e.Detail = "PASSWORD"
		}
	case "spatial reference system":
		p.i++
		e.Object = Object{Kind: kind}
	default:
		e.Object = Object{Kind: kind, Name: p.name()}
	}
	if kind == "trigger" {
		p.accept("IF", "NOT", "EXISTS")
		if p.acceptAny("BEFORE", "AFTER") == "" || p.acceptAny("INSERT", "UPDATE", "DELETE") == "" {
			p.reject()
		}
		if p.accept("OF") || p.accept("OR") { // several events, columns
			p.i = max(p.i, p.find(p.i, len(p.tokens), "ON"))
		}
		p.expect("ON")
		e.Table = p.name()
	}
	if p.done() && kind != "database" && kind != "role" && kind != "sequence" && kind != "logfile group" && kind != "tablespace" {
		p.reject()
	}
	if kind == "view" {
		p.viewBody(&e)
	}
	if pre.replace && (kind == "database" || kind == "sequence") {
		p.replaced(e)
	}
	p.rest()
	p.add(e)
}

// replaced adds what OR REPLACE drops where that is more than a definition.
func (p *mysqlParser) replaced(e Effect) {
	gone := Effect{Kind: Drop, Object: e.Object, Table: e.Table, IfExists: true, Detail: "OR REPLACE"}
	switch {
	case e.Kind == CreateTable:
		gone.Kind, gone.Temporary = DropTable, e.Temporary
	case e.Object.Kind == "database":
		gone.Kind, gone.Cascade = DropSchema, true
	}
	p.add(gone)
}

func (p *mysqlParser) viewBody(e *Effect) {
	if p.punct(p.i) == '(' {
		e.Columns = p.columnList()
	}
	p.expect("AS")
	if p.done() {
		p.reject()
	}
}

func (p *mysqlParser) createIndex(pre mysqlPrefix) {
	e := Effect{Kind: Create, Replaces: pre.replace, IfExists: p.accept("IF", "NOT", "EXISTS"), Index: &IndexDef{Unique: pre.unique, Method: strings.ToLower(pre.special)}}
	name := p.identifier()
	p.using(e.Index)
	p.expect("ON")
	e.Table = p.name()
	e.Object = Object{Kind: "index", Name: Name{Name: name}}
	p.indexColumns(e.Index)
	if !e.Index.Expressions {
		e.Columns = e.Index.Columns
	}
	p.rest()
	p.add(e)
}

func (p *mysqlParser) using(def *IndexDef) {
	if p.acceptAny("USING", "TYPE") != "" {
		def.Method = strings.ToLower(p.identifier())
	}
}

// indexColumns reads what an index is over.
func (p *mysqlParser) indexColumns(def *IndexDef) {
	p.expectPunct('(')
	for {
		mode := ""
		if p.punct(p.i) == '(' {
			from := p.i
			p.bracket()
			def.Columns, def.Expressions = append(def.Columns, p.span(from, p.i)), true
		} else {
			def.Columns = append(def.Columns, p.identifier())
			if p.punct(p.i) == '(' {
				a, b := p.bracket()
				mode = "(" + p.span(a, b) + ")"
			}
		}
		if p.acceptAny("ASC", "DESC") == "DESC" {
			mode = strings.TrimSpace(mode + " desc")
		}
		def.mode(mode)
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(')')
}

func (p *mysqlParser) drop() {
	temporary := p.accept("TEMPORARY")
	missing := func() bool { return p.accept("IF", "EXISTS") }
	if p.acceptAny("TABLE", "TABLES") != "" {
		exists := missing()
		for {
			p.add(Effect{Kind: DropTable, Table: p.name(), IfExists: exists, Temporary: temporary})
			if !p.acceptPunct(',') {
				break
			}
		}
		p.acceptAny("RESTRICT", "CASCADE")
		p.wait()
		p.implicit = !temporary
		return
	}
	if p.accept("PREPARE") {
		p.rest()
		p.implicit = false
		p.add(Effect{Kind: Session, Detail: "DROP PREPARE"})
		return
	}
	if p.accept("INDEX") {
		exists := missing()
		name := p.identifier()
		p.expect("ON")
		e := Effect{Kind: Drop, Table: p.name(), IfExists: exists, Object: Object{Kind: "index", Name: Name{Name: name}}}
		if p.punct(p.i) == '(' {
			p.reject() // the columns belong to CREATE INDEX
		}
		if strings.EqualFold(name, "primary") {
			e.Kind, e.Object.Kind = DropConstraint, "constraint"
		}
		p.rest()
		p.add(e)
		return
	}
	kind := p.kind()
	exists := missing()
	for {
		e := Effect{Kind: Drop, IfExists: exists, Object: Object{Kind: kind}}
		switch kind {
		case "role":
			e.Object.Name = p.account()
		case "database":
			e.Kind, e.Cascade, e.Object.Name = DropSchema, true, p.name()
		case "spatial reference system":
			p.i++
		default:
			e.Object.Name = p.name()
		}
		p.add(e)
		if !p.acceptPunct(',') {
			break
		}
	}
	p.acceptAny("RESTRICT", "CASCADE")
	if kind == "tablespace" || kind == "logfile group" || kind == "resource group" {
		p.rest()
	}
}

func (p *mysqlParser) rename() {
	switch p.acceptAny("TABLE", "TABLES", "USER") {
	case "USER":
		for {
			e := Effect{Kind: Rename, Object: Object{Kind: "role", Name: p.account()}}
			p.expect("TO")
			e.NewName = p.account()
			p.add(e)
			if !p.acceptPunct(',') {
				return
			}
		}
	case "":
		p.reject()
	}
	exists := p.accept("IF", "EXISTS")
	for {
		e := Effect{Kind: RenameTable, Table: p.name(), IfExists: exists, IfTable: exists}
		p.wait()
		p.expect("TO")
		e.NewName = p.name()
		p.add(e)
		if !p.acceptPunct(',') {
			return
		}
	}
}

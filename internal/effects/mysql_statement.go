package effects

import (
	"slices"
	"strings"
)

// statement reads what the first keyword says.
func (p *mysqlParser) statement() {
	w := p.word(p.i)
	switch {
	case p.punct(p.i) == '(' || slices.Contains([]string{"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "REPLACE", "UPDATE", "DELETE", "DO"}, w):
		p.rows()
	case w == "CREATE" || w == "ALTER" || w == "DROP" || w == "RENAME" || w == "TRUNCATE":
		p.implicit = true
		p.i++
		p.definition(w)
	case w == "SET":
		p.set()
	case w == "LOAD":
		p.load()
	case w == "GRANT" || w == "REVOKE":
		p.implicit = true
		p.grant()
	case w == "EXPLAIN" || w == "DESCRIBE" || w == "DESC":
		p.explain()
	default:
		p.simple(w)
	}
}

// rest takes all that is left of the statement.
func (p *mysqlParser) rest() { p.i = len(p.tokens) }

// simple: statements of which the first words say all.
func (p *mysqlParser) simple(w string) {
	second := p.word(p.i + 1)
	e := Effect{Detail: firstWords(p.src)}
	switch w {
	case "BEGIN":
		if second == "NOT" {
			p.rest()
			p.implicit = true
			p.effects = append(p.effects, opaque("", "BEGIN NOT ATOMIC")...)
			return
		}
		e.Kind = Transaction
	case "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA":
		e.Kind = Transaction
	case "START":
		e.Kind = External
		if second == "TRANSACTION" {
			e.Kind = Transaction
		}
	case "USE":
		p.i++
		p.add(Effect{Kind: Session, Object: Object{Kind: "setting", Name: Name{Name: "database"}}, Detail: firstWords(p.src)})
		p.identifier()
		return
	case "UNLOCK", "DEALLOCATE", "HELP":
		e.Kind = Session
	case "LOCK":
		p.lock()
		return
	case "SHOW", "HANDLER", "CHECKSUM", "GET":
		e.Kind = Read
	case "ANALYZE", "OPTIMIZE", "CHECK", "REPAIR", "CACHE", "FLUSH":
		p.implicit = true
		p.maintain(w)
		return
	case "KILL", "SHUTDOWN", "RESTART", "INSTALL", "UNINSTALL", "CLONE", "BINLOG", "STOP", "CHANGE", "RESET", "PURGE", "BACKUP", "IMPORT":
		p.implicit = true
		e.Kind = External
	case "CALL":
		p.i++
		name := p.name()
		p.rest()
		p.implicit = true
		p.effects = append(p.effects, opaque("", "CALL "+name.String()+"()")...)
		return
	case "PREPARE", "EXECUTE":
		p.rest()
		p.implicit = true
		p.effects = append(p.effects, opaque("", w+": dynamic SQL")...)
		return
	default:
		p.reject()
	}
	p.rest()
	p.add(e)
}

// maintain: ANALYZE TABLE a, b and the like.
func (p *mysqlParser) maintain(w string) {
	if w == "ANALYZE" && p.dialect == MariaDB { // runs the statement
		if at := p.find(1, len(p.tokens), "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH"); at > 0 && at <= 4 {
			p.implicit = false
			p.unwrap(at)
			return
		}
	}
	p.i++
	for p.acceptAny("NO_WRITE_TO_BINLOG", "LOCAL") != "" {
	}
	e := Effect{Kind: Maintenance, Detail: w}
	if p.acceptAny("TABLE", "TABLES") == "" || !p.isIdentifier() {
		p.rest()
		p.add(e)
		return
	}
	for {
		e.Table = p.name()
		p.add(e)
		if !p.acceptPunct(',') {
			break
		}
	}
	p.rest()
}

func (p *mysqlParser) lock() {
	p.implicit = true
	p.i++
	if p.acceptAny("TABLES", "TABLE") == "" {
		p.rest()
		p.add(Effect{Kind: Session, Detail: firstWords(p.src)})
		return
	}
	for {
		e := Effect{Kind: Session, Table: p.name(), Detail: "LOCK TABLES"}
		p.walk()
		p.add(e)
		if !p.acceptPunct(',') {
			return
		}
	}
}

// walk moves to the next comma at this depth, or to the end.
func (p *mysqlParser) walk() {
	for !p.done() && p.punct(p.i) != ',' && p.punct(p.i) != ')' {
		next := p.skip(p.i)
		if p.punct(p.i) == '(' && p.punct(next-1) != ')' {
			p.rest()
			p.reject()
		}
		p.i = next
	}
}

// name reads a name with or without its database.
func (p *mysqlParser) name() Name {
	first := p.identifier()
	if !p.acceptPunct('.') {
		return Name{Name: first}
	}
	// Behind a dot any word is a name.
	if p.i < len(p.tokens) && p.tokens[p.i].kind == tokenWord {
		p.i++
		return Name{Schema: first, Name: unquoteToken(&p.source, p.i-1)}
	}
	return Name{Schema: first, Name: p.identifier()}
}

// set reads SET; what it calls may do anything.
func (p *mysqlParser) set() {
	e := Effect{Kind: Session, Detail: firstWords(p.src)}
	scope, name := p.word(1), p.word(1)
	if p.punct(1) == '@' && p.punct(2) == '@' {
		scope = p.word(3)
	}
	switch {
	case p.word(1) == "STATEMENT" && p.dialect == MariaDB:
		// SET STATEMENT a = 1 FOR statement
		if at := p.find(2, len(p.tokens), "FOR"); at > 0 {
			p.unwrap(at + 1)
			return
		}
		p.reject()
	case name == "PASSWORD":
		p.implicit = true
		e.Kind, e.Object, e.Detail = Alter, Object{Kind: "role"}, "PASSWORD"
		p.rest()
		p.add(e)
		return
	case scope == "GLOBAL" || scope == "PERSIST" || scope == "PERSIST_ONLY":
		e.Kind = External
	case p.word(1) == "AUTOCOMMIT" || p.word(2) == "AUTOCOMMIT" || p.word(3) == "AUTOCOMMIT":
		e.Kind = Transaction
	}
	for i := 1; i < len(p.tokens); i++ {
		if w := p.word(i); w != "" && p.punct(i+1) == '=' && e.Object.Kind == "" && p.punct(i-1) != '@' {
			e.Object = Object{Kind: "setting", Name: Name{Name: strings.ToLower(w)}}
		}
	}
	from := p.i
	p.rest()
	if strings.Contains(e.Detail, "PASSWORD") {
		e.Detail = "SET"
	}
	p.addWithCalls(e, p.tokenFacts(from, p.i))
}

// unwrap reads the statement that begins at a token.
func (p *mysqlParser) unwrap(at int) {
	p.i = at
	if p.done() {
		p.reject()
	}
	from := p.tokens[at].start - p.base
	p.flat = strings.Repeat(" ", from) + p.flat[from:]
	p.statement()
}

func (p *mysqlParser) load() {
	p.implicit = false
	if p.word(1) == "INDEX" {
		p.rest()
		p.add(Effect{Kind: Maintenance, Detail: "LOAD INDEX"})
		return
	}
	if p.word(1) != "DATA" && p.word(1) != "XML" {
		p.reject()
	}
	at := p.find(p.i, len(p.tokens), "INTO")
	if at < 0 || p.word(at+1) != "TABLE" {
		p.i++
		p.reject()
	}
	kind := Insert
	if p.word(at-1) == "REPLACE" {
		kind = Replace
	}
	p.i = at + 2
	e := Effect{Kind: kind, Table: p.name(), Volatile: true, Detail: "LOAD " + p.word(1)}
	from := p.i
	p.rest()
	p.addWithCalls(e, p.tokenFacts(from, p.i))
	p.add(Effect{Kind: External, Table: e.Table, Detail: "LOAD " + p.word(1) + " reads a file"})
}

func (p *mysqlParser) explain() {
	analyze := p.word(1) == "ANALYZE"
	if analyze && p.dialect == MySQL {
		if at := p.find(2, len(p.tokens), "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "TABLE"); at > 0 {
			p.unwrap(at)
			return
		}
	}
	p.rest()
	p.add(Effect{Kind: Read, Detail: "EXPLAIN"})
}

func (p *mysqlParser) grant() {
	// GRANT privileges ON [TABLE] object TO …; GRANT role TO …
	detail := firstWords(p.src)
	if p.find(0, len(p.tokens), "IDENTIFIED") >= 0 {
		detail = "PASSWORD"
	}
	e := Effect{Kind: Grant, Detail: detail}
	if at := p.find(1, len(p.tokens), "ON"); at > 0 {
		p.i = at + 1
		kind := p.acceptAny("TABLE", "FUNCTION", "PROCEDURE")
		switch {
		case p.punct(p.i) == '*':
			e.Object = Object{Kind: "database"}
		case p.punct(p.i+1) == '.' && p.punct(p.i+2) == '*':
			e.Object = Object{Kind: "database", Name: Name{Name: unquoteToken(&p.source, p.i)}}
		case kind == "FUNCTION" || kind == "PROCEDURE":
			e.Object = Object{Kind: strings.ToLower(kind), Name: p.name()}
		default:
			e.Table = p.name()
		}
	} else {
		e.Object = Object{Kind: "role"}
	}
	p.rest()
	p.add(e)
}

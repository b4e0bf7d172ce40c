package effects

import (
	"fmt"
	"strings"
)

// sqlite reads SQL by a parser of its own, after the grammar that SQLite documents. Expressions and
// queries are not checked, only walked through for the columns they read and the functions they
// call: the server does the rest.
type sqlite struct{}

func (sqlite) parse(sql string) []Statement {
	var out []Statement
	for _, part := range sqliteSplit(sql, lex(SQLite, sql, false)) {
		out = append(out, sqliteStatement(newSource(sql, part)))
	}
	return out
}

// sqliteSplit cuts at semicolons; a trigger ends at the END that follows one.
func sqliteSplit(sql string, tokens []token) [][]token {
	var parts [][]token
	is := func(i int, word string) bool {
		return i < len(tokens) && tokens[i].kind == tokenWord && strings.EqualFold(sql[tokens[i].start:tokens[i].end], word)
	}
	semicolon := func(i int) bool { return tokens[i].kind == tokenPunct && sql[tokens[i].start] == ';' }
	trigger := func(i int) bool {
		for is(i, "explain") || is(i, "query") || is(i, "plan") {
			i++
		}
		if !is(i, "create") {
			return false
		}
		if i++; is(i, "temp") || is(i, "temporary") {
			i++
		}
		return is(i, "trigger")
	}
	for from := 0; from < len(tokens); from++ {
		to, inTrigger := from, trigger(from)
		for to < len(tokens) && (!semicolon(to) || inTrigger && !(to >= 2 && is(to-1, "end") && semicolon(to-2))) {
			to++
		}
		if to > from {
			parts = append(parts, tokens[from:to])
		}
		from = to
	}
	return parts
}

// sqliteParser reads one statement.
type sqliteParser struct {
	cursor
	read  [][2]int // the tokens of the expressions that the statement reads
	typed int      // where the type of the last column that was read ends
}

func sqliteStatement(src source) (out Statement) {
	p := &sqliteParser{cursor: cursor{source: src, reserved: sqliteReserved, stringNames: true}}
	out = Statement{SQL: src.src, Offset: src.base}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case rejected:
			out.Effects, out.ErrorOffset = opaque(src.src, ""), len(src.src)
			out.ParseError = "unexpected end of statement"
			if r.token < len(src.tokens) {
				t := src.tokens[r.token]
				out.ErrorOffset = t.start - src.base
				out.ParseError = fmt.Sprintf("not understood near %q", firstWords(src.text(t.start, t.end)))
			}
			out.NotNullSpans, out.Autocommit = nil, false
		default:
			panic(r)
		}
	}()
	for i, t := range src.tokens {
		if t.kind == tokenBroken {
			panic(rejected{i})
		}
	}
	p.statement()
	if p.i < len(p.tokens) {
		p.reject()
	}
	out.Effects, out.NotNullSpans, out.Autocommit = p.effects, p.spans, p.autocommit
	return out
}

// sqliteReserved are the keywords that cannot be a name without quotes.
var sqliteReserved = wordSet(`ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE
	DEFAULT DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT INTO IS ISNULL JOIN
	LIMIT NOT NOTHING NOTNULL NULL ON OR ORDER PRIMARY REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION
	UNIQUE UPDATE USING VALUES WHEN WHERE`)

// name reads a name with or without its schema. "main" is where everything lies anyhow.
func (p *sqliteParser) name() Name {
	first := p.identifier()
	if !p.acceptPunct('.') {
		return Name{Name: first}
	}
	second := p.identifier()
	if strings.EqualFold(first, "main") {
		return Name{Name: second}
	}
	return Name{Schema: first, Name: second}
}

func isTemporary(n Name) bool { return strings.EqualFold(n.Schema, "temp") }

func (p *sqliteParser) ifExists() bool    { return p.accept("IF", "EXISTS") }
func (p *sqliteParser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }

// statement reads what the first keyword says.
func (p *sqliteParser) statement() {
	switch p.acceptAny("CREATE", "ALTER", "DROP", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "SELECT", "VALUES", "EXPLAIN",
		"PRAGMA", "ATTACH", "DETACH", "VACUUM", "REINDEX", "ANALYZE", "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE") {
	case "CREATE":
		p.create()
	case "ALTER":
		p.expect("TABLE")
		p.alterTable()
	case "DROP":
		p.drop()
	case "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "SELECT", "VALUES":
		p.i--
		p.query()
	case "EXPLAIN":
		p.accept("QUERY", "PLAN")
		explained := len(p.effects)
		p.statement()
		p.effects, p.spans, p.autocommit = append(p.effects[:explained], Effect{Kind: Read, Detail: "EXPLAIN"}), nil, false
	case "PRAGMA":
		p.pragma()
	case "ATTACH", "DETACH", "VACUUM", "REINDEX", "ANALYZE":
		p.upkeep()
	case "BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE":
		p.transaction()
	default:
		p.reject()
	}
}

func (p *sqliteParser) transaction() {
	switch p.word(p.i - 1) {
	case "SAVEPOINT":
		p.identifier()
	case "RELEASE":
		p.accept("SAVEPOINT")
		p.identifier()
	case "BEGIN":
		p.acceptAny("DEFERRED", "IMMEDIATE", "EXCLUSIVE", "CONCURRENT")
		fallthrough
	default:
		if p.accept("TRANSACTION") && p.isIdentifier() && p.word(p.i) != "TO" {
			p.identifier()
		}
		if p.accept("TO") {
			p.accept("SAVEPOINT")
			p.identifier()
		}
	}
	p.add(Effect{Kind: Transaction, Detail: firstWords(p.src)})
}

func (p *sqliteParser) upkeep() {
	e := Effect{Kind: Maintenance, Detail: firstWords(p.src)}
	switch p.word(p.i - 1) {
	case "ATTACH":
		p.accept("DATABASE")
		p.expression("AS")
		p.expect("AS")
		p.expression("KEY")
		if p.accept("KEY") {
			p.expression()
		}
		e.Kind, e.Detail = External, "ATTACH DATABASE" // its key is a secret
		e.Refused = "ATTACH DATABASE: what is written into another file can neither be captured nor taken back"
	case "DETACH":
		p.accept("DATABASE")
		p.expression()
		e.Kind, p.autocommit = Session, true
	case "VACUUM":
		if p.isIdentifier() {
			p.identifier()
		}
		if p.accept("INTO") {
			p.expression()
			p.add(Effect{Kind: External, Detail: e.Detail})
		}
		p.autocommit = true
	default: // REINDEX, ANALYZE
		if p.isIdentifier() {
			e.Table = p.name()
		}
	}
	p.add(e)
}

// sqlitePragmas are the settings of which a reviewer wants to know more than the name.
var sqlitePragmas = map[string]string{
	"foreign_keys":       "has no effect inside a transaction",
	"journal_mode":       "lasts beyond the session; cannot change inside a transaction",
	"synchronous":        "cannot change inside a transaction",
	"writable_schema":    "lets statements rewrite the schema by hand",
	"user_version":       "lasts; is not captured",
	"application_id":     "lasts; is not captured",
	"auto_vacuum":        "lasts beyond the session",
	"page_size":          "lasts beyond the session",
	"encoding":           "lasts beyond the session",
	"legacy_alter_table": "changes what RENAME rewrites",
	"schema_version":     "corrupts the database when misused",
}

func (p *sqliteParser) pragma() {
	n := p.name()
	e := Effect{Kind: Session, Object: Object{Kind: "setting", Name: Name{Name: strings.ToLower(n.Name)}}, Detail: firstWords(p.src)}
	assigned := false
	if p.acceptPunct('=') {
		assigned = true
		p.expression()
	} else if !p.done() {
		assigned = true
		p.bracket()
	}
	switch note, known := sqlitePragmas[e.Object.Name.Name]; {
	case known && assigned:
		e.Detail += ": " + note
	case !assigned:
		e.Kind = Read
	}
	switch e.Object.Name.Name {
	case "incremental_vacuum", "wal_checkpoint", "optimize", "shrink_memory":
		e.Kind = Maintenance
	case "table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list",
		"foreign_key_check", "integrity_check", "quick_check":
		e.Kind = Read
	}
	p.add(e)
}

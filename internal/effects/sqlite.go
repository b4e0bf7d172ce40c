package effects

import (
	"fmt"
	"slices"
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
	source
	i          int // the next token
	effects    []Effect
	spans      []Span
	autocommit bool
	read       [][2]int // the tokens of the expressions that the statement reads
}

// sqliteRejected is what the parser panics with where it does not understand the text.
type sqliteRejected struct{ token int }

func sqliteStatement(src source) (out Statement) {
	p := &sqliteParser{source: src}
	out = Statement{SQL: src.src, Offset: src.base}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case sqliteRejected:
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
			panic(sqliteRejected{i})
		}
	}
	p.statement()
	if p.i < len(p.tokens) {
		p.reject()
	}
	out.Effects, out.NotNullSpans, out.Autocommit = p.effects, p.spans, p.autocommit
	return out
}

func (p *sqliteParser) reject()      { panic(sqliteRejected{p.i}) }
func (p *sqliteParser) add(e Effect) { p.effects = append(p.effects, e) }

// accept moves behind the words when they come next.
func (p *sqliteParser) accept(words ...string) bool {
	for k, w := range words {
		if p.word(p.i+k) != w {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *sqliteParser) acceptAny(words ...string) string {
	for _, w := range words {
		if p.accept(w) {
			return w
		}
	}
	return ""
}

func (p *sqliteParser) expect(words ...string) {
	if !p.accept(words...) {
		p.reject()
	}
}

func (p *sqliteParser) acceptPunct(c byte) bool {
	if p.punct(p.i) != c {
		return false
	}
	p.i++
	return true
}

func (p *sqliteParser) expectPunct(c byte) {
	if !p.acceptPunct(c) {
		p.reject()
	}
}

func (p *sqliteParser) done() bool { return p.i >= len(p.tokens) }

// sqliteReserved are the keywords that cannot be a name without quotes.
var sqliteReserved = wordSet(`ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT CONSTRAINT CREATE
	DEFAULT DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT INTO IS ISNULL JOIN
	LIMIT NOT NOTHING NOTNULL NULL ON OR ORDER PRIMARY REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION
	UNIQUE UPDATE USING VALUES WHEN WHERE`)

func wordSet(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// identifier reads a name; SQLite takes a string for one, too.
func (p *sqliteParser) identifier() string {
	if p.i < len(p.tokens) {
		t := p.tokens[p.i]
		text := p.text(t.start, t.end)
		switch {
		case t.kind == tokenWord && !sqliteReserved[strings.ToUpper(text)]:
			p.i++
			return text
		case t.kind == tokenQuoted, t.kind == tokenString && text[0] == '\'':
			p.i++
			return unquote(text)
		}
	}
	p.reject()
	return ""
}

// isIdentifier says whether a name comes next.
func (p *sqliteParser) isIdentifier() bool {
	if p.done() {
		return false
	}
	switch p.tokens[p.i].kind {
	case tokenWord:
		return !sqliteReserved[p.word(p.i)]
	case tokenQuoted:
		return true
	}
	return false
}

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

// bracket reads from an opening bracket to its end and gives the tokens between.
func (p *sqliteParser) bracket() (from, to int) {
	if p.punct(p.i) != '(' {
		p.reject()
	}
	from = p.i + 1
	p.i = p.skip(p.i)
	if p.punct(p.i-1) != ')' || p.i-1 < from {
		p.i = len(p.tokens)
		p.reject()
	}
	return from, p.i - 1
}

// columnList reads names in brackets.
func (p *sqliteParser) columnList() []string {
	p.expectPunct('(')
	var out []string
	for {
		out = append(out, p.identifier())
		if !p.acceptPunct(',') {
			break
		}
	}
	p.expectPunct(')')
	return out
}

func (p *sqliteParser) ifExists() bool    { return p.accept("IF", "EXISTS") }
func (p *sqliteParser) ifNotExists() bool { return p.accept("IF", "NOT", "EXISTS") }

// expression walks to the end of an expression: a comma, a closing bracket, or one of the keywords
// at its own depth. It does not accept an empty one.
func (p *sqliteParser) expression(stops ...string) (from, to int) {
	from = p.i
	for !p.done() {
		if c := p.punct(p.i); c == ',' || c == ')' {
			break
		}
		if w := p.word(p.i); w != "" && p.i > from && slices.Contains(stops, w) && p.punct(p.i-1) != '.' &&
			!(w == "FROM" && p.word(p.i-1) == "DISTINCT") {
			break
		}
		next := p.skip(p.i)
		if c := p.punct(p.i); c == '(' && p.punct(next-1) != ')' {
			p.i = len(p.tokens)
			p.reject()
		}
		p.i = next
	}
	if p.i == from {
		p.reject()
	}
	return from, p.i
}

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

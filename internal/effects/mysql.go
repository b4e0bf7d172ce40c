package effects

import (
	"fmt"
	"strings"
)

// mysql reads SQL of MySQL and of MariaDB. Statements about rows go through the grammar of
// pingcap/tidb; what a definition says is read from the tokens, because that grammar lacks much of
// what both servers have come to know (triggers, routines, events, most that is MariaDB's own). What
// neither understands is opaque.
type mysql struct{ dialect Dialect }

func (m mysql) parse(sql string) []Statement {
	flat, marks := mysqlFlatten(m.dialect, sql)
	var out []Statement
	for _, p := range mysqlParts(sql, flat, lex(m.dialect, flat, false), marks) {
		out = append(out, m.statement(p))
	}
	return out
}

// mysqlPart is one statement: its text, and the same text with executable comments laid open.
type mysqlPart struct {
	source
	flat      string
	uncertain string // an executable comment that runs on some versions only
	merged    bool   // several statements in one executable comment
}

// mysqlParser reads one statement.
type mysqlParser struct {
	cursor
	flat     string
	dialect  Dialect
	implicit bool
}

// mysqlReserved are keywords that no name can be without quotes and that would lead the parser astray.
var mysqlReserved = wordSet(`ADD ALL ALTER ANALYZE AND AS ASC BETWEEN BY CASCADE CASE CHANGE CHECK COLLATE COLUMN CONSTRAINT CONVERT CREATE
	CROSS DATABASE DEFAULT DELETE DESC DESCRIBE DISTINCT DROP ELSE EXISTS FOREIGN FROM FULLTEXT GRANT GROUP HAVING IGNORE IN INDEX
	INNER INSERT INTO IS JOIN KEY KEYS KILL LEFT LIKE LIMIT LOAD LOCK MATCH NATURAL NOT NULL ON OPTIMIZE OR ORDER OUTER PRIMARY PROCEDURE
	PURGE REFERENCES RENAME REPLACE RESTRICT REVOKE RIGHT SELECT SET SHOW SPATIAL STARTING STRAIGHT_JOIN TABLE THEN TO TRIGGER
	UNION UNIQUE UNLOCK UPDATE USE USING VALUES WHEN WHERE WHILE WITH`)

func (m mysql) statement(part mysqlPart) (out Statement) {
	out = Statement{SQL: part.src, Offset: part.base}
	p := &mysqlParser{cursor: cursor{source: part.source, reserved: mysqlReserved}, flat: part.flat, dialect: m.dialect}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case rejected:
			out.Effects, out.ErrorOffset = opaque(part.src, ""), len(part.src)
			out.ParseError = "unexpected end of statement"
			if r.token < len(part.tokens) {
				t := part.tokens[r.token]
				out.ErrorOffset = t.start - part.base
				out.ParseError = fmt.Sprintf("not understood near %q", firstWords(part.text(t.start, t.end)))
			}
			out.NotNullSpans = nil
			// What is not understood may commit as well as anything else.
			out.ImplicitCommit = true
		default:
			panic(r)
		}
	}()
	for i, t := range part.tokens {
		if t.kind == tokenBroken {
			panic(rejected{i})
		}
	}
	if part.merged {
		out.Effects, out.ImplicitCommit = opaque("", "several statements in one executable comment"), true
		return out
	}
	p.statement()
	if !p.done() {
		p.reject()
	}
	out.Effects, out.NotNullSpans, out.Autocommit, out.ImplicitCommit = p.effects, p.spans, p.autocommit, p.implicit
	if part.uncertain != "" {
		out.Effects = append(out.Effects, opaque("", "runs on some versions only: "+part.uncertain)...)
	}
	return out
}

// mysqlMark is an executable comment that is laid open: bytes [start, end).
type mysqlMark struct {
	start, end int
	uncertain  bool
}

// mysqlFlatten gives a text of the same length in which what the server runs stands open and what it
// does not run is blank: /*! … */, /*!50100 … */, /*M! … */. The grammar's own idea of them is wrong:
// it runs all of the first kind and none of the second.
func mysqlFlatten(d Dialect, sql string) (string, []mysqlMark) {
	if !strings.Contains(sql, "/*") {
		return sql, nil
	}
	out := []byte(sql)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	var marks []mysqlMark
	open := -1
	l := lexer{dialect: d, src: sql}
	for l.pos < len(sql) {
		rest := sql[l.pos:]
		switch {
		case isBlank(sql[l.pos]):
			l.pos++
		case open >= 0 && strings.HasPrefix(rest, "*/"):
			blank(l.pos, l.pos+2)
			l.pos += 2
			marks[open].end = l.pos
			open = -1
		case open < 0 && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")):
			head := strings.IndexByte(rest, '!') + 1
			digits := head
			for digits < len(rest) && digits < head+6 && isDigit(rest[digits]) {
				digits++
			}
			runs, certain := mysqlRuns(d, rest[2] == 'M', rest[head:digits])
			if !runs {
				from := l.pos
				l.scan()
				blank(from, l.pos)
				break
			}
			blank(l.pos, l.pos+digits)
			open = len(marks)
			marks = append(marks, mysqlMark{start: l.pos, end: len(sql), uncertain: !certain})
			l.pos += digits
		default:
			from := l.pos
			if l.scan() == tokenComment && strings.HasPrefix(rest, "/*+") {
				blank(from, l.pos) // hints to the optimiser
			}
		}
	}
	return string(out), marks
}

// mysqlRuns says whether the server runs an executable comment, and whether that is so for every
// version supported (MySQL 8.0 and later, MariaDB 10.6 and later).
func mysqlRuns(d Dialect, mariadbOnly bool, digits string) (runs, certain bool) {
	version := 0
	for i := range digits {
		version = version*10 + int(digits[i]-'0')
	}
	if d == MySQL {
		switch {
		case mariadbOnly, version >= 99990: // "never", or MariaDB's numbers
			return false, true
		default:
			return true, version <= 80000
		}
	}
	// MariaDB leaves out what is meant for MySQL 5.7 to 9.
	if !mariadbOnly && version >= 50700 && version <= 99999 {
		return false, true
	}
	return true, version <= 100600
}

// mysqlParts cuts a text into statements.
func mysqlParts(sql, flat string, tokens []token, marks []mysqlMark) []mysqlPart {
	var out []mysqlPart
	for _, t := range mysqlSplit(flat, tokens) {
		start, end := t[0].start, t[len(t)-1].end
		part := mysqlPart{}
		for _, m := range marks {
			if m.start >= end || m.end <= start {
				continue
			}
			// A comment belongs to the statement as a whole, or what is left would not be one.
			start, end = min(start, m.start), max(end, m.end)
			if m.uncertain && part.uncertain == "" {
				part.uncertain = firstWords(sql[m.start:m.end])
			}
		}
		if last := len(out) - 1; last >= 0 && out[last].base+len(out[last].src) > start {
			prev := &out[last]
			all := append(append([]token{}, prev.tokens...), t...)
			prev.merged = true
			prev.source = source{base: prev.base, src: sql[prev.base:max(end, prev.base+len(prev.src))], tokens: all}
			continue
		}
		part.source = source{base: start, src: sql[start:end], tokens: t}
		part.flat = flat[start:end]
		out = append(out, part)
	}
	return out
}

// mysqlSplit cuts at semicolons, those in the body of a routine, trigger or event excepted.
func mysqlSplit(flat string, tokens []token) [][]token {
	word := func(i int) string {
		if i < 0 || i >= len(tokens) || tokens[i].kind != tokenWord {
			return ""
		}
		return strings.ToUpper(flat[tokens[i].start:tokens[i].end])
	}
	punct := func(i int) byte {
		if i < 0 || i >= len(tokens) || tokens[i].kind != tokenPunct {
			return 0
		}
		return flat[tokens[i].start]
	}
	var parts [][]token
	from, depth := 0, 0
	for i := range tokens {
		compound := mysqlCompound(word, from)
		switch w := word(i); {
		case punct(i) == ';':
			if depth > 0 {
				continue
			}
			if i > from {
				parts = append(parts, tokens[from:i])
			}
			from, depth = i+1, 0
		case !compound || w == "" || punct(i-1) == '.':
		case w == "END":
			depth = max(depth-1, 0)
		case w == "CASE" && word(i-1) != "END", w == "BEGIN" && word(i-1) != "XA", w == "PACKAGE" && depth == 0:
			depth++
		case (w == "IF" || w == "LOOP" || w == "WHILE" || w == "REPEAT") && mysqlBegins(word(i-1), punct(i-1)):
			depth++
		}
	}
	if from < len(tokens) {
		parts = append(parts, tokens[from:])
	}
	return parts
}

// mysqlBegins says whether a statement of a body begins behind such a token.
func mysqlBegins(word string, punct byte) bool {
	switch word {
	case "BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "ROW":
		return true
	}
	return punct == ';' || punct == ':' || punct == ')'
}

// mysqlCompound says whether the statement that begins at a token may have a body of statements.
func mysqlCompound(word func(int) string, i int) bool {
	if word(i) == "BEGIN" {
		return word(i+1) == "NOT" // BEGIN NOT ATOMIC
	}
	if word(i) != "CREATE" && word(i) != "ALTER" {
		return false
	}
	for k := i + 1; k < i+16; k++ {
		switch word(k) {
		case "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE":
			return true
		case "TABLE", "VIEW", "INDEX", "DATABASE", "SCHEMA", "USER", "ROLE", "SEQUENCE":
			return false
		}
	}
	return false
}

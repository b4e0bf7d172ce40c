package effects

import (
	"strings"
	"unicode/utf8"
)

// tokenKind is what a token is; the lexers of all engines share it.
type tokenKind uint8

const (
	tokenWord    tokenKind = iota // a keyword or an identifier without quotes
	tokenQuoted                   // an identifier in quotes
	tokenString                   // a string, blob or bit literal
	tokenNumber                   // a number
	tokenParam                    // $1, ?, :name, @name
	tokenPunct                    // one byte of an operator or punctuation
	tokenComment                  // a comment
	tokenBroken                   // a string, identifier or comment without an end: reaches to the end of the text
)

// token is a piece of the source between two byte offsets.
type token struct {
	kind       tokenKind
	start, end int
}

// lexer walks through a source. It never fails: what has no end is one broken token.
type lexer struct {
	dialect Dialect
	src     string
	pos     int
}

// lex gives all tokens of a source but blanks; comments are left out unless asked for.
func lex(d Dialect, src string, comments bool) []token {
	l := lexer{dialect: d, src: src}
	tokens := make([]token, 0, len(src)/5+4)
	for {
		t, ok := l.next()
		if !ok {
			return tokens
		}
		if t.kind != tokenComment || comments {
			tokens = append(tokens, t)
		}
	}
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c == '_' || c >= utf8.RuneSelf || (c|0x20) >= 'a' && (c|0x20) <= 'z'
}

func isWordPart(c byte) bool { return isWordStart(c) || isDigit(c) || c == '$' }

func (l *lexer) at(i int) byte {
	if i < len(l.src) {
		return l.src[i]
	}
	return 0
}

func (l *lexer) next() (token, bool) {
	for l.pos < len(l.src) && isBlank(l.src[l.pos]) {
		l.pos++
	}
	if strings.HasPrefix(l.src[l.pos:], "\ufeff") && l.pos == 0 {
		l.pos += len("\ufeff")
		return l.next()
	}
	if l.pos >= len(l.src) {
		return token{}, false
	}
	start := l.pos
	kind := l.scan()
	return token{kind: kind, start: start, end: l.pos}, true
}

// scan moves behind the token that begins at pos.
func (l *lexer) scan() tokenKind {
	c, c1 := l.src[l.pos], l.at(l.pos+1)
	switch {
	case c == '-' && c1 == '-' && l.dashComment(l.pos+2), c == '#' && l.mysql():
		return l.lineComment()
	case c == '/' && c1 == '*':
		return l.blockComment()
	case c == '\'':
		return l.quoted('\'', tokenString, l.mysql())
	case c == '"':
		if l.mysql() {
			return l.quoted('"', tokenString, true)
		}
		return l.quoted('"', tokenQuoted, false)
	case c == '`' && l.dialect != Postgres:
		return l.quoted('`', tokenQuoted, false)
	case c == '[' && l.dialect == SQLite:
		return l.bracketed()
	case isDigit(c), c == '.' && isDigit(c1) && !l.afterName():
		return l.number()
	case c == '$' && l.dialect == Postgres:
		return l.dollar()
	case (c == '?' || c == ':' || c == '@' || c == '$') && l.dialect == SQLite:
		return l.sqliteParam(c)
	case isWordStart(c), c == '$' && l.mysql():
		return l.word()
	}
	l.pos++
	return tokenPunct
}

func (l *lexer) mysql() bool { return l.dialect == MySQL || l.dialect == MariaDB }

// afterName says whether the dot at pos qualifies a name (`t.1a` of MySQL, `db.2`).
func (l *lexer) afterName() bool {
	if l.pos == 0 {
		return false
	}
	c := l.src[l.pos-1]
	return isWordPart(c) || c == '"' || c == '`' || c == ']'
}

// dashComment: MySQL wants a blank after the two dashes.
func (l *lexer) dashComment(i int) bool {
	return !l.mysql() || i >= len(l.src) || l.src[i] <= ' '
}

func (l *lexer) lineComment() tokenKind {
	if i := strings.IndexByte(l.src[l.pos:], '\n'); i >= 0 {
		l.pos += i
	} else {
		l.pos = len(l.src)
	}
	return tokenComment
}

// blockComment: those of PostgreSQL nest; SQLite lets the last one go without an end.
func (l *lexer) blockComment() tokenKind {
	l.pos += 2
	depth := 1
	for l.pos < len(l.src) {
		switch {
		case strings.HasPrefix(l.src[l.pos:], "*/"):
			l.pos += 2
			if depth--; depth == 0 {
				return tokenComment
			}
		case l.dialect == Postgres && strings.HasPrefix(l.src[l.pos:], "/*"):
			l.pos += 2
			depth++
		default:
			l.pos++
		}
	}
	if l.dialect == SQLite {
		return tokenComment
	}
	return tokenBroken
}

// quoted reads to the closing quote; a doubled quote stands for one.
func (l *lexer) quoted(quote byte, kind tokenKind, backslash bool) tokenKind {
	for l.pos++; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case backslash && c == '\\':
			l.pos++
		case c != quote:
		case l.at(l.pos+1) == quote:
			l.pos++
		default:
			l.pos++
			return kind
		}
	}
	l.pos = len(l.src)
	return tokenBroken
}

func (l *lexer) bracketed() tokenKind {
	if i := strings.IndexByte(l.src[l.pos:], ']'); i >= 0 {
		l.pos += i + 1
		return tokenQuoted
	}
	l.pos = len(l.src)
	return tokenBroken
}

func (l *lexer) number() tokenKind {
	if l.mysql() && l.wordAfterDigits() {
		return l.word()
	}
	exponent := l.src[l.pos] != '0' || (l.at(l.pos+1)|0x20) != 'x'
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		sign := exponent && (c == '+' || c == '-') && (l.src[l.pos-1]|0x20) == 'e' && isDigit(l.at(l.pos+1))
		if !isWordPart(c) && c != '.' && !sign {
			break
		}
		l.pos++
	}
	return tokenNumber
}

// wordAfterDigits: MySQL's identifiers may begin with digits.
func (l *lexer) wordAfterDigits() bool {
	i := l.pos
	for isDigit(l.at(i)) {
		i++
	}
	c := l.at(i) | 0x20
	if c == 'e' && (isDigit(l.at(i+1)) || l.at(i+1) == '+' || l.at(i+1) == '-') {
		return false
	}
	if i == l.pos+1 && l.src[l.pos] == '0' && (c == 'x' || c == 'b') {
		return false
	}
	return i < len(l.src) && isWordStart(l.src[i])
}

// dollar reads a dollar quote or a parameter of PostgreSQL.
func (l *lexer) dollar() tokenKind {
	i := l.pos + 1
	if isDigit(l.at(i)) {
		for isDigit(l.at(i)) {
			i++
		}
		l.pos = i
		return tokenParam
	}
	for isWordPart(l.at(i)) && l.at(i) != '$' {
		i++
	}
	if l.at(i) != '$' {
		l.pos++
		return tokenPunct
	}
	tag := l.src[l.pos : i+1]
	if end := strings.Index(l.src[i+1:], tag); end >= 0 {
		l.pos = i + 1 + end + len(tag)
		return tokenString
	}
	l.pos = len(l.src)
	return tokenBroken
}

func (l *lexer) sqliteParam(c byte) tokenKind {
	l.pos++
	from := l.pos
	for l.pos < len(l.src) && (isWordPart(l.src[l.pos]) || c == '$' && strings.HasPrefix(l.src[l.pos:], "::")) {
		if l.src[l.pos] == ':' {
			l.pos++
		}
		l.pos++
	}
	if l.pos == from && c != '?' {
		return tokenPunct
	}
	return tokenParam
}

// word reads a word, or the literal that a prefix letter begins: E'…', x'…', N'…', U&"…".
func (l *lexer) word() tokenKind {
	start := l.pos
	for l.pos < len(l.src) && isWordPart(l.src[l.pos]) {
		l.pos++
	}
	if l.pos-start != 1 {
		return tokenWord
	}
	prefix, c := l.src[start]|0x20, l.at(l.pos)
	if l.dialect == Postgres && prefix == 'u' && c == '&' {
		switch l.at(l.pos + 1) {
		case '\'':
			l.pos++
			return l.quoted('\'', tokenString, false)
		case '"':
			l.pos++
			return l.quoted('"', tokenQuoted, false)
		}
		return tokenWord
	}
	if c != '\'' {
		return tokenWord
	}
	switch {
	case prefix == 'x', prefix == 'b' && l.dialect != SQLite, prefix == 'n' && l.dialect == Postgres:
		return l.quoted('\'', tokenString, false)
	case prefix == 'n' && l.mysql():
		return l.quoted('\'', tokenString, true)
	case prefix == 'e' && l.dialect == Postgres:
		return l.quoted('\'', tokenString, true)
	}
	return tokenWord
}

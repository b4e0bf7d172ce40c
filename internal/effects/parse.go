package effects

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says that a text is no SQL at all: invalid UTF-8 or a NUL byte, which a parser would take for
// the end of the text and so drop the rest of a migration silently.
type Error struct {
	Message string
	Offset  int // bytes from the start of the text
	Line    int // 1-based
	Column  int // 1-based, in characters
}

// Error gives "line:column: message".
func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// Parse takes a text apart into statements, each with its effects. Empty statements and comments
// between statements are left out. The error is an *Error; a statement that the grammar rejects is
// none: it is Opaque and has a ParseError.
func Parse(d Dialect, sql string) ([]Statement, error) {
	if err := check(sql); err != nil {
		return nil, err
	}
	g, err := grammarOf(d)
	if err != nil {
		return nil, err
	}
	return g.parse(sql), nil
}

// grammar is an engine's grammar. The text it is given is valid UTF-8 without NUL.
type grammar interface {
	parse(sql string) []Statement
}

func grammarOf(d Dialect) (grammar, error) {
	switch d {
	case Postgres:
		return postgres{}, nil
	case SQLite:
		return sqlite{}, nil
	case MySQL, MariaDB:
		return mysql{dialect: d}, nil
	default:
		return nil, fmt.Errorf("no grammar for %q", string(d))
	}
}

// check finds the first byte that no engine takes.
func check(sql string) error {
	if i := strings.IndexByte(sql, 0); i >= 0 {
		return newError(sql, i, "NUL byte in SQL text")
	}
	if utf8.ValidString(sql) {
		return nil
	}
	for i := 0; i < len(sql); {
		r, n := utf8.DecodeRuneInString(sql[i:])
		if r == utf8.RuneError && n == 1 {
			return newError(sql, i, fmt.Sprintf("invalid UTF-8 (byte 0x%02x) in SQL text", sql[i]))
		}
		i += n
	}
	return nil
}

func newError(sql string, offset int, message string) *Error {
	line, column := Position(sql, offset)
	return &Error{Message: message, Offset: offset, Line: line, Column: column}
}

// opaque is a statement of which only the text is known.
func opaque(text, detail string) []Effect {
	if detail == "" {
		detail = firstWords(text)
	}
	return []Effect{{Kind: Opaque, Volatile: true, Detail: detail}}
}

// firstWords shortens a statement to what a message has room for.
func firstWords(text string) string {
	const most = 60
	s := strings.Join(strings.Fields(text), " ")
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

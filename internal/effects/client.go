package effects

import (
	"fmt"
	"slices"
	"strings"
)

// Check finds what makes a text no SQL at all: invalid UTF-8 or a NUL byte. The error is an *Error.
func Check(text string) error { return check(text) }

// Blank says whether a text holds comments and blanks only.
func Blank(d Dialect, text string) bool {
	l := lexer{dialect: d, src: text}
	for {
		start := l.pos
		t, ok := l.next()
		if !ok {
			return true
		}
		if t.kind != tokenComment || (d == MySQL || d == MariaDB) && isExecutable(text[t.start:t.end]) {
			return false
		}
		if l.pos == start {
			return false
		}
	}
}

// isExecutable: MySQL runs what is in such a comment.
func isExecutable(comment string) bool {
	return strings.HasPrefix(comment, "/*!") || strings.HasPrefix(comment, "/*M!")
}

// Framed looks for the transaction that a script puts itself in: BEGIN as its first statement and COMMIT as its
// last, settings of the session before and behind left aside. The script comes back with both blanked, every other
// byte in its place. Controls says that there is transaction control left in it.
func Framed(d Dialect, script string) (out string, framed, controls bool) {
	lower := strings.ToLower(script)
	if !strings.Contains(lower, "begin") && !strings.Contains(lower, "transaction") && !strings.Contains(lower, "commit") &&
		!strings.Contains(lower, "rollback") && !strings.Contains(lower, "savepoint") {
		return script, false, false
	}
	statements, err := Parse(d, script)
	if err != nil {
		return script, false, false
	}
	var control []Statement
	first, last := -1, -1
	for i, s := range statements {
		if s.Transaction() {
			control = append(control, s)
		}
		if s.has(Session) || s.has(Read) && !s.Changes() {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	if len(control) != 2 || !begins(statements[first].SQL) || !commits(statements[last].SQL) {
		return script, false, len(control) > 0
	}
	text := []byte(script)
	for _, s := range control {
		end := s.Offset + len(s.SQL)
		if rest := strings.TrimLeft(script[end:], " \t\r\n"); strings.HasPrefix(rest, ";") {
			end = len(script) - len(rest) + 1
		}
		blank(text, s.Offset, end)
	}
	return string(text), true, false
}

// blank overwrites bytes [from, to), line ends excepted.
func blank(text []byte, from, to int) {
	for i := from; i < to; i++ {
		if text[i] != '\n' && text[i] != '\r' {
			text[i] = ' '
		}
	}
}

func begins(sql string) bool {
	w := strings.Fields(strings.ToUpper(sql))
	return len(w) > 0 && (w[0] == "BEGIN" || w[0] == "START" && len(w) > 1 && w[1] == "TRANSACTION")
}

func commits(sql string) bool {
	w := strings.Fields(strings.ToUpper(sql))
	return len(w) > 0 && (w[0] == "COMMIT" || w[0] == "END")
}

// ForServer turns a script for the engine's command-line client into one for its server: what the client reads for
// itself is blanked where it does not matter to the schema, DELIMITER is obeyed, and every other byte stays in its
// place. The error is an *Error for a command that cannot be left out.
func ForServer(d Dialect, script string) (string, error) {
	switch d {
	case Postgres:
		if strings.Contains(script, `\`) {
			return clientLines(d, script, '\\', psqlHarmless)
		}
	case SQLite:
		if strings.HasPrefix(script, ".") || strings.Contains(script, "\n.") {
			return clientLines(d, script, '.', sqliteHarmless)
		}
	case MySQL, MariaDB:
		return undelimit(d, script)
	}
	return script, nil
}

// What psql and sqlite3 read for themselves and that changes how they talk, not what they do.
var (
	psqlHarmless   = lowerSet("set unset echo qecho warn timing pset encoding x t a h q errverbose")
	sqliteHarmless = lowerSet("bail echo headers header mode timer timeout width nullvalue separator print show stats changes exit quit")
)

func lowerSet(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// clientLines blanks the commands of a client that take a line each. They stand between statements and outside of
// strings and comments.
func clientLines(d Dialect, script string, mark byte, harmless map[string]bool) (string, error) {
	text := []byte(script)
	l := lexer{dialect: d, src: script}
	for {
		for l.pos < len(script) && isBlank(script[l.pos]) {
			l.pos++
		}
		if l.pos >= len(script) {
			return string(text), nil
		}
		begin := strings.LastIndexByte(script[:l.pos], '\n') + 1
		if script[l.pos] != mark || strings.TrimSpace(script[begin:l.pos]) != "" || !isWordStart(l.at(l.pos+1)) {
			l.scan()
			continue
		}
		line, _, _ := strings.Cut(script[l.pos:], "\n")
		name := strings.ToLower(strings.Fields(line[1:])[0])
		if sql, ok := copied(line); ok && name == "copy" {
			blank(text, l.pos, l.pos+len(line))
			copy(text[l.pos:], sql)
			l.pos += len(line)
			continue
		}
		if !harmless[name] {
			return "", newError(script, l.pos, fmt.Sprintf("%s is a command of the client, which no server runs", strings.TrimSpace(firstWords(line))))
		}
		blank(text, l.pos, l.pos+len(line))
		l.pos += len(line)
	}
}

// copied is the statement that psql sends for a \copy, which is no longer than its line; "" for one that only reads. The rows come from the
// client's own files, which is no statement's business. It is false when they stand in the script.
func copied(line string) (sql string, ok bool) {
	depth := 0
	l := lexer{dialect: Postgres, src: line, pos: 1}
	for {
		t, more := l.next()
		if !more {
			return "", false
		}
		switch word := strings.ToLower(line[t.start:t.end]); {
		case word == "(":
			depth++
		case word == ")":
			depth--
		case depth > 0:
		case word == "to":
			return "", true
		case word == "from":
			source := strings.ToLower(strings.TrimLeft(line[t.end:], " \t"))
			sql = "COPY" + line[len(`\copy`):t.start] + "FROM STDIN;"
			return sql, len(sql) <= len(line) && !strings.HasPrefix(source, "stdin") && source != ""
		}
	}
}

// undelimit obeys the DELIMITER lines of MySQL's client: what ended a statement under another delimiter ends it with
// a semicolon.
func undelimit(d Dialect, script string) (string, error) {
	if !strings.Contains(strings.ToLower(script), "delimiter") {
		return script, nil
	}
	text := []byte(script)
	delimiter := ";"
	l := lexer{dialect: d, src: script}
	for {
		for l.pos < len(script) && isBlank(script[l.pos]) {
			l.pos++
		}
		if l.pos >= len(script) {
			return string(text), nil
		}
		rest := script[l.pos:]
		begin := strings.LastIndexByte(script[:l.pos], '\n') + 1
		switch {
		case len(rest) > len("delimiter") && strings.EqualFold(rest[:len("delimiter")], "delimiter") && (rest[len("delimiter")] == ' ' || rest[len("delimiter")] == '\t') && strings.TrimSpace(script[begin:l.pos]) == "":
			line, _, _ := strings.Cut(rest, "\n")
			words := strings.Fields(line)
			if len(words) < 2 {
				return "", newError(script, l.pos, "DELIMITER without one")
			}
			delimiter = words[1]
			blank(text, l.pos, l.pos+len(line))
			l.pos += len(line)
		case delimiter != ";" && strings.HasPrefix(rest, delimiter):
			blank(text, l.pos, l.pos+len(delimiter))
			text[l.pos] = ';'
			l.pos += len(delimiter)
		default:
			from := l.pos
			if kind := l.scan(); (kind == tokenWord || kind == tokenNumber) && delimiter != ";" {
				if i := strings.Index(script[from:l.pos], delimiter); i > 0 { // "END$$" is one word
					l.pos = from + i
				}
			}
		}
	}
}

// autocommitWords: without one of them no statement wants to run on its own.
var autocommitWords = []string{"CONCURRENTLY", "VACUUM", "DATABASE", "TABLESPACE", "SUBSCRIPTION", "SYSTEM", "REINDEX", "CLUSTER", "DISCARD", "ATTACH", "DETACH"}

// NeedsAutocommit says whether a script holds a statement that the engine does not let run inside a transaction.
func NeedsAutocommit(d Dialect, script string) bool {
	upper := strings.ToUpper(script)
	if !slices.ContainsFunc(autocommitWords, func(w string) bool { return strings.Contains(upper, w) }) {
		return false
	}
	statements, err := Parse(d, script)
	if err != nil {
		return false
	}
	for _, s := range statements {
		if s.Autocommit {
			return true
		}
	}
	return false
}

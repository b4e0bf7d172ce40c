package verify

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqliteTable is the text of a CREATE TABLE, taken apart.
type sqliteTable struct {
	columns     []sqliteElement
	constraints []sqliteElement
	options     string // what follows the body: STRICT, WITHOUT ROWID
}

// sqliteElement is one column or constraint of the body.
type sqliteElement struct {
	kind       string // of a constraint: primary key, unique, check, foreign key
	name       string // "" for a constraint without one
	definition string // canonical, without the name
	text       string // as written
}

// splitTable splits CREATE TABLE name (…) options at the commas between its elements. It is false for a
// text of another form: a virtual table.
func splitTable(sql string) (sqliteTable, bool) {
	var t sqliteTable
	tokens := engine.SQLiteScan(sql)
	open := 0
	for open < len(tokens) && tokens[open].Text != "(" {
		if !tokens[open].Quoted && tokens[open].Text == "VIRTUAL" && open == 1 {
			return t, false
		}
		open++
	}
	if open == len(tokens) {
		return t, false
	}
	depth, start := 0, open+1
	for i := open; i < len(tokens); i++ {
		switch tokens[i].Text {
		case "(":
			depth++
		case ")":
			depth--
		}
		end := depth == 0
		if end || depth == 1 && tokens[i].Text == "," {
			if start < i {
				t.add(sql, tokens[start:i])
			}
			start = i + 1
		}
		if end {
			t.options = joined(tokens[i+1:])
			return t, true
		}
	}
	return t, false
}

func (t *sqliteTable) add(sql string, tokens []engine.SQLiteToken) {
	e := sqliteElement{text: sql[tokens[0].Start:tokens[len(tokens)-1].End]}
	head, rest := tokens[0], tokens
	if !head.Quoted && head.Text == "CONSTRAINT" && len(tokens) > 2 {
		e.name, rest = tokens[1].Name, tokens[2:]
		head = rest[0]
	}
	if !head.Quoted {
		switch head.Text {
		case "PRIMARY":
			e.kind = "primary key"
		case "UNIQUE":
			e.kind = "unique"
		case "CHECK":
			e.kind = "check"
		case "FOREIGN":
			e.kind = "foreign key"
		}
	}
	if e.kind != "" {
		e.definition = joined(rest)
		t.constraints = append(t.constraints, e)
		return
	}
	e.name, e.definition = tokens[0].Name, columnDefinition(tokens[1:])
	if tokens[0].Name == "" { // 'name' in single quotes is accepted, too
		e.name = strings.Trim(tokens[0].Text, "'")
	}
	t.columns = append(t.columns, e)
}

// columnConstraints are the words that a column's constraints begin with.
var columnConstraints = []string{"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"}

// columnDefinition is a column's type and its constraints, in an order that does not depend on that of the text, and without
// those that say nothing: NULL and DEFAULT NULL.
func columnDefinition(tokens []engine.SQLiteToken) string {
	var parts []string
	typed := len(tokens) > 0 && (tokens[0].Quoted || !slices.Contains(columnConstraints, tokens[0].Text)) // a column may have no type
	depth, start, last := 0, 0, ""
	cut := func(end int) {
		if text := joined(tokens[start:end]); text != "" && (typed && start == 0 || text != "NULL" && text != "DEFAULT NULL") {
			parts = append(parts, text)
		}
		start = end
	}
	for i, t := range tokens {
		word := ""
		if !t.Quoted {
			word = t.Text
		}
		begins := depth == 0 && slices.Contains(columnConstraints, word)
		switch {
		case word == "NULL" && (last == "NOT" || last == "DEFAULT" || last == "SET"): // of these
			begins = false
		case word == "DEFAULT" && last == "SET", word == "NOT" && i+1 < len(tokens) && tokens[i+1].Text == "DEFERRABLE": // of REFERENCES
			begins = false
		case word == "AS" && last == "ALWAYS", last == "CONSTRAINT", i > 1 && tokens[i-2].Text == "CONSTRAINT" && !tokens[i-2].Quoted:
			begins = false
		}
		if begins {
			cut(i)
		}
		switch word {
		case "(":
			depth++
		case ")":
			depth--
		}
		last = word
	}
	cut(len(tokens))
	kind := ""
	if typed {
		kind, parts = parts[0], parts[1:]
	}
	slices.Sort(parts)
	return strings.TrimSpace(kind + " " + strings.Join(parts, " "))
}

func joined(tokens []engine.SQLiteToken) string {
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.Text
	}
	return strings.Join(words, " ")
}

package verify

import (
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
	e.name, e.definition = tokens[0].Name, joined(tokens[1:])
	if tokens[0].Name == "" { // 'name' in single quotes is accepted, too
		e.name = strings.Trim(tokens[0].Text, "'")
	}
	t.columns = append(t.columns, e)
}

func joined(tokens []engine.SQLiteToken) string {
	words := make([]string, len(tokens))
	for i, t := range tokens {
		words[i] = t.Text
	}
	return strings.Join(words, " ")
}

package effects

import "strings"

// Under gives the text of a CREATE TABLE with another name in the place of the table's own, which must be quoted where it needs to
// be; every other byte stays. It is false for a statement that is none, and for one whose name has a schema.
func Under(d Dialect, sql, name string) (string, bool) {
	tokens := lex(d, sql, false)
	i := 0
	word := func(w string) bool {
		if i < len(tokens) && tokens[i].kind == tokenWord && strings.EqualFold(sql[tokens[i].start:tokens[i].end], w) {
			i++
			return true
		}
		return false
	}
	if !word("create") || !word("table") || word("if") && (!word("not") || !word("exists")) || i+1 >= len(tokens) || sql[tokens[i+1].start:tokens[i+1].end] == "." {
		return "", false
	}
	return sql[:tokens[i].start] + name + sql[tokens[i].end:], true
}

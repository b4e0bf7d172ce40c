package effects

import "strings"

// newer are the words at which the grammar here stops reading what a server may understand: syntax of PostgreSQL 18 and of what is
// announced for later versions, and what SQLite is learning to alter.
var newer = map[Dialect]map[string]bool{
	Postgres: lowerSet("virtual without overlaps period not null enforced inherit with old new merge split partitions repack graph_table property ignore respect nulls for portion"),
	SQLite:   lowerSet("alter add constraint check set drop not within filter over order"),
}

// Unreadable says that no server reads the statement: it is Opaque because it is no SQL, and not because its effect is not known.
// Of MySQL and MariaDB it is never said: they have syntax of their own in every version, and nothing here knows all of it.
func (s Statement) Unreadable(d Dialect) bool {
	words := newer[d]
	if s.ParseError == "" || words == nil {
		return false
	}
	tokens := lex(d, s.SQL, false)
	at := 0
	for at < len(tokens) && tokens[at].start < s.ErrorOffset {
		at++
	}
	if at == 0 {
		return false // a statement that begins with another word than any that is known
	}
	if d == Postgres && computed(s.SQL, tokens[:at]) {
		return false
	}
	for i := max(at-2, 0); i <= at && i < len(tokens); i++ {
		if t := tokens[i]; t.kind == tokenWord {
			word := strings.ToLower(s.SQL[t.start:t.end])
			if old := word == "not" || word == "null"; words[word] && (i == at || !old) { // behind NOT NULL stands nothing new
				return false
			}
		}
	}
	return true
}

// computed tells whether tokens end with GENERATED ALWAYS AS (…), behind which PostgreSQL 18 reads any end of the column: it is virtual then.
func computed(text string, tokens []token) bool {
	depth := 0
	for i := len(tokens) - 1; i >= 3; i-- {
		switch text[tokens[i].start:tokens[i].end] {
		case ")":
			depth++
		case "(":
			depth--
		}
		if depth == 0 {
			return i < len(tokens)-1 && strings.EqualFold(text[tokens[i-1].start:tokens[i-1].end], "AS") &&
				strings.EqualFold(text[tokens[i-2].start:tokens[i-2].end], "ALWAYS") && strings.EqualFold(text[tokens[i-3].start:tokens[i-3].end], "GENERATED")
		}
	}
	return false
}

package effects

import (
	"slices"
	"strings"
)

// mysqlMost is how many texts one variable may have in the end.
const mysqlMost = 8

// Dynamic gives each EXECUTE among the statements of one section of a migration, in their order, the effects of what it runs, where the
// section itself says that: PREPARE from a text, or from a variable that was set to one. A text that depends on a condition, IF(…, 'a', 'b'),
// is all that it can be. What is put together from data stays opaque. Other dialects have no such thing.
func Dynamic(d Dialect, list []*Statement) {
	if d != MySQL && d != MariaDB || !slices.ContainsFunc(list, func(st *Statement) bool { return mysqlFirst(st.SQL, "PREPARE", "EXECUTE") }) {
		return
	}
	m := mysqlMemory{dialect: d, variables: map[string][]string{}, prepared: map[string][]string{}}
	for _, st := range list {
		m.follow(st)
	}
}

func mysqlFirst(sql string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return len(sql) > len(w) && strings.EqualFold(sql[:len(w)], w) })
}

// mysqlMemory is what a session knows by heart: the texts that variables and prepared statements can have.
type mysqlMemory struct {
	dialect             Dialect
	variables, prepared map[string][]string
	source
}

func (m *mysqlMemory) follow(st *Statement) {
	flat, _ := mysqlFlatten(m.dialect, st.SQL)
	m.source = source{src: flat, tokens: lex(m.dialect, flat, false)}
	switch m.word(0) {
	case "SET":
		m.set()
		return
	case "SELECT":
		if at := m.find(1, len(m.tokens), "INTO"); at > 0 {
			name, next := m.variable(at + 1)
			end := m.find(1, at, "FROM", "WHERE")
			if end < 0 {
				end = at
			}
			m.forgetNamed(false)
			if name != "" && (next == len(m.tokens) || slices.Contains([]string{"FROM", "WHERE", "LIMIT"}, m.word(next))) {
				m.variables[name] = m.value(1, end)
			}
			return
		}
		m.forgetNamed(true)
		return
	case "PREPARE":
		texts, end := m.from(3)
		delete(m.prepared, m.name(1))
		if m.word(2) == "FROM" && len(texts) > 0 && end == len(m.tokens) {
			m.prepared[m.name(1)] = texts
			st.Effects, st.ImplicitCommit = []Effect{{Kind: Session, Detail: "PREPARE"}}, false
		}
		return
	case "EXECUTE":
		texts := m.prepared[m.name(1)]
		if m.word(1) == "IMMEDIATE" && m.dialect == MariaDB {
			var end int
			if texts, end = m.from(2); end != len(m.tokens) {
				texts = nil
			}
		} else if len(m.tokens) != 2 {
			texts = nil // with values that only the server knows
		}
		if m.execute(st, texts) {
			return
		}
	}
	if st.Opaque() { // a procedure may set them
		clear(m.variables)
		return
	}
	m.forgetNamed(false)
}

// execute gives a statement the effects of the texts that it can run; false when they do not tell.
func (m *mysqlMemory) execute(st *Statement, texts []string) bool {
	var all []Effect
	changing := 0
	commits, alone := false, false
	for _, text := range texts {
		parsed := mysql{dialect: m.dialect}.parse(text)
		if len(parsed) != 1 || strings.Contains(text, "?") || parsed[0].Opaque() {
			return false
		}
		x := parsed[0]
		if slices.ContainsFunc(x.Effects, func(e Effect) bool { return e.Kind != Read && e.Kind != Session }) {
			if changing++; changing > 1 && x.ImplicitCommit != commits {
				return false
			}
			commits, alone = x.ImplicitCommit, alone || x.Autocommit
		}
		all = append(all, x.Effects...)
	}
	if len(all) == 0 || changing > 1 && !commits {
		return false
	}
	for i := range all {
		all[i].IfExists = all[i].IfExists || len(texts) > 1
	}
	st.Effects, st.ImplicitCommit, st.Autocommit, st.NotNullSpans = all, commits, alone, nil
	return true
}

// set reads SET @a = 'text', @b = 'other'.
func (m *mysqlMemory) set() {
	known := map[string][]string{}
	for i := 1; i < len(m.tokens); i++ {
		end := m.end(i, true)
		name, next := m.variable(i)
		if m.punct(next) == ':' {
			next++
		}
		if name != "" && m.punct(next) == '=' {
			known[name] = m.value(next+1, end)
		}
		i = end
	}
	m.forgetNamed(true)
	for name, texts := range known {
		m.variables[name] = texts
	}
}

// forgetNamed forgets the variables that the statement names, as it may set them; or only those that are followed by :=.
func (m *mysqlMemory) forgetNamed(assigned bool) {
	for i := range m.tokens {
		if name, next := m.variable(i); name != "" && (!assigned || m.punct(next) == ':') {
			delete(m.variables, name)
		}
	}
}

// variable reads @name.
func (m *mysqlMemory) variable(i int) (name string, next int) {
	if m.punct(i) != '@' || m.punct(i+1) == '@' || m.punct(i-1) == '@' || i+1 >= len(m.tokens) {
		return "", i
	}
	return m.name(i + 1), i + 2
}

func (m *mysqlMemory) name(i int) string {
	if i >= len(m.tokens) {
		return ""
	}
	return strings.ToLower(strings.Trim(m.span(i, i+1), "`'\""))
}

// from reads what PREPARE … FROM takes.
func (m *mysqlMemory) from(i int) (texts []string, end int) {
	if name, next := m.variable(i); name != "" {
		return m.variables[name], next
	}
	return m.value(i, len(m.tokens)), len(m.tokens)
}

// value gives the texts that the expression of the tokens [i, j) can have; none when it does not tell.
func (m *mysqlMemory) value(i, j int) []string {
	for m.punct(i) == '(' && m.skip(i) == j {
		i, j = i+1, j-1
		if m.word(i) == "SELECT" {
			i++
			if end := m.find(i, j, "FROM", "WHERE", "LIMIT"); end > 0 {
				j = end
			}
		}
	}
	if i >= j {
		return nil
	}
	if name, next := m.variable(i); name != "" && next == j {
		return m.variables[name]
	}
	inner := func() (parts [][2]int) { // what a call has between its brackets
		for k := i + 2; k < j; {
			end := min(m.end(k, true), j-1)
			parts = append(parts, [2]int{k, end})
			k = end + 1
		}
		return parts
	}
	call := m.punct(i+1) == '(' && m.skip(i+1) == j
	switch w := m.word(i); {
	case call && w == "IF":
		if parts := inner(); len(parts) == 3 {
			return m.either(parts[1:])
		}
	case call && w == "CONCAT":
		out := []string{""}
		for _, p := range inner() {
			var longer []string
			for _, tail := range m.value(p[0], p[1]) {
				for _, head := range out {
					longer = append(longer, head+tail)
				}
			}
			if out = longer; len(out) == 0 || len(out) > mysqlMost {
				return nil
			}
		}
		return out
	case w == "CASE" && m.word(j-1) == "END" && m.find(i+1, j, "CASE") < 0:
		var parts [][2]int
		for k := m.find(i+1, j, "THEN", "ELSE"); k > 0; k = m.find(k+1, j, "THEN", "ELSE") {
			end := m.find(k+1, j, "WHEN", "ELSE", "END")
			parts = append(parts, [2]int{k + 1, end})
		}
		return m.either(parts)
	}
	text := ""
	for ; i < j; i++ {
		s := m.span(i, i+1)
		// What a backslash means depends on a setting.
		if s == "" || s[0] != '\'' && s[0] != '"' || strings.Contains(s, `\`) {
			return nil
		}
		text += unquote(s)
	}
	return []string{text}
}

func (m *mysqlMemory) either(parts [][2]int) []string {
	var out []string
	for _, p := range parts {
		texts := m.value(p[0], p[1])
		if len(texts) == 0 {
			return nil
		}
		out = append(out, texts...)
	}
	if len(out) > mysqlMost {
		return nil
	}
	return unique(out)
}

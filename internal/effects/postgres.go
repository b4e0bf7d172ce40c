package effects

import (
	"sort"
	"strings"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// postgres reads SQL with the server's own grammar.
type postgres struct{}

// pgError is what the grammar rejects; position is 1-based in characters, 0 when unknown.
type pgError struct {
	message  string
	position int
}

func (postgres) parse(sql string) []Statement {
	tokens := lex(Postgres, sql, false)
	if len(tokens) == 0 {
		return nil
	}
	// What has no end is an error to the grammar, too; it takes long over nested comments.
	broken := tokens[len(tokens)-1].kind == tokenBroken
	if !broken {
		if tree, err := pgParse(sql); err == nil {
			return pgStatements(sql, tokens, tree)
		}
	}
	// One statement that the grammar rejects must not make its neighbours opaque.
	var out []Statement
	for _, part := range pgSplit(sql, tokens) {
		start, end := part[0].start, part[len(part)-1].end
		text := sql[start:end]
		if last := part[len(part)-1]; last.kind == tokenBroken {
			out = append(out, Statement{SQL: text, Offset: start, Effects: opaque(text, ""),
				ParseError: "a string, identifier or comment without an end", ErrorOffset: last.start - start})
			continue
		}
		tree, err := pgParse(text)
		if err != nil {
			out = append(out, Statement{SQL: text, Offset: start, Effects: opaque(text, ""),
				ParseError: err.message, ErrorOffset: byteOffset(text, err.position)})
			continue
		}
		for _, st := range pgStatements(text, lex(Postgres, text, false), tree) {
			st.Offset += start
			out = append(out, st)
		}
	}
	return out
}

// byteOffset turns a 1-based character position into a byte offset.
func byteOffset(text string, position int) int {
	offset := 0
	for i := 1; i < position && offset < len(text); i++ {
		_, n := utf8.DecodeRuneInString(text[offset:])
		offset += n
	}
	return offset
}

// pgSplit cuts at the semicolons that end statements: not those in brackets, nor those in the
// BEGIN ATOMIC body of a function.
func pgSplit(sql string, tokens []token) [][]token {
	var parts [][]token
	from, depth, body := 0, 0, 0
	for i, t := range tokens {
		switch text := sql[t.start:t.end]; {
		case t.kind == tokenWord && body > 0 && strings.EqualFold(text, "case"):
			body++
		case t.kind == tokenWord && body > 0 && strings.EqualFold(text, "end"):
			body--
		case t.kind == tokenWord && strings.EqualFold(text, "atomic") && i > from &&
			strings.EqualFold(sql[tokens[i-1].start:tokens[i-1].end], "begin") &&
			strings.EqualFold(sql[tokens[from].start:tokens[from].end], "create"):
			body++
		case t.kind != tokenPunct:
		case text == "(" || text == "[":
			depth++
		case text == ")" || text == "]":
			depth = max(depth-1, 0)
		case text == ";" && depth == 0 && body == 0:
			if i > from {
				parts = append(parts, tokens[from:i])
			}
			from = i + 1
		}
	}
	if from < len(tokens) {
		parts = append(parts, tokens[from:])
	}
	return parts
}

// pgStatements turns what the grammar found into statements; tokens are those of sql.
func pgStatements(sql string, tokens []token, tree *pg.ParseResult) []Statement {
	out := make([]Statement, 0, len(tree.Stmts))
	for _, raw := range tree.Stmts {
		from := int(raw.StmtLocation)
		to := len(sql)
		if raw.StmtLen > 0 {
			to = from + int(raw.StmtLen)
		}
		// Blanks and comments around a statement belong to nobody.
		i := sort.Search(len(tokens), func(i int) bool { return tokens[i].start >= from })
		j := sort.Search(len(tokens), func(i int) bool { return tokens[i].end > to })
		for j > i && sql[tokens[j-1].start:tokens[j-1].end] == ";" {
			j--
		}
		if i >= j {
			continue
		}
		s := &pgStatement{source: newSource(sql, tokens[i:j])}
		s.node(raw.Stmt)
		if len(s.effects) == 0 {
			s.effects = opaque(s.src, "")
		}
		out = append(out, Statement{SQL: s.src, Offset: s.base, Effects: s.effects,
			Autocommit: s.autocommit, NotNullSpans: s.spans})
	}
	return out
}

// pgStatement collects the effects of one statement.
type pgStatement struct {
	source
	effects    []Effect
	spans      []Span
	autocommit bool
	nested     bool // inside a WITH, or with one that writes
}

func (s *pgStatement) add(e Effect) { s.effects = append(s.effects, e) }

func pgRange(r *pg.RangeVar) Name {
	if r == nil {
		return Name{}
	}
	return Name{Schema: r.Schemaname, Name: r.Relname}
}

// pgStrings are the strings of a name list.
func pgStrings(nodes []*pg.Node) []string {
	var out []string
	for _, n := range nodes {
		if str := n.GetString_(); str != nil {
			out = append(out, str.Sval)
		}
	}
	return out
}

// pgName is a qualified name given as a list; a database in front is dropped.
func pgName(parts []string) Name {
	switch n := len(parts); n {
	case 0:
		return Name{}
	case 1:
		return Name{Name: parts[0]}
	default:
		return Name{Schema: parts[n-2], Name: parts[n-1]}
	}
}

func pgList(n *pg.Node) []string { return pgStrings(n.GetList().GetItems()) }

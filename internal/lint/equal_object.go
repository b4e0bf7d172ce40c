package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// sameObject compares two objects by what creates them.
func (m *Model) sameObject(a, b *Object) bool {
	if a.Values != nil || b.Values != nil {
		return slices.Equal(a.Values, b.Values)
	}
	switch a.Kind {
	case "function", "procedure":
		x, y := readRoutine(m.dialect, a.SQL), readRoutine(m.dialect, b.SQL)
		return slices.Equal(x.around, y.around) && slices.Equal(x.tokens(m.dialect), y.tokens(m.dialect))
	case "view", "materialized view":
		return sameQuery(m.dialect, a.SQL, b.SQL)
	case "trigger":
		if m.dialect != effects.Postgres {
			return sameBody(m.dialect, a.SQL, b.SQL) && sameText(m.dialect, a.SQL, b.SQL)
		}
	}
	return sameText(m.dialect, a.SQL, b.SQL)
}

// reworded: two routines say the same, in other blanks, letters or comments. Servers keep the text of a body as it is written, so that
// a dump tells them apart.
func (m *Model) reworded(a, b *Object) bool {
	if a.Kind != "function" && a.Kind != "procedure" {
		return false
	}
	return readRoutine(m.dialect, a.SQL).text != readRoutine(m.dialect, b.SQL).text
}

// routine is a function or procedure, taken apart.
type routine struct {
	around []string        // the words around the body, in an order of ours: its clauses may stand in any
	text   string          // the body as it is written, when it is a string
	code   []effects.Token // the body, when it is none
}

func readRoutine(d effects.Dialect, sql string) routine {
	var r routine
	all := effects.Tokens(d, sql)
	if d == effects.Postgres {
		at := -1
		for i, t := range all {
			if t.Kind == effects.String && (at < 0 || len(t.Text) > len(all[at].Text)) {
				at = i
			}
		}
		if at >= 0 {
			r.text = all[at].Text
			all = slices.Delete(all, at, at+1)
		}
	}
	if r.text == "" {
		all, r.code = split(all)
	}
	// Who defines it is the server's business, and stands only in its own text.
	if i := slices.IndexFunc(all, isWord("definer")); d != effects.Postgres && i >= 0 {
		if n := slices.IndexFunc(all[i:], isWord("function", "procedure")); n >= 0 {
			all = slices.Delete(all, i, i+n)
		}
	}
	for _, t := range all {
		switch {
		case t.Kind == effects.String:
			r.around = append(r.around, strings.ToLower(t.Text)) // LANGUAGE 'plpgsql'
		case t.Kind == effects.Punct, t.Text == "or", t.Text == "replace", t.Text == "public":
		case d == effects.Postgres && t.Kind == effects.Word && t.Text == "volatile": // as it is unless one says otherwise
		case d == effects.Postgres && t.Kind == effects.Word && postgresTypes[t.Text] != nil:
			r.around = append(r.around, postgresTypes[t.Text]...)
		default:
			r.around = append(r.around, t.Text)
		}
	}
	slices.Sort(r.around)
	return r
}

// postgresTypes are the words of types that can be spelt in another way.
var postgresTypes = map[string][]string{"int": {"integer"}, "int2": {"smallint"}, "int4": {"integer"}, "int8": {"bigint"}, "bool": {"boolean"}, "decimal": {"numeric"},
	"float": {"double", "precision"}, "float4": {"real"}, "float8": {"double", "precision"}, "varchar": {"character", "varying"}, "char": {"character"},
	"timestamptz": {"timestamp", "with", "time", "zone"}}

// split takes a body that is no string from what stands before it.
func split(tokens []effects.Token) (head, body []effects.Token) {
	i := slices.IndexFunc(tokens, isWord("begin", "return"))
	if i < 0 {
		return tokens, nil
	}
	return tokens[:i], tokens[i:]
}

func isWord(words ...string) func(effects.Token) bool {
	return func(t effects.Token) bool { return t.Kind == effects.Word && slices.Contains(words, t.Text) }
}

// tokens are those of the body; a semicolon behind the last word says nothing.
func (r routine) tokens(d effects.Dialect) []string {
	code := r.code
	if r.text != "" {
		code = effects.Tokens(d, r.text)
	}
	return strings.Split(strings.TrimRight(strings.Join(spelt(code), "\x00"), "\x00;"), "\x00")
}

// spelt writes tokens so that those which mean the same are the same.
func spelt(tokens []effects.Token) []string {
	out := make([]string, len(tokens))
	for i, t := range tokens {
		if out[i] = t.Text; t.Kind == effects.String {
			out[i] = "'" + t.Text + "'"
		}
	}
	return out
}

// sameBody compares what triggers do, on engines where that stands in the trigger.
func sameBody(d effects.Dialect, a, b string) bool {
	_, x := split(effects.Tokens(d, a))
	_, y := split(effects.Tokens(d, b))
	return slices.Equal(routine{code: x}.tokens(d), routine{code: y}.tokens(d))
}

// sameQuery is sameText for queries, in which the server writes a table before every column: which names and
// literals they use is compared, not how often.
func sameQuery(d effects.Dialect, a, b string) bool {
	if star(d, a) != star(d, b) {
		return true // as far as anybody can tell: a Down cannot write * for what it was then
	}
	return sameText(d, a, b) || slices.Equal(slices.Compact(significant(d, a)), slices.Compact(significant(d, b)))
}

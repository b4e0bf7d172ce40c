package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// canonical writes a text so that two spellings of the same thing compare equal: blanks, comments, case,
// quotes that change nothing, brackets and the schema that is the default left out.
func canonical(d effects.Dialect, text string) string {
	if text == "" {
		return ""
	}
	var b strings.Builder
	tokens := effects.Tokens(d, text)
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		switch {
		case t.Kind == effects.Punct && (t.Text == "(" || t.Text == ")" || t.Text == ";"):
			continue
		case (t.Text == "public" || t.Text == "pg_catalog") && t.Kind <= effects.Quoted && i+1 < len(tokens) && tokens[i+1].Text == ".":
			i++
			continue
		case t.Text == ":" && i+1 < len(tokens) && tokens[i+1].Text == ":":
			i = afterType(tokens, i+2) - 1
			continue
		}
		b.WriteByte(' ')
		switch {
		case t.Kind == effects.String && strings.ContainsAny(t.Text, "\n;"):
			b.WriteString("'" + canonical(d, t.Text) + "'") // code of a function
		case t.Kind == effects.String:
			b.WriteString("'" + t.Text + "'")
		default:
			b.WriteString(t.Text)
		}
	}
	return strings.TrimSpace(b.String())
}

// sameText compares two expressions or queries. The server writes them in its own way, and a Down is often copied
// from what it prints: what may be the same counts as the same.
func sameText(d effects.Dialect, a, b string) bool {
	if a == b || canonical(d, a) == canonical(d, b) {
		return true
	}
	if (a == "") != (b == "") {
		return false
	}
	if printed(a) != printed(b) || hasInterval(a) && hasInterval(b) {
		return true
	}
	return slices.Equal(significant(d, a), significant(d, b))
}

// star says whether a query takes all columns of something.
func star(d effects.Dialect, sql string) bool {
	tokens := effects.Tokens(d, sql)
	for i := 1; i+1 < len(tokens); i++ {
		if tokens[i].Text == "*" && slices.Contains([]string{"select", "distinct", ",", "."}, tokens[i-1].Text) && slices.Contains([]string{"from", ","}, tokens[i+1].Text) {
			return true
		}
	}
	return false
}

// hasInterval: '5 minutes' is printed as '00:05:00'.
func hasInterval(s string) bool { return intervalWord.MatchString(s) }

var intervalWord = regexp.MustCompile(`(?i)\binterval\b`)

// printed says whether a text looks like the server's own: casts written out, lists as arrays.
func printed(s string) bool {
	s = strings.ToLower(s)
	return strings.Contains(s, "::") || strings.Contains(s, "any (array")
}

// fillers say nothing, or can be left out.
var fillers = wordSet(`as inner outer asc using btree cross public pg_catalog is not null isnull notnull each statement for or replace
	view if exists execute procedure function cast only temp temporary any array in interval algorithm undefined security definer sql default`)

// significant are the names and literals of a text, sorted.
func significant(d effects.Dialect, text string) []string {
	var out []string
	for _, t := range strings.Fields(canonical(d, text)) {
		if fillers[t] || strings.Trim(t, "=<>!,.()+-*/|&;:[]") == "" {
			continue
		}
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// typeWords follow the first word of a type's name.
var typeWords = map[string]bool{"varying": true, "precision": true, "with": true, "without": true, "time": true, "zone": true}

// afterType gives the index behind the type that a cast names.
func afterType(tokens []effects.Token, i int) int {
	i++
	for i+1 < len(tokens) && tokens[i].Text == "." {
		i += 2
	}
	for i < len(tokens) && tokens[i].Kind == effects.Word && typeWords[tokens[i].Text] {
		i++
	}
	if i < len(tokens) && tokens[i].Text == "(" {
		for i < len(tokens) && tokens[i].Text != ")" {
			i++
		}
		i++
	}
	for i+1 < len(tokens) && tokens[i].Text == "[" && tokens[i+1].Text == "]" {
		i += 2
	}
	return i
}

// value writes a default canonically: '5' and 5, 'f' and false are the same.
func value(d effects.Dialect, text string) string {
	s := canonical(d, text)
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		inner := s[1 : len(s)-1]
		if inner != "" && strings.Trim(inner, "0123456789.") == "" || strings.HasPrefix(inner, "-") && len(inner) > 1 && strings.Trim(inner[1:], "0123456789.") == "" {
			return inner
		}
	}
	switch s {
	case "'t'", "'true'", "'yes'", "'on'", "'y'":
		return "true"
	case "'f'", "'false'", "'no'", "'off'", "'n'":
		return "false"
	case "now", "localtimestamp", "current_timestamp":
		if d == effects.MySQL || d == effects.MariaDB {
			return "current_timestamp"
		}
	}
	return strings.ReplaceAll(s, "- ", "-")
}

// sameDefault compares the defaults of two columns.
func sameDefault(d effects.Dialect, a, b *Column) bool {
	if a.HasDefault != b.HasDefault {
		// Types and MySQL's implicit DEFAULT NULL aside, one has a default and the other has not.
		return a.Identity || b.Identity || a.Serial && b.Serial
	}
	if !a.HasDefault {
		return true // DEFAULT NULL, spelt out or not
	}
	if a.Serial || b.Serial {
		return a.Serial == b.Serial || strings.Contains(strings.ToLower(a.Default+b.Default), "nextval")
	}
	if a.Default == b.Default {
		return true
	}
	x, y := value(d, a.Default), value(d, b.Default)
	if x == y || len(effects.Tokens(d, x)) > 1 && len(effects.Tokens(d, y)) > 1 && sameText(d, a.Default, b.Default) {
		return true
	}
	if strings.EqualFold(a.Type, "boolean") || strings.EqualFold(a.Type, "tinyint(1)") {
		bit := strings.NewReplacer("true", "1", "false", "0")
		return bit.Replace(x) == bit.Replace(y)
	}
	return false
}

// mysqlTypes are spellings of the same type.
var mysqlTypes = map[string]string{"integer": "int", "numeric": "decimal", "dec": "decimal", "bool": "tinyint(1)", "boolean": "tinyint(1)", "character varying": "varchar"}

// sameType compares two types as the dialect writes them.
func sameType(d effects.Dialect, a, b string) bool {
	return a == b || typeName(d, a) == typeName(d, b)
}

func typeName(d effects.Dialect, s string) string {
	s = strings.ToLower(strings.Join(strings.Fields(s), " "))
	switch d {
	case effects.Postgres:
		return strings.ReplaceAll(strings.ReplaceAll(s, `"`, ""), "public.", "")
	case effects.SQLite:
		return strings.ReplaceAll(s, " (", "(")
	}
	base, rest, _ := strings.Cut(s, "(")
	if to, ok := mysqlTypes[strings.TrimSpace(base)]; ok {
		base = to
	}
	if strings.HasSuffix(base, "int") && !(base == "tinyint" && strings.HasPrefix(rest, "1)")) {
		// The display width means nothing.
		if _, after, ok := strings.Cut(rest, ")"); ok {
			return base + after
		}
	}
	if rest != "" {
		return strings.TrimSpace(base) + "(" + strings.ReplaceAll(rest, ", ", ",")
	}
	return base
}

// sameConstraint compares what two constraints say, names aside.
func (m *Model) sameConstraint(a, b *Constraint) bool {
	return a.Kind == b.Kind && sameNames(a.Columns, b.Columns, a.Kind) && m.key(a.Parent) == m.key(b.Parent) &&
		m.parentColumns(a) == m.parentColumns(b) && action(m.dialect, a.OnDelete) == action(m.dialect, b.OnDelete) && action(m.dialect, a.OnUpdate) == action(m.dialect, b.OnUpdate) &&
		(a.Expression == b.Expression || sameText(m.dialect, unqualified(m.dialect, a.Expression), unqualified(m.dialect, b.Expression))) && a.Deferrable == b.Deferrable && a.Deferred == b.Deferred &&
		a.NullsNotDistinct == b.NullsNotDistinct && a.NotEnforced == b.NotEnforced
}

// unqualified writes an expression about one table without that table's name.
func unqualified(d effects.Dialect, expression string) string {
	tokens := effects.Tokens(d, expression)
	var out []effects.Token
	for i, t := range tokens {
		dot := func(j int) bool {
			return j >= 0 && j < len(tokens) && tokens[j].Kind == effects.Punct && tokens[j].Text == "."
		}
		call := i+3 < len(tokens) && tokens[i+3].Text == "("
		if dot(i) && i > 0 && tokens[i-1].Kind <= effects.Quoted && !(i+2 < len(tokens) && tokens[i+2].Text == "(") || t.Kind <= effects.Quoted && dot(i+1) && !call {
			continue
		}
		out = append(out, t)
	}
	if len(out) == len(tokens) {
		return expression
	}
	return written(d, out)
}

// parentColumns: those of the primary key when the text names none.
func (m *Model) parentColumns(c *Constraint) string {
	cols := c.ParentColumns
	if c.Kind == "foreign key" && len(cols) == 0 {
		if p := m.Table(c.Parent); p != nil {
			cols = p.primary()
		}
	}
	return strings.ToLower(strings.Join(cols, ","))
}

func action(d effects.Dialect, s string) string {
	if s == "NO ACTION" || s == "RESTRICT" && d != effects.Postgres {
		return ""
	}
	return s
}

func sameNames(a, b []string, kind string) bool {
	if kind == "check" {
		return true // the columns follow from the expression
	}
	return slices.EqualFunc(a, b, strings.EqualFold)
}

// sameIndex compares two indexes, names aside.
func (m *Model) sameIndex(a, b *Index) bool {
	if a.Reworked || b.Reworked {
		return true // as far as anybody can tell
	}
	return a.Unique == b.Unique && sameTexts(m.dialect, a.Columns, b.Columns) && sameTexts(m.dialect, a.Include, b.Include) &&
		sameModes(a, b) && a.NullsNotDistinct == b.NullsNotDistinct &&
		sameText(m.dialect, a.Where, b.Where) && strings.EqualFold(method(a.Method), method(b.Method))
}

// sameModes compares what stands behind the columns, where both still have those of their statements.
func sameModes(a, b *Index) bool {
	for i := range min(len(a.Columns), len(b.Columns)) {
		if !strings.EqualFold(a.mode(i), b.mode(i)) {
			return false
		}
	}
	return true
}

// mode is what stands behind a column.
func (x *Index) mode(i int) string {
	if len(x.Modes) != len(x.Columns) {
		return ""
	}
	return x.Modes[i]
}

func method(s string) string {
	if s == "" {
		return "btree"
	}
	return s
}

func sameTexts(d effects.Dialect, a, b []string) bool {
	return slices.EqualFunc(a, b, func(x, y string) bool {
		return x == y || strings.EqualFold(x, y) || sameExpression(d, x, y)
	})
}

// sameExpression compares columns of an index: names must be the same, expressions may be.
func sameExpression(d effects.Dialect, x, y string) bool {
	plain := func(s string) bool { return len(effects.Tokens(d, s)) < 2 }
	return plain(x) == plain(y) && (plain(x) && canonical(d, x) == canonical(d, y) || !plain(x) && sameText(d, x, y))
}

// mentions says whether a name stands in a text.
func mentions(d effects.Dialect, text, name string) bool {
	if text == "" || !strings.Contains(strings.ToLower(text), strings.ToLower(name)) {
		return false
	}
	for _, t := range effects.Tokens(d, text) {
		if t.Kind <= effects.Quoted && strings.EqualFold(t.Text, name) {
			return true
		}
	}
	return false
}

// renameWord replaces a name in a text, which it writes anew.
func renameWord(d effects.Dialect, text, from, to string) string {
	tokens := effects.Tokens(d, text)
	for i, t := range tokens {
		if t.Kind <= effects.Quoted && strings.EqualFold(t.Text, from) {
			tokens[i].Text = to
		}
	}
	return written(d, tokens)
}

// written puts tokens together as a text.
func written(d effects.Dialect, tokens []effects.Token) string {
	var b strings.Builder
	for i, t := range tokens {
		s := t.Text
		switch t.Kind {
		case effects.String:
			s = literal(s)
		case effects.Quoted:
			s = quoteAlways(d, s)
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

// readsFrom says whether an object's text names a table behind FROM or JOIN.
func readsFrom(d effects.Dialect, o *Object, table string) bool {
	if o.Kind != "view" && o.Kind != "materialized view" || !strings.Contains(strings.ToLower(o.SQL), strings.ToLower(table)) {
		return false
	}
	tokens := effects.Tokens(d, o.SQL)
	for i, t := range tokens {
		if t.Kind > effects.Quoted || !strings.EqualFold(t.Text, table) || i == 0 {
			continue
		}
		j := i - 1
		if tokens[j].Text == "." && j > 1 {
			j -= 2
		}
		switch tokens[j].Text {
		case "from", "join", ",", "(":
			return true
		}
	}
	return false
}

package effects

import (
	"fmt"
	"sort"
	"strings"
)

// AnnotationKind names an annotation.
type AnnotationKind string

// The annotations, as they are written behind "-- +dbrollback".
const (
	Affects      AnnotationKind = "affects"      // tables that an opaque statement touches
	Irreversible AnnotationKind = "irreversible" // the loss is accepted
	Ignore       AnnotationKind = "ignore"       // one lint rule
	NoCapture    AnnotationKind = "no-capture"   // the data is judged worthless
)

// Annotation is a comment of a migration file that is meant for us. Above the first section it holds
// for the whole file; below, for the statement that it stands before, in, or behind on the same line.
type Annotation struct {
	Kind         AnnotationKind
	Tables       []Name // of Affects
	Code         string // of Ignore
	Reason       string // of all but Affects
	Section      string // "up", "down", or "" for the whole file
	Line, Column int    // of the comment
	Statement    int    // line that its statement begins on; 0 when it is for no single one
	Problem      string // what is wrong with it; such an annotation has no effect
}

// Applies says whether the annotation is for the statement that begins on a line of a section ("up"
// or "down").
func (a Annotation) Applies(section string, line int) bool {
	return a.Problem == "" && (a.Section == "" || a.Section == section && a.Statement == line)
}

// annotationMark is what our comments begin with.
const annotationMark = "+dbrollback"

// Annotations reads the annotations of a migration file, malformed ones with their Problem. The error
// is an *Error for a text that is none.
func Annotations(text string) ([]Annotation, error) {
	return AnnotationsIn(Postgres, text)
}

// AnnotationsIn is Annotations for a dialect: what is a comment, a string, or the case of a table's
// name differs.
func AnnotationsIn(d Dialect, text string) ([]Annotation, error) {
	if err := check(text); err != nil {
		return nil, err
	}
	if !strings.Contains(text, "dbrollback") {
		return nil, nil
	}
	var out []Annotation
	for _, s := range sections(text) {
		out = append(out, s.annotations(d, text)...)
	}
	return out, nil
}

// section is a stretch of a migration file, as goose cuts it: by lines, whatever the SQL.
type section struct {
	name       string
	start, end int
}

func sections(text string) []section {
	out := []section{{name: "", end: len(text)}}
	for at := 0; at < len(text); {
		line, _, _ := strings.Cut(text[at:], "\n")
		next := at + len(line) + 1
		if name := gooseSection(line); name != "" {
			out[len(out)-1].end = at
			out = append(out, section{name: name, start: min(next, len(text)), end: len(text)})
		}
		at = next
	}
	return out
}

// gooseSection reads "-- +goose Up" and "-- +goose Down" as goose does.
func gooseSection(line string) string {
	if !strings.HasPrefix(line, "--") || !strings.Contains(line, "+goose") {
		return ""
	}
	word := strings.TrimSpace(strings.Replace(strings.ReplaceAll(line, "--", ""), "+goose", "", 1))
	switch {
	case strings.EqualFold(word, "up"):
		return "up"
	case strings.EqualFold(word, "down"):
		return "down"
	}
	return ""
}

func (s section) annotations(d Dialect, text string) []Annotation {
	body := text[s.start:s.end]
	tokens := lex(d, body, true)
	var code []token
	for _, t := range tokens {
		if t.kind != tokenComment || isGooseBlock(body[t.start:t.end]) {
			code = append(code, t)
		}
	}
	var out []Annotation
	for _, t := range tokens {
		comment := body[t.start:t.end]
		if t.kind != tokenComment || !isAnnotation(comment) {
			continue
		}
		a := parseAnnotation(d, comment)
		a.Section = s.name
		a.Line, a.Column = Position(text, s.start+t.start)
		if s.name != "" {
			if at := owner(body, code, t); at >= 0 {
				a.Statement, _ = Position(text, s.start+at)
			} else if a.Kind != Irreversible && a.Problem == "" {
				a.Problem = "stands before no statement; above -- +goose Up it would hold for the whole file"
			}
		}
		out = append(out, a)
	}
	return out
}

// isGooseBlock: these lines end a statement, with or without a semicolon.
func isGooseBlock(comment string) bool {
	return strings.HasPrefix(comment, "--") && strings.Contains(comment, "+goose") && strings.Contains(strings.ToLower(comment), "statement")
}

// owner is the offset of the statement that a comment belongs to; -1 for none.
func owner(body string, code []token, comment token) int {
	next := sort.Search(len(code), func(i int) bool { return code[i].start >= comment.start })
	ends := func(i int) bool {
		return code[i].kind == tokenComment || body[code[i].start:code[i].end] == ";"
	}
	// Behind a statement on its line, or inside one: go back to where it begins.
	if next > 0 {
		last := next - 1
		sameLine := !strings.Contains(body[code[last].end:comment.start], "\n")
		if sameLine || !ends(last) {
			for last > 0 && !ends(last-1) {
				last--
			}
			if ends(last) && last == next-1 { // a lone semicolon
				return -1
			}
			return code[last].start
		}
	}
	for next < len(code) && ends(next) {
		next++
	}
	if next == len(code) {
		return -1
	}
	return code[next].start
}

// isAnnotation finds our comments, and those that were clearly meant to be.
func isAnnotation(comment string) bool {
	text := strings.TrimSpace(strings.TrimLeft(strings.TrimPrefix(comment, "/*"), "-# \t"))
	if strings.HasPrefix(text, annotationMark) {
		return true
	}
	rest, ok := strings.CutPrefix(text, "dbrollback ")
	if !ok {
		return false
	}
	word, _, colon := strings.Cut(rest, ":")
	switch AnnotationKind(strings.TrimSpace(word)) {
	case Affects, Irreversible, Ignore, NoCapture:
		return colon
	}
	return false
}

func parseAnnotation(d Dialect, comment string) (a Annotation) {
	text, ok := strings.CutPrefix(comment, "--")
	if !ok {
		a.Problem = "annotations are written as -- " + annotationMark + ", not in other kinds of comments"
		return a
	}
	text = strings.TrimSpace(text)
	rest, ok := strings.CutPrefix(text, annotationMark)
	if !ok {
		a.Problem = "not read: write -- " + annotationMark + " with a plus"
		return a
	}
	if rest != "" && !isBlank(rest[0]) {
		a.Problem = fmt.Sprintf("unknown annotation %q", firstWords(text))
		return a
	}
	word, value, colon := strings.Cut(rest, ":")
	a.Kind = AnnotationKind(strings.TrimSpace(word))
	value = strings.TrimSpace(value)
	switch a.Kind {
	case Affects:
		a.Tables, a.Problem = parseTables(d, value)
	case Irreversible, NoCapture:
		a.Reason = value
		if value == "" {
			a.Problem = fmt.Sprintf("%s wants a reason: -- %s %s: <reason>", a.Kind, annotationMark, a.Kind)
		}
	case Ignore:
		code, reason, _ := strings.Cut(value, " ")
		a.Code, a.Reason = code, strings.TrimSpace(reason)
		switch {
		case !isCode(code):
			a.Problem = fmt.Sprintf("ignore wants the code of a rule and a reason: -- %s ignore: DS103 <reason>", annotationMark)
		case a.Reason == "":
			a.Problem = fmt.Sprintf("ignore wants a reason: -- %s ignore: %s <reason>", annotationMark, code)
		}
	default:
		a.Problem = fmt.Sprintf("unknown annotation %q; there are affects, irreversible, ignore and no-capture", firstWords(string(a.Kind)))
		a.Kind = ""
	}
	if a.Problem == "" && !colon {
		a.Problem = fmt.Sprintf("%s wants a colon", a.Kind)
	}
	return a
}

// isCode: two capitals and three digits.
func isCode(s string) bool {
	if len(s) != 5 {
		return false
	}
	for i := range s {
		if i < 2 && (s[i] < 'A' || s[i] > 'Z') || i >= 2 && !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// parseTables reads names separated by commas.
func parseTables(d Dialect, value string) ([]Name, string) {
	if value == "" {
		return nil, fmt.Sprintf("affects wants tables: -- %s affects: public.orders, public.users", annotationMark)
	}
	var out []Name
	src := newSourceOf(d, value)
	for i := 0; ; i++ {
		var parts []string
		for {
			if i >= len(src.tokens) {
				return nil, fmt.Sprintf("affects: a table is missing in %q", value)
			}
			t := src.tokens[i]
			piece := value[t.start:t.end]
			switch {
			case t.kind == tokenWord && d == Postgres:
				parts = append(parts, strings.ToLower(piece))
			case t.kind == tokenWord:
				parts = append(parts, piece)
			case t.kind == tokenQuoted || t.kind == tokenString && d != Postgres:
				parts = append(parts, unquote(piece))
			default:
				return nil, fmt.Sprintf("affects: %q is no table", piece)
			}
			if i++; src.punct(i) != '.' {
				break
			}
			i++
		}
		if len(parts) > 2 {
			return nil, fmt.Sprintf("affects: %q has too many parts", strings.Join(parts, "."))
		}
		out = append(out, pgName(parts))
		if i >= len(src.tokens) {
			return out, ""
		}
		if src.punct(i) != ',' {
			t := src.tokens[i]
			return nil, fmt.Sprintf("affects: a comma is missing before %q", value[t.start:t.end])
		}
	}
}

// newSourceOf is a whole text as one statement.
func newSourceOf(d Dialect, text string) *source {
	return &source{src: text, tokens: lex(d, text, false)}
}

package lint

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// Formats are the names that Write knows.
var Formats = []string{"text", "json", "sarif", "github", "junit"}

// Write writes a report in a format; colour is for text on a terminal.
func Write(w io.Writer, r *Report, format, version string, colour bool) error {
	switch format {
	case "text":
		return writeText(w, r, colour)
	case "json":
		return writeJSON(w, r)
	case "sarif":
		return writeSARIF(w, r, version)
	case "github":
		return writeGitHub(w, r)
	case "junit":
		return writeJUnit(w, r)
	}
	return fmt.Errorf("no report format is called %q; there are %s", format, strings.Join(Formats, ", "))
}

// paint puts colours around words, or does not.
type paint bool

func (p paint) put(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) severity(s Severity) string {
	if s == Error {
		return p.put("1;31", string(s))
	}
	return p.put("1;33", string(s))
}

func writeText(w io.Writer, r *Report, colour bool) error {
	p := paint(colour)
	b := bufio.NewWriter(w)
	text, of := "", "" // of the file that the last finding was about: findings come file by file
	for _, f := range r.Findings {
		if r.Text != nil && f.File != of {
			of = f.File
			text = r.Text(f.File)
		}
		fmt.Fprintf(b, "%s %s %s: %s\n", p.put("1", fmt.Sprintf("%s:%d:%d", Printable(f.File), f.Line, f.Column)), p.severity(f.Severity), f.Code, Printable(f.Message))
		if line, ok := sourceLine(text, f.Line); ok {
			fmt.Fprint(b, quoteLine(p, line, f.Line, f.Column))
		}
		if f.Fix != "" {
			for i, l := range strings.Split(Printable(f.Fix), "\n") {
				fmt.Fprintln(b, pick(i == 0, "   fix: ", "        ")+p.put("32", l))
			}
		}
	}
	fmt.Fprintf(b, "%s, %s, %s\n", plural(r.Migrations, "migration"), plural(r.Count(Error), "error"), plural(r.Count(Warning), "warning"))
	return b.Flush() // it has the first error of all that was written
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// widest is how much of a line is quoted, in columns of the terminal.
const widest = 120

// quoteLine shows a source line with a caret under the column, which counts characters.
func quoteLine(p paint, line string, number, column int) string {
	runes := []rune(strings.ReplaceAll(line, "\t", " ")) // a tab would move the caret
	if column < 1 || column > max(len(runes), 1) {
		return ""
	}
	start, end, more := 0, len(runes), ""
	if cells(string(runes[:column])) > widest { // what the finding is about comes later
		start, more = column-1, "…"
		for used := 0; start > 0 && used < widest/2; start-- {
			used += cells(string(runes[start-1]))
		}
	}
	for end > column && cells(string(runes[start:end])) > widest {
		end = max(column, end-max((cells(string(runes[start:end]))-widest)/2, 1))
	}
	before := Printable(more + string(runes[start:column-1]))
	text := before + Printable(string(runes[column-1:end]))
	if end < len(runes) {
		text += "…"
	}
	head := fmt.Sprintf("%6d | ", number)
	return p.put("2", head) + text + "\n" + p.put("2", strings.Repeat(" ", 6)+" | ") + strings.Repeat(" ", cells(before)) + p.put("1;31", "^") + "\n"
}

// Printable is a text as a terminal may show it: control characters, and what turns the direction of writing, become symbols, so that a file commands no terminal.
// New lines and tabs stay.
func Printable(s string) string {
	if plain(s, true) { // nearly all are
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < ' ':
			return '\u2400' + r
		case r == 0x7f:
			return '\u2421'
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return utf8.RuneError
		}
		return r
	}, s)
}

// plain says whether a text is made of the printable characters of ASCII; lines: of new lines and tabs as well.
func plain(s string, lines bool) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && !(lines && (c == '\n' || c == '\t')) || c >= 0x7f {
			return false
		}
	}
	return true
}

// cells is how many columns a text takes on a terminal.
func cells(s string) int {
	if plain(s, false) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		switch k := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me): // set upon the character before
		case k == width.EastAsianWide || k == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// sourceLine gives a line of a text, 1-based.
func sourceLine(text string, n int) (string, bool) {
	for ; n > 1; n-- {
		_, rest, ok := strings.Cut(text, "\n")
		if !ok {
			return "", false
		}
		text = rest
	}
	line, _, _ := strings.Cut(text, "\n")
	line = strings.TrimRight(line, "\r ")
	return line, line != "" && utf8.ValidString(line)
}

// Document is the JSON form of a report.
type Document struct {
	Version  int          `json:"version"`
	Findings []Diagnostic `json:"findings"`
	Summary  Summary      `json:"summary"`
}

// Summary counts.
type Summary struct {
	Migrations int `json:"migrations"`
	Errors     int `json:"errors"`
	Warnings   int `json:"warnings"`
}

// Document gives the report as it is written in JSON.
func (r *Report) Document() Document {
	d := Document{Version: 1, Findings: r.Findings, Summary: Summary{r.Migrations, r.Count(Error), r.Count(Warning)}}
	if d.Findings == nil {
		d.Findings = []Diagnostic{}
	}
	return d
}

func writeJSON(w io.Writer, r *Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r.Document())
}

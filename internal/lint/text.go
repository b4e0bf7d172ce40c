package lint

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
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
		fmt.Fprintf(b, "%s %s %s: %s\n", p.put("1", fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)), p.severity(f.Severity), f.Code, f.Message)
		if line, ok := sourceLine(text, f.Line); ok {
			fmt.Fprint(b, quoteLine(p, line, f.Line, f.Column))
		}
		if f.Fix != "" {
			for i, l := range strings.Split(f.Fix, "\n") {
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

// widest is how much of a line is quoted.
const widest = 120

// quoteLine shows a source line with a caret under the column.
func quoteLine(p paint, line string, number, column int) string {
	// Tabs and control characters would move the caret.
	line = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, line)
	if column > widest {
		return ""
	}
	if runes := []rune(line); len(runes) > widest {
		line = string(runes[:widest]) + "…"
	}
	head := fmt.Sprintf("%6d | ", number)
	return p.put("2", head) + line + "\n" + p.put("2", strings.Repeat(" ", 6)+" | ") + strings.Repeat(" ", max(column-1, 0)) + p.put("1;31", "^") + "\n"
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

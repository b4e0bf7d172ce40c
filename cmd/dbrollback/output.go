package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dbrollback/dbrollback/internal/lint"
)

// output is where a command's words go: the result to stdout, everything else to stderr.
type output struct {
	out, err io.Writer
	json     bool
	colour   bool   // stderr may be coloured
	colourOn bool   // stdout may be coloured
	secret   string // a DSN to keep out of every message
	last     any    // the result document
	printed  bool   // the result document is out: no second JSON document may follow
}

func newOutput(s streams) *output {
	return &output{
		out: s.Out, err: s.Err,
		colour:   s.ErrTerminal && !s.plain(),
		colourOn: s.OutTerminal && !s.plain(),
	}
}

// result prints a command's result: one JSON document, or the text that write makes.
func (o *output) result(document any, write func(w *page)) error {
	o.printed, o.last = true, document
	if o.json {
		return o.document(document)
	}
	p := &page{colour: o.colourOn}
	write(p)
	_, err := o.out.Write(p.Bytes())
	return err
}

func (o *output) document(v any) error {
	enc := json.NewEncoder(o.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// note writes one line for the person to stderr.
func (o *output) note(format string, args ...any) {
	fmt.Fprintln(o.err, printable(redact(fmt.Sprintf(format, args...), o.secret)))
}

func (o *output) warn(format string, args ...any) {
	o.note("warning: "+format, args...)
}

// fail reports an error on stderr, and as the JSON document when no other has been printed. It gives the exit code.
func (o *output) fail(ctx context.Context, err error) int {
	p := explain(ctx, err)
	p.redact(o.secret)
	label := "error:"
	if o.colour {
		label = "\x1b[31merror:\x1b[0m"
	}
	fmt.Fprintf(o.err, "%s %s\n", label, printable(p.line()))
	for _, d := range p.Details {
		fmt.Fprintf(o.err, "  %s\n", printable(d))
	}
	if p.Hint != "" {
		fmt.Fprintf(o.err, "hint: %s\n", printable(p.Hint))
	}
	if o.json && !o.printed {
		if werr := o.document(errorDocument{Version: 1, Error: p}); werr != nil {
			fmt.Fprintln(o.err, "error: write the result:", werr)
		}
	}
	return p.Exit
}

// errorDocument is what --output json prints when there is no result.
type errorDocument struct {
	Version int      `json:"version"`
	Error   *problem `json:"error"`
}

// page is text on its way to a person: plain lines and aligned tables.
type page struct {
	bytes.Buffer
	colour bool
}

func (p *page) line(format string, args ...any) {
	p.WriteString(printable(fmt.Sprintf(format, args...)))
	p.WriteByte('\n')
}

// own are the sequences that bold writes, apart from which a text must not command the terminal.
var own = regexp.MustCompile(`\x1b\[[01]m`)

// printable shows control characters of names, values and server messages as symbols.
func printable(s string) string {
	var b strings.Builder
	end := 0
	for _, at := range own.FindAllStringIndex(s, -1) {
		b.WriteString(lint.Printable(s[end:at[0]]) + s[at[0]:at[1]])
		end = at[1]
	}
	return b.String() + lint.Printable(s[end:])
}

// bold marks what the eye should find first.
func (p *page) bold(s string) string {
	if !p.colour {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

// table aligns rows; columns whose head begins with ">" are numbers and stand to the right.
func (p *page) table(head []string, rows [][]string) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	right := make([]int, len(head))
	for i, h := range head {
		if name, ok := strings.CutPrefix(h, ">"); ok {
			head[i], right[i] = name, len(name)
			for _, r := range rows {
				right[i] = max(right[i], len(r[i]))
			}
		}
	}
	for _, r := range append([][]string{head}, rows...) {
		for i, cell := range r {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprintf(w, "%*s", right[i], cell)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush() // a bytes.Buffer does not fail
	for _, l := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		p.line("  %s", strings.TrimRight(l, " "))
	}
}

// count writes a number with thousands apart: 2,000,000. A negative one is not known.
func count(n int64) string {
	if n < 0 {
		return "?"
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes "1 row", "2 rows".
func number(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// size writes bytes as people read them.
func size(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// seconds writes a duration given in seconds.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// moment writes a time in UTC, to the second.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// list never is null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

package folder

import (
	"slices"
	"sort"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// script is one migration, before its goose file is made.
type script struct {
	Migration
	up, down   func() (*piece, error) // what runs; nil, or a nil piece, for a direction that the migration lacks
	autocommit bool                   // the tool runs it outside of a transaction
	bare       bool                   // the tool opens no transaction: scripts that want one begin it themselves
	client     bool                   // its scripts are for the engine's command-line client
}

func (s *script) file() string {
	if s.Up != "" {
		return s.Up
	}
	return s.Down
}

// piece is a stretch of a file.
type piece struct {
	file string // from the folder
	line int    // that it begins on
	text string
	auto bool   // it says of itself that it runs outside of a transaction
	head string // what stands above it and is about the whole file
	top  int    // the line that head begins on
}

// page is a goose file, and where its lines came from.
type page struct {
	text  strings.Builder
	lines int
	runs  []run
}

// run is a stretch of lines that came from one file, in a row.
type run struct {
	first int // in the goose file, 1-based
	file  string
	line  int
	ours  bool // no line of the file, but one that we wrote where it begins
}

func (p *page) mark(line string) {
	p.text.WriteString(line)
	p.text.WriteByte('\n')
	p.lines++
	if n := len(p.runs); n == 0 || !p.runs[n-1].ours {
		p.runs = append(p.runs, run{first: p.lines, ours: true})
	}
}

// copy writes a text as it is.
func (p *page) copy(file string, line int, text string) {
	if text == "" {
		return
	}
	p.runs = append(p.runs, run{first: p.lines + 1, file: file, line: line})
	p.text.WriteString(text)
	p.lines += strings.Count(text, "\n")
	if !strings.HasSuffix(text, "\n") {
		p.text.WriteByte('\n')
		p.lines++
	}
}

// place leads back. What we wrote ourselves stands for the line that follows it, else for the one before.
func (p *page) place(line, column int) (string, int, int) {
	i := sort.Search(len(p.runs), func(i int) bool { return p.runs[i].first > line }) - 1
	if i >= 0 && !p.runs[i].ours {
		return p.runs[i].file, p.runs[i].line + line - p.runs[i].first, column
	}
	if next := slices.IndexFunc(p.runs[max(i, 0):], func(r run) bool { return !r.ours }); next >= 0 {
		r := p.runs[max(i, 0)+next]
		return r.file, r.line, 1
	}
	for i = min(i, len(p.runs)-1); i >= 0; i-- {
		if !p.runs[i].ours {
			return p.runs[i].file, p.runs[i].line, 1
		}
	}
	return "", line, column
}

// compose makes the goose file of a migration: each direction is one string to goose, which our own grammars take
// apart, since the tools have rules of their own about where a statement ends.
func (r *reader) compose(s *script) (*page, error) {
	up, err := r.direction(s, s.up)
	if err != nil {
		return nil, err
	}
	down, err := r.direction(s, s.down)
	if err != nil {
		return nil, err
	}
	p := &page{}
	if up != nil {
		p.copy(up.file, up.top, up.head)
	}
	if s.autocommit || up != nil && up.auto || down != nil && down.auto {
		p.mark("-- +goose NO TRANSACTION")
	}
	p.mark("-- +goose Up")
	r.section(p, up)
	if down != nil {
		p.mark("-- +goose Down")
		p.copy(down.file, down.top, down.head)
		r.section(p, down)
	}
	if len(p.runs) > 0 && !slices.ContainsFunc(p.runs, func(r run) bool { return !r.ours }) {
		p.runs = append(p.runs, run{first: p.lines + 1, file: s.file(), line: 1})
	}
	return p, nil
}

func (r *reader) section(p *page, text *piece) {
	if text == nil {
		return
	}
	if effects.Blank(r.dialect, text.text) {
		p.copy(text.file, text.line, comments(text.text))
		return
	}
	p.mark("-- +goose StatementBegin")
	p.copy(text.file, text.line, text.text)
	p.mark("-- +goose StatementEnd")
}

// comments makes a text that says nothing to the server one that says nothing to goose, which knows one kind of
// comment only; ours are of that kind.
func comments(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if !strings.HasPrefix(strings.TrimSpace(l), "--") {
			lines[i] = strings.Repeat("\n", strings.Count(l, "\n"))
		}
	}
	return strings.Join(lines, "")
}

// direction reads one direction and settles how it runs.
func (r *reader) direction(s *script, read func() (*piece, error)) (*piece, error) {
	if read == nil {
		return nil, nil
	}
	p, err := read()
	if p == nil || err != nil {
		return nil, err
	}
	if i := strings.Index(p.text, "+goose"); i >= 0 {
		line, _ := effects.Position(p.text, i)
		if strings.HasPrefix(strings.TrimSpace(strings.Split(p.text, "\n")[line-1]), "--") {
			return nil, r.wrong(p.file, p.line+line-1, 1, "an annotation of goose in a file of another tool", "take it out, or read the folder with --source goose")
		}
	}
	if s.client {
		text, err := effects.ForServer(r.dialect, p.text)
		if err != nil {
			return nil, r.at(p.file, p.line, err)
		}
		p.text = text
	}
	text, framed, controls := effects.Framed(r.dialect, p.text)
	p.text = text
	p.auto = p.auto || controls || s.bare && !framed && !effects.Blank(r.dialect, text)
	if !p.auto && effects.NeedsAutocommit(r.dialect, text) {
		p.auto = true
	}
	return p, nil
}

// heading takes from a script what is about the whole file: the comments at its top, when a blank line ends them.
func heading(p *piece) {
	lines := strings.SplitAfter(p.text, "\n")
	n, end := 0, 0
	for n < len(lines) {
		l := strings.TrimSpace(lines[n])
		if l != "" && !strings.HasPrefix(l, "--") {
			break
		}
		n++
		if l == "" && n > 1 {
			end = n
		}
	}
	if n == len(lines) { // nothing but comments
		return
	}
	p.top, p.head = p.line, strings.Join(lines[:end], "")
	p.line += end
	p.text = strings.Join(lines[end:], "")
}

package folder

import (
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// File is a goose file to be written.
type File struct {
	Name string
	From []string // the tool's files, from the folder
	Text string
}

// Written gives the folder as goose files for good: each statement ends where goose looks for its end, and comments are
// of the kind that goose knows.
func (f *Folder) Written() ([]File, error) {
	out := make([]File, 0, len(f.sources))
	for _, s := range f.sources {
		text, err := f.reader.written(s)
		if err != nil {
			return nil, err
		}
		out = append(out, File{Name: s.Name, From: f.Files(s.Name), Text: text})
	}
	return out, nil
}

func (r *reader) written(s *script) (string, error) {
	up, err := r.direction(s, s.up)
	if err != nil {
		return "", err
	}
	down, err := r.direction(s, s.down)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if up != nil {
		b.WriteString(strings.TrimLeft(up.head, "\n"))
	}
	if s.autocommit || up != nil && up.auto || down != nil && down.auto {
		b.WriteString("-- +goose NO TRANSACTION\n")
	}
	b.WriteString("-- +goose Up\n")
	if err := r.write(&b, up); err != nil {
		return "", err
	}
	if down != nil {
		b.WriteString("\n-- +goose Down\n")
		if down.head != "" { // what is said about the file of Down is said about its section
			b.WriteString(comment(down.head))
		}
		if err := r.write(&b, down); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// write writes a direction.
func (r *reader) write(b *strings.Builder, p *piece) error {
	if p == nil {
		return nil
	}
	text, err := Section(r.dialect, p.text)
	if err != nil {
		return r.at(p.file, p.line, err)
	}
	b.WriteString(text)
	return nil
}

// Section writes a script as goose wants to read it, statement by statement, with what stands between them. The error
// is an *effects.Error.
func Section(d effects.Dialect, script string) (string, error) {
	statements, err := effects.Parse(d, script)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	end := 0
	for i, s := range statements {
		b.WriteString(comment(script[end:s.Offset]))
		end = s.Offset + len(s.SQL)
		next := len(script)
		if i+1 < len(statements) {
			next = statements[i+1].Offset
		}
		behind, skip := onLine(script[end:next])
		end += skip
		statement(&b, s.SQL, behind)
	}
	b.WriteString(comment(script[end:]))
	return b.String(), nil
}

// statement ends a statement as goose reads it: one that holds a semicolon, or a last line that would hide the one at
// its end, is marked. What stood behind it on its line stays with it, since an annotation there is about it.
func statement(b *strings.Builder, sql, behind string) {
	sql = strings.ReplaceAll(strings.TrimSpace(sql), "\r\n", "\n")
	last := sql[strings.LastIndexByte(sql, '\n')+1:]
	if strings.Contains(sql, ";") || strings.Contains(last, "--") || strings.Contains(last, "#") {
		b.WriteString("-- +goose StatementBegin\n")
		if behind != "" {
			b.WriteString(behind + "\n")
		}
		end := ";"
		if strings.Contains(last, "--") || strings.Contains(last, "#") {
			end = "\n;"
		}
		b.WriteString(sql + end + "\n-- +goose StatementEnd\n")
		return
	}
	b.WriteString(sql + ";")
	if behind != "" {
		b.WriteString(" " + behind)
	}
	b.WriteByte('\n')
}

// onLine gives what stands behind a statement on its line, as a comment, and how far that reaches.
func onLine(text string) (string, int) {
	line, _, more := strings.Cut(text, "\n")
	rest := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), ";"))
	end := len(line)
	if more {
		end++
	}
	if rest == "" {
		return "", end
	}
	return asComment(rest), end
}

func asComment(line string) string {
	if strings.HasPrefix(line, "--") {
		return line
	}
	return "-- " + strings.ReplaceAll(strings.TrimSpace(strings.TrimLeft(line, "#")), "+goose", "+ goose")
}

// comment writes what stands between statements as comments that goose knows for such.
func comment(text string) string {
	var b strings.Builder
	blank := false
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if l = strings.TrimSpace(strings.TrimPrefix(l, ";")); l == "" {
			blank = true
			continue
		}
		if blank {
			b.WriteByte('\n')
			blank = false
		}
		b.WriteString(asComment(l) + "\n")
	}
	return b.String()
}

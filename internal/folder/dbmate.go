package folder

import (
	"regexp"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

var (
	dbmateName = regexp.MustCompile(`^([0-9]+).*\.sql$`)
	dbmateDown = regexp.MustCompile(`(?m)^--\s*migrate:down(\s*$|\s+\S+)`)
)

// dbmate lists the migrations of a folder of dbmate: one file each, with a section a direction.
func (r *reader) dbmate() ([]*script, error) {
	names, err := r.list(".")
	if err != nil {
		return nil, err
	}
	var out []*script
	for _, name := range names {
		m := dbmateName.FindStringSubmatch(name)
		if m == nil {
			continue
		}
		v, err := r.number(name, m[1])
		if err != nil {
			return nil, err
		}
		s := &script{Migration: Migration{Version: v, Name: name, Label: m[1], Up: name, Down: name}}
		if !strings.HasPrefix(name, m[1]+"_") {
			s.Name = m[1] + "_" + name[len(m[1]):]
		}
		var down *piece
		s.up = func() (up *piece, err error) {
			up, down, err = r.dbmateFile(name)
			return up, err
		}
		s.down = func() (*piece, error) { return down, nil }
		out = append(out, s)
	}
	return r.fromOne(out), nil
}

// dbmateFile takes a file apart as dbmate does: by the first mark of each direction.
func (r *reader) dbmateFile(name string) (up, down *piece, err error) {
	text, err := r.read(name)
	if err != nil {
		return nil, nil, err
	}
	at := dbmateUp.FindStringIndex(text)
	if at == nil {
		return nil, nil, r.wrong(name, 1, 1, "there is no line \"-- migrate:up\"", "dbmate wants one above what the migration does")
	}
	if head := text[:at[0]]; !effects.Blank(r.dialect, head) {
		return nil, nil, r.wrong(name, 1, 1, "dbmate takes nothing but comments above \"-- migrate:up\"", "move it below that line")
	}
	end := len(text)
	if d := dbmateDown.FindStringIndex(text); d != nil {
		if d[0] < at[0] {
			line, _ := effects.Position(text, d[0])
			return nil, nil, r.wrong(name, line, 1, "\"-- migrate:down\" stands above \"-- migrate:up\"", "dbmate wants it below")
		}
		end = d[0]
		down = r.dbmateSection(name, text, end, len(text))
	}
	up = r.dbmateSection(name, text, at[0], end)
	up.head, up.top = comments(text[:at[0]]), 1
	return up, down, nil
}

// dbmateSection is what stands below a mark, whose line may say how it runs.
func (r *reader) dbmateSection(name, text string, start, end int) *piece {
	mark, body, _ := strings.Cut(text[start:end], "\n")
	line, _ := effects.Position(text, start)
	p := &piece{file: name, line: line + 1, text: body}
	for _, option := range strings.Fields(mark) {
		key, value, ok := strings.Cut(option, ":")
		p.auto = p.auto || ok && key == "transaction" && value == "false"
	}
	return p
}

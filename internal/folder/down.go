package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// WithDown gives the tool's file that holds, or is to hold, the Down of the migration that goose knows by a name, and
// its text with statements added to it: at the top of the Down, or at its end. The file may be a new one.
func (f *Folder) WithDown(name, statements string, top bool) (file, text string, err error) {
	m := f.byName[name]
	if m == nil {
		return "", "", fmt.Errorf("no migration %s", name)
	}
	statements = strings.NewReplacer("-- +goose StatementBegin\n", "", "-- +goose StatementEnd\n", "").Replace(statements)
	if file = m.Down; file == "" {
		file = f.newDown(m)
	}
	old, err := f.reader.read(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = ""
	case err != nil:
		return "", "", err
	}
	head, body, tail := f.downParts(old)
	switch {
	case strings.TrimSpace(body) == "":
		body = statements
	case top:
		body = statements + body
	default:
		body = ended(body) + statements
	}
	return file, head + body + tail, nil
}

// ended is a script whose last statement and line are ended.
func ended(body string) string {
	body = strings.TrimRight(body, " \t\r\n")
	last := body[strings.LastIndexByte(body, '\n')+1:]
	switch {
	case strings.HasSuffix(body, ";"), strings.HasPrefix(strings.TrimSpace(last), "--"):
		return body + "\n"
	case strings.Contains(last, "--"):
		return body + "\n;\n"
	}
	return body + ";\n"
}

// DownAt says where the Down of the migration that goose knows by a name is, or is to be written; of a goose folder nothing.
func (f *Folder) DownAt(name string) string {
	m := f.byName[name]
	switch {
	case m == nil:
		return ""
	case f.Format == Dbmate:
		return "under -- migrate:down"
	case m.Down != "":
		return "into " + f.reader.path(m.Down)
	}
	return "into " + f.reader.path(f.newDown(m))
}

// newDown names the file of a Down that is not there.
func (f *Folder) newDown(m *Migration) string {
	switch f.Format {
	case GolangMigrate:
		return regexp.MustCompile(`\.up\.([^.]+)$`).ReplaceAllString(m.Up, ".down.$1")
	case Flyway:
		dir, base := path.Split(m.Up)
		return dir + "U" + base[1:]
	case Sqitch:
		return f.reader.revert(m.Up)
	}
	return m.Up // dbmate has one file for both
}

var (
	framedTop = regexp.MustCompile(`(?mi)^\s*BEGIN\s*(TRANSACTION|WORK)?\s*;[ \t]*\n?`)
	framedEnd = regexp.MustCompile(`(?mi)^\s*(COMMIT|END)\s*(TRANSACTION|WORK)?\s*;\s*\z`)
)

// downParts cuts the statements of Down out of a file.
func (f *Folder) downParts(text string) (head, body, tail string) {
	if f.Format == Dbmate {
		at := dbmateDown.FindStringIndex(text)
		if at == nil {
			return strings.TrimRight(text, "\n") + "\n\n-- migrate:down\n", "", ""
		}
		line, rest, _ := strings.Cut(text[at[0]:], "\n")
		return text[:at[0]] + line + "\n", rest, ""
	}
	begin, end := framedTop.FindStringIndex(text), framedEnd.FindStringIndex(text)
	switch {
	case begin != nil && end != nil && begin[1] <= end[0]:
		return text[:begin[1]], text[begin[1]:end[0]], text[end[0]:]
	case text == "" && f.Format == Sqitch:
		return "BEGIN;\n\n", "", "\nCOMMIT;\n"
	}
	return "", text, ""
}

// Package folder reads the migration folders of other tools (golang-migrate, dbmate, Flyway, Sqitch) as folders of
// goose files, so that everything else has to know one kind only.
//
// The goose files are made in memory and never written: what a tool's own files say stays word for word, line by
// line, and Place leads from a place in a goose file back to the one in the tool's file. The package is pure: it
// reads from an fs.FS and nothing else.
package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Format is a kind of migration folder: the tool that it is for.
type Format string

// The formats.
const (
	Auto          Format = "auto" // found out by looking
	Goose         Format = "goose"
	GolangMigrate Format = "golang-migrate"
	Dbmate        Format = "dbmate"
	Flyway        Format = "flyway"
	Sqitch        Format = "sqitch"
)

// Formats are the words for them, as --source takes them.
var Formats = []string{string(Auto), string(Goose), string(GolangMigrate), string(Dbmate), string(Flyway), string(Sqitch)}

// Largest is the size of a file, in bytes, beyond which it is no migration but a dump.
const Largest = 16 << 20

// Migration is one migration of another tool.
type Migration struct {
	Version  int64  // goose's number for it
	Name     string // its goose file, e.g. "00001_users.sql"
	Label    string // the version as the tool has it: "1", "1.2"; of Sqitch the name of the change
	Up, Down string // the tool's files, from the folder; Down is "" when there is none, and equal to Up in a file of both
}

// Folder is a folder of migrations. As an fs.FS it holds goose files, whatever it was made from.
type Folder struct {
	Format     Format
	Migrations []Migration // ascending; of a goose folder none: goose lists them itself
	Left       []string    // what the tool would run and goose has nothing for, one line each
	Project    string      // of Sqitch, as its registry calls it
	Placed     bool        // Place says something

	files  fs.FS
	places map[string]*page
	byName map[string]*Migration

	reader  *reader
	sources []*script
}

// FileError is a file that cannot be read as a migration, at its place.
type FileError struct {
	File         string
	Line, Column int
	Message      string
	Hint         string
	Err          error // of the system, when it could not be read
}

func (e *FileError) Unwrap() error { return e.Err }

func (e *FileError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// UnknownError is a folder of which nobody can say whose it is.
type UnknownError struct{ Message, Hint string }

func (e *UnknownError) Error() string { return e.Message }

// TwiceError is a version that two migrations claim.
type TwiceError struct {
	Version int64
	Label   string
	Files   []string // the two of them, from the folder
}

func (e *TwiceError) Error() string {
	return fmt.Sprintf("version %s is there twice: %s and %s", e.Label, e.Files[0], e.Files[1])
}

// Open reads a folder. dir is what messages call it.
func Open(files fs.FS, dir string, f Format, d effects.Dialect) (*Folder, error) {
	if f == Auto || f == "" {
		found, cached, err := detect(files, dir)
		if err != nil {
			return nil, err
		}
		f, files = found, cached
	}
	out := &Folder{Format: f, files: files}
	r := &reader{files: files, dir: dir, dialect: d}
	if f == Goose {
		return out, r.sound()
	}
	scripts, err := r.scripts(f)
	if err != nil {
		return nil, err
	}
	out.Left, out.Project = r.left, r.project
	return out, out.compose(r, scripts)
}

// scripts lists a folder's migrations, ascending and unread.
func (r *reader) scripts(f Format) (out []*script, err error) {
	switch f {
	case GolangMigrate:
		out, err = r.golangMigrate()
	case Dbmate:
		out, err = r.dbmate()
	case Flyway:
		out, err = r.flyway()
	case Sqitch:
		out, err = r.sqitch()
	default:
		return nil, &UnknownError{Message: fmt.Sprintf("no tool is called %q", string(f)), Hint: "there are " + strings.Join(Formats, ", ")}
	}
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b *script) int { return int(min(max(a.Version-b.Version, -1), 1)) })
	for i := 1; i < len(out); i++ {
		if a, b := out[i-1], out[i]; a.Version == b.Version {
			return nil, &TwiceError{Version: a.Version, Label: a.Label, Files: []string{a.file(), b.file()}}
		}
	}
	return out, nil
}

// compose makes the goose files. All are made now, so that what is wrong with one is known before anything runs.
func (f *Folder) compose(r *reader, scripts []*script) error {
	byName := map[string]*script{}
	made := newShelf(r, func(name string) ([]byte, error) {
		p, err := r.compose(byName[name])
		if err != nil {
			return nil, err
		}
		return []byte(p.text.String()), nil
	})
	f.files, f.Placed, f.reader, f.sources = made, true, r, scripts
	f.places, f.byName = map[string]*page{}, map[string]*Migration{}
	var g errgroup.Group
	var mu sync.Mutex
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range scripts {
		g.Go(func() error {
			p, err := r.compose(s)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			made.put(s.Name, []byte(p.text.String()))
			f.places[s.Name] = &page{lines: p.lines, runs: slices.Clip(p.runs)}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, s := range scripts {
		byName[s.Name] = s
		f.Migrations = append(f.Migrations, s.Migration)
		f.byName[s.Name] = &f.Migrations[i]
	}
	return nil
}

// Open opens a goose file.
func (f *Folder) Open(name string) (fs.File, error) { return f.files.Open(name) }

// ReadFile reads a goose file.
func (f *Folder) ReadFile(name string) ([]byte, error) { return fs.ReadFile(f.files, name) }

// Place gives the file, from the folder, and the place in it that a place in a goose file came from.
func (f *Folder) Place(name string, line, column int) (string, int, int) {
	p := f.places[name]
	if p == nil {
		return name, line, column
	}
	return p.place(line, column)
}

// Files gives the files, from the folder, that a goose file came from.
func (f *Folder) Files(name string) []string {
	m := f.byName[name]
	if m == nil {
		return []string{name}
	}
	var out []string
	for _, file := range []string{m.Up, m.Down} {
		if file != "" && !slices.Contains(out, file) {
			out = append(out, file)
		}
	}
	return out
}

// Versions gives goose's numbers of the versions that a tool calls by a label, in order: more than one only of a
// change that Sqitch has reworked. Flyway's 1 and 1.0 are one label, as 7 and 007 are everywhere.
func (f *Folder) Versions(label string) []int64 {
	var out []int64
	label = f.normal(label)
	for i := range f.Migrations {
		if m := &f.Migrations[i]; f.normal(m.Label) == label {
			out = append(out, m.Version)
		}
	}
	return out
}

func (f *Folder) normal(label string) string {
	if f.Format == Sqitch {
		return label
	}
	return flywayLabel(label)
}

// reader reads the files of one tool.
type reader struct {
	files   fs.FS
	dir     string
	dialect effects.Dialect
	left    []string
	project string

	sqitchDirs   map[string]string // of deploy scripts -> of their revert scripts
	flywayValues map[string]string // of its placeholders, by name in lower case; nil in folders of other tools
	flywayPlain  bool              // there are none: what looks like one is text
}

func (r *reader) path(name string) string {
	if r.dir == "" || r.dir == "." {
		return name
	}
	return path.Join(r.dir, name)
}

// read gives the text of a file, which is UTF-8 and no dump.
func (r *reader) read(name string) (string, error) {
	info, err := fs.Stat(r.files, name)
	if err == nil && info.Size() > Largest {
		return "", &FileError{File: r.path(name), Line: 1, Column: 1, Message: fmt.Sprintf("%d MB: a migration has at most %d", info.Size()>>20, Largest>>20), Hint: "load bulk data outside of migrations"}
	}
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() { // whoever opens a pipe waits for its other end
		return "", &FileError{File: r.path(name), Line: 1, Column: 1, Message: "it is no file but a pipe, a socket or a device", Hint: "put a file in its place"}
	}
	b, err := fs.ReadFile(r.files, name)
	if err != nil {
		return "", unreadable(r.path(name), err)
	}
	text := string(b)
	if mark := "\ufeff"; strings.HasPrefix(text, mark) {
		if r.flywayValues != nil { // Flyway takes it off
			text = text[len(mark):]
			return text, r.at(name, 1, effects.Check(text))
		}
		return "", r.wrong(name, 1, 1, "the file begins with a byte order mark", "save it as UTF-8 without one")
	}
	return text, r.at(name, 1, effects.Check(text))
}

// unreadable says why a file cannot be read, and what to do.
func unreadable(file string, err error) error {
	e := &FileError{File: file, Line: 1, Column: 1, Message: "it cannot be read: " + reason(err).Error(), Hint: "dbrollback needs every file of the folder", Err: err}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Hint = "make it readable for the user that runs dbrollback"
	case errors.Is(err, fs.ErrNotExist):
		e.Hint = "it is not there, or it is a link that leads nowhere"
	}
	return e
}

// reason is an error without the path, which the message has anyway.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (r *reader) wrong(name string, line, column int, message, hint string) error {
	return &FileError{File: r.path(name), Line: line, Column: column, Message: message, Hint: hint}
}

// at gives an error about a text its place in the file that the text begins in, at a line.
func (r *reader) at(name string, first int, err error) error {
	var e *effects.Error
	if errors.As(err, &e) {
		return &FileError{File: r.path(name), Line: first + e.Line - 1, Column: e.Column, Message: e.Message}
	}
	return err
}

// list gives the names of the files of a folder, sorted.
func (r *reader) list(dir string) ([]string, error) {
	entries, err := fs.ReadDir(r.files, dir)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.path(dir), reason(err))
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() {
			out = append(out, path.Join(dir, e.Name()))
		}
	}
	return out, nil
}

package migrate

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"testing/fstest"
	"unicode/utf8"

	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Migration is one migration as goose reads it.
type Migration struct {
	Version       int64
	File          string // path for messages, e.g. "migrations/00002_score.sql"; of a tool with a file a direction, Up's
	DownFile      string // where Down stands, or would; most often File
	Name          string // of goose's file in the folder, e.g. "00002_score.sql"
	Text          string // the whole goose file, unexpanded: no secret of ENVSUB enters the catalog
	Transactional bool   // no NO TRANSACTION annotation
	Up, Down      []Statement
	Notes         []effects.Annotation

	downMark int // line of DownFile that the Down section begins on; 0 when there is none
}

// Statement is one statement of a migration, with its place in the file.
type Statement struct {
	effects.Statement
	File         string
	Line, Column int
}

// Sum identifies the migration's text.
func (m *Migration) Sum() string { return sumOf(m.Text) }

func sumOf(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// statements of one direction.
func (m *Migration) statements(d Direction) []Statement {
	if d == Up {
		return m.Up
	}
	return m.Down
}

// noteFile is the file that an annotation stands in.
func (m *Migration) noteFile(a effects.Annotation) string {
	if a.Section == string(Down) {
		return m.DownFile
	}
	return m.File
}

// source lists the migrations of a folder and reads them through goose: what a file means is goose's
// decision, down to ENVSUB, StatementBegin and NO TRANSACTION. goose runs each migration against a
// driver that only records, so its exact statements are known before anything touches a database.
type source struct {
	files    fs.FS
	places   places // nil for goose's own files
	dir      string // for messages
	dialect  effects.Dialect
	versions []int64 // ascending
	paths    map[int64]string
	provider *goose.Provider
	recorder *recorder
	loaded   map[int64]*Migration
}

// places is what a folder of goose files has that was made from another tool's: the way back to that tool's files.
type places interface {
	Place(name string, line, column int) (file string, atLine, atColumn int)
	Files(name string) []string
	DownAt(name string) string
}

func newSource(files fs.FS, dir string, dialect effects.Dialect) (*source, error) {
	s := &source{files: files, dir: dir, dialect: dialect, paths: map[int64]string{}, loaded: map[int64]*Migration{}}
	s.places, _ = files.(places)
	if files == nil {
		return s, nil
	}
	s.recorder = &recorder{}
	p, err := goose.NewProvider(goose.DialectSQLite3, sql.OpenDB(s.recorder), files, goose.WithDisableVersioning(true), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return s, nil
	}
	if err != nil {
		if code := goMigrations(files); len(code) > 0 {
			return nil, s.compiled(code)
		}
		return nil, fmt.Errorf("read migrations in %s: %w", dir, err)
	}
	s.provider = p
	for _, src := range p.ListSources() {
		if src.Type != goose.TypeSQL {
			return nil, s.compiled([]string{src.Path})
		}
		s.versions = append(s.versions, src.Version)
		s.paths[src.Version] = src.Path
	}
	slices.Sort(s.versions)
	return s, nil
}

func (s *source) path(name string) string {
	if s.dir == "" || s.dir == "." {
		return name
	}
	return s.dir + "/" + name
}

// file gives the path for messages of a version, or "" when the folder has none.
func (s *source) file(version int64) string {
	p, ok := s.paths[version]
	if !ok {
		return ""
	}
	if s.places != nil {
		p = s.places.Files(p)[0]
	}
	return s.path(p)
}

// downAt says where the Down of a migration is, or is to be written.
func (s *source) downAt(version int64) string {
	at := ""
	if s.places != nil {
		at = s.places.DownAt(s.paths[version])
	}
	return cmp.Or(at, "under -- +goose Down")
}

// place leads from a place in a goose file to what a person can open.
func (s *source) place(name string, line, column int) (file string, atLine, atColumn int) {
	if s.places != nil {
		name, line, column = s.places.Place(name, line, column)
	}
	return s.path(name), line, column
}

// text reads a migration's file without parsing it.
func (s *source) text(version int64) (string, error) {
	b, err := fs.ReadFile(s.files, s.paths[version])
	if err != nil {
		return "", fmt.Errorf("read %s: %w", s.file(version), err)
	}
	return string(b), nil
}

// load reads one migration; the result is kept.
func (s *source) load(ctx context.Context, version int64) (*Migration, error) {
	if m, ok := s.loaded[version]; ok {
		return m, nil
	}
	u, err := s.read(ctx, version)
	if err != nil {
		return nil, err
	}
	m, err := s.interpret(u)
	if err != nil {
		return nil, err
	}
	s.loaded[version] = m
	return m, nil
}

// unparsed is a migration of which goose has told the statements, and no more.
type unparsed struct {
	*Migration
	up, down []string
}

// read has goose take a migration's file apart.
func (s *source) read(ctx context.Context, version int64) (*unparsed, error) {
	if _, ok := s.paths[version]; !ok {
		return nil, fmt.Errorf("no migration with version %d in %s", version, s.dir)
	}
	text, err := s.text(version)
	if err != nil {
		return nil, err
	}
	name := s.paths[version]
	m := &Migration{Version: version, Name: name, File: s.file(version), DownFile: s.file(version), Text: text}
	if s.places != nil {
		if files := s.places.Files(name); len(files) > 1 {
			m.DownFile = s.path(files[1])
		}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &StatementError{File: m.File, Line: 1, Column: 1, Err: errors.New("the file is empty; it has to begin with -- +goose Up")}
	}
	if bad := invalidUTF8(text); bad >= 0 {
		line, col := effects.Position(text, bad)
		return nil, &StatementError{File: m.File, Line: line, Column: col, Err: errors.New("invalid UTF-8; save the file as UTF-8")}
	}
	if len(text) >= 3 && text[:3] == "\xef\xbb\xbf" {
		return nil, &StatementError{File: m.File, Line: 1, Column: 1, Err: errors.New("the file begins with a byte order mark; save it as UTF-8 without one")}
	}
	if bad := strings.IndexByte(text, 0); bad >= 0 {
		line, col := effects.Position(text, bad)
		return nil, &StatementError{File: m.File, Line: line, Column: col, Err: errors.New("a NUL byte, which no SQL can have; write the value in another way")}
	}
	if m.Notes, err = effects.AnnotationsIn(s.dialect, text); err != nil {
		return nil, fmt.Errorf("%s: %w", m.File, err)
	}
	up, tx, err := s.record(ctx, version, true)
	if err != nil {
		return nil, s.unreadable(m, err)
	}
	down, _, err := s.record(ctx, version, false)
	if err != nil {
		return nil, s.unreadable(m, err)
	}
	m.Transactional = tx
	if line := downMark(text); line > 0 {
		_, m.downMark, _ = s.place(name, line, 1)
	}
	for i := range m.Notes {
		n := &m.Notes[i]
		_, n.Line, n.Column = s.place(name, n.Line, n.Column)
		if n.Statement > 0 {
			_, n.Statement, _ = s.place(name, n.Statement, 1)
		}
	}
	return &unparsed{m, up, down}, nil
}

// unreadable says why goose cannot take a file apart, and where, when that can be told.
func (s *source) unreadable(m *Migration, err error) error {
	if !errors.Is(err, bufio.ErrTooLong) {
		e := &StatementError{File: m.File, Line: 1, Column: 1, Err: err}
		if line, why := misplaced(m.Text); why != "" {
			e.Err = errors.New(why)
			e.File, e.Line, e.Column = s.place(m.Name, line, 1)
		}
		return e
	}
	longest, at := 0, 1
	for n, line := range strings.Split(m.Text, "\n") {
		if len(line) > longest {
			longest, at = len(line), n+1
		}
	}
	e := &StatementError{Err: fmt.Errorf("the line has %d bytes, more than goose reads; break it into several lines", longest)}
	e.File, e.Line, e.Column = s.place(m.Name, at, 1)
	return e
}

// misplaced looks for what goose most often stumbles over: SQL ahead of the first section, a StatementBegin without its end, or a section whose last statement has no
// semicolon at its end; why is "" when it is something else.
func misplaced(text string) (line int, why string) {
	const unended = "this StatementBegin has no -- +goose StatementEnd: write it behind the statement"
	section, block, open := "", 0, 0 // block is the line of a StatementBegin, open that of a statement, that has not ended
	for n, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if rest, ok := strings.CutPrefix(l, "--"); ok || l == "" {
			switch mark := strings.ToLower(strings.Join(strings.Fields(rest), " ")); mark {
			case "+goose up", "+goose down":
				if block > 0 {
					return block, unended
				}
				if open > 0 {
					return open, "the last statement of " + section + " does not end: put a semicolon behind it"
				}
				if section == "" && mark == "+goose down" {
					return n + 1, "the Down section stands first: goose reads -- +goose Up ahead of it"
				}
				section = strings.ToUpper(mark[7:8]) + mark[8:]
			case "+goose statementbegin":
				if block > 0 {
					return block, unended
				}
				block = n + 1
			case "+goose statementend":
				block = 0
			}
			continue
		}
		switch {
		case section == "":
			return n + 1, "SQL ahead of -- +goose Up: move it behind that line"
		case block > 0:
		case strings.HasSuffix(beforeComment(l), ";"):
			open = 0
		case open == 0:
			open = n + 1
		}
	}
	if block > 0 {
		return block, unended
	}
	if open > 0 {
		return open, "the last statement of " + section + " does not end: put a semicolon behind it"
	}
	return 0, ""
}

// beforeComment is a line without the comment at its end, as goose sees it.
func beforeComment(line string) string {
	line, _, _ = strings.Cut(line, "--")
	return strings.TrimSpace(line)
}

// downMark is the line of a goose file on which its Down section begins.
func downMark(text string) int {
	for n, line := 1, ""; text != ""; n++ {
		line, text, _ = strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "--"); ok && strings.EqualFold(strings.Join(strings.Fields(rest), " "), "+goose down") {
			return n
		}
	}
	return 0
}

// HasDown says whether there is a Down section, if only an empty one.
func (m *Migration) HasDown() bool { return m.downMark > 0 }

// interpret parses the statements. It may run for several migrations at once.
func (s *source) interpret(u *unparsed) (m *Migration, err error) {
	m, after, lines := u.Migration, 0, effects.NewLines(u.Text)
	if m.Up, after, err = s.parse(m, lines, u.up, after); err != nil {
		return nil, err
	}
	if m.Down, _, err = s.parse(m, lines, u.down, after); err != nil {
		return nil, err
	}
	for _, list := range [][]Statement{m.Up, m.Down} {
		each := make([]*effects.Statement, len(list))
		for i := range list {
			each[i] = &list[i].Statement
		}
		effects.Dynamic(s.dialect, each)
	}
	return m, nil
}

// record has goose run one direction against the recorder.
func (s *source) record(ctx context.Context, version int64, up bool) (stmts []string, tx bool, err error) {
	s.recorder.reset()
	if _, err := s.provider.ApplyVersion(ctx, version, up); err != nil {
		return nil, false, parseError(err)
	}
	return slices.Clone(s.recorder.statements), s.recorder.began, nil
}

// parseError takes goose's words for a run out of an error that is about reading a file.
func parseError(err error) error {
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		err = partial.Err
	}
	// The innermost error says it; the ones around it name the file, the type and the version once more.
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// parse turns goose's statements into ours. One string of goose's may hold several statements (goose splits
// only at a semicolon that ends a line): each comes apart, since each is captured for on its own.
func (s *source) parse(m *Migration, lines *effects.Lines, texts []string, after int) ([]Statement, int, error) {
	var out []Statement
	for _, text := range texts {
		start, end := effects.Locate(m.Text, text, after)
		if start < 0 {
			start, end = after, after
		}
		parsed, err := effects.Parse(s.dialect, text)
		if err != nil {
			e := &StatementError{SQL: text, Err: err}
			line, col := lines.Position(start)
			e.File, e.Line, e.Column = s.place(m.Name, line, col)
			return nil, 0, e
		}
		within := effects.NewLines(text)
		for _, p := range parsed {
			st := Statement{Statement: p}
			line, col := lines.PositionIn(start, within, p.Offset)
			st.File, st.Line, st.Column = s.place(m.Name, line, col)
			out = append(out, st)
		}
		after = end
	}
	return out, after, nil
}

// fromCatalog makes a source of one migration whose text is stored in the catalog, for a rollback by an
// older release that has no such file.
func fromCatalog(ctx context.Context, version int64, name, text string, dialect effects.Dialect) (*Migration, error) {
	file := fmt.Sprintf("%05d_stored.sql", version)
	s, err := newSource(fstest.MapFS{file: {Data: []byte(text)}}, "", dialect)
	if err != nil {
		return nil, err
	}
	m, err := s.load(ctx, version)
	if err != nil {
		return nil, err
	}
	m.File = name + " (from the catalog)"
	m.DownFile = m.File
	for _, list := range [][]Statement{m.Up, m.Down} {
		for i := range list {
			list[i].File = m.File
		}
	}
	return m, nil
}

func invalidUTF8(s string) int {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// Load reads every migration of a folder, as goose reads it, without a database.
func Load(ctx context.Context, files fs.FS, dir string, dialect effects.Dialect) ([]*Migration, error) {
	s, err := newSource(files, dir, dialect)
	if err != nil {
		return nil, err
	}
	return s.all(ctx, s.versions)
}

// all reads migrations. goose reads one file after the other; parsing, which is most of the work, is spread over the processors.
func (s *source) all(ctx context.Context, versions []int64) ([]*Migration, error) {
	out := make([]*Migration, len(versions))
	var parsers errgroup.Group
	parsers.SetLimit(runtime.GOMAXPROCS(0))
	for i, v := range versions {
		if out[i] = s.loaded[v]; out[i] != nil {
			continue
		}
		u, err := s.read(ctx, v)
		if err != nil {
			return nil, errors.Join(parsers.Wait(), err)
		}
		parsers.Go(func() (err error) {
			out[i], err = s.interpret(u)
			return err
		})
	}
	if err := parsers.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// ready reads migrations ahead of the one by one that need them. What cannot be read is left for then, when it is known whether it matters.
func (s *source) ready(ctx context.Context, versions []int64) {
	if len(versions) < 2 {
		return
	}
	list, err := s.all(ctx, versions)
	if err != nil {
		return
	}
	for _, m := range list {
		s.loaded[m.Version] = m
	}
}

// SameMigrations makes sure that two folders hold the same migrations, statement by statement.
func SameMigrations(ctx context.Context, a, b fs.FS, dir string, dialect effects.Dialect) error {
	first, err := Load(ctx, a, dir, dialect)
	if err != nil {
		return err
	}
	second, err := Load(ctx, b, "", dialect)
	if err != nil {
		return fmt.Errorf("the goose files cannot be read back: %w", err)
	}
	if len(first) != len(second) {
		return fmt.Errorf("%d migrations would become %d", len(first), len(second))
	}
	for i, x := range first {
		y := second[i]
		notes := func(m *Migration) []effects.Annotation {
			out := slices.Clone(m.Notes)
			for i := range out {
				out[i].Line, out[i].Column, out[i].Statement = 0, 0, min(out[i].Statement, 1)
			}
			return out
		}
		same := x.Version == y.Version && x.Transactional == y.Transactional && x.HasDown() == y.HasDown() && sameSQL(x.Up, y.Up) && sameSQL(x.Down, y.Down) &&
			slices.EqualFunc(notes(x), notes(y), func(a, b effects.Annotation) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
		if !same {
			return fmt.Errorf("%s cannot be written as a goose file that says the same; write it by hand, or go on with the folder as it is: import --versions-only", x.File)
		}
	}
	return nil
}

package migrate

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"testing/fstest"
	"unicode/utf8"

	"github.com/pressly/goose/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// Migration is one migration as goose reads it.
type Migration struct {
	Version       int64
	File          string // path for messages, e.g. "migrations/00002_score.sql"
	Text          string // the whole file, unexpanded: no secret of ENVSUB enters the catalog
	Transactional bool   // no NO TRANSACTION annotation
	Up, Down      []Statement
	Notes         []effects.Annotation
}

// Statement is one statement of a migration, with its place in the file.
type Statement struct {
	effects.Statement
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

// source lists the migrations of a folder and reads them through goose: what a file means is goose's
// decision, down to ENVSUB, StatementBegin and NO TRANSACTION. goose runs each migration against a
// driver that only records, so its exact statements are known before anything touches a database.
type source struct {
	files    fs.FS
	dir      string // for messages
	dialect  effects.Dialect
	versions []int64 // ascending
	paths    map[int64]string
	provider *goose.Provider
	recorder *recorder
	loaded   map[int64]*Migration
}

func newSource(files fs.FS, dir string, dialect effects.Dialect) (*source, error) {
	s := &source{files: files, dir: dir, dialect: dialect, paths: map[int64]string{}, loaded: map[int64]*Migration{}}
	if files == nil {
		return s, nil
	}
	s.recorder = &recorder{}
	p, err := goose.NewProvider(goose.DialectSQLite3, sql.OpenDB(s.recorder), files, goose.WithDisableVersioning(true), goose.WithDisableGlobalRegistry(true))
	if errors.Is(err, goose.ErrNoMigrations) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read migrations in %s: %w", dir, err)
	}
	s.provider = p
	for _, src := range p.ListSources() {
		if src.Type != goose.TypeSQL {
			return nil, fmt.Errorf("%s is a Go migration: only a program that compiles it in can run it; write it in SQL, or run it with goose", s.path(src.Path))
		}
		s.versions = append(s.versions, src.Version)
		s.paths[src.Version] = src.Path
	}
	slices.Sort(s.versions)
	return s, nil
}

func (s *source) path(name string) string {
	if s.dir == "" {
		return name
	}
	return s.dir + "/" + name
}

// file gives the path for messages of a version, or "" when the folder has none.
func (s *source) file(version int64) string {
	if p, ok := s.paths[version]; ok {
		return s.path(p)
	}
	return ""
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
	m := &Migration{Version: version, File: s.file(version), Text: text}
	if bad := invalidUTF8(text); bad >= 0 {
		line, col := effects.Position(text, bad)
		return nil, &StatementError{File: m.File, Line: line, Column: col, Err: errors.New("invalid UTF-8; save the file as UTF-8")}
	}
	if len(text) >= 3 && text[:3] == "\xef\xbb\xbf" {
		return nil, &StatementError{File: m.File, Line: 1, Column: 1, Err: errors.New("the file begins with a byte order mark; save it as UTF-8 without one")}
	}
	if m.Notes, err = effects.AnnotationsIn(s.dialect, text); err != nil {
		return nil, fmt.Errorf("%s: %w", m.File, err)
	}
	up, tx, err := s.record(ctx, version, true)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.File, err)
	}
	down, _, err := s.record(ctx, version, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.File, err)
	}
	m.Transactional = tx
	return &unparsed{m, up, down}, nil
}

// interpret parses the statements. It may run for several migrations at once.
func (s *source) interpret(u *unparsed) (m *Migration, err error) {
	m, after := u.Migration, 0
	if m.Up, after, err = s.parse(m, u.up, after); err != nil {
		return nil, err
	}
	if m.Down, _, err = s.parse(m, u.down, after); err != nil {
		return nil, err
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
		return partial.Err
	}
	return err
}

// parse turns goose's statements into ours. One string of goose's may hold several statements (goose splits
// only at a semicolon that ends a line): each comes apart, since each is captured for on its own.
func (s *source) parse(m *Migration, texts []string, after int) ([]Statement, int, error) {
	var out []Statement
	for _, text := range texts {
		start, end := effects.Locate(m.Text, text, after)
		if start < 0 {
			start, end = after, after
		}
		parsed, err := effects.Parse(s.dialect, text)
		if err != nil {
			line, col := effects.Position(m.Text, start)
			return nil, 0, &StatementError{File: m.File, Line: line, Column: col, SQL: text, Err: err}
		}
		for _, p := range parsed {
			at, _ := effects.Locate(m.Text, p.SQL, start)
			if at < 0 || at > end {
				at = start
			}
			st := Statement{Statement: p}
			st.Line, st.Column = effects.Position(m.Text, at)
			out = append(out, st)
		}
		after = end
	}
	return out, after, nil
}

// fromCatalog makes a source of one migration whose text is stored in the catalog, for a rollback by an
// older release that has no such file.
func fromCatalog(ctx context.Context, version int64, name, text string, dialect effects.Dialect) (*Migration, error) {
	base := name
	if i := lastSlash(name); i >= 0 {
		base = name[i+1:]
	}
	s, err := newSource(fstest.MapFS{base: {Data: []byte(text)}}, "", dialect)
	if err != nil {
		return nil, err
	}
	if _, ok := s.paths[version]; !ok {
		return nil, fmt.Errorf("the catalog's text of migration %d is called %q, which goose does not read as version %d", version, name, version)
	}
	m, err := s.load(ctx, version)
	if err != nil {
		return nil, err
	}
	m.File = name + " (from the catalog)"
	return m, nil
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return -1
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
	// goose reads one file after the other; parsing, which is most of the work, is spread over the processors.
	out := make([]*Migration, len(s.versions))
	var parsers errgroup.Group
	parsers.SetLimit(runtime.GOMAXPROCS(0))
	for i, v := range s.versions {
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

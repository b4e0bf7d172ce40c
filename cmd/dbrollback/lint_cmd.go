package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/fstest"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/folder"
	"github.com/dbrollback/dbrollback/internal/lint"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// lintOptions are the options of `lint`.
type lintOptions struct {
	Paths     []string
	Engine    string
	Format    string
	Since     string
	FailOn    string
	Fix       bool
	NoCapture bool
	Applied   bool // compare with what is applied: --dsn was typed
}

// lintEngines are the names that --engine knows.
var lintEngines = []string{"postgres", "mysql", "mariadb", "sqlite"}

// Validate checks the words that are chosen from a list.
func (o lintOptions) Validate() error {
	for _, choice := range []struct {
		flag, value string
		known       []string
	}{
		{"--engine", o.Engine, lintEngines},
		{"--format", o.Format, lint.Formats},
		{"--fail-on", o.FailOn, []string{"error", "warning", "never"}},
	} {
		if choice.value != "" && !slices.Contains(choice.known, choice.value) {
			return &usageError{message: fmt.Sprintf("%s %q is unknown", choice.flag, choice.value),
				hint: nearestHint(choice.value, choice.known, choice.flag+" ", "dbrollback lint --help")}
		}
	}
	return nil
}

func (p *program) lintCommand() *cli.Command {
	return &cli.Command{
		Name: "lint", ArgsUsage: "[PATH…]",
		Usage: "find migrations that cannot be undone, destroy data or hold locks; needs no database",
		Description: `PATH is a folder of migrations or one of its files (default --dir). All files of a folder
are read, because earlier migrations say what a later Down has to bring back.

Exit code 3 when something is found. docs/rules.md explains each rule.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "engine", Usage: "`NAME` of the SQL: postgres, mysql, mariadb or sqlite (default: that of the configured database)"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the report: text, json, sarif, github or junit"},
			&cli.StringFlag{Name: "since", Usage: "report only on migrations added since a git `REF`"},
			&cli.StringFlag{Name: "fail-on", Value: "error", Usage: "`SEVERITY` from which the exit code is 3: error, warning or never"},
			&cli.BoolFlag{Name: "fix", Usage: "write missing Down sections and statements into the files"},
			&cli.BoolFlag{Name: "no-capture", Usage: "judge as if nothing were captured: data that Down cannot know is an error"},
		},
		Action: action(p, func(c *cli.Context) (lintOptions, error) {
			return lintOptions{Paths: c.Args().Slice(), Engine: c.String("engine"), Format: c.String("format"), Since: c.String("since"),
				FailOn: c.String("fail-on"), Fix: c.Bool("fix"), NoCapture: c.Bool("no-capture"), Applied: c.IsSet("dsn")}, nil
		}, runLint),
	}
}

func runLint(ctx context.Context, s *session, o lintOptions) error {
	defer collectLate()()
	dialect, err := s.lintDialect(o.Engine)
	if err != nil {
		return err
	}
	options := lint.Options{Engine: dialect, NoCapture: o.NoCapture || s.Lint.noCapture, Severity: s.Lint.rules}
	folders, err := s.lintFolders(o.Paths)
	if err != nil {
		return err
	}
	report := &lint.Report{Text: func(file string) string { return textOf(folders, file) }}
	for _, f := range folders {
		twice, err := s.lintOpen(f, dialect)
		if err != nil {
			return err
		}
		if len(twice.Findings) > 0 {
			report.Add(twice) // no tool reads a folder that has a version twice
			continue
		}
		if f.content.Format == folder.Goose {
			lost, err := unread(f.dir)
			if err != nil {
				return err
			}
			for _, l := range lost {
				report.Add(lint.Unread(l.file, l.why, options))
			}
		}
		if o.Fix {
			if err := s.lintFix(ctx, f, dialect, o, options); err != nil {
				return err
			}
			if _, err := s.lintOpen(f, dialect); err != nil { // texts and places are those of the new files
				return err
			}
		}
		all, each, err := s.lintFolder(ctx, f, dialect, o)
		if err != nil {
			return err
		}
		found, err := lint.RunEach(all, each, options)
		if err != nil {
			return err
		}
		report.Add(found)
	}
	return s.lintReport(report, o)
}

// uncollected is how much memory lint takes before any is collected: most folders are through by then.
const uncollected = 50 << 20

// collectLate puts the first collection of garbage off. After it, migrations come and go by the thousand and hardly anything stays: to collect twice
// as often as usual costs next to nothing then. What it gives puts all back.
func collectLate() (restore func()) {
	var mu sync.Mutex
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(uncollected)
	usual, over := limit, false
	runtime.AddCleanup(new([64]byte), func(int) { // the first collection finds it
		mu.Lock()
		defer mu.Unlock()
		if !over {
			debug.SetGCPercent(50)
			debug.SetMemoryLimit(usual)
		}
	}, 0)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// lintDialect is the SQL of the migrations: as asked, or that of the configured database.
func (s *session) lintDialect(asked string) (effects.Dialect, error) {
	if asked != "" {
		return effects.Dialect(asked), nil
	}
	if s.dsnErr != nil {
		return "", s.dsnErr
	}
	if s.DSN == "" {
		return "", &usageError{message: "the SQL of which engine?", hint: "dbrollback lint --engine postgres, or name a database in " + configName}
	}
	t, err := engine.Parse(s.DSN)
	if err != nil {
		return "", s.badDSN(err)
	}
	return effects.Dialect(t.Kind), nil
}

// lintFolder is a folder of migrations and which of its files, by their paths from it, to report on; none means
// all.
type lintFolder struct {
	dir     string
	files   []string
	content *folder.Folder
}

func (s *session) lintFolders(paths []string) ([]*lintFolder, error) {
	if len(paths) == 0 {
		paths = []string{s.Dir}
	}
	var out []*lintFolder
	find := func(dir string) *lintFolder {
		for _, f := range out {
			if f.dir == dir {
				return f
			}
		}
		out = append(out, &lintFolder{dir: dir})
		return out[len(out)-1]
	}
	whole := map[string]bool{}
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &usageError{message: "there is no " + p, hint: "name a folder of migrations, or one of its files"}
		case err != nil:
			return nil, &usageError{message: err.Error(), hint: "check the path and its permissions"}
		case info.IsDir():
			find(filepath.Clean(p)).files = nil
			whole[filepath.Clean(p)] = true
		default:
			f := find(s.folderOf(p))
			if rel, err := filepath.Rel(f.dir, p); err == nil && !whole[f.dir] {
				f.files = append(f.files, filepath.ToSlash(rel))
			}
		}
	}
	return out, nil
}

// largest is the size of a migration beyond which nobody can review it.
const largest = 16 << 20

// lintOpen lists the files of a folder; the report tells the versions that are there twice.
func (s *session) lintOpen(f *lintFolder, dialect effects.Dialect) (*lint.Report, error) {
	var err error
	f.content, err = s.openFolder(f.dir, dialect)
	var twice *folder.TwiceError
	switch {
	case errors.As(err, &twice):
		return lint.SameVersions([]*lint.Migration{
			{Version: twice.Version, File: filepath.Join(f.dir, twice.Files[0])},
			{Version: twice.Version, File: filepath.Join(f.dir, twice.Files[1])},
		}), nil
	case err != nil:
		return nil, err
	case f.content.Format != folder.Goose:
		return &lint.Report{}, nil
	}
	files, err := migrationFiles(f.dir)
	if err != nil {
		return nil, err
	}
	var all []*lint.Migration
	for _, file := range files {
		digits, _, ok := strings.Cut(filepath.Base(file), "_")
		if v, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			all = append(all, &lint.Migration{Version: v, File: filepath.Join(f.dir, filepath.Base(file))})
		}
	}
	return lint.SameVersions(all), nil
}

// lintFolder lists the migrations of a folder, and reads them one after the other; what is there for context only is marked.
func (s *session) lintFolder(ctx context.Context, f *lintFolder, dialect effects.Dialect, o lintOptions) ([]*lint.Migration, iter.Seq2[*lint.Migration, error], error) {
	listed, err := migrate.List(f.content, f.dir, dialect)
	if err != nil {
		return nil, nil, err
	}
	var added addedFiles
	if o.Since != "" {
		if added, err = addedSince(ctx, f.dir, o.Since); err != nil {
			return nil, nil, err
		}
	}
	edited, err := s.editedVersions(ctx, f, o)
	if err != nil {
		return nil, nil, err
	}
	mark := func(in *migrate.Migration) *lint.Migration {
		m := judged([]*migrate.Migration{in})[0]
		files := f.content.Files(in.Name)
		m.Old = added != nil && !added[files[0]]
		m.Skip = !added.has(f.content, in.Name) ||
			len(f.files) > 0 && !slices.ContainsFunc(files, func(file string) bool { return slices.Contains(f.files, file) })
		m.Edited = edited[m.Version]
		return m
	}
	all := make([]*lint.Migration, len(listed))
	for i, m := range listed {
		all[i] = mark(m)
	}
	return all, func(yield func(*lint.Migration, error) bool) {
		for m, err := range migrate.Each(ctx, f.content, f.dir, dialect) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(mark(m), nil) {
				return
			}
		}
	}, nil
}

// checkSizes refuses files that are no migrations but dumps, before any of them is read into memory.
func checkSizes(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return &usageError{message: err.Error(), hint: "check the path and its permissions"}
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || filepath.Ext(e.Name()) != ".sql" || info.Size() <= largest {
			continue
		}
		return &usageError{message: fmt.Sprintf("%s has %s: a migration has at most %s", filepath.Join(dir, e.Name()), size(info.Size()), size(largest)),
			hint: "load bulk data outside of migrations"}
	}
	return nil
}

// editedVersions asks the database, when one was named on the command line, which migrations differ from what
// was applied.
func (s *session) editedVersions(ctx context.Context, f *lintFolder, o lintOptions) (map[int64]bool, error) {
	if !o.Applied {
		return nil, nil
	}
	if t, err := engine.Parse(s.DSN); err == nil && t.Kind == engine.SQLite {
		if _, err := os.Stat(t.Database); errors.Is(err, fs.ErrNotExist) {
			return nil, nil // nothing is applied to a database that is not there yet
		}
	}
	s.Dir, s.DirSet = f.dir, true
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	status, err := m.Status(ctx)
	if err != nil {
		return nil, err
	}
	out := map[int64]bool{}
	for _, a := range status.Migrations {
		out[a.Version] = a.Edited
	}
	return out, nil
}

// lintFix writes the fixed files.
func (s *session) lintFix(ctx context.Context, f *lintFolder, dialect effects.Dialect, asked lintOptions, o lint.Options) error {
	_, each, err := s.lintFolder(ctx, f, dialect, asked)
	if err != nil {
		return err
	}
	var migrations []*lint.Migration // one fix shows in what the next builds on
	for m, err := range each {
		if err != nil {
			return err
		}
		migrations = append(migrations, m)
	}
	parse := func(m *lint.Migration, text string) (*lint.Migration, error) {
		return reread(ctx, o.Engine, m, text)
	}
	fixed, err := lint.Fix(migrations, o, parse)
	if err != nil {
		return err
	}
	for _, x := range fixed {
		i := slices.IndexFunc(migrations, func(m *lint.Migration) bool { return m.File == x.File })
		file, text := x.File, x.Text
		if f.content.Placed {
			name := f.content.Migrations[i].Name
			if file, text, err = f.content.WithDown(name, x.Drafted, x.Top); err != nil {
				return err
			}
			file = filepath.Join(f.dir, file)
		}
		if err := replaceFile(file, text); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		s.out.note("fixed: %s; read it before you commit it, and try it with: dbrollback verify", file)
	}
	if len(fixed) == 0 {
		s.out.note("nothing to fix in %s", f.dir)
	}
	return nil
}

// reread reads a goose text as if it stood in the migration's file.
func reread(ctx context.Context, dialect effects.Dialect, m *lint.Migration, text string) (*lint.Migration, error) {
	name := fmt.Sprintf("%05d_fixed.sql", m.Version)
	loaded, err := migrate.Load(ctx, fstest.MapFS{name: {Data: []byte(text)}}, "", dialect)
	if err != nil {
		return nil, err
	}
	if len(loaded) != 1 {
		return nil, fmt.Errorf("%s is no migration any more", m.File)
	}
	out := judged(loaded)[0]
	out.File, out.DownFile = m.File, m.DownFile
	for _, list := range [][]lint.Statement{out.Up, out.Down} {
		for i := range list {
			list[i].File = m.File
		}
	}
	out.Skip, out.Old, out.Edited, out.HasDown = m.Skip, m.Old, m.Edited, true
	return out, nil
}

// replaceFile writes a file in one step, with the permissions that it had when it was there.
func replaceFile(path, text string) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".lint-*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(text)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// sourceText reads a file for a report that quotes it.
func sourceText(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(b)
}

// textOf gives what was read of a file of goose when its folder was opened, and reads others.
func textOf(folders []*lintFolder, file string) string {
	for _, f := range folders {
		if f.content != nil && f.content.Format == folder.Goose && filepath.Dir(file) == f.dir {
			if b, err := f.content.ReadFile(filepath.Base(file)); err == nil {
				return string(b)
			}
		}
	}
	return sourceText(file)
}

// fromWorkspace makes the paths in a report those that GitHub knows, from the top of the checkout, wherever the program was started.
func (s *session) fromWorkspace(r *lint.Report, format string) {
	root := s.Getenv("GITHUB_WORKSPACE")
	if root == "" || format != "github" && format != "sarif" {
		return
	}
	resolved := func(dir string) string {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return dir
		}
		if linked, err := filepath.EvalSymlinks(abs); err == nil {
			return linked
		}
		return abs
	}
	root = resolved(root)
	for i, f := range r.Findings {
		if f.File == "" {
			continue
		}
		rel, err := filepath.Rel(root, filepath.Join(resolved(filepath.Dir(f.File)), filepath.Base(f.File)))
		if err == nil && filepath.IsLocal(rel) {
			r.Findings[i].File = rel
		}
	}
}

func (s *session) lintReport(report *lint.Report, o lintOptions) error {
	format := o.Format
	if format == "" {
		format = "text"
		if s.JSON {
			format = "json"
		}
	}
	s.out.printed = true
	s.fromWorkspace(report, format)
	if err := lint.Write(s.Out, report, format, build().Release, s.out.colourOn); err != nil {
		return err
	}
	errs, warns := report.Count(lint.Error), report.Count(lint.Warning)
	if o.FailOn == "never" || errs == 0 && (o.FailOn != "warning" || warns == 0) {
		return nil
	}
	var found []string
	if errs > 0 {
		found = append(found, number(int64(errs), "error", "errors"))
	}
	if warns > 0 {
		found = append(found, number(int64(warns), "warning", "warnings"))
	}
	return &refusedError{message: "lint found " + strings.Join(found, " and "), hint: "docs/rules.md says why and how to accept one; dbrollback lint --fix writes missing Downs"}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing/fstest"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/folder"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// importOptions are the options of `import`.
type importOptions struct {
	Path         string
	Into         string
	Engine       string
	FromTable    string
	VersionsOnly bool
	FilesOnly    bool
	DryRun       bool
}

// Validate wants to know where the files go.
func (o importOptions) Validate() error {
	switch {
	case o.VersionsOnly && o.FilesOnly:
		return &usageError{message: "--versions-only and --files-only leave nothing to do", hint: "leave out one of them, or both"}
	case o.VersionsOnly && o.Into != "":
		return &usageError{message: "--versions-only writes no files, so --into has no meaning", hint: "leave out one of them"}
	case !o.VersionsOnly && o.Into == "":
		return &usageError{message: "where do the goose files go?", hint: "--into FOLDER; or --versions-only, to go on with the folder as it is"}
	case o.Engine != "" && !slices.Contains(lintEngines, o.Engine):
		return &usageError{message: fmt.Sprintf("--engine %q is unknown", o.Engine), hint: nearestHint(o.Engine, lintEngines, "--engine ", "dbrollback import --help")}
	}
	return nil
}

func (p *program) importCommand() *cli.Command {
	return &cli.Command{
		Name: "import", ArgsUsage: "[PATH]",
		Usage: "take over from golang-migrate, dbmate, Flyway or Sqitch",
		Description: `PATH is the folder of the other tool (default --dir), which stays as it is. Its migrations are written
as goose files into --into, and what the tool has applied to the configured database, as its own version table says,
is written into goose's: nothing is run again, and nothing is run now.

Without a database only the files are written.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "into", Usage: "`FOLDER` for the goose files; it must not hold migrations yet"},
			&cli.StringFlag{Name: "engine", Usage: "`NAME` of the SQL, when no database is named: postgres, mysql, mariadb or sqlite"},
			&cli.StringFlag{Name: "from-table", Usage: "`NAME` of the tool's version table, when it is not called as usual"},
			&cli.BoolFlag{Name: "versions-only", Usage: "take over the versions and go on with the tool's own files"},
			&cli.BoolFlag{Name: "files-only", Usage: "write the files and leave the database alone"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and change nothing"},
		},
		Action: action(p, func(c *cli.Context) (importOptions, error) {
			return importOptions{Path: c.Args().First(), Into: c.String("into"), Engine: c.String("engine"), FromTable: c.String("from-table"),
				VersionsOnly: c.Bool("versions-only"), FilesOnly: c.Bool("files-only"), DryRun: c.Bool("dry-run")}, arguments(c, 0, 1)
		}, runImport),
	}
}

// importDocument is the JSON of `import`.
type importDocument struct {
	Version int               `json:"version"`
	Tool    folder.Format     `json:"tool"`
	Created []string          `json:"created"`
	Left    []string          `json:"left"`
	Applied *migrate.Adoption `json:"applied"`
	DryRun  bool              `json:"dry_run,omitempty"`
}

func runImport(ctx context.Context, s *session, o importOptions) error {
	if o.Path != "" {
		s.Dir, s.DirSet = filepath.Clean(o.Path), true
	}
	if o.VersionsOnly {
		if err := s.named(); err != nil {
			return err
		}
	}
	dialect, err := s.lintDialect(o.Engine)
	if err != nil {
		return err
	}
	files, err := s.files(true, dialect)
	if err != nil {
		return err
	}
	from, ok := files.(*folder.Folder)
	if !ok || from.Format == folder.Goose {
		return &usageError{message: s.Dir + " is a folder of goose already", hint: "dbrollback up and the others read it as it is; --source says whose it is when it was mistaken"}
	}
	d := importDocument{Version: 1, Tool: from.Format, Created: []string{}, Left: list(from.Left), DryRun: o.DryRun}
	var written []folder.File
	if !o.VersionsOnly {
		if written, err = s.importFiles(ctx, from, o, dialect); err != nil {
			return err
		}
	}
	// The database first: files alone are easily written again.
	if s.DSN != "" && !o.FilesOnly {
		if d.Applied, err = s.importVersions(ctx, from, o); err != nil {
			return err
		}
	}
	for _, w := range written {
		path := filepath.Join(o.Into, w.Name)
		if o.DryRun {
			d.Created = append(d.Created, path)
			continue
		}
		var made createdDocument
		if err := made.write(path, w.Text); err != nil {
			return err
		}
		d.Created = append(d.Created, path)
	}
	return s.out.result(d, func(w *page) { writeImport(w, d, s, o) })
}

// importFiles makes the goose files, and makes sure that they say what the tool's say.
func (s *session) importFiles(ctx context.Context, from *folder.Folder, o importOptions, dialect effects.Dialect) ([]folder.File, error) {
	if existing, err := migrationFiles(o.Into); err != nil {
		return nil, err
	} else if len(existing) > 0 {
		return nil, &usageError{message: fmt.Sprintf("%s holds migrations already: %s", o.Into, existing[0]), hint: "name a new folder with --into"}
	}
	written, err := from.Written()
	if err != nil {
		return nil, err
	}
	made := fstest.MapFS{}
	for _, w := range written {
		made[w.Name] = &fstest.MapFile{Data: []byte(w.Text)}
	}
	return written, migrate.SameMigrations(ctx, from, made, s.Dir, dialect)
}

func (s *session) importVersions(ctx context.Context, from *folder.Folder, o importOptions) (*migrate.Adoption, error) {
	if t, err := engine.Parse(s.DSN); err == nil && t.Kind == engine.SQLite {
		if _, err := os.Stat(t.Database); errors.Is(err, fs.ErrNotExist) {
			return nil, &usageError{message: "there is no database " + t.Database, hint: "name it with --dsn, or leave the database alone with --files-only"}
		}
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	if !o.DryRun {
		s.announce()
	}
	return m.Adopt(ctx, migrate.AdoptRequest{Folder: from, Table: o.FromTable, DryRun: o.DryRun})
}

func writeImport(w *page, d importDocument, s *session, o importOptions) {
	would := ""
	if d.DryRun {
		would = "would be "
	}
	if n := len(d.Created); n > 0 {
		w.line("%s %swritten to %s, from %s of %s", number(int64(n), "goose file", "goose files"), would, o.Into, s.Dir, d.Tool)
	}
	if a := d.Applied; a != nil {
		if d.DryRun {
			w.line("target: %s", describe(a.Target))
		}
		switch {
		case a.Table == "" && len(a.Known) == 0:
			w.line("%s has applied nothing here: it has no version table in this database", d.Tool)
		case len(a.Adopted) == 0:
			w.line("nothing to take over: %s knows what %s has applied", orElse(s.VersionTable, "goose_db_version"), d.Tool)
		default:
			w.line("%s %staken over from %s: %s", number(int64(len(a.Adopted)), "applied version", "applied versions"), would, a.Table, ranges(a.Adopted))
		}
		if n := len(a.Pending); n > 0 {
			w.line("pending: %s", ranges(a.Pending))
		}
		if n := len(a.Skipped); n > 0 {
			w.line("%s: %s not applied, though a later one is; up refuses the folder until they have later versions", w.bold("warning"), ranges(a.Skipped))
		}
	}
	switch {
	case d.DryRun:
		w.line("nothing was changed")
	case o.VersionsOnly:
		w.line("next: dbrollback status --dir %s; run migrations with dbrollback or goose from now on, not with %s", s.Dir, d.Tool)
	default:
		w.line("next: dbrollback verify %s, then dir: %s in %s; run migrations with dbrollback or goose from now on, not with %s", o.Into, o.Into, configName, d.Tool)
	}
}

// ranges shortens a list of versions.
func ranges(vs []int64) string {
	if len(vs) <= 4 {
		return versions(vs)
	}
	return fmt.Sprintf("%d to %d", vs[0], vs[len(vs)-1])
}

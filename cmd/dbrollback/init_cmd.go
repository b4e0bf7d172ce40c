package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// initOptions are the options of `init`.
type initOptions struct{ Engine string }

// Validate knows the engines that a project can begin with.
func (o initOptions) Validate() error {
	switch engine.Kind(o.Engine) {
	case "", engine.Postgres, engine.MySQL, engine.MariaDB, engine.SQLite:
		return nil
	}
	return &usageError{message: fmt.Sprintf("--engine %q is unknown", o.Engine), hint: nearestHint(o.Engine, []string{"postgres", "mysql", "mariadb", "sqlite"}, "--engine ", "dbrollback init --help")}
}

func (p *program) initCommand() *cli.Command {
	return &cli.Command{
		Name:        "init",
		Usage:       "write " + configName + " and a first migration; files that exist are left as they are",
		Description: "The engine is that of --dsn, else SQLite. Passwords are never written: the file of a project on a server reads ${DATABASE_URL}.",
		Flags:       []cli.Flag{&cli.StringFlag{Name: "engine", Usage: "postgres, mysql, mariadb or sqlite"}},
		Action: action(p, func(c *cli.Context) (initOptions, error) {
			return initOptions{Engine: c.String("engine")}, noArguments(c)
		}, runInit),
	}
}

// createdDocument is the JSON of `init` and `create`.
type createdDocument struct {
	Version int      `json:"version"`
	Created []string `json:"created"`
	Kept    []string `json:"kept"` // existed already
}

const configTemplate = `# dbrollback.yml: flags and DBROLLBACK_* variables win over what stands here.
%s
dir: %s

# How long captured data is kept; what the last releases need is kept besides.
keep: 168h
keep-releases: 2

# environments:
#   staging:
#     dsn: ${STAGING_DATABASE_URL}
`

const firstMigration = `-- +goose Up
CREATE TABLE notes (
    id         integer PRIMARY KEY,
    body       text NOT NULL,
    created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- +goose Down
DROP TABLE notes;
`

// exampleURLs show what a database URL looks like.
var exampleURLs = map[engine.Kind]string{
	engine.Postgres: "postgres://user@host:5432/name",
	engine.MySQL:    "mysql://user@host:3306/name",
	engine.MariaDB:  "mariadb://user@host:3306/name",
	engine.SQLite:   "sqlite:file.db",
}

func runInit(_ context.Context, s *session, o initOptions) error {
	kind, dsn := engine.Kind(o.Engine), ""
	if s.DSN != "" {
		t, err := engine.Parse(s.DSN)
		if err != nil {
			return s.badDSN(err)
		}
		if kind != "" && kind != t.Kind {
			return &usageError{message: fmt.Sprintf("--engine %s contradicts %s, which is %s", kind, s.DSNFrom, t.Kind), hint: "leave out --engine"}
		}
		if kind = t.Kind; kind == engine.SQLite {
			dsn = s.DSN
		}
	}
	dsnLine := "dsn: " + orElse(dsn, "sqlite:app.db")
	if kind != "" && kind != engine.SQLite {
		dsnLine = "dsn: ${DATABASE_URL}   # export DATABASE_URL=" + exampleURLs[kind]
	}
	d := createdDocument{Version: 1, Created: []string{}, Kept: []string{}}
	config := orElse(s.ConfigPath, configName)
	if err := d.write(config, fmt.Sprintf(configTemplate, dsnLine, filepath.ToSlash(s.Dir))); err != nil {
		return err
	}
	existing, err := migrationFiles(s.Dir)
	if err != nil {
		return err
	}
	if len(existing) > 0 {
		d.Kept = append(d.Kept, existing...)
	} else if err := d.write(filepath.Join(s.Dir, "00001_create_notes.sql"), firstMigration); err != nil {
		return err
	}
	return s.out.result(d, func(w *page) {
		for _, f := range d.Created {
			w.line("created %s", f)
		}
		for _, f := range d.Kept {
			w.line("kept    %s", f)
		}
		w.line("next: dbrollback plan")
	})
}

// write makes a file that must not exist yet.
func (d *createdDocument) write(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		d.Kept = append(d.Kept, path)
		return nil
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := f.WriteString(content); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d.Created = append(d.Created, path)
	return nil
}

// migrationFiles lists the migrations of a folder, sorted; none when there is no folder.
func migrationFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the migrations folder: %w", err)
	}
	var out []string
	for _, e := range entries {
		if !e.IsDir() && strings.HasSuffix(e.Name(), ".sql") {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

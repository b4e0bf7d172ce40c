package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/folder"
)

// createOptions are the options of `create`.
type createOptions struct {
	Name      string
	Up        string // SQL of the Up section; "-" reads it from stdin
	From      string // file with it
	Engine    string
	Timestamp bool
}

var badName = regexp.MustCompile(`[^a-z0-9_]+`)

// Validate wants a name that makes a file name.
func (o createOptions) Validate() error {
	if slug(o.Name) == "" {
		return &usageError{message: fmt.Sprintf("%q makes no file name", o.Name), hint: "dbrollback create add_score_to_users"}
	}
	switch {
	case o.Up != "" && o.From != "":
		return &usageError{message: "--up and --from both say what Up is", hint: "leave out one of them"}
	case o.Engine != "" && !slices.Contains(lintEngines, o.Engine):
		return &usageError{message: fmt.Sprintf("--engine %q is unknown", o.Engine), hint: nearestHint(o.Engine, lintEngines, "--engine ", "dbrollback create --help")}
	}
	return nil
}

func slug(name string) string {
	return strings.Trim(badName.ReplaceAllString(strings.ToLower(name), "_"), "_")
}

func (p *program) createCommand() *cli.Command {
	return &cli.Command{
		Name: "create", ArgsUsage: "NAME",
		Usage: "write a new migration; with --up or --from its Down is drafted from its Up",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "up", Usage: "`SQL` of the Up section; - reads it from stdin"},
			&cli.StringFlag{Name: "from", Usage: "`FILE` with the SQL of the Up section"},
			&cli.StringFlag{Name: "engine", Usage: "`NAME` of the SQL: postgres, mysql, mariadb or sqlite (default: that of the configured database)"},
			&cli.BoolFlag{Name: "timestamp", Usage: "number it by the time instead of the next free number"},
		},
		Action: action(p, func(c *cli.Context) (createOptions, error) {
			return createOptions{Name: strings.Join(c.Args().Slice(), "_"), Up: c.String("up"), From: c.String("from"), Engine: c.String("engine"), Timestamp: c.Bool("timestamp")}, arguments(c, 1, 99)
		}, runCreate),
	}
}

func runCreate(ctx context.Context, s *session, o createOptions) error {
	dialect := s.dialect()
	if o.Engine != "" {
		dialect = effects.Dialect(o.Engine)
	}
	var files fs.FS // none: the folder begins with this migration
	if _, err := os.Stat(s.Dir); !errors.Is(err, fs.ErrNotExist) {
		if files, err = s.files(true, dialect); err != nil {
			return err
		}
	}
	if f, ok := files.(*folder.Folder); ok && f.Format != folder.Goose {
		return &usageError{message: fmt.Sprintf("%s is a folder of %s, and create writes goose files", s.Dir, f.Format), hint: "dbrollback import makes goose files of it"}
	}
	content := emptyMigration
	up, err := s.upText(o)
	if err != nil {
		return err
	}
	if strings.TrimSpace(up.text) != "" {
		if content, err = s.draftMigration(ctx, files, dialect, up); err != nil {
			return err
		}
	}
	existing, err := migrationFiles(s.Dir)
	if err != nil {
		return err
	}
	path := filepath.Join(s.Dir, nextNumber(existing, o.Timestamp, time.Now())+"_"+slug(o.Name)+".sql")
	d := createdDocument{Version: 1, Created: []string{}, Kept: []string{}}
	if err := d.write(path, content); err != nil {
		return err
	}
	if len(d.Kept) > 0 {
		return &usageError{message: path + " exists already", hint: "give it another name"}
	}
	return s.out.result(d, func(w *page) {
		w.line("created %s", path)
		w.line("next: look at its Down, then: dbrollback plan")
	})
}

// upScript is the SQL of an Up section, and what to call where it came from.
type upScript struct{ text, from string }

// at is a place in the script, as a message begins with it.
func (u upScript) at(line, column int) string {
	if u.from == "--up" || u.from == "stdin" {
		return fmt.Sprintf("%s: %d:%d: ", u.from, line, column)
	}
	return fmt.Sprintf("%s:%d:%d: ", u.from, line, column)
}

// upText reads the SQL of the Up section from where it is said to be; "" is none.
func (s *session) upText(o createOptions) (upScript, error) {
	switch {
	case o.From != "":
		b, err := os.ReadFile(o.From)
		if err != nil {
			return upScript{}, &usageError{message: "--from: " + err.Error(), hint: "name a file with the SQL of Up"}
		}
		if len(b) > largest {
			return upScript{}, &usageError{message: fmt.Sprintf("%s has %s: a migration has at most %s", o.From, size(int64(len(b))), size(largest)), hint: "load bulk data outside of migrations"}
		}
		return upScript{text: string(b), from: o.From}, nil
	case o.Up == "-":
		b, err := io.ReadAll(io.LimitReader(s.In, largest+1))
		if err != nil {
			return upScript{}, fmt.Errorf("read stdin: %w", err)
		}
		if len(b) > largest {
			return upScript{}, &usageError{message: fmt.Sprintf("more than %s on stdin", size(largest)), hint: "load bulk data outside of migrations"}
		}
		return upScript{text: string(b), from: "stdin"}, nil
	}
	return upScript{text: o.Up, from: "--up"}, nil
}

// dialect is that of the database, when one is named; without one SQLite, as everywhere.
func (s *session) dialect() effects.Dialect {
	if t, err := engine.Parse(s.DSN); err == nil {
		return effects.Dialect(t.Kind)
	}
	return effects.SQLite
}

// nextNumber continues as the folder began: sequential numbers keep their width, times stay times.
func nextNumber(existing []string, timestamp bool, now time.Time) string {
	highest, width := int64(0), 5
	for _, f := range existing {
		digits, _, ok := strings.Cut(filepath.Base(f), "_")
		v, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil {
			continue
		}
		if v > highest {
			highest, width = v, len(digits)
		}
	}
	if timestamp || highest >= 19700101000000 {
		return now.UTC().Format("20060102150405")
	}
	return fmt.Sprintf("%0*d", width, highest+1)
}

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// createOptions are the options of `create`.
type createOptions struct {
	Name      string
	Up        string // SQL of the Up section; "-" reads it from stdin
	Timestamp bool
}

var badName = regexp.MustCompile(`[^a-z0-9_]+`)

// Validate wants a name that makes a file name.
func (o createOptions) Validate() error {
	if slug(o.Name) == "" {
		return &usageError{message: fmt.Sprintf("%q makes no file name", o.Name), hint: "dbrollback create add_score_to_users"}
	}
	return nil
}

func slug(name string) string {
	return strings.Trim(badName.ReplaceAllString(strings.ToLower(name), "_"), "_")
}

func (p *program) createCommand() *cli.Command {
	return &cli.Command{
		Name: "create", ArgsUsage: "NAME",
		Usage: "write a new migration; with --up its Down is drafted from its Up",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "up", Usage: "`SQL` of the Up section; - reads it from stdin"},
			&cli.BoolFlag{Name: "timestamp", Usage: "number it by the time instead of the next free number"},
		},
		Action: action(p, func(c *cli.Context) (createOptions, error) {
			return createOptions{Name: strings.Join(c.Args().Slice(), "_"), Up: c.String("up"), Timestamp: c.Bool("timestamp")}, arguments(c, 1, 99)
		}, runCreate),
	}
}

func runCreate(ctx context.Context, s *session, o createOptions) error {
	up := o.Up
	if up == "-" {
		b, err := io.ReadAll(s.In)
		if err != nil {
			return fmt.Errorf("read stdin: %w", err)
		}
		up = string(b)
	}
	content := emptyMigration
	if strings.TrimSpace(up) != "" {
		var err error
		if content, err = s.draftMigration(ctx, up); err != nil {
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

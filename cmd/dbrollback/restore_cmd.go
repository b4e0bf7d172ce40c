package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// restoreOptions are the options of `restore`.
type restoreOptions struct {
	snapshot.Ask
	Release        string
	Online, DryRun bool
	FromBinlog     bool
	moments        []string // the flags that name one
}

// Validate refuses what contradicts itself.
func (o restoreOptions) Validate() error {
	help := "dbrollback restore --help"
	switch {
	case len(o.moments) == 0:
		return &usageError{message: "restore wants to know which moment: --at, --snapshot, --release or --migration", hint: `dbrollback restore --table users --at "10m ago"; dbrollback snapshot list shows what there is`}
	case len(o.moments) > 1:
		return &usageError{message: strings.Join(o.moments, " and ") + " exclude one another", hint: "give one of them"}
	case o.FromBinlog && o.At.IsZero():
		return &usageError{message: "--from-binlog wants --at: the binary log knows times alone", hint: `dbrollback restore --table users --at "10m ago" --from-binlog`}
	case len(o.Tables) == 0 && o.Snapshot == "" && !o.HasMigration:
		return &usageError{message: "restore wants to know which tables", hint: "dbrollback restore --table users " + o.moments[0] + " …"}
	case !slices.Contains([]snapshot.Mode{snapshot.Merge, snapshot.Replace, snapshot.Copy}, o.Mode):
		return &usageError{message: fmt.Sprintf("--mode %q is unknown", o.Mode), hint: nearestHint(string(o.Mode), []string{"merge", "replace", "copy"}, "--mode ", help)}
	case !slices.Contains([]snapshot.Policy{snapshot.Keep, snapshot.Restore, snapshot.Fail}, o.OnConflict):
		return &usageError{message: fmt.Sprintf("--on-conflict %q is unknown", o.OnConflict), hint: nearestHint(string(o.OnConflict), []string{"keep", "restore", "fail"}, "--on-conflict ", help)}
	case o.Mode == snapshot.Copy && o.Into.Name == "":
		return &usageError{message: "--mode copy wants the name of the new table", hint: "--mode copy --into users_before"}
	case o.Mode != snapshot.Copy && o.Into.Name != "":
		return &usageError{message: "--into is for --mode copy", hint: "--mode copy --into " + o.Into.String()}
	case o.Mode == snapshot.Copy && (o.Related || o.Online):
		return &usageError{message: "--mode copy makes one new table: --with-related and --online are not for it", hint: help}
	case o.Mode == snapshot.Replace && len(o.Columns) > 0:
		return &usageError{message: "--mode replace gives the table as it was: --columns cannot go with it", hint: "--mode merge --columns " + strings.Join(o.Columns, ",")}
	}
	return nil
}

func (p *program) restoreCommand() *cli.Command {
	return &cli.Command{
		Name:  "restore",
		Usage: "rows back as they were, into tables as they are",
		Description: `Shows what would come back; with --yes it writes. What is written over is captured first, so that a restore
can be taken back by another one: the command for it is printed.`,
		Flags:  append(restoreFlags(), &cli.BoolFlag{Name: "dry-run", Usage: "show what would come back, also with --yes; change nothing"}),
		Action: action(p, readRestore, runRestore),
	}
}

func restoreFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "table", Aliases: []string{"t"}, Usage: "`TABLE` to restore; several: again, or separated by commas"},
		&cli.StringFlag{Name: "at", Usage: "as at this `TIME`: RFC 3339 with a zone, or \"10m ago\""},
		&cli.BoolFlag{Name: "from-binlog", Usage: "with --at, on MySQL and MariaDB: from the server's binary log, for tables that nobody prepared"},
		&cli.StringFlag{Name: "snapshot", Usage: "as in this snapshot, by `ID` or label; or in one capture of it"},
		&cli.StringFlag{Name: "release", Usage: "as it last was under the release of this `NAME`"},
		&cli.StringFlag{Name: "migration", Usage: "as before the migration of this `VERSION` ran"},
		&cli.StringFlag{Name: "mode", Value: "merge", Usage: "`MODE`: merge brings lost and changed rows back and keeps later ones, replace gives the table as it was, copy makes a new one"},
		&cli.StringFlag{Name: "into", Usage: "of --mode copy: the `NAME` of the new table"},
		&cli.StringFlag{Name: "where", Usage: "only rows for which this `CONDITION` held then"},
		&cli.StringFlag{Name: "columns", Usage: "only these `COLUMNS`, separated by commas"},
		&cli.StringSliceFlag{Name: "map", Usage: "a renamed column: `OLD=NEW`; may be given again"},
		&cli.StringFlag{Name: "on-conflict", Value: "keep", Usage: "`POLICY`: keep what the application wrote since, restore what was captured, or fail"},
		&cli.BoolFlag{Name: "with-related", Usage: "tables that foreign keys tie to these come along"},
		&cli.BoolFlag{Name: "online", Usage: "write in batches, each a short transaction, for tables in use"},
	}
}

func readRestore(c *cli.Context) (restoreOptions, error) {
	o := restoreOptions{Release: c.String("release"), Online: c.Bool("online"), DryRun: c.Bool("dry-run"), FromBinlog: c.Bool("from-binlog")}
	o.Snapshot, o.Mode, o.Where, o.OnConflict = c.String("snapshot"), snapshot.Mode(c.String("mode")), c.String("where"), snapshot.Policy(c.String("on-conflict"))
	o.Related, o.Samples = c.Bool("with-related"), 3
	for _, name := range []string{"at", "snapshot", "release", "migration"} {
		if c.IsSet(name) {
			o.moments = append(o.moments, "--"+name)
		}
	}
	var err error
	if o.Tables, err = parseNames("table", c.StringSlice("table")); err != nil {
		return o, err
	}
	if into := c.String("into"); into != "" {
		names, err := parseNames("into", []string{into})
		if err != nil {
			return o, err
		}
		if len(names) > 1 {
			return o, &usageError{message: "--into names one table", hint: "--into users_before"}
		}
		o.Into = names[0]
	}
	if at := c.String("at"); at != "" {
		if o.At, err = parseMoment("at", at, time.Now()); err != nil {
			return o, err
		}
	}
	if o.Migration, err = readVersion(c, "migration"); err != nil {
		return o, err
	}
	o.HasMigration = o.Migration >= 0
	if columns := c.String("columns"); columns != "" {
		names, err := splitQuoted(columns)
		if err != nil {
			return o, &usageError{message: fmt.Sprintf("--columns %s: %v", columns, err), hint: "--columns price,stock"}
		}
		for _, n := range names {
			o.Columns = append(o.Columns, strings.Join(n, "."))
		}
	}
	for _, m := range c.StringSlice("map") {
		old, now, ok := strings.Cut(m, "=")
		if !ok || old == "" || now == "" {
			return o, &usageError{message: fmt.Sprintf("--map %q names no two columns", m), hint: "--map old_name=new_name"}
		}
		if o.Map == nil {
			o.Map = map[string]string{}
		}
		o.Map[old] = now
	}
	return o, noArguments(c)
}

// restoreDocument is the JSON of restore.
type restoreDocument struct {
	*migrate.RestoreResult
	Hash  string   `json:"hash,omitempty"` // of a preview: what an approval binds
	Error *problem `json:"error"`
}

func runRestore(ctx context.Context, s *session, o restoreOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	write := s.Yes && !o.DryRun
	if write {
		s.announce()
	}
	request := migrate.RestoreRequest{Ask: o.Ask, Release: o.Release, Write: write, Online: o.Online, FromBinlog: o.FromBinlog}
	if write {
		if request.Agreed, request.Detail, err = s.agreedRestore(ctx, o); err != nil {
			return err
		}
	}
	r, err := m.Restore(ctx, request)
	s.progress.end()
	if r == nil {
		return err
	}
	r.Version = 1
	r.Migrations, r.Tables, r.Conflicts, r.NotUndone, r.Details = list(r.Migrations), list(r.Tables), list(r.Conflicts), list(r.NotUndone), list(r.Details)
	for i := range r.Details {
		d := &r.Details[i]
		d.Samples, d.Tied, d.Locks, d.Findings = list(d.Samples), list(d.Tied), list(d.Locks), list(d.Findings)
	}
	document := restoreDocument{RestoreResult: r}
	if r.Preview && err == nil {
		document.Hash = restoreHash(s.db.Target, o, r.Details)
	}
	if err != nil {
		document.Error = explain(ctx, err)
		document.Error.redact(s.DSN)
	}
	werr := s.out.result(document, func(w *page) {
		switch {
		case err != nil: // the error says it all
		case r.Preview:
			writePreview(w, r, o)
		default:
			writeRestored(w, r)
		}
	})
	if err == nil {
		err = werr
	}
	return err
}

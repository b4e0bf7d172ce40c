package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// drillOptions are the options of `drill`.
type drillOptions struct {
	Release, Snapshot string
	InPlace           bool
	Probe             string
	ProbeTimeout      time.Duration
	ProductionRows    map[string]int64
	ProductionEnv     string
	MaxRecovery       time.Duration
	AllowIrreversible bool
	NoRecord          bool
	Format            string
}

var drillFormats = []string{"text", "json", "junit"}

// Validate refuses what contradicts itself.
func (o drillOptions) Validate() error {
	switch {
	case o.Release != "" && o.Snapshot != "":
		return &usageError{message: "--release and --snapshot both say how far back to go", hint: "give one of them"}
	case o.ProductionRows != nil && o.ProductionEnv != "":
		return &usageError{message: "--production-rows and --production-env both say how large production is", hint: "give one of them"}
	case o.Format != "" && !slices.Contains(drillFormats, o.Format):
		return &usageError{message: fmt.Sprintf("--format %q is unknown", o.Format), hint: nearestHint(o.Format, drillFormats, "--format ", "dbrollback drill --help")}
	}
	return nil
}

func (p *program) drillCommand() *cli.Command {
	return &cli.Command{
		Name:  "drill",
		Usage: "practise a rollback on a copy of the database, and compare every object and row",
		Description: `It copies the database, applies what is pending, rolls it back, and compares every object and every row with what there was
before; where nothing is pending, it goes back over the newest migration (or to --release, or to before --snapshot) and up again. The
copy is dropped. --in-place works on the database itself instead, which nobody else may use meanwhile.

Exit code 3 when anything is not as before. docs/drill.md explains the report.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "release", Usage: "go back to this release, by `NAME`"},
			&cli.StringFlag{Name: "snapshot", Usage: "go back to before the migration that made this snapshot: an `ID`, or latest"},
			&cli.BoolFlag{Name: "in-place", Usage: "work on the database itself instead of a copy"},
			&cli.StringFlag{Name: "probe", Usage: "`COMMAND` that must succeed once the migrations are applied; DBROLLBACK_DSN names the copy to it"},
			&cli.StringFlag{Name: "probe-timeout", Value: "1m", Usage: "longest run of the probe, a `DURATION`"},
			&cli.StringFlag{Name: "production-rows", Usage: "rows of production's tables, for the recovery time to expect: `TABLE=N,…`"},
			&cli.StringFlag{Name: "production-env", Usage: "environment, by `NAME`, whose statistics give them instead"},
			&cli.StringFlag{Name: "max-recovery", Usage: "longest recovery time to expect, a `DURATION`; more is a finding"},
			&cli.BoolFlag{Name: "allow-irreversible", Usage: "apply migrations annotated as irreversible, too"},
			&cli.BoolFlag{Name: "no-record", Usage: "do not remember the drill in the catalog of the database"},
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the report: text, json or junit"},
		},
		Action: action(p, readDrill, runDrill),
	}
}

func readDrill(c *cli.Context) (drillOptions, error) {
	o := drillOptions{Release: c.String("release"), Snapshot: c.String("snapshot"), InPlace: c.Bool("in-place"), Probe: c.String("probe"),
		ProductionEnv: c.String("production-env"), AllowIrreversible: c.Bool("allow-irreversible"), NoRecord: c.Bool("no-record"), Format: c.String("format")}
	var err error
	if o.ProbeTimeout, err = durationFlag(c, "probe-timeout"); err != nil {
		return o, err
	}
	if o.MaxRecovery, err = durationFlag(c, "max-recovery"); err != nil {
		return o, err
	}
	if text := c.String("production-rows"); text != "" {
		o.ProductionRows = map[string]int64{}
		for _, part := range strings.Split(text, ",") {
			table, number, _ := strings.Cut(part, "=")
			n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
			if err != nil || n < 0 || strings.TrimSpace(table) == "" {
				return o, &usageError{message: fmt.Sprintf("--production-rows: %q is no TABLE=N", part), hint: "--production-rows users=2000000,orders=9000000"}
			}
			o.ProductionRows[strings.TrimSpace(table)] = n
		}
	}
	return o, noArguments(c)
}

// durationFlag reads a duration of a command's own; 0 when the flag is not given.
func durationFlag(c *cli.Context, name string) (time.Duration, error) {
	text := c.String(name)
	if text == "" {
		return 0, nil
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, &usageError{message: fmt.Sprintf("--%s: %v", name, err), hint: "dbrollback " + c.Command.Name + " --help"}
	}
	return d, nil
}

func runDrill(ctx context.Context, s *session, o drillOptions) (err error) {
	if err := s.named(); err != nil {
		return err
	}
	target, err := engine.Parse(s.DSN)
	if err != nil {
		return s.badDSN(err)
	}
	files, err := s.files(false, effects.Dialect(target.Kind))
	if err != nil {
		return err
	}
	production, err := s.production(ctx, o)
	if err != nil {
		return err
	}
	s.progress = newProgress(s)
	tell := func(text string) {
		s.progress.mu.Lock()
		defer s.progress.mu.Unlock()
		s.progress.say("%s", text)
	}
	d := migrate.DrillOptions{Release: o.Release, Snapshot: o.Snapshot, AllowIrreversible: o.AllowIrreversible, Production: production, MaxRecovery: o.MaxRecovery,
		Place: migrate.InPlace, Events: tell}
	var report *migrate.DrillReport
	if o.InPlace {
		report, err = s.drillInPlace(ctx, o, d)
	} else {
		s.out.note("target: %s, of which a copy is made", describe(target))
		report, err = s.drillCopy(ctx, o, d, files)
	}
	if err != nil {
		return err
	}
	report.Target = target
	if !o.NoRecord {
		m, err := s.migrator(ctx, false)
		if err != nil {
			return err
		}
		if err := m.RecordDrill(ctx, report); err != nil {
			return fmt.Errorf("the drill is done, but could not be remembered: %w", err)
		}
	}
	s.progress.end()
	return s.drillReport(report, o)
}

func (s *session) drillInPlace(ctx context.Context, o drillOptions, d migrate.DrillOptions) (*migrate.DrillReport, error) {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return nil, err
	}
	s.announce()
	if err := s.confirm(ctx, "migrate "+describe(s.db.Target)+" there and back?"); err != nil {
		return nil, err
	}
	d.Probe = drillProbe(o, s.DSN)
	return m.Drill(ctx, d)
}

// drillCopy drills on a copy that is gone afterwards, however the drill ends.
func (s *session) drillCopy(ctx context.Context, o drillOptions, d migrate.DrillOptions, files fs.FS) (_ *migrate.DrillReport, err error) {
	scratch, err := engine.NewScratchBeside(ctx, s.DSN, d.Events)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	began := time.Now()
	d.Events("copying the database")
	name, how, original, err := migrate.CopyForDrill(ctx, scratch, s.DSN, d.Events)
	if err != nil {
		return nil, err
	}
	copied := migrate.DrillPhase{Name: "copy", Seconds: time.Since(began).Seconds(), Detail: "by " + how}
	db, err := engine.Open(ctx, scratch.DSN(name), engine.Options{LockTimeout: s.LockTimeout, StatementTimeout: s.StatementTimeout})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m, err := migrate.Open(ctx, migrate.Options{DB: db, Files: files, Dir: s.Dir, VersionTable: s.VersionTable, Catalog: s.Catalog, LockWait: s.LockTimeout, CopyTables: !s.KeepTables, KeepColumns: s.KeepColumns, KeepColumnsFrom: s.KeepColumnsFrom})
	if err != nil {
		return nil, err
	}
	d.Probe, d.Place, d.Original = drillProbe(o, scratch.DSN(name)), how, original
	report, err := m.Drill(ctx, d)
	if report != nil {
		report.Phases = append([]migrate.DrillPhase{copied}, report.Phases...)
		report.Seconds += copied.Seconds
	}
	return report, err
}

// drillProbe runs the user's command against the database that is drilled on; nil when there is none.
func drillProbe(o drillOptions, dsn string) func(context.Context) error {
	if o.Probe == "" {
		return nil
	}
	return func(ctx context.Context) error {
		limited, cancel := context.WithTimeout(ctx, o.ProbeTimeout)
		defer cancel()
		c := &guard.Command{Line: o.Probe, Env: []string{variable("dsn") + "=" + dsn}}
		if state, reason := c.Check(limited); state != guard.Healthy {
			return errors.New(c.Name() + ": " + reason)
		}
		return nil
	}
}

// production gives the rows of the tables where the rollback would matter; nil when nobody said.
func (s *session) production(ctx context.Context, o drillOptions) (_ map[string]int64, err error) {
	if o.ProductionEnv == "" {
		return o.ProductionRows, nil
	}
	dsn, err := s.environmentDSN(o.ProductionEnv)
	if err != nil {
		return nil, err
	}
	db, err := engine.Open(ctx, dsn, engine.Options{MustExist: true, LockTimeout: s.LockTimeout})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return migrate.RowCounts(ctx, db)
}

// environmentDSN is the database of another environment of dbrollback.yml.
func (s *session) environmentDSN(name string) (string, error) {
	file, err := readConfig(s.ConfigPath)
	if err != nil {
		return "", err
	}
	env, ok := file.environments[name]
	if !ok {
		r := resolver{file: file}
		return "", r.unknownEnvironment(name)
	}
	v, ok := env["dsn"]
	if !ok {
		return "", &usageError{message: "environment " + name + " names no database", hint: "write dsn: below environments: " + name + ": in " + s.ConfigPath}
	}
	dsn, err := file.expand(v, s.Getenv)
	return file.besideDSN(dsn), err
}

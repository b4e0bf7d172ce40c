package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

// upOptions are the options of `up`.
type upOptions struct {
	To                int64
	Release           string
	Targets           string
	DryRun            bool
	AllowIrreversible bool
}

// Validate refuses what cannot be meant.
func (o upOptions) Validate() error {
	if o.To == 0 {
		return &usageError{message: "up --to 0 would apply nothing", hint: "to undo everything: dbrollback rollback --to 0"}
	}
	if o.Release != strings.TrimSpace(o.Release) {
		return &usageError{message: "--release begins or ends with a blank", hint: "--release v2.4.1"}
	}
	return nil
}

func (p *program) upCommand() *cli.Command {
	return &cli.Command{
		Name:  "up",
		Usage: "apply pending migrations, capturing what they destroy",
		Description: `With --targets it goes through many databases, in waves: when one fails, its wave is rolled back, and the run
is over. The same command finishes the rest. docs/fleet.md tells more.`,
		Flags: append(append(keepFlags(), targetsFlags()...),
			&cli.StringFlag{Name: "on-failure", Usage: "with --targets: `WHAT` the failure of one leads to: rollback of its wave, stop, or continue (default rollback)"},
			&cli.StringFlag{Name: "to", Usage: "last `VERSION` to apply (default all)"},
			&cli.StringFlag{Name: "release", Usage: "`NAME` for the version reached, e.g. v2.4.1, to roll back to"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, rehearsing it; change nothing"},
			&cli.BoolFlag{Name: "allow-irreversible", Usage: "run migrations annotated as irreversible, too"},
			&cli.StringFlag{Name: "max-lock", Usage: "refuse a migration that would lock a table for longer than this `DURATION` (default 60s; 0 no limit)"}),
		Action: action(p, readUp, runUp),
	}
}

// keepFlags say how long captures are kept.
func keepFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "keep", Usage: "`DURATION` for which captures are kept, e.g. 168h or 7d (default 0, for ever)"},
		&cli.StringFlag{Name: "keep-count", Usage: "`NUMBER` of snapshots kept besides (default 0, no limit)"},
		&cli.StringFlag{Name: "keep-releases", Usage: "`NUMBER` of releases whose captures never expire (default 0)"},
		&cli.StringFlag{Name: "keep-tables", Usage: "`YES|NO`: move dropped tables out of the way instead of copying their rows, where the engine can (default yes)"},
		&cli.StringFlag{Name: "keep-columns", Usage: "`YES|NO|SIZE`: rename dropped columns instead of copying their values, in tables from that size on (default no)"},
	}
}

func readUp(c *cli.Context) (upOptions, error) {
	o := upOptions{Targets: c.String("targets"), Release: c.String("release"), DryRun: c.Bool("dry-run"), AllowIrreversible: c.Bool("allow-irreversible")}
	var err error
	if o.To, err = readVersion(c, "to"); err != nil {
		return o, err
	}
	return o, noArguments(c)
}

func runUp(ctx context.Context, s *session, o upOptions) error {
	if o.Targets != "" {
		return s.fleetUp(ctx, o)
	}
	m, err := s.migrator(ctx, true)
	if err != nil {
		return err
	}
	if !o.DryRun {
		s.announce()
		if err := s.askUp(ctx, m, o); err != nil {
			return err
		}
	}
	result, err := m.Up(ctx, migrate.UpRequest{To: o.To, Release: o.Release, AllowIrreversible: o.AllowIrreversible, DryRun: o.DryRun, MaxLock: s.MaxLock})
	return s.finish(ctx, "up", result, err)
}

// askUp shows a person what is about to be destroyed and asks.
func (s *session) askUp(ctx context.Context, m *migrate.Migrator, o upOptions) error {
	if s.Yes || !s.InTerminal {
		return nil
	}
	plan, err := m.Plan(ctx, migrate.PlanRequest{Direction: migrate.Up, To: o.To})
	if err != nil {
		return err
	}
	destroys := false
	for _, pm := range plan.Migrations {
		destroys = destroys || pm.Verdict != migrate.Lossless
	}
	if !destroys {
		return nil
	}
	s.showPlan(plan)
	return s.confirm(ctx, fmt.Sprintf("apply %s to %s?", number(int64(len(plan.Migrations)), "migration", "migrations"), describe(s.db.Target)))
}

// showPlan prints a plan to stderr, ahead of a question.
func (s *session) showPlan(plan *migrate.Plan) {
	w := &page{colour: s.out.colour}
	for _, m := range plan.Migrations {
		writePlanMigration(w, m)
	}
	fmt.Fprint(s.Err, redact(w.String(), s.DSN))
}

func parseVersion(text string) (int64, error) {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < 0 {
		return 0, fmt.Errorf("%q is no version", text)
	}
	return v, nil
}

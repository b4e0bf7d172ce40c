package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/checkpoint"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// rollbackOptions are the options of `rollback`.
type rollbackOptions struct {
	rollbackTarget
	OnConflict      string
	AllowDrift      bool
	AllowUncaptured bool
	DryRun          bool
	Targets         string
	WithCheckpoint  bool
	Online          bool
}

// Validate refuses what contradicts itself.
func (o rollbackOptions) Validate() error {
	switch snapshot.Policy(o.OnConflict) {
	case snapshot.Keep, snapshot.Restore, snapshot.Fail:
	default:
		return &usageError{message: fmt.Sprintf("--on-conflict %q is unknown", o.OnConflict),
			hint: nearestHint(o.OnConflict, []string{"keep", "restore", "fail"}, "--on-conflict ", "dbrollback rollback --help")}
	}
	if o.Online && snapshot.Policy(o.OnConflict) == snapshot.Fail {
		return &usageError{message: "--on-conflict fail changes nothing at all when there is a conflict: batches cannot promise that", hint: "leave --online out, or look at dbrollback rollback --dry-run first"}
	}
	if o.WithCheckpoint && (o.Release == "" || o.Targets != "") {
		return &usageError{message: "--with-checkpoint goes with --to-release, and with one database", hint: "dbrollback rollback --to-release v2.4.1 --with-checkpoint"}
	}
	return o.rollbackTarget.Validate()
}

func (p *program) rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "undo migrations: their Down, and the data that they destroyed",
		Description: `Without flags it undoes the newest migration. Rows that the application wrote since are kept; a value
that the migration changed and the application changed again is a conflict: --on-conflict decides.`,
		Flags: append(append(append(targetFlags(), keepFlags()...), targetsFlags()...),
			&cli.StringFlag{Name: "on-conflict", Value: "keep", Usage: "`POLICY`: keep the application's values, restore the captured ones, or fail"},
			&cli.BoolFlag{Name: "allow-drift", Usage: "go on although the schema was changed by somebody else since"},
			&cli.BoolFlag{Name: "allow-uncaptured", Usage: "run the Down of migrations that were applied without captures, too"},
			&cli.BoolFlag{Name: "with-checkpoint", Usage: "with --to-release: the rest of that deployment (code, configuration, feature flags) comes back with the database, from the release's checkpoint"},
			&cli.BoolFlag{Name: "online", Usage: "put values of dropped columns of large tables back in batches, each a short transaction, when the migration is through"},
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, rehearsing it; change nothing"}),
		Action: action(p, readRollback, runRollback),
	}
}

func readRollback(c *cli.Context) (rollbackOptions, error) {
	target, err := readTarget(c)
	if err == nil {
		err = noArguments(c)
	}
	return rollbackOptions{rollbackTarget: target, OnConflict: c.String("on-conflict"), AllowDrift: c.Bool("allow-drift"),
		AllowUncaptured: c.Bool("allow-uncaptured"), DryRun: c.Bool("dry-run"), Targets: c.String("targets"), WithCheckpoint: c.Bool("with-checkpoint"), Online: c.Bool("online")}, err
}

func runRollback(ctx context.Context, s *session, o rollbackOptions) error {
	if o.Targets != "" {
		return s.fleetRollback(ctx, o)
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	if !o.DryRun {
		s.announce()
		if err := s.askRollback(ctx, m, o); err != nil {
			return err
		}
	}
	var rest *checkpointRestoreOptions
	if o.WithCheckpoint { // what cannot be done of it is refused before the database goes back
		if rest, err = s.planRest(ctx, m, o.Release); err != nil {
			return err
		}
	}
	agreed, detail := s.agreedPlan(ctx)
	result, err := m.Rollback(ctx, migrate.RollbackRequest{Agreed: agreed, Detail: detail,
		To: o.To, Steps: o.steps(), At: o.At, ToRelease: o.Release,
		OnConflict: snapshot.Policy(o.OnConflict), AllowDrift: o.AllowDrift, AllowUncaptured: o.AllowUncaptured, Online: o.Online, DryRun: o.DryRun,
	})
	var back *restoring
	if err == nil && rest != nil && !o.DryRun {
		if back, err = s.restoreCheckpoint(ctx, *rest, true, false); err != nil {
			err = fmt.Errorf("the database is at release %s; the rest is not: %w", o.Release, err)
		}
	}
	err = s.finishWith(ctx, "rollback", result, back, err)
	if err == nil && o.Release != "" && !o.DryRun && rest == nil {
		s.restOfRelease(ctx, m, o.Release)
	}
	return err
}

// planRest finds the checkpoint of a release and makes sure that what it has beside the database can come back.
func (s *session) planRest(ctx context.Context, m *migrate.Migrator, release string) (*checkpointRestoreOptions, error) {
	id, parts, err := s.checkpointOf(ctx, m, release)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, &snapshot.NothingError{Message: "there is no checkpoint of release " + release + ": what it had beside the database is not known", Hint: "without --with-checkpoint the database alone goes back"}
	}
	o := &checkpointRestoreOptions{checkpointOptions: checkpointOptions{ID: id, Components: parts}, Reason: "rollback to release " + release}
	o.approval.way, o.approval.wait = "terminal", 15*time.Minute
	if len(parts) == 0 {
		return nil, nil
	}
	_, err = s.restoreCheckpoint(ctx, *o, false, false)
	return o, err
}

// checkpointOf finds the newest checkpoint of a release, and what it has beside the database.
func (s *session) checkpointOf(ctx context.Context, m *migrate.Migrator, release string) (id string, parts []string, err error) {
	all, err := m.Checkpoints(ctx)
	if err != nil {
		return "", nil, err
	}
	for _, c := range all {
		man, err := checkpoint.Decode([]byte(c.Manifest), c.Hash)
		if err != nil || man.Release != release || man.Before != "" {
			continue
		}
		return c.ID, slices.DeleteFunc(man.Components(), func(n string) bool { return n == checkpoint.Database }), nil
	}
	return "", nil, nil
}

// restOfRelease says how the parts of a release that are no database come back, where a checkpoint has them. It is a courtesy: when it
// cannot be found out, the rollback is what it was.
func (s *session) restOfRelease(ctx context.Context, m *migrate.Migrator, release string) {
	if s.rollbackConfigPath("") == "" {
		return
	}
	if id, rest, err := s.checkpointOf(ctx, m, release); err == nil && len(rest) > 0 {
		s.out.note("the rest of release %s: dbrollback checkpoint restore %s --component %s", release, id, strings.Join(rest, ","))
	}
}

func (s *session) askRollback(ctx context.Context, m *migrate.Migrator, o rollbackOptions) error {
	if s.Yes || !s.InTerminal {
		return nil
	}
	plan, err := m.Plan(ctx, migrate.PlanRequest{Direction: migrate.Down, To: o.To, Steps: o.steps(), At: o.At, ToRelease: o.Release, Online: o.Online})
	if err != nil {
		return err
	}
	if len(plan.Migrations) == 0 {
		return nil
	}
	s.showPlan(plan)
	return s.confirm(ctx, fmt.Sprintf("undo %s on %s?", number(int64(len(plan.Migrations)), "migration", "migrations"), describe(s.db.Target)))
}

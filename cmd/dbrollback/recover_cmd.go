package main

import (
	"context"
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

// recoverOptions are the options of `recover`.
type recoverOptions struct {
	Abort, AllowDrift bool
	Targets           string
}

// Validate has nothing to refuse.
func (recoverOptions) Validate() error { return nil }

func (p *program) recoverCommand() *cli.Command {
	return &cli.Command{
		Name:  "recover",
		Usage: "finish, or undo, a run that was cut off",
		Description: `A run is cut off when the program or the server was killed, or a statement failed, within a migration that is
not one transaction: on MySQL and MariaDB, under NO TRANSACTION, or between the batches of rollback --online (there --abort
leaves the values that are not back in their capture). dbrollback status shows whether there is one.
docs/atomicity.md says how it is told what took effect.`,
		Flags: append(targetsFlags(), &cli.BoolFlag{Name: "abort", Usage: "undo the unfinished run instead of finishing it"},
			&cli.BoolFlag{Name: "allow-drift", Usage: "finish a rollback although its Down does not give the schema back"}),
		Action: action(p, readRecover, runRecover),
	}
}

func readRecover(c *cli.Context) (recoverOptions, error) {
	return recoverOptions{Abort: c.Bool("abort"), AllowDrift: c.Bool("allow-drift"), Targets: c.String("targets")}, noArguments(c)
}

func runRecover(ctx context.Context, s *session, o recoverOptions) error {
	if o.Targets != "" {
		return s.fleetRecover(ctx, o)
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	if s.InTerminal && !s.Yes {
		status, err := m.Status(ctx)
		if err != nil {
			return err
		}
		if len(status.Unfinished) > 0 {
			w := &page{colour: s.out.colour}
			writeUnfinished(w, status.Unfinished)
			s.out.note("%s", w.String())
			verb := "finish it"
			if o.Abort {
				verb = "undo it"
			}
			if err := s.confirm(ctx, verb+" on "+describe(s.db.Target)+"?"); err != nil {
				return err
			}
		}
	}
	result, err := m.Recover(ctx, migrate.RecoverRequest{Abort: o.Abort, AllowDrift: o.AllowDrift})
	if errors.Is(err, migrate.ErrNothing) {
		// What a deploy script runs ahead of every up: that there is nothing to do is well.
		err = nil
	}
	return s.finish(ctx, "recover", result, err)
}

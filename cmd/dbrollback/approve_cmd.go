package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// approveOptions are the options of `approve key` and `approve sign`.
type approveOptions struct {
	File     string // of a new key
	Key      string
	Plan     string // hash; "": that of the plan now
	Rollback bool
	target   rollbackTarget
	Expires  time.Duration
	By       string
}

// Validate refuses an approval for nothing, or without an end.
func (o approveOptions) Validate() error {
	if o.File != "" {
		return nil
	}
	_, err := hex.DecodeString(o.Plan)
	switch {
	case o.Key == "":
		return &usageError{message: "approve sign wants the private key", hint: "--key approver.pem; dbrollback approve key makes a pair"}
	case o.Expires <= 0:
		return &usageError{message: "an approval must expire", hint: "--expires 1h"}
	case o.Plan != "" && (err != nil || len(o.Plan) != 64):
		return &usageError{message: fmt.Sprintf("--plan %q is no hash of a plan", o.Plan), hint: "dbrollback plan --output json has it, as hash"}
	case o.Plan != "" && o.Rollback:
		return &usageError{message: "--plan and --rollback both say which plan", hint: "give one of them"}
	}
	if o.Rollback {
		return o.target.Validate()
	}
	return nil
}

func (p *program) approveCommand() *cli.Command {
	return &cli.Command{
		Name:   "approve",
		Usage:  "sign a plan, so that guard --require-approval or an agent goes on: key, sign, restore",
		Action: needsSubcommand,
		Subcommands: []*cli.Command{
			{
				Name: "key", ArgsUsage: "FILE",
				Usage: "make a pair of keys: the private one in FILE, the public one in FILE.pub",
				Action: action(p, func(c *cli.Context) (approveOptions, error) {
					return approveOptions{File: c.Args().First()}, arguments(c, 1, 1)
				}, runApproveKey),
			},
			{
				Name:  "sign",
				Usage: "show what would run now, and print a signed approval of exactly that",
				Flags: append(append(targetFlags(), signingFlags()...),
					&cli.StringFlag{Name: "plan", Usage: "`HASH` of the plan, instead of that of the configured database"},
					&cli.BoolFlag{Name: "rollback", Usage: "approve a rollback instead of an up"}),
				Action: action(p, func(c *cli.Context) (approveOptions, error) {
					o, err := readSigning(c)
					if err != nil {
						return o, err
					}
					o.Plan, o.Rollback = c.String("plan"), c.Bool("rollback")
					if o.target, err = readTarget(c); err != nil {
						return o, err
					}
					return o, noArguments(c)
				}, runApproveSign),
			},
			p.approveRestoreCommand(),
		},
	}
}

func signingFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "key", Usage: "`FILE` of the private key"},
		&cli.StringFlag{Name: "expires", Value: "1h", Usage: "`DURATION` until the approval expires"},
		&cli.StringFlag{Name: "by", Usage: "`NAME` of who approves (default the user of this machine)"},
	}
}

func readSigning(c *cli.Context) (approveOptions, error) {
	o := approveOptions{Key: c.String("key"), By: c.String("by")}
	var err error
	o.Expires, err = durationFlag(c, "expires")
	return o, err
}

func runApproveKey(_ context.Context, s *session, o approveOptions) error {
	private, public, err := guard.NewKey()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
		mode fs.FileMode
	}{{o.File, private, 0o600}, {o.File + ".pub", public, 0o644}} {
		// A key that is there may be in use: it is never written over.
		w, err := os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode)
		if errors.Is(err, fs.ErrExist) {
			return &usageError{message: f.name + " is there already", hint: "take another name"}
		}
		if err == nil {
			_, err = w.Write(f.text)
			err = errors.Join(err, w.Close())
		}
		if err != nil {
			return &usageError{message: fmt.Sprintf("%s cannot be written: %v", f.name, err), hint: "check the path"}
		}
	}
	return s.out.result(map[string]any{"version": 1, "private": o.File, "public": o.File + ".pub"}, func(w *page) {
		w.line("private key: %s (keep it with who approves)", o.File)
		w.line("public key:  %s.pub (for guard --approval-key)", o.File)
	})
}

func runApproveSign(ctx context.Context, s *session, o approveOptions) error {
	key, err := guard.ReadPrivateKey(o.Key)
	if err != nil {
		return &usageError{message: err.Error(), hint: "dbrollback approve key makes a pair"}
	}
	hash := o.Plan
	if hash == "" {
		m, err := s.migrator(ctx, !o.Rollback)
		if err != nil {
			return err
		}
		r := migrate.PlanRequest{Direction: migrate.Up, To: o.target.To}
		if o.Rollback {
			r = migrate.PlanRequest{Direction: migrate.Down, To: o.target.To, Steps: o.target.steps(), At: o.target.At, ToRelease: o.target.Release}
		}
		plan, err := m.Plan(ctx, r)
		if err != nil {
			return err
		}
		if len(plan.Migrations) == 0 {
			return &refusedError{message: "there is nothing to approve", hint: "dbrollback status shows what is pending"}
		}
		s.progress.end()
		s.showPlan(plan)
		if err := s.confirm(ctx, "sign the approval of "+planned(plan)+" on "+describe(plan.Target)+"?"); err != nil {
			return err
		}
		hash = plan.Hash
	}
	a := guard.Sign(key, hash, orElse(o.By, migrate.CurrentUser()), time.Now().Add(o.Expires))
	s.out.printed = true
	return s.out.document(a)
}

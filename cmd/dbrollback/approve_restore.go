package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// approveRestoreOptions are the options of `approve restore`.
type approveRestoreOptions struct {
	restoreOptions
	signing approveOptions
}

// Validate checks both halves.
func (o approveRestoreOptions) Validate() error {
	if err := o.restoreOptions.Validate(); err != nil {
		return err
	}
	return o.signing.Validate()
}

func (p *program) approveRestoreCommand() *cli.Command {
	return &cli.Command{
		Name:  "restore",
		Usage: "show what a restore would bring back now, and print a signed approval of exactly that",
		Flags: append(restoreFlags(), signingFlags()...),
		Action: action(p, func(c *cli.Context) (approveRestoreOptions, error) {
			var o approveRestoreOptions
			var err error
			if o.restoreOptions, err = readRestore(c); err != nil {
				return o, err
			}
			o.signing, err = readSigning(c)
			return o, err
		}, runApproveRestore),
	}
}

func runApproveRestore(ctx context.Context, s *session, o approveRestoreOptions) error {
	key, err := guard.ReadPrivateKey(o.signing.Key)
	if err != nil {
		return &usageError{message: err.Error(), hint: "dbrollback approve key makes a pair"}
	}
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	r, err := m.Restore(ctx, migrate.RestoreRequest{Ask: o.Ask, Release: o.Release, Online: o.Online, FromBinlog: o.FromBinlog})
	s.progress.end()
	if err != nil {
		return err
	}
	w := &page{colour: s.out.colour}
	writePreview(w, r, o.restoreOptions)
	if _, err := s.Err.Write(w.Bytes()); err != nil {
		return err
	}
	if err := s.confirm(ctx, "sign the approval of this restore on "+describe(s.db.Target)+"?"); err != nil {
		return err
	}
	a := guard.Sign(key, restoreHash(s.db.Target, o.restoreOptions, r.Details), orElse(o.signing.By, migrate.CurrentUser()), time.Now().Add(o.signing.Expires))
	s.out.printed = true
	return s.out.document(a)
}

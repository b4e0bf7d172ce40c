package main

import (
	"context"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// grantsOptions are the options of `grants`.
type grantsOptions struct{ Role string }

// Validate refuses a name that no account can have.
func (o grantsOptions) Validate() error {
	if o.Role == "" || strings.ContainsFunc(o.Role, unicode.IsControl) {
		return &usageError{message: "grants wants the account that is to roll back", hint: "dbrollback grants --role operator"}
	}
	return nil
}

func (p *program) grantsCommand() *cli.Command {
	return &cli.Command{
		Name:  "grants",
		Usage: "print, as SQL, the least rights with which another person can roll back; changes nothing",
		Description: `The statements are for somebody who may grant these rights. They let the account do, in this database, what the role
that runs the migrations can do, and nothing on the rest of the server.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "role", Usage: "`NAME` of the account; it need not exist yet"},
		},
		Action: action(p, func(c *cli.Context) (grantsOptions, error) {
			return grantsOptions{Role: c.String("role")}, noArguments(c)
		}, runGrants),
	}
}

// grantsDocument is the JSON of `grants`.
type grantsDocument struct {
	Version    int           `json:"version"`
	Target     engine.Target `json:"target"`
	Role       string        `json:"role"`
	Statements []string      `json:"statements"`
}

func runGrants(ctx context.Context, s *session, o grantsOptions) error {
	if err := s.connect(ctx, false); err != nil {
		return err
	}
	statements, err := s.db.OperatorGrants(ctx, s.db, o.Role)
	if err != nil {
		if e, ok := engine.AsError(err); ok && e.Class == engine.Privilege {
			return &refusedError{message: oneLine(e.Message), hint: e.Hint}
		}
		return err
	}
	return s.out.result(grantsDocument{Version: 1, Target: s.db.Target, Role: o.Role, Statements: statements}, func(w *page) {
		for _, st := range statements {
			w.line("%s", st)
		}
	})
}

package main

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// drillDemand says that the rollback must have been practised lately, and whose catalog remembers it.
type drillDemand struct {
	Within time.Duration
	Env    string // "": the database itself
}

func (d drillDemand) demanded() bool { return d.Within > 0 }

// Validate refuses a demand that says nothing.
func (d drillDemand) Validate() error {
	if d.Env != "" && !d.demanded() {
		return &usageError{message: "--drill-env says where, but not how lately", hint: "--require-drill 7d --drill-env " + d.Env}
	}
	return nil
}

func drillDemandFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "require-drill", Usage: "refuse unless a drill with success is younger than this `DURATION`, e.g. 7d"},
		&cli.StringFlag{Name: "drill-env", Usage: "the environment, by `NAME`, whose catalog remembers drills (default the database itself)"},
	}
}

func readDrillDemand(c *cli.Context) (drillDemand, error) {
	d := drillDemand{Env: c.String("drill-env")}
	var err error
	d.Within, err = durationFlag(c, "require-drill")
	return d, err
}

// demandDrill refuses when the rollback of one of the migrations was not practised as demanded.
func (s *session) demandDrill(ctx context.Context, m *migrate.Migrator, want []migrate.Wanted, d drillDemand) error {
	if !d.demanded() {
		return nil
	}
	if d.Env != "" {
		dsn, err := s.environmentDSN(d.Env)
		if err != nil {
			return err
		}
		db, err := engine.Open(ctx, dsn, engine.Options{MustExist: true, LockTimeout: s.LockTimeout})
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		if m, err = migrate.Open(ctx, migrate.Options{DB: db, Dir: s.Dir, VersionTable: s.VersionTable, Catalog: s.Catalog}); err != nil {
			return err
		}
	}
	return m.DemandDrill(ctx, want, d.Within, time.Now())
}

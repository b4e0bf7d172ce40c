package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestTerminatedAtEveryStep: the server throws the connection out (pg_terminate_backend) before each statement in turn, of up and of
// rollback, with a transaction and without. The error is one of a lost connection; nothing is lost, doubled or left locked: the
// next run, or recover, comes to the same end.
func TestTerminatedAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		up, down   int // statements
	}{{"one transaction", tenStatements, 10, 5}, {"no transaction", alone, 5, 2}} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_change.sql": c.text})
				admin := testdb.Open(t, dsn)
				before := f.dump()
				f.up()
				after := f.dump()
				f.rollback(migrate.RollbackRequest{To: 0})
				f.same(before, f.dump(), "unharmed")
				run := func(d migrate.Direction, at int) error {
					db, err := engine.Open(t.Context(), dsn, engine.Options{})
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = db.Close() }()
					m, err := migrate.Open(t.Context(), migrate.Options{DB: db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
						if e.Kind == migrate.StatementStart && e.Statement == at {
							if _, err := admin.Exec("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name = 'dbrollback'"); err != nil {
								t.Error(err)
							}
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					if d == migrate.Up {
						_, err = m.Up(context.Background(), migrate.UpRequest{To: -1})
					} else {
						_, err = m.Rollback(context.Background(), migrate.RollbackRequest{To: 0})
					}
					return err
				}
				for _, d := range []migrate.Direction{migrate.Up, migrate.Down} {
					from, to, n := before, after, c.up
					if d == migrate.Down {
						from, to, n = after, before, c.down
					}
					for at := 1; at <= n; at++ {
						what := fmt.Sprintf("%s, terminated before statement %d", d, at)
						if e, ok := engine.AsError(run(d, at)); !ok || e.Class != engine.ConnectionLost {
							t.Errorf("%s: err = %+v, want a lost connection", what, e)
						}
						_, err := f.open().Recover(context.Background(), migrate.RecoverRequest{})
						if errors.Is(err, migrate.ErrNothing) {
							f.same(from, f.dump(), what)
							err = run(d, 0)
						}
						if err != nil {
							t.Fatalf("%s, then again: %v", what, err)
						}
						f.same(to, f.dump(), what+", then again")
						if err := run(map[migrate.Direction]migrate.Direction{migrate.Up: migrate.Down, migrate.Down: migrate.Up}[d], 0); err != nil {
							t.Fatalf("%s, then back: %v", what, err)
						}
						f.same(from, f.dump(), what+", then back")
					}
					if err := run(d, 0); err != nil {
						t.Fatal(err)
					}
				}
			}, testdb.OnPostgres)
		})
	}
}

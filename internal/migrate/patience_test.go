package migrate_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWaitsBriefly: a migration that waits for a reader lets others read, and runs when it is done; and it gives up in the end.
func TestWaitsBriefly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, up string
		ends     bool // the reader
	}{
		{"column added", "ALTER TABLE people ADD COLUMN age integer;", true},
		{"column dropped", "ALTER TABLE people DROP COLUMN note;", true},
		{"reader that never ends", "ALTER TABLE people DROP COLUMN note;", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			testdb.Exec(t, dsn, "CREATE TABLE people (id integer PRIMARY KEY, note text)", "INSERT INTO people VALUES (1, 'a'), (2, 'b')")
			wait := 2 * time.Second
			if c.ends {
				wait = time.Minute
			}
			db, err := engine.Open(t.Context(), dsn, engine.Options{LockTimeout: wait})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			reader, err := testdb.Open(t, dsn).BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := reader.Exec("SELECT * FROM people"); err != nil {
				t.Fatal(err)
			}
			waited := 0
			m, err := migrate.Open(t.Context(), migrate.Options{DB: db, Files: fstest.MapFS{"00001_a.sql": {Data: []byte(migration(c.up, "SELECT 1;"))}}, Dir: "migrations", Events: func(e migrate.Event) {
				if e.Kind != migrate.WaitingForLock {
					return
				}
				waited++
				if got := testdb.Query(t, dsn, "SELECT count(*) FROM people"); got[0] != "2" { // nobody is in the way of another reader
					t.Errorf("read %v", got)
				}
				if c.ends && waited == 2 {
					if err := reader.Commit(); err != nil {
						t.Error(err)
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			res, err := m.Up(t.Context(), migrate.UpRequest{To: -1})
			if waited == 0 {
				t.Error("it did not say that it waits")
			}
			if !c.ends {
				e, ok := engine.AsError(err)
				if !ok || e.Class != engine.LockTimeout || !errors.As(err, new(*migrate.PartialError)) {
					t.Fatalf("%v, want a lock timeout", err)
				}
				if err := reader.Rollback(); err != nil {
					t.Fatal(err)
				}
				if res, err = m.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil || len(res.Migrations) != 1 {
				t.Fatalf("%v %+v", err, res)
			}
			if _, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, AllowDrift: true}); err != nil {
				t.Fatal(err)
			}
			if got := testdb.Query(t, dsn, "SELECT id, note FROM people ORDER BY id"); strings.Join(got, " ") != "1|a 2|b" {
				t.Errorf("rows: %v", got)
			}
			if got := testdb.Query(t, dsn, "SELECT count(*) FROM dbrollback.state_snapshots WHERE status = 'capturing'"); got[0] != "0" {
				t.Errorf("%s captures are left unfinished", got[0])
			}
		})
	}
}

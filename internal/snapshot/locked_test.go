package snapshot_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// errTried ends a trial.
var errTried = errors.New("tried")

// lockedOut tries a write from another session, which has to find the table locked.
func (b *bench) lockedOut(write string) {
	b.t.Helper()
	other, err := engine.Open(context.Background(), b.dsn, engine.Options{LockTimeout: 300 * time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	defer other.Close()
	s, err := other.Session(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	_, err = s.ExecContext(context.Background(), write)
	if e, ok := engine.AsError(err); !ok || e.Class != engine.LockTimeout {
		b.t.Errorf("%s: %v, want it to find the table locked", write, err)
	}
}

// TestLockedWhileCaptured is rule 1: between a capture and its statement nobody writes what the statement destroys, in whichever way it is captured.
func TestLockedWhileCaptured(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, only, up, write string }{
		{"rows", "", "UPDATE t SET v = 'x' WHERE id < 3", "UPDATE t SET v = 'app' WHERE id = 1"},
		{"rows that are deleted", "", "DELETE FROM t WHERE id < 3", "UPDATE t SET v = 'app' WHERE id = 1"},
		{"rows of a child", "", "DELETE FROM t WHERE id = 1", "UPDATE c SET v = 'app' WHERE id = 10"},
		{"rows without a key", "", "UPDATE k SET b = 'x'", "INSERT INTO k VALUES (9, 'app')"},
		{"a column", "", "ALTER TABLE t DROP COLUMN w", "UPDATE t SET w = 'app' WHERE id = 3"},
		{"a type", "postgres", "ALTER TABLE t ALTER COLUMN v TYPE varchar(2) USING left(v, 2)", "UPDATE t SET v = 'app' WHERE id = 3"},
		{"a type", "mysql mariadb", "ALTER TABLE t MODIFY v varchar(10)", "UPDATE t SET v = 'app' WHERE id = 3"},
		{"all rows", "postgres", "TRUNCATE s", "INSERT INTO s VALUES (9)"},
		{"a block", "postgres", "DO $$ BEGIN UPDATE t SET v = 'x'; END $$", "INSERT INTO t VALUES (9, 'app', 'app')"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				if scheme, _, _ := strings.Cut(dsn, ":"); c.only != "" && !strings.Contains(c.only, scheme) {
					return
				}
				b := newBench(t, foreignKeys(dsn), "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20), w varchar(20)); INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', 'b'), (3, 'c', 'c')",
					"CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t integer, v varchar(20), FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE); INSERT INTO c VALUES (10, 1, 'a'), (11, 2, 'b')",
					"CREATE TABLE k (a integer, b varchar(20)); INSERT INTO k VALUES (1, 'a'), (1, 'a'); CREATE TABLE s (id integer NOT NULL PRIMARY KEY); INSERT INTO s VALUES (1); CREATE VIEW sv AS SELECT id FROM s")
				rehearsed := c.name != "a block"
				if _, err := b.tryUpThen(c.up, func() error {
					if !rehearsed {
						rehearsed = true
						return nil
					}
					b.lockedOut(c.write)
					return errTried
				}); !errors.Is(err, errTried) {
					t.Errorf("up: %v", err)
				}
			}, everywhere...)
		})
	}
}

// TestLockedBeforeTheWayBack: from the moment that places were compared with their captures nobody writes to them, where one transaction holds until they are back.
func TestLockedBeforeTheWayBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20), w varchar(20)); INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', 'b')",
			"CREATE TABLE u (id integer NOT NULL PRIMARY KEY, v varchar(20), w varchar(20)); INSERT INTO u VALUES (1, 'a', 'a'), (2, 'b', 'b')")
		b.up("UPDATE t SET v = 'x' WHERE id = 1; ALTER TABLE u DROP COLUMN w")
		err := b.run(func(_ *engine.Session, q engine.Querier) error {
			r, err := b.store.Restorer(context.Background(), q, 1, "up")
			if err != nil {
				return err
			}
			if err := r.Check(context.Background(), q); err != nil {
				return err
			}
			b.lockedOut("UPDATE t SET v = 'app' WHERE id = 1")
			b.lockedOut("UPDATE u SET v = 'app' WHERE id = 1")
			return errTried
		})
		if !errors.Is(err, errTried) {
			t.Error(err)
		}
	}, testdb.OnPostgres, testdb.OnSQLite)
}

// TestAlteredWhileWaited: what somebody did to a table while its lock was waited for is captured along: the statement is planned again.
func TestAlteredWhileWaited(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	b := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a'), (2, 'b')")
	other, err := testdb.Open(t, dsn).Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("ALTER TABLE t ADD COLUMN z text NOT NULL DEFAULT 'zed'"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.tryUp("DELETE FROM t")
		done <- err
	}()
	deadline := time.Now().Add(time.Minute)
	for testdb.Query(t, dsn, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")[0] == "0" {
		if time.Now().After(deadline) {
			t.Fatal("up does not wait for the table")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := other.Exec("UPDATE t SET z = 'set' WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.down("SELECT 1", snapshot.Fail)
	if got := strings.Join(b.query("SELECT id || v || z FROM t ORDER BY id"), " "); got != "1azed 2bset" {
		t.Errorf("rows %q", got)
	}
}

package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func open(t *testing.T, dsn string, o engine.Options) *engine.DB {
	t.Helper()
	db, err := engine.Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func session(t *testing.T, db *engine.DB) *engine.Session {
	t.Helper()
	s, err := db.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func exec(t *testing.T, q engine.Querier, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := q.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func class(t *testing.T, err error, want engine.Class) {
	t.Helper()
	_ = classified(t, err, want)
}

func classified(t *testing.T, err error, want engine.Class) *engine.Error {
	t.Helper()
	e, ok := engine.AsError(err)
	if !ok || e.Class != want {
		t.Fatalf("error %v (%+v), want class %s", err, e, want)
	}
	return e
}

func text(t *testing.T, q engine.Querier, query string) string {
	t.Helper()
	var s string
	if err := q.QueryRowContext(t.Context(), query).Scan(&s); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

func TestTxCommitsAndRollsBack(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		s := session(t, open(t, dsn, engine.Options{}))
		exec(t, s, "CREATE TABLE t (id integer)")
		put := func(tx *sql.Tx) { exec(t, tx, "INSERT INTO t VALUES (1)") }
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { put(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { put(tx); return boom }); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
		func() {
			defer func() { _ = recover() }()
			_ = s.Tx(t.Context(), func(tx *sql.Tx) error { put(tx); panic(boom) })
		}()
		// Cancelled in the middle: f can still use the transaction, and then it is rolled back.
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Tx(ctx, func(tx *sql.Tx) error {
			put(tx)
			cancel()
			put(tx)
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if n := text(t, s, "SELECT count(*) FROM t"); n != "1" {
			t.Errorf("%s rows, want the one that was committed", n)
		}
		if err := s.Tx(ctx, func(*sql.Tx) error { t.Error("ran after the cancel"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("begun after the cancel: %v", err)
		}
	})
}

// A statement in flight ends with its context, and the session can go on.
func TestCancelledStatementLeavesTheSession(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		s := session(t, open(t, dsn, engine.Options{}))
		slow := "SELECT pg_sleep(60)"
		if strings.HasPrefix(dsn, "sqlite") {
			slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var ignore any
		class(t, s.Tx(ctx, func(tx *sql.Tx) error { return tx.QueryRowContext(ctx, slow).Scan(&ignore) }), engine.Cancelled)
		if got := text(t, s, "SELECT 'still here'"); got != "still here" {
			t.Error(got)
		}
	})
}

func TestLockTimeoutReachesEveryConnection(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{LockTimeout: 80 * time.Millisecond})
		first := session(t, db)
		exec(t, first, "CREATE TABLE t (id integer)")
		err := first.Tx(t.Context(), func(tx *sql.Tx) error {
			exec(t, tx, "INSERT INTO t VALUES (1)")
			for range 3 { // each on another connection
				_, err := db.ExecContext(t.Context(), "ALTER TABLE t ADD COLUMN x integer")
				class(t, err, engine.LockTimeout)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestErrorClasses(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		exec(t, db, "CREATE TABLE t (id integer PRIMARY KEY CHECK (id > 0))", "INSERT INTO t VALUES (1)")
		_, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		class(t, err, engine.Constraint)
		_, err = db.ExecContext(t.Context(), "SELECT 1;\nSELEKT 2")
		e := classified(t, err, engine.Syntax)
		if db.Kind == engine.Postgres && e.Position != 11 {
			t.Errorf("position %d, want 11", e.Position)
		}
		_, err = db.ExecContext(t.Context(), "SELECT * FROM missing")
		class(t, err, engine.Syntax)
		if _, ok := engine.AsError(errors.New("anything")); ok {
			t.Error("an error that no database made has a class")
		}
		if _, ok := engine.AsError(nil); ok {
			t.Error("no error has a class")
		}
	})
}

func TestOpenFailures(t *testing.T) {
	t.Parallel()
	pg := testdb.Postgres(t)
	role, _ := testdb.Role(t, pg)
	folder := t.TempDir()
	notADatabase := filepath.Join(folder, "notes.txt")
	if err := os.WriteFile(notADatabase, []byte(strings.Repeat("no database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dsn  string
		o    engine.Options
		want engine.Class
	}{
		{"postgres://ann:hunter2@127.0.0.1:1/shop?connect_timeout=5", engine.Options{}, engine.Unreachable},
		{"postgres://ann:hunter2@no-such-host.invalid/shop?connect_timeout=5", engine.Options{}, engine.Unreachable},
		{strings.Replace(role, "dbrollback_test_", "hunter2_dbrollback_test_", 1), engine.Options{}, engine.Auth},
		{"sqlite:" + filepath.Join(folder, "missing.db"), engine.Options{MustExist: true}, engine.Unreachable},
		{"sqlite:" + filepath.Join(folder, "no/folder/x.db"), engine.Options{}, engine.Unreachable},
		{"sqlite:" + notADatabase, engine.Options{}, engine.Unreachable},
		{"file:" + filepath.Join(folder, "missing2.db") + "?mode=ro", engine.Options{}, engine.Unreachable},
	} {
		db, err := engine.Open(t.Context(), c.dsn, c.o)
		if err == nil {
			_ = db.Close()
			t.Errorf("%s opened", c.dsn)
			continue
		}
		if e := classified(t, err, c.want); e.Hint == "" {
			t.Errorf("%v: no hint", err)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), ":hunter2@") || strings.Contains(e.Error(), "s3cret") {
				t.Errorf("the password is in %q", e)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "missing.db")); !os.IsNotExist(err) {
		t.Errorf("MustExist made the file: %v", err)
	}
}

func TestReadOnlyTargets(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		dsn := testdb.SQLite(t)
		testdb.Exec(t, dsn, "CREATE TABLE t (id integer)")
		s := session(t, open(t, "file:"+strings.TrimPrefix(dsn, "sqlite:")+"?mode=ro", engine.Options{}))
		_, err := s.RunLock(t.Context(), 0)
		if e := classified(t, err, engine.ReadOnly); e.Hint == "" {
			t.Error("no hint")
		}
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := testdb.Postgres(t)
		testdb.Exec(t, dsn, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$")
		s := session(t, open(t, dsn, engine.Options{}))
		_, err := s.RunLock(t.Context(), 0)
		if e := classified(t, err, engine.ReadOnly); e.Hint == "" {
			t.Error("no hint")
		}
		_, err = s.ExecContext(t.Context(), "CREATE TABLE t (id integer)")
		class(t, err, engine.ReadOnly)
	})
}

func TestRunLockExcludes(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	first, second := session(t, open(t, dsn, engine.Options{ApplicationName: "deploy 7"})), session(t, open(t, dsn, engine.Options{}))
	release, err := first.RunLock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = second.RunLock(t.Context(), 150*time.Millisecond)
	if e := classified(t, err, engine.LockTimeout); !strings.Contains(e.Message, "deploy 7") {
		t.Errorf("the message does not say who holds the lock: %s", e.Message)
	}
	if waited := time.Since(start); waited < 150*time.Millisecond {
		t.Errorf("gave up after %s", waited)
	}
	got := make(chan error, 1)
	go func() {
		release, err := second.RunLock(context.WithoutCancel(t.Context()), time.Minute)
		if err == nil {
			release()
		}
		got <- err
	}()
	release()
	if err := <-got; err != nil {
		t.Errorf("after the release: %v", err)
	}
	// The end of a session is a release, too.
	if _, err := first.RunLock(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.RunLock(t.Context(), time.Minute); err != nil {
		t.Errorf("after the end of the session: %v", err)
	}
}

func TestSessionSettingsEndWithIt(t *testing.T) {
	t.Parallel()
	db := open(t, testdb.Postgres(t), engine.Options{StatementTimeout: 7 * time.Second, ApplicationName: "mine"})
	s := session(t, db)
	for setting, want := range map[string]string{"statement_timeout": "7s", "row_security": "off", "application_name": "mine"} {
		if got := text(t, s, "SHOW "+setting); got != want {
			t.Errorf("%s = %s, want %s", setting, got, want)
		}
	}
	if err := s.StatementTimeout(t.Context(), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	_, err := s.ExecContext(t.Context(), "SELECT pg_sleep(60)")
	class(t, err, engine.StatementTimeout)
	exec(t, s, "SET search_path = nowhere")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := text(t, db, "SHOW search_path"); strings.Contains(got, "nowhere") {
		t.Errorf("the pool got the session's search path: %s", got)
	}
	if got := text(t, db, "SHOW statement_timeout"); got != "0" {
		t.Errorf("a connection of the pool has statement_timeout %s", got)
	}
}

func TestHomeSaysWhichGrantIsMissing(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	limited, role := testdb.Role(t, dsn)
	db := open(t, limited, engine.Options{})
	e := classified(t, db.EnsureHome(t.Context(), db), engine.Privilege)
	if !strings.Contains(e.Hint, "GRANT CREATE ON DATABASE") || !strings.Contains(e.Hint, role) {
		t.Errorf("hint: %s", e.Hint)
	}
	owner := open(t, dsn, engine.Options{})
	for range 2 {
		if err := owner.EnsureHome(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
	}
	e = classified(t, db.EnsureHome(t.Context(), db), engine.Privilege)
	if !strings.Contains(e.Hint, "GRANT USAGE, CREATE ON SCHEMA") {
		t.Errorf("hint: %s", e.Hint)
	}
	exec(t, owner, e.Hint)
	if err := db.EnsureHome(t.Context(), db); err != nil {
		t.Errorf("after %s: %v", e.Hint, err)
	}
}

func TestMineAndTables(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		db.Ignore = []engine.Name{{Name: "goose_db_version"}}
		if err := db.EnsureHome(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		exec(t, db, "CREATE TABLE b (id integer)", `CREATE TABLE "A ""b"".c" (id integer)`, "CREATE TABLE goose_db_version (id integer)", "CREATE VIEW v AS SELECT id FROM b",
			"CREATE TEMPORARY TABLE tmp (id integer)")
		for _, own := range []string{"state_snapshots", "dbrollback_log"} {
			exec(t, db, "CREATE TABLE "+db.Quote(db.Own(own))+" (id integer)")
			if !db.Mine(db.Own(own)) {
				t.Errorf("%s is not ours", own)
			}
		}
		want := []string{`A "b".c`, "b"}
		if db.Caps.Schemas { // a schema of our own leaves the names free elsewhere
			exec(t, db, "CREATE TABLE state_snapshots (id integer)", "CREATE TABLE part (id integer) PARTITION BY LIST (id)", "CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1)")
			want = append(want, "part", "part_1", "state_snapshots")
		}
		names, err := db.Tables(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range names {
			got = append(got, n.Name)
			if db.Caps.Schemas != (n.Schema == "public") {
				t.Errorf("schema of %v", n)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("tables %q, want %q", got, want)
		}
	})
}

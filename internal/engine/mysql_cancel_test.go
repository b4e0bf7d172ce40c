package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// running tells how many statements of the database the server works on, the one that asks left out.
func running(t *testing.T, dsn, like string) string {
	t.Helper()
	return testdb.Query(t, dsn, "SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id() AND info LIKE ?", like)[0]
}

// await polls until the server works on so many such statements.
func await(t *testing.T, dsn, like, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); running(t, dsn, like) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s statements like %s, want %s", running(t, dsn, like), like, want)
		}
	}
}

const slowMySQL = "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c, information_schema.columns d"

// A cancelled statement ends on the server, the transaction is rolled back, and the session goes on.
func TestMySQLCancelEndsTheStatement(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		s := session(t, db)
		exec(t, s, "CREATE TABLE t (id integer PRIMARY KEY)")
		for name, run := range map[string]func(ctx context.Context, tx *sql.Tx) error{
			"exec": func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO t "+slowMySQL)
				return err
			},
			"query": func(ctx context.Context, tx *sql.Tx) error {
				var n int
				return tx.QueryRowContext(ctx, slowMySQL).Scan(&n)
			},
			"rows": func(ctx context.Context, tx *sql.Tx) error {
				rows, err := tx.QueryContext(ctx, "SELECT a.table_name FROM information_schema.columns a, information_schema.columns b, information_schema.columns c")
				if err != nil {
					return err
				}
				defer rows.Close()
				for rows.Next() {
				}
				return rows.Err()
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			end := make(chan error, 1)
			go func() {
				end <- s.Tx(ctx, func(tx *sql.Tx) error {
					exec(t, tx, "INSERT INTO t VALUES (1)")
					return run(ctx, tx)
				})
			}()
			await(t, dsn, "%information_schema.columns c%", "1")
			cancel()
			if err := <-end; !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if n := running(t, dsn, "%information_schema.columns b%"); n != "0" {
				t.Errorf("%s: %s statements go on", name, n)
			}
			if n := text(t, s, "SELECT count(*) FROM t"); n != "0" {
				t.Errorf("%s: %s rows", name, n)
			}
		}
	})
}

// An ALTER that waits for its lock is given up by the server, too: later it would take effect behind everybody's
// back.
func TestMySQLCancelEndsAWaitingAlter(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		s := session(t, db)
		exec(t, s, "CREATE TABLE t (id integer PRIMARY KEY)")
		other := testdb.Open(t, dsn)
		tx, err := other.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec("INSERT INTO t VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() { _, err := s.ExecContext(ctx, "ALTER TABLE t ADD COLUMN late integer"); end <- err }()
		await(t, dsn, "ALTER%", "1")
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		await(t, dsn, "ALTER%", "0")
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		if c := inspect(t, db, engine.Name{Name: "t"}); len(c.Columns) != 1 {
			t.Errorf("columns %+v", c.Columns)
		}
		exec(t, s, "DO 0")
	})
}

func TestMySQLErrors(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, engine.Options{})
		s := session(t, db)
		exec(t, s, "SET sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE'", "CREATE TABLE p (id integer PRIMARY KEY)",
			"CREATE TABLE c (id integer PRIMARY KEY, p integer NOT NULL, s varchar(2), d date, CHECK (id > 0), FOREIGN KEY (p) REFERENCES p (id))", "INSERT INTO p VALUES (1)", "INSERT INTO c VALUES (1, 1, 'a', NULL)")
		for statement, want := range map[string]engine.Class{
			"INSERT INTO c VALUES (1, 1, 'a', NULL)":         engine.Constraint,
			"INSERT INTO c VALUES (-1, 1, 'a', NULL)":        engine.Constraint,
			"INSERT INTO c VALUES (2, 7, 'a', NULL)":         engine.Constraint,
			"INSERT INTO c VALUES (2, NULL, 'a', NULL)":      engine.Constraint,
			"INSERT INTO c VALUES (2, 1, 'abc', NULL)":       engine.Constraint,
			"INSERT INTO c VALUES (2, 1, 'a', '2024-02-31')": engine.Constraint,
			"DELETE FROM p": engine.Constraint,
			"DROP TABLE p":  engine.Constraint,
			"ALTER TABLE c MODIFY COLUMN s varchar(2) BINNED": engine.Syntax,
		} {
			_, err := s.ExecContext(t.Context(), statement)
			e := classified(t, err, want)
			if e.Hint == "" && want != engine.Syntax {
				t.Errorf("%s: no hint: %s", statement, e.Message)
			}
		}
		for _, c := range []struct{ statement, at string }{
			{"SELEKT 1", "SELEKT"}, {"SELECT 'ä', 'b'\n FRM t WHERE x = 1", "t WHERE"}, {"CREATE TABLE x (\n  id int,\n  ü int 5 NULL\n)", "5 NULL"}, {"SELECT (1", ""},
			{"CREATE TABLE x (" + strings.Repeat("a int, ", 40) + "b int int)", "int)"},
		} {
			_, err := s.ExecContext(t.Context(), c.statement)
			e := classified(t, err, engine.Syntax)
			want := len([]rune(c.statement)) + 1
			if c.at != "" {
				want = len([]rune(c.statement[:strings.LastIndex(c.statement, c.at)])) + 1
			}
			if e.Position != want {
				t.Errorf("%q: position %d, want %d: %s", c.statement, e.Position, want, e.Message)
			}
		}
	})
}

package snapshot_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// mysqls are the two servers whose DDL commits by itself.
var mysqls = []testdb.Engine{testdb.OnMySQL, testdb.OnMariaDB}

// TestMySQLPhantom: a row that somebody adds or changes between the capture of a DELETE and the DELETE itself waits, so that nothing
// is removed that was not captured.
func TestMySQLPhantom(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer, KEY (v)); INSERT INTO t VALUES (1, 1), (5, 5), (9, 50)")
		other, err := b.db.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		wrote := make(chan error, 2)
		c := b.store.Begin(snapshot.Meta{Run: "test", Direction: "up", CreatedBy: "test", Migration: 1})
		st := b.parse("DELETE FROM t WHERE v < 10")[0]
		err = b.run(func(s *engine.Session, q engine.Querier) error {
			err := b.store.Tx(ctx, s, st, func(q engine.Querier) error {
				return c.Statement(ctx, q, 1, st, func() error {
					go func() {
						_, err := other.ExecContext(ctx, "INSERT INTO t VALUES (3, 3)")
						wrote <- err
						_, err = other.ExecContext(ctx, "UPDATE t SET v = 7 WHERE id = 9")
						wrote <- err
					}()
					waitFor(t, b, "INSERT INTO t VALUES (3, 3)")
					_, err := q.ExecContext(ctx, st.SQL)
					return err
				})
			})
			if err != nil {
				return err
			}
			for range 2 {
				if err := <-wrote; err != nil {
					t.Errorf("the other session: %v", err)
				}
			}
			return b.end(s, q, func(q engine.Querier) error { return c.Seal(ctx, q, nil) })
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(b.query("SELECT id || ' ' || v FROM t ORDER BY id"), ", "); got != "3 3, 9 7" {
			t.Errorf("after up: %s", got)
		}
		b.down("SELECT 1", snapshot.Keep)
		if got := strings.Join(b.query("SELECT id || ' ' || v FROM t ORDER BY id"), ", "); got != "1 1, 3 3, 5 5, 9 7" {
			t.Errorf("after down: %s", got)
		}
	}, mysqls...)
}

// waitFor returns when another session's statement is there, and waits or is done.
func waitFor(t testing.TB, b *bench, statement string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for seen := false; time.Now().Before(deadline); {
		n := b.query("SELECT count(*) FROM information_schema.processlist WHERE info LIKE ? AND db = database()", statement+"%")[0]
		if n != "0" && seen {
			return // twice in a row: it waits
		}
		seen = n != "0"
	}
	t.Fatalf("%s is not waiting", statement)
}

// TestMySQLLockedOut: between the capture of a column and its DROP nobody gets in.
func TestMySQLLockedOut(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b'); CREATE TABLE notes (n integer)")
		b.store.Alongside = []engine.Name{{Name: "notes"}}
		wrote := make(chan error, 1)
		c := b.store.Begin(snapshot.Meta{Run: "test", Direction: "up", CreatedBy: "test", Migration: 1})
		st := b.parse("ALTER TABLE t DROP COLUMN v")[0]
		err := b.run(func(s *engine.Session, q engine.Querier) error {
			err := b.store.Tx(ctx, s, st, func(q engine.Querier) error {
				return c.Statement(ctx, q, 1, st, func() error {
					go func() {
						_, err := b.db.ExecContext(ctx, "UPDATE t SET v = 'late' WHERE id = 1")
						wrote <- err
					}()
					waitFor(t, b, "UPDATE t SET v = 'late'")
					for _, query := range []string{"INSERT INTO notes VALUES (1)", st.SQL, "INSERT INTO notes VALUES (2)"} {
						if _, err := q.ExecContext(ctx, query); err != nil {
							return err
						}
					}
					return nil
				})
			})
			if err != nil {
				return err
			}
			if err := <-wrote; err == nil {
				t.Error("a value was written into the column after it had been captured, and lost")
			}
			return b.end(s, q, func(q engine.Querier) error { return c.Seal(ctx, q, nil) })
		})
		if err != nil {
			t.Fatal(err)
		}
		b.down("ALTER TABLE t ADD COLUMN v varchar(20)", snapshot.Fail)
		if got := strings.Join(b.query("SELECT id || v FROM t ORDER BY id"), ", "); got != "1a, 2b" {
			t.Errorf("after down: %s", got)
		}
	}, mysqls...)
}

// TestMySQLCaptured: what the predicate of a statement names, by itself or through other tables, is what is captured; what it cannot name
// is found by comparison.
func TestMySQLCaptured(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		for _, tc := range []struct {
			name, up string
			rows     int64 // captured
		}{
			{"join", "UPDATE t JOIN u ON u.t = t.id SET t.v = u.v, u.v = 'seen' WHERE t.a > 1", 5},
			{"join with an alias", "UPDATE t x, u SET x.v = 'j' WHERE u.t = x.id", 3},
			{"several tables", "DELETE x, u FROM t AS x JOIN u ON u.t = x.id WHERE x.a < 3", 5},
			{"using", "DELETE FROM x USING t AS x LEFT JOIN u ON u.t = x.id WHERE u.id IS NULL", 3},
			{"with", "WITH w AS (SELECT t FROM u WHERE id > 1) UPDATE t SET v = 'w' WHERE id IN (SELECT t FROM w)", 2},
			{"subquery", "DELETE FROM t WHERE id = (SELECT max(t) FROM u)", 1},
			{"clock", "UPDATE t SET v = 'now' WHERE d < NOW() - INTERVAL 1 SECOND", 4},
			{"random", "DELETE FROM t WHERE rand() < 2 AND a < 3", 2},
			{"limit", "DELETE FROM t ORDER BY a LIMIT 2", 2},
			{"limit without an order", "UPDATE t SET v = 'l' LIMIT 4", 4},
			{"variable", "UPDATE t SET v = 'v' WHERE a > coalesce(@nothing, 4)", 2},
			{"replace", "REPLACE INTO t SELECT id, 0, 'r', NULL FROM t WHERE a > 4", 2},
			{"replace by another key", "REPLACE INTO t VALUES (90, 2, 'r', NULL)", 2},
			{"on duplicate", "INSERT INTO t VALUES (1, 9, 'd', NULL), (91, 91, 'd', NULL) ON DUPLICATE KEY UPDATE v = VALUES(v)", 2},
			{"ignore", "INSERT IGNORE INTO t VALUES (1, 9, 'd', NULL), (92, 92, 'd', NULL)", 1},
			{"key", "UPDATE t SET id = id + 100, v = 'k' WHERE a < 4", 3},
			{"key and its neighbour", "UPDATE t SET a = a + 10, id = a + 1000", 12},
			{"key from another column", "UPDATE t SET id = -a", 6},
		} {
			t.Run(tc.name, func(t *testing.T) {
				if tc.name == "with" && b.db.Kind == engine.MariaDB {
					return // no UPDATE there
				}
				b.t = t
				b.exec("DROP TABLE IF EXISTS u; DROP TABLE IF EXISTS t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, v varchar(20), d datetime, UNIQUE (a))",
					"INSERT INTO t VALUES (1, 1, 'a', '2020-01-01'), (2, 2, 'b', '2020-01-01'), (3, 3, 'c', '2020-01-01'), (4, 4, 'd', '2020-01-01'), (5, 5, 'e', NULL), (6, 6, 'f', '2999-01-01')",
					"CREATE TABLE u (id integer NOT NULL PRIMARY KEY, t integer, v varchar(20)); INSERT INTO u VALUES (1, 1, 'u1'), (2, 2, 'u2'), (3, 2, 'u3'), (4, 3, 'u4')")
				before := b.rows()
				c := b.up(tc.up)
				var rows int64
				for _, x := range c.Captures() {
					rows += x.Rows
				}
				if rows != tc.rows {
					t.Errorf("%d rows are captured instead of %d: %+v", rows, tc.rows, c.Captures())
				}
				if b.rows() == before {
					t.Error("the statement did nothing")
				}
				b.down("SELECT 1", snapshot.Fail)
				same(t, "after rollback", before, b.rows())
			})
		}
	}, mysqls...)
}

// TestMySQLDefinitions: the statements that only MySQL has.
func TestMySQLDefinitions(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		const create = "CREATE TABLE t (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, v varchar(20) CHARACTER SET utf8mb4, n bigint, e enum('a','b','c'))"
		for _, tc := range []struct{ name, up, down string }{
			{"narrow", "SET SESSION sql_mode = ''; ALTER TABLE t MODIFY v varchar(2) CHARACTER SET utf8mb4, MODIFY n tinyint", "ALTER TABLE t MODIFY v varchar(20) CHARACTER SET utf8mb4, MODIFY n bigint"},
			{"change", "ALTER TABLE t CHANGE v w text CHARACTER SET utf8mb4, CHANGE n m decimal(30,4)", "ALTER TABLE t CHANGE w v varchar(20) CHARACTER SET utf8mb4, CHANGE m n bigint"},
			{"charset", "SET SESSION sql_mode = ''; ALTER TABLE t CONVERT TO CHARACTER SET latin1", "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4"},
			{"label", "SET SESSION sql_mode = ''; ALTER TABLE t MODIFY e enum('b','d','a')", "ALTER TABLE t MODIFY e enum('a','b','c')"},
			{"truncate", "TRUNCATE TABLE t", "SELECT 1"},
			{"drop", "DROP TABLE t, child, u", create + "; CREATE TABLE u (id integer NOT NULL PRIMARY KEY, v integer); CREATE TABLE child (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES u (id))"},
			{"swap", "DROP TABLE child; RENAME TABLE t TO x, u TO t, x TO u; UPDATE t SET v = 9; DELETE FROM u WHERE id = 1", "RENAME TABLE t TO x, u TO t, x TO u; CREATE TABLE child (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES u (id))"},
			{"column and key", "ALTER TABLE t DROP COLUMN id, ADD COLUMN k integer NOT NULL AUTO_INCREMENT PRIMARY KEY", "ALTER TABLE t DROP COLUMN k, ADD COLUMN id integer NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST"},
			{"column and foreign key", "ALTER TABLE t DROP COLUMN n, ADD COLUMN r integer, ADD CONSTRAINT tr FOREIGN KEY (r) REFERENCES u (id)", "ALTER TABLE t DROP FOREIGN KEY tr, DROP COLUMN r, ADD COLUMN n bigint"},
			{"child", "DROP TABLE child; DELETE FROM u", "CREATE TABLE child (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES u (id))"},
			{"parent", "SET SESSION foreign_key_checks = 0; DROP TABLE u; SET SESSION foreign_key_checks = 1", "CREATE TABLE u (id integer NOT NULL PRIMARY KEY, v integer)"},
			{"partition", "ALTER TABLE part DROP PARTITION p1", "ALTER TABLE part ADD PARTITION (PARTITION p1 VALUES LESS THAN (20))"},
			{"truncate partition", "ALTER TABLE part TRUNCATE PARTITION p0", "SELECT 1"},
			{"exchange", "ALTER TABLE part EXCHANGE PARTITION p0 WITH TABLE twin; DELETE FROM twin WHERE id = 1", "SELECT 1"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				if b.db.Kind == engine.MariaDB && tc.name == "exchange" {
					return // see TestMariaDBExchange
				}
				b.t = t
				b.exec("DROP TABLE IF EXISTS child; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS u; DROP TABLE IF EXISTS part; DROP TABLE IF EXISTS twin", create,
					"INSERT INTO t VALUES (1, 'é€😀 long enough', 70000, 'a'), (2, 'b', -1, 'c'), (3, NULL, NULL, NULL), (7, '', 0, 'b')",
					"CREATE TABLE u (id integer NOT NULL PRIMARY KEY, v integer); INSERT INTO u VALUES (1, 1), (2, 2)",
					"CREATE TABLE child (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES u (id)); INSERT INTO child VALUES (1, 1), (2, 1)",
					"CREATE TABLE part (id integer NOT NULL PRIMARY KEY, v varchar(9)) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))",
					"CREATE TABLE twin (id integer NOT NULL PRIMARY KEY, v varchar(9)); INSERT INTO part VALUES (1, 'a'), (2, 'b'), (11, 'c'), (12, 'd'); INSERT INTO twin VALUES (5, 'twin')")
				b.roundTrip(tc.up, tc.down)
			})
		}
		b.t = t
		b.exec("DROP TABLE IF EXISTS t", create, "INSERT INTO t (id) VALUES (100); DELETE FROM t; INSERT INTO t (id) VALUES (3)")
		b.up("TRUNCATE t")
		b.down("SELECT 1", snapshot.Fail)
		b.exec("INSERT INTO t (v) VALUES ('next')")
		if got := b.query("SELECT max(id) FROM t")[0]; got != "101" {
			t.Errorf("the next id is %s", got)
		}
	}, mysqls...)
}

// TestMariaDBExchange: what would wait for itself is refused.
func TestMariaDBExchange(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.MariaDB(t), "CREATE TABLE p (id integer NOT NULL PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10)); CREATE TABLE t (id integer NOT NULL PRIMARY KEY)")
	var loss *snapshot.LossError
	if _, err := b.tryUp("ALTER TABLE p EXCHANGE PARTITION p0 WITH TABLE t"); !errors.As(err, &loss) {
		t.Errorf("not refused: %v", err)
	}
}

// TestMySQLRefused: what cannot be known is not run.
func TestMySQLRefused(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer); INSERT INTO t VALUES (1, 1)", "CREATE PROCEDURE p() DELETE FROM t",
			"CREATE FUNCTION f() RETURNS integer NO SQL RETURN 1")
		before := b.rows()
		for _, up := range []string{"CALL p()", "UPDATE t SET v = f()", "PREPARE s FROM 'DELETE FROM t'", "DELETE FROM state_snapshots"} {
			_, err := b.tryUp(up)
			var loss *snapshot.LossError
			if !errors.As(err, &loss) {
				if up == "DELETE FROM state_snapshots" && err != nil && strings.Contains(err.Error(), "doesn't exist") {
					continue
				}
				t.Errorf("%s: %v", up, err)
				continue
			}
			if up != "DELETE FROM state_snapshots" && !strings.Contains(loss.Hint, "affects:") {
				t.Errorf("%s: the hint is %q", up, loss.Hint)
			}
		}
		same(t, "after the refusals", before, b.rows())
	}, mysqls...)
}

// TestMySQLFailed: a statement that the server rejects leaves nothing captured, and nothing locked.
func TestMySQLFailed(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v integer); INSERT INTO t VALUES (1, 1), (2, 2)")
		before := b.rows()
		for _, up := range []string{"ALTER TABLE t DROP COLUMN v, ADD COLUMN id integer", "UPDATE t SET v = 'no number'", "DELETE FROM t WHERE nowhere = 1"} {
			if _, err := b.tryUp(up); err == nil {
				t.Errorf("%s: no error", up)
			}
		}
		same(t, "rows", before, b.rows())
		if u, err := b.store.Usage(ctx, b.db); err != nil || u != (snapshot.Usage{}) {
			t.Errorf("captures are left: %+v %v", u, err)
		}
		b.exec("UPDATE t SET v = 3; UPDATE t SET v = 1 WHERE id = 1; UPDATE t SET v = 2 WHERE id = 2")
		if _, err := b.store.Prune(ctx, b.db, snapshot.PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if left := b.query("SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'dbrollback%'"); len(left) > 0 {
			t.Errorf("tables are left: %v", left)
		}
	}, mysqls...)
}

// TestMySQLBetween: what the application writes while the statements of Down run, each of which commits, is not overwritten.
func TestMySQLBetween(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20), w varchar(20)); INSERT INTO t VALUES (1, 'a', 'a'), (2, 'b', 'b'), (3, 'c', 'c'), (4, 'd', 'd')")
		b.up("UPDATE t SET v = 'up' WHERE id < 4; DELETE FROM t WHERE id = 4; ALTER TABLE t DROP COLUMN w")
		err := b.run(func(s *engine.Session, q engine.Querier) error {
			r, err := b.store.Restorer(ctx, q, 1, "up")
			if err != nil {
				return err
			}
			c := b.store.Begin(snapshot.Meta{Run: "test", Direction: "down", CreatedBy: "test", Migration: 1})
			if err := b.end(s, q, func(q engine.Querier) error { return r.Check(ctx, q) }); err != nil {
				return err
			}
			for i, st := range b.parse("ALTER TABLE t ADD COLUMN w varchar(20); UPDATE t SET v = 'down' WHERE id = 3") {
				b.exec([]string{"UPDATE t SET v = 'app' WHERE id = 1; INSERT INTO t VALUES (4, 'app')", "UPDATE t SET w = 'app' WHERE id = 2"}[i])
				err := b.step(s, q, st, func(q engine.Querier) error {
					return c.Statement(ctx, q, i+1, st, func() error { _, err := q.ExecContext(ctx, st.SQL); return err })
				})
				if err != nil {
					return err
				}
				if i == 0 {
					if err := b.end(s, q, func(q engine.Querier) error { return r.Place(ctx, q) }); err != nil {
						return err
					}
				}
			}
			return b.end(s, q, func(q engine.Querier) error {
				rep, err := r.Finish(ctx, q, snapshot.Keep, c, nil)
				if got := summary(rep); got != "id=1 changed since keep; id=2 changed since keep; id=4 inserted since keep" {
					t.Errorf("conflicts: %s", got)
				}
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(b.query("SELECT id || ' ' || v || ' ' || coalesce(w, 'NULL') FROM t ORDER BY id"), ", "); got != "1 app a, 2 b app, 3 c c, 4 app d" {
			t.Errorf("got %s", got)
		}
	}, mysqls...)
}

// TestMySQLDeclared: what a procedure changes in the tables that the migration names for it is found by comparison.
func TestMySQLDeclared(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); CREATE TABLE u (n integer); INSERT INTO u VALUES (1), (1), (2)",
			"CREATE PROCEDURE p() BEGIN UPDATE t SET v = 'p' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'new'); DELETE FROM u WHERE n = 1; END")
		b.declared = []effects.Effect{{Kind: effects.Replace, Table: effects.Name{Name: "t"}}, {Kind: effects.Replace, Table: effects.Name{Name: "u"}}}
		b.roundTrip("CALL p()", "SELECT 1")
	}, mysqls...)
}

// TestMySQLKept: a dropped table without foreign keys is renamed, whatever its size, and comes back by a rename; what stands in the way
// of that makes a copy of it.
func TestMySQLKept(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn)
		const create = "CREATE TABLE t (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, v varchar(20), KEY (v), FULLTEXT KEY f (v))"
		for _, tc := range []struct {
			name, up, down string
			kind           snapshot.Kind
		}{
			{"one", "DROP TABLE t", create, snapshot.Kept},
			{"two", "DROP TABLE IF EXISTS nowhere, t, u", create + "; CREATE TABLE u (n integer)", snapshot.Kept},
			{"piece by piece", "DROP TABLE t", "CREATE TABLE t (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, v varchar(20)); ALTER TABLE t ADD KEY (v); CREATE FULLTEXT INDEX f ON t (v)", snapshot.Kept},
			{"filled by Down", "DROP TABLE t", create + "; INSERT INTO t VALUES (2, 'down'), (77, 'down'); DELETE FROM t WHERE id = 77", snapshot.Kept},
			{"changed before", "UPDATE t SET v = 'x' WHERE id = 1; DROP TABLE t", create, snapshot.Table},
			{"another one after", "DROP TABLE t; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, w integer); INSERT INTO t VALUES (2, 2)", "DROP TABLE t; " + create, snapshot.Table},
			{"without all", "DROP TABLE t; DROP TABLE keyed", create + "; CREATE TABLE keyed (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES keyed (id))", snapshot.Table},
		} {
			t.Run(tc.name, func(t *testing.T) {
				b.t = t
				b.exec("DROP TABLE IF EXISTS t, u, keyed", create, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (90, 'c'); DELETE FROM t WHERE id = 90",
					"CREATE TABLE u (n integer); INSERT INTO u VALUES (1), (1); CREATE TABLE keyed (id integer NOT NULL PRIMARY KEY, u integer, FOREIGN KEY (u) REFERENCES keyed (id)); INSERT INTO keyed VALUES (1, 1)")
				before := b.rows()
				c := b.up(tc.up)
				captures := slices.DeleteFunc(c.Captures(), func(i snapshot.Info) bool { return i.Kind == snapshot.Rows && i.Rows == 0 }) // keys of rows that give way
				last := captures[len(captures)-1]
				if last.Kind != tc.kind {
					t.Errorf("captured as %s: %+v", last.Kind, last)
				}
				if list, err := b.store.Verify(ctx, b.db, c.Snapshot()); err != nil || !list[len(list)-1].OK {
					t.Errorf("verify: %+v %v", list, err)
				}
				rep := b.down(tc.down, snapshot.Keep)
				if !rep.Verified {
					t.Errorf("report: %+v", rep)
				}
				same(t, "after rollback", before, b.rows())
				if tc.name == "one" {
					b.exec("INSERT INTO t (v) VALUES ('next')")
					if got := b.query("SELECT max(id) FROM t")[0]; got != "91" {
						t.Errorf("the next id is %s", got)
					}
				}
				if _, err := b.store.Prune(ctx, b.db, snapshot.PruneOptions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}, mysqls...)
}

// TestMySQLMend: a restore that is cut off leaves triggers that still work, and that are made again as they were.
func TestMySQLMend(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)); CREATE TABLE log (n integer NOT NULL AUTO_INCREMENT PRIMARY KEY, v varchar(20))",
			"INSERT INTO t VALUES (1, 'a'), (2, 'b')", "CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW BEGIN INSERT INTO log (v) VALUES (concat(NEW.v, '; END IF')); END")
		triggers := func() string {
			return strings.Join(b.query("SELECT concat_ws(' ', trigger_name, action_order, action_statement, definer, sql_mode, character_set_client, collation_connection) FROM information_schema.triggers WHERE trigger_schema = database()"), ", ")
		}
		before := triggers()
		b.up("UPDATE t SET v = 'up'")
		s, err := b.db.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r, err := b.store.Restorer(ctx, s, 1, "up")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Tx(ctx, func(tx *sql.Tx) error { return r.Check(ctx, tx) }); err != nil {
			t.Fatal(err)
		}
		var id string
		err = s.Tx(ctx, func(tx *sql.Tx) error {
			if err := tx.QueryRowContext(ctx, "SELECT connection_id()").Scan(&id); err != nil {
				return err
			}
			// The last thing that the restore does is to write the catalog: there it waits, and is killed.
			holder, err := b.db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer func() { _ = holder.Rollback() }()
			if _, err := holder.ExecContext(ctx, "UPDATE state_snapshots SET bytes = bytes + 1"); err != nil {
				return err
			}
			killed := make(chan struct{})
			go func() {
				defer close(killed)
				waitFor(t, b, "UPDATE `state_snapshots`")
				b.exec("KILL " + id)
			}()
			_, err = r.Finish(ctx, tx, snapshot.Keep, nil, nil)
			<-killed
			return err
		})
		if err == nil {
			t.Fatal("the restore was not cut off")
		}
		if triggers() == before {
			t.Error("the triggers were not exchanged")
		}
		if got := b.query("SELECT count(*) FROM t WHERE v = 'up'")[0]; got != "2" {
			t.Errorf("a part of the restore is there: %s", got)
		}
		b.exec("UPDATE t SET v = 'app' WHERE id = 1")
		if got := b.query("SELECT v FROM log ORDER BY n DESC LIMIT 1")[0]; got != "app; END IF" {
			t.Errorf("the exchanged trigger did not fire: %s", got)
		}
		if err := b.store.Mend(ctx, b.db); err != nil {
			t.Fatal(err)
		}
		same(t, "triggers", before, triggers())
	}, mysqls...)
}

// TestMySQLEngines: tables that take part in no transaction are captured under a lock.
func TestMySQLEngines(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		kinds := []string{"MyISAM", "MEMORY"}
		if b.db.Kind == engine.MariaDB {
			kinds = append(kinds, "Aria")
		}
		for _, kind := range kinds {
			create := "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)) ENGINE = " + kind
			b.exec("DROP TABLE IF EXISTS t", create, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
			if b.db.Kind == engine.MySQL && b.query("SELECT @@GLOBAL.enforce_gtid_consistency")[0] == "ON" {
				before := b.rows()
				for _, up := range []string{"UPDATE t SET v = 'x' WHERE id = 1", "DROP TABLE t", "ALTER TABLE t DROP COLUMN v"} {
					var loss *snapshot.LossError
					if _, err := b.tryUp(up); !errors.As(err, &loss) {
						t.Errorf("%s: %v", up, err)
					}
				}
				same(t, "after the refusals", before, b.rows())
				continue
			}
			b.roundTrip("UPDATE t SET v = 'x' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'new'); REPLACE INTO t VALUES (3, 'r')", "SELECT 1")
			b.roundTrip("ALTER TABLE t DROP COLUMN v", "ALTER TABLE t ADD COLUMN v varchar(20)")
			b.roundTrip("DROP TABLE t", create)
			b.roundTrip("TRUNCATE t", "SELECT 1")
		}
	}, mysqls...)
}

// TestMySQLWide: rows that are as wide as the server takes them are captured.
func TestMySQLWide(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		for _, c := range []struct {
			columns    int
			definition string
		}{{28, "varchar(255) CHARACTER SET latin1"}, {60, "varchar(255) CHARACTER SET utf8mb4"}, {110, "varchar(15) CHARACTER SET utf8mb4"}, {180, "text CHARACTER SET utf8mb4"}} {
			var defs, names, values []string
			for i := range c.columns {
				defs, names, values = append(defs, fmt.Sprintf("c%d %s", i, c.definition)), append(names, fmt.Sprintf("c%d = 'y'", i)), append(values, fmt.Sprintf("'é%d'", i))
			}
			create := "CREATE TABLE t (id varchar(200) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY, " + strings.Join(defs, ", ") + ")"
			b.exec("DROP TABLE IF EXISTS t", create, "INSERT INTO t VALUES ('a', "+strings.Join(values, ", ")+")")
			b.roundTrip("UPDATE t SET "+strings.Join(names, ", "), "SELECT 1")
			b.roundTrip("DELETE FROM t", "SELECT 1")
		}
	}, mysqls...)
}

// TestMySQLSettings: what a migration sets for its session changes neither what is captured nor how it comes back, and is the
// session's again afterwards.
func TestMySQLSettings(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20) CHARACTER SET utf8mb4, moment timestamp NULL); INSERT INTO t VALUES (1, 'é€😀', '2020-10-25 00:30:00'), (2, 'b', '2020-10-25 01:30:00')",
			"CREATE TABLE seen (n integer NOT NULL AUTO_INCREMENT PRIMARY KEY, mode varchar(300), zone varchar(40), checks integer, safe integer, client varchar(40), coll varchar(60))")
		b.exec("CREATE TABLE first LIKE seen")
		const note = "INSERT INTO %s (mode, zone, checks, safe, client, coll) SELECT @@SESSION.sql_mode, @@SESSION.time_zone, @@SESSION.unique_checks, @@SESSION.sql_safe_updates, @@SESSION.character_set_client, @@SESSION.collation_connection"
		const set = "SET NAMES latin1; SET SESSION sql_mode = 'ANSI_QUOTES,NO_ZERO_DATE,STRICT_ALL_TABLES,PIPES_AS_CONCAT', SESSION time_zone = '-03:00', SESSION unique_checks = 0, SESSION sql_safe_updates = 1; "
		before := b.query("SELECT hex(concat_ws('|', id, v, unix_timestamp(moment))) FROM t ORDER BY id")
		b.up(set + fmt.Sprintf(note, "first") + "; UPDATE t SET v = \"v\" || 'x' WHERE id = 1; DELETE FROM t WHERE id = 2; " + fmt.Sprintf(note, "seen"))
		if first, seen := b.query("SELECT concat_ws('|', mode, zone, checks, safe, client, coll) FROM first"), b.query("SELECT concat_ws('|', mode, zone, checks, safe, client, coll) FROM seen"); len(first) != 1 || len(seen) != 1 || first[0] != seen[0] {
			t.Errorf("settings: %v, then %v", first, seen)
		}
		b.down(set+"SELECT 1", snapshot.Keep)
		if after := b.query("SELECT hex(concat_ws('|', id, v, unix_timestamp(moment))) FROM t ORDER BY id"); strings.Join(after, " ") != strings.Join(before, " ") {
			t.Errorf("after rollback %v instead of %v", after, before)
		}
	}, mysqls...)
}

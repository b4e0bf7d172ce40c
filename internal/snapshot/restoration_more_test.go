package snapshot_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreForeignKeys: parents before children, circles, rows that point to themselves; what is still used stays; related tables come
// along when asked.
func TestRestoreForeignKeys(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite:") {
			dsn += "?_pragma=foreign_keys(1)"
		}
		b := newBench(t, dsn,
			"CREATE TABLE customers (id integer NOT NULL PRIMARY KEY, name varchar(20), boss integer REFERENCES customers (id))",
			"CREATE TABLE orders (id integer NOT NULL PRIMARY KEY, customer integer NOT NULL REFERENCES customers (id) ON DELETE CASCADE, total integer)",
			"CREATE TABLE notes (id integer NOT NULL PRIMARY KEY, order_id integer REFERENCES orders (id) ON DELETE SET NULL)",
			"INSERT INTO customers VALUES (3, 'boss', NULL); INSERT INTO customers VALUES (1, 'Ada', 3), (2, 'Alan', 1); UPDATE customers SET boss = 2 WHERE id = 3",
			"INSERT INTO orders VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30)", "INSERT INTO notes VALUES (1, 1), (2, NULL)")
		all := func() string {
			return strings.Join(b.query("SELECT 'c' || id || coalesce(name, '') || coalesce(boss, 0) FROM customers ORDER BY id"), " ") + "; " +
				strings.Join(b.query("SELECT 'o' || id || '/' || customer || '/' || total FROM orders ORDER BY id"), " ") + "; " +
				strings.Join(b.query("SELECT 'n' || id || '/' || coalesce(order_id, 0) FROM notes ORDER BY id"), " ")
		}
		before := all()
		id := b.take("customers", "orders", "notes")
		b.exec("UPDATE customers SET boss = NULL; DELETE FROM customers WHERE id < 3; INSERT INTO customers VALUES (9, 'new', 3), (8, 'free', 9); INSERT INTO orders VALUES (9, 9, 90)")
		written := all()

		// The children alone cannot come back: their parents are gone.
		p, err := b.preview(snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "orders"}}})
		if err != nil {
			t.Fatal(err)
		}
		if got := counts(p); got != "+0 ~0 -0 =1 !3" {
			t.Errorf("orders alone: %s", got)
		}
		if len(p[0].Tied) != 1 || !p[0].Tied[0].Captured || p[0].Tied[0].Rows != 3 || !strings.HasSuffix(p[0].Tied[0].Table, "customers") {
			t.Errorf("tied: %+v", p[0].Tied)
		}
		// The parents alone: a row that came later and is used stays, and one that is not goes.
		ask := snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "customers"}}, Mode: snapshot.Replace}
		if p, err = b.preview(ask); err != nil {
			t.Fatal(err)
		}
		if got := counts(p); got != "+2 ~1 -1 =1 !1" {
			t.Errorf("customers alone: %s", got)
		}
		r := b.restore(ask)
		if got := counts(r.tables); got != "+2 ~1 -1 =1 !1" {
			t.Errorf("customers alone, did: %s", got)
		}
		if len(r.conflicts) != 1 || r.conflicts[0].Reason != "referenced since" {
			t.Errorf("conflicts: %v", r.conflicts)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety})
		if got := all(); got != written {
			t.Fatalf("undone:\n got %s\nwant %s", got, written)
		}
		// All that belongs together.
		r = b.restore(snapshot.Ask{Snapshot: id, Tables: []engine.Name{{Name: "orders"}}, Mode: snapshot.Replace, Related: true})
		if got := all(); got != before {
			t.Errorf("with related:\n got %s\nwant %s", got, before)
		}
		if len(r.tables) != 3 || len(r.conflicts) > 0 {
			t.Errorf("with related: %s %v", counts(r.tables), r.conflicts)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety})
		if got := all(); got != written {
			t.Errorf("undone:\n got %s\nwant %s", got, written)
		}
	}, everywhere...)
}

// TestRestoreUnique: rows that hold each other's unique values come back; one whose value a later row has is a conflict.
func TestRestoreUnique(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, slot integer UNIQUE)",
			"INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', NULL), (4, 'd', 4)")
		rows := func() string {
			return strings.Join(b.query("SELECT id || code || coalesce(slot, 0) FROM t ORDER BY id"), " ")
		}
		id := b.take("t")
		b.exec("UPDATE t SET code = 'x' WHERE id = 1; UPDATE t SET code = 'a' WHERE id = 2; UPDATE t SET code = 'b' WHERE id = 1; UPDATE t SET slot = NULL WHERE id = 1; UPDATE t SET slot = 1 WHERE id = 3")
		r := b.restore(snapshot.Ask{Snapshot: id})
		if got := rows(); got != "1a1 2b2 3c0 4d4" || len(r.conflicts) > 0 {
			t.Errorf("exchanged values: %s %v", got, r.conflicts)
		}
		b.exec("DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (9, 'd', 9); UPDATE t SET slot = 3 WHERE id = 1; INSERT INTO t VALUES (8, 'e', 1)")
		p, err := b.preview(snapshot.Ask{Snapshot: id})
		if err != nil {
			t.Fatal(err)
		}
		if got := counts(p); got != "+0 ~0 -0 =5 !2" { // slot 1, which may be NULL, is taken as code d is
			t.Errorf("preview: %s", got)
		}
		r = b.restore(snapshot.Ask{Snapshot: id})
		if got := rows(); got != "1a3 2b2 3c0 8e1 9d9" {
			t.Errorf("values taken: %s", got)
		}
		if got := fmt.Sprint(counts(r.tables), len(r.conflicts)); got != "+0 ~0 -0 =5 !22" {
			t.Errorf("values taken: %s %v", got, r.conflicts)
		}
		b.restore(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace})
		if got := rows(); got != "1a1 2b2 3c0 4d4" {
			t.Errorf("replaced: %s", got)
		}
	}, everywhere...)
}

// TestRestoreWithoutKey: rows that cannot be known again are not guessed at.
func TestRestoreWithoutKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (a integer, b varchar(9)); INSERT INTO t VALUES (1, 'a'), (1, 'a'), (1, 'a'), (2, NULL), (3, 'c')")
		rows := func() string {
			return strings.Join(b.query("SELECT a || coalesce(b, 'NULL') FROM t ORDER BY 1"), " ")
		}
		id := b.take("t")
		b.exec("DELETE FROM t WHERE a = 2; UPDATE t SET b = 'x' WHERE a = 3; INSERT INTO t VALUES (1, 'a'), (9, 'new')")
		written := b.rows()
		var unsafe *snapshot.UnsafeError
		if _, err := b.tryRestore(snapshot.Ask{Snapshot: id}); !errors.As(err, &unsafe) || !strings.Contains(unsafe.Hint, "--mode replace") {
			t.Errorf("merge: %v", err)
		}
		if _, err := b.tryRestore(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace, Where: "a = 1"}); !errors.As(err, &unsafe) {
			t.Errorf("where: %v", err)
		}
		same(t, "after the refusals", written, b.rows())
		ask := snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}
		p, err := b.preview(ask)
		if err != nil {
			t.Fatal(err)
		}
		if got := counts(p); got != "+2 ~0 -3 =3 !0" {
			t.Errorf("preview: %s", got)
		}
		r := b.restore(ask)
		if got := rows(); got != "1a 1a 1a 2NULL 3c" {
			t.Errorf("replace: %s", got)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety, Mode: snapshot.Replace})
		same(t, "undone", written, b.rows())
	}, everywhere...)
}

// TestRestoreQuietly: triggers do not fire, and are there afterwards; generators of numbers do not go back; identities that are always
// generated and columns that are computed come back.
func TestRestoreQuietly(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE log (what text)")
		if !b.db.Caps.TransactionalDDL {
			b.exec("CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED)",
				"CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW INSERT INTO log VALUES ('INSERT')", "CREATE TRIGGER h AFTER UPDATE ON t FOR EACH ROW INSERT INTO log VALUES ('UPDATE')",
				"CREATE TRIGGER i AFTER DELETE ON t FOR EACH ROW INSERT INTO log VALUES ('DELETE')")
		} else if b.db.Kind == engine.Postgres {
			b.exec("CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED, num bigint GENERATED ALWAYS AS IDENTITY)")
			b.exec("ALTER TABLE t DROP COLUMN num", "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES (TG_OP); RETURN coalesce(NEW, OLD); END$$",
				"CREATE TRIGGER g BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()", "ALTER TABLE t ENABLE ALWAYS TRIGGER g")
		} else {
			b.exec("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED)",
				"CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES ('INSERT'); END", "CREATE TRIGGER h AFTER UPDATE ON t BEGIN INSERT INTO log VALUES ('UPDATE'); END",
				"CREATE TRIGGER i AFTER DELETE ON t BEGIN INSERT INTO log VALUES ('DELETE'); END")
		}
		b.exec("INSERT INTO t (n) VALUES (1), (2), (3), (4)")
		id := b.take("t")
		b.exec("UPDATE t SET n = 9 WHERE id = 1; DELETE FROM t WHERE id > 2; INSERT INTO t (n) VALUES (5), (6); DELETE FROM t WHERE n = 6")
		fired := len(b.query("SELECT what FROM log"))
		r := b.restore(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace})
		if got := strings.Join(b.query("SELECT id || '/' || n || '/' || twice FROM t ORDER BY id"), " "); got != "1/1/2 2/2/4 3/3/6 4/4/8" {
			t.Errorf("rows: %s", got)
		}
		if got := len(b.query("SELECT what FROM log")); got != fired {
			t.Errorf("triggers fired %d times", got-fired)
		}
		b.exec("INSERT INTO t (n) VALUES (7)")
		if got := strings.Join(b.query("SELECT id FROM t WHERE n = 7"), " "); got != "7" {
			t.Errorf("the next number is %s, want 7: 5 and 6 were handed out", got)
		}
		if got := len(b.query("SELECT what FROM log")); got != fired+1 {
			t.Errorf("the trigger is not there any more: %d, want %d", got, fired+1)
		}
		b.restore(snapshot.Ask{Snapshot: r.safety})
		if got := strings.Join(b.query("SELECT id || '/' || n FROM t ORDER BY id"), " "); got != "1/9 2/2 5/5 7/7" {
			t.Errorf("undone: %s", got)
		}
	}, everywhere...)
}

// TestRestoreRefusals: what is not there, or not what it was, is said in one line, and nothing is written.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer); INSERT INTO t VALUES (1, 10), (2, 20)", "CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE other (id integer PRIMARY KEY)")
		name := func(n string) []engine.Name { return []engine.Name{{Name: n}} }
		var nothing *snapshot.NothingError
		if _, err := b.tryRestore(snapshot.Ask{Tables: name("t"), At: time.Now()}); !errors.As(err, &nothing) || !strings.Contains(nothing.Message, "nothing was ever captured") {
			t.Errorf("no catalog: %v", err)
		}
		early := time.Now()
		id := b.take("t")
		b.exec("UPDATE t SET a = 0")
		before := b.rows()
		for _, tc := range []struct {
			name, want string
			ask        snapshot.Ask
		}{
			{"unknown table", "there is no table nope", snapshot.Ask{Tables: name("nope"), Snapshot: id}},
			{"a view", "is a view, not a table", snapshot.Ask{Tables: name("v"), At: time.Now()}},
			{"our own", "table of dbrollback's own", snapshot.Ask{Tables: []engine.Name{b.db.Own("state_snapshots")}, At: time.Now()}},
			{"too early", "captures that do are from", snapshot.Ask{Tables: name("t"), At: early.Add(-time.Hour)}},
			{"never captured", "none holds it whole at any time", snapshot.Ask{Tables: name("other"), At: time.Now()}},
			{"another snapshot", `there is no snapshot "01a20570-917c-7000-b9b8-a3ae98a8adf2" in this database`, snapshot.Ask{Snapshot: "01a20570-917c-7000-b9b8-a3ae98a8adf2"}},
			{"not of it", "holds nothing of", snapshot.Ask{Tables: name("other"), Snapshot: id}},
			{"no such migration", "there are no captures of migration 7", snapshot.Ask{Tables: name("t"), Migration: 7, HasMigration: true}},
			{"no condition", "is not a condition that only reads", snapshot.Ask{Snapshot: id, Where: "1 = 1); DELETE FROM t; SELECT (1"}},
			{"two conditions", "is not a condition that only reads", snapshot.Ask{Snapshot: id, Where: "1 = 1) UNION SELECT 2 WHERE (1 = 1); DROP TABLE t --"}},
			{"unknown column", "--where:", snapshot.Ask{Snapshot: id, Where: "nope = 1"}},
			{"no such column", "was captured without a column nope", snapshot.Ask{Snapshot: id, Columns: []string{"nope"}}},
			{"map from nothing", "was captured without a column nope", snapshot.Ask{Snapshot: id, Map: map[string]string{"nope": "a"}}},
			{"map to nothing", "has no column nope", snapshot.Ask{Snapshot: id, Map: map[string]string{"a": "nope"}}},
			{"copy over a table", "already", snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: engine.Name{Name: "other"}}},
			{"copy into ours", "dbrollback's own", snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: b.db.Own("dbrollback_mine")}},
		} {
			for what, try := range map[string]func(snapshot.Ask) error{
				"preview": func(a snapshot.Ask) error { _, err := b.preview(a); return err },
				"restore": func(a snapshot.Ask) error { _, err := b.tryRestore(a); return err },
			} {
				if err := try(tc.ask); err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s, %s: %v", tc.name, what, err)
				}
			}
		}
		same(t, "nothing was to be written", before, b.rows())
		table := b.query("SELECT location FROM " + b.db.Quote(b.db.Own("state_snapshots")))[0]
		b.exec("UPDATE " + table + " SET c2 = 11 WHERE c2 = 10")
		var damaged *snapshot.DamagedError
		if _, err := b.preview(snapshot.Ask{Snapshot: id}); !errors.As(err, &damaged) {
			t.Errorf("tampered with: %v", err)
		}
		if _, err := b.tryRestore(snapshot.Ask{Snapshot: id}); !errors.As(err, &damaged) {
			t.Errorf("tampered with: %v", err)
		}
		b.exec("DROP TABLE " + table)
		if _, err := b.tryRestore(snapshot.Ask{Snapshot: id}); !errors.As(err, &damaged) || !strings.Contains(err.Error(), "its data is gone") {
			t.Errorf("dropped: %v", err)
		}
		same(t, "nothing was to be written", before, b.rows())
	}, everywhere...)
}

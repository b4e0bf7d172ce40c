package snapshot_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestMySQLEmptied: a table that TRUNCATE empties is exchanged for an empty one with all that it has, and comes back by another exchange, when
// nobody has written to it; else its rows are told apart.
func TestMySQLEmptied(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		ctx := context.Background()
		b := newBench(t, dsn)
		const table = `CREATE TABLE items (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'x AUTO_INCREMENT=7', v varchar(20) CHARACTER SET latin1 DEFAULT 'd', at timestamp NULL ON UPDATE CURRENT_TIMESTAMP,
			twice varchar(40) AS (concat(v, v)) STORED, UNIQUE KEY u (v), FULLTEXT KEY f (v)) AUTO_INCREMENT = 50 COMMENT = 'it has ) AUTO_INCREMENT=9' ROW_FORMAT = DYNAMIC`
		const parted = "CREATE TABLE items (id integer NOT NULL AUTO_INCREMENT PRIMARY KEY, v varchar(20)) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (51), PARTITION b VALUES LESS THAN MAXVALUE)"
		for _, tc := range []struct {
			name, table, up, down, between string
			kind, after                    snapshot.Kind // of the capture, and what became of it
			rows                           string        // in the end; "" for as before
			conflicts                      int
		}{
			{name: "alone", up: "TRUNCATE items", down: "SELECT 1", kind: snapshot.Kept, after: snapshot.Kept},
			{name: "partitioned", table: parted, up: "TRUNCATE TABLE `items`", down: "SELECT 1", kind: snapshot.Kept, after: snapshot.Kept},
			{name: "beside another statement", up: "TRUNCATE items; UPDATE other SET n = n + 1", down: "UPDATE other SET n = n - 1", kind: snapshot.Kept, after: snapshot.Kept},
			{name: "written since", up: "TRUNCATE items", down: "SELECT 1", between: "INSERT INTO items (id, v) VALUES (50, 'mine'), (60, 'new')", kind: snapshot.Kept, after: snapshot.Table, rows: "50 mine,51 b,60 new", conflicts: 1},
			{name: "numbered since", up: "TRUNCATE items", down: "SELECT 1", between: "INSERT INTO items (id, v) VALUES (500, 'x'); DELETE FROM items", kind: snapshot.Kept, after: snapshot.Kept},
			{name: "altered since", up: "TRUNCATE items", down: "SELECT 1", between: "ALTER TABLE items ADD KEY later (v)", kind: snapshot.Kept, after: snapshot.Table, rows: "50 a,51 b"},
			{name: "filled by Down", up: "TRUNCATE items", down: "INSERT INTO items (id, v) VALUES (77, 'down')", kind: snapshot.Kept, after: snapshot.Table, rows: "50 a,51 b,77 down"},
			{name: "filled by Up", up: "TRUNCATE items; INSERT INTO items (id, v) VALUES (50, 'up'), (3, 'seed')", down: "DELETE FROM items", kind: snapshot.Table, after: snapshot.Table},
			{name: "filled by a trigger", up: "TRUNCATE items; INSERT INTO loud VALUES (9)", down: "SELECT 1", kind: snapshot.Table, after: snapshot.Table},
			{name: "changed before", up: "UPDATE items SET v = 'z' WHERE id = 50; TRUNCATE items", down: "SELECT 1", kind: snapshot.Table, after: snapshot.Table},
			{name: "without a key", table: "CREATE TABLE items (id integer, v varchar(20))", up: "TRUNCATE items", down: "SELECT 1", kind: snapshot.Table, after: snapshot.Table},
			{name: "with a foreign key", table: "CREATE TABLE items (id integer NOT NULL PRIMARY KEY, v varchar(20), o integer, FOREIGN KEY (o) REFERENCES other (id))", up: "TRUNCATE items", down: "SELECT 1", kind: snapshot.Table, after: snapshot.Table},
		} {
			t.Run(tc.name, func(t *testing.T) {
				b.t = t
				if tc.table == "" {
					tc.table = table
				}
				b.exec("DROP TABLE IF EXISTS items, other, loud", "CREATE TABLE other (id integer NOT NULL PRIMARY KEY, n integer); INSERT INTO other VALUES (1, 1)",
					"CREATE TABLE loud (id integer NOT NULL PRIMARY KEY)")
				b.exec(tc.table, "INSERT INTO items (id, v) VALUES (50, 'a'), (51, 'b')", "CREATE TRIGGER tr AFTER INSERT ON loud FOR EACH ROW INSERT INTO items (id, v) VALUES (NEW.id, 'loud')",
					"CREATE OR REPLACE VIEW seen AS SELECT id FROM items")
				define := func() string {
					return b.query("SELECT table_comment FROM information_schema.tables WHERE table_name = 'items' AND table_schema = database()")[0] + testdb.Dump(t, dsn)
				}
				before, rows := define(), b.rows()
				c := b.up(tc.up)
				at := c.Captures()[slices.IndexFunc(c.Captures(), func(x snapshot.Info) bool {
					return x.Table == "items" && x.Statement == 1+strings.Count(tc.name, "before")
				})]
				if at.Kind != tc.kind {
					t.Fatalf("captured as %s", at.Kind)
				}
				if got := b.query("SELECT count(*) FROM seen WHERE id >= 50")[0]; !strings.Contains(tc.name, "filled by Up") && got != "0" {
					t.Errorf("%s rows are left", got)
				}
				if tc.kind == snapshot.Kept {
					if list, err := b.store.Verify(ctx, b.db, c.Snapshot()); err != nil || !list[0].OK {
						t.Errorf("verify: %+v %v", list, err)
					}
				}
				if tc.between != "" {
					b.exec(strings.Split(tc.between, "; ")...)
				}
				rep := b.down(tc.down, snapshot.Keep)
				if !rep.Verified || len(rep.Conflicts) != tc.conflicts {
					t.Errorf("report: %+v", rep)
				}
				if got := b.query("SELECT kind FROM state_snapshots WHERE id = ?", at.ID)[0]; got != string(tc.after) {
					t.Errorf("the capture went back as %s, want %s", got, tc.after)
				}
				if tc.rows == "" {
					same(t, "rows after rollback", rows, b.rows())
					if tc.between == "" {
						same(t, "all after rollback", before, define())
					}
				} else if got := strings.Join(b.query("SELECT concat(id, ' ', v) FROM items ORDER BY id"), ","); got != tc.rows {
					t.Errorf("rows: %s, want %s", got, tc.rows)
				}
				if tc.name == "numbered since" {
					b.exec("INSERT INTO items (v) VALUES ('next')")
					if got := b.query("SELECT id FROM items WHERE v = 'next'")[0]; got != "501" {
						t.Errorf("the next id is %s: one was handed out twice", got)
					}
				}
				if got := b.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND (table_name LIKE 'dbrollback\\_late\\_%' OR table_name LIKE 'dbrollback\\_move\\_%')")[0]; got != "0" {
					t.Errorf("%s tables are left over", got)
				}
				if _, err := b.store.Prune(ctx, b.db, snapshot.PruneOptions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}, mysqls...)
}

// TestMySQLEmptiedBesideFourBytes: while a statement of another session has characters that MySQL's list of sessions cannot hold, nobody can read the list.
// The exchange waits until it can.
func TestMySQLEmptiedBesideFourBytes(t *testing.T) {
	t.Parallel()
	dsn := testdb.PrivateMySQL(t).DSN // nor can other tests
	b := newBench(t, dsn, "CREATE TABLE items (id integer NOT NULL PRIMARY KEY, v varchar(20))", "INSERT INTO items VALUES (1, 'a'), (2, 'b')")
	other := testdb.Open(t, dsn)
	listed := func() error {
		var n int
		return b.db.QueryRowContext(t.Context(), "SELECT count(*) FROM information_schema.processlist WHERE state LIKE 'Waiting%'").Scan(&n)
	}
	before := b.rows()
	ended := make(chan error, 1)
	go func() {
		var n int
		ended <- other.QueryRow("SELECT sleep(2) + length('😀')").Scan(&n)
	}()
	for !engine.Unlistable(listed()) {
		select {
		case err := <-ended:
			t.Fatalf("the other statement is over (%v), and the list could be read all the while", err)
		default:
		}
	}
	b.up("TRUNCATE items")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := b.query("SELECT count(*) FROM items")[0]; got != "0" {
		t.Errorf("%s rows are left", got)
	}
	b.down("SELECT 1", snapshot.Fail)
	if got := b.rows(); got != before {
		t.Errorf("%s, before %s", got, before)
	}
}

package snapshot_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// summary spells conflicts for comparison.
func summary(rep snapshot.Report) string {
	var out []string
	for _, c := range rep.Conflicts {
		out = append(out, fmt.Sprintf("%s %s %s", c.Key, c.Reason, c.Resolved))
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// TestWritesAfter: what the application wrote after a migration survives its rollback, and is a conflict where the
// migration had captured the same place.
func TestWritesAfter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, up, down  string
		writes          string
		keep, restore   string // rows "id a b" after rollback
		keeps, restores string // conflicts
		refused         bool   // under Fail
		onlyWith        string
		mysql           string // up as MySQL spells it
	}{
		{
			name: "update", up: "UPDATE t SET b = 'up' WHERE a <= 40", down: "SELECT 1",
			writes: "UPDATE t SET b = 'app' WHERE id = 1; UPDATE t SET a = 21 WHERE id = 2; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (9, 90, 'new'); UPDATE t SET b = 'app' WHERE id = 6",
			keep:   "1 10 app, 2 21 b2, 4 40 b4, 5 50 b5, 6 60 app, 9 90 new", keeps: "id=1 changed since keep; id=3 deleted since keep",
			restore: "1 10 b1, 2 21 b2, 4 40 b4, 5 50 b5, 6 60 app, 9 90 new", restores: "id=1 changed since restore; id=3 deleted since keep", refused: true,
		},
		{
			name: "update untouched", up: "UPDATE t SET b = 'up' WHERE a <= 40", down: "SELECT 1",
			writes: "UPDATE t SET b = 'app' WHERE id = 5; UPDATE t SET a = 21 WHERE id = 2; INSERT INTO t VALUES (9, 90, 'new'); DELETE FROM t WHERE id = 6",
			keep:   "1 10 b1, 2 21 b2, 3 30 b3, 4 40 b4, 5 50 app, 9 90 new",
		},
		{
			name: "delete", up: "DELETE FROM t WHERE a <= 30", down: "SELECT 1",
			writes: "INSERT INTO t VALUES (1, 11, 'again'); UPDATE t SET b = 'app' WHERE id = 4; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 11 again, 2 20 b2, 3 30 b3, 4 40 app, 5 50 b5, 6 60 b6, 9 90 new", keeps: "id=1 inserted since keep",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 app, 5 50 b5, 6 60 b6, 9 90 new", restores: "id=1 inserted since restore", refused: true,
		},
		{
			name: "drop column", up: "ALTER TABLE t DROP COLUMN b", down: "ALTER TABLE t ADD COLUMN b varchar(20) DEFAULT 'def'",
			writes: "UPDATE t SET a = 11 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 90)",
			keep:   "1 11 b1, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 def", keeps: "id=2 deleted since keep",
			restore: "1 11 b1, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 def", restores: "id=2 deleted since keep", refused: true,
		},
		{
			name: "alter type", up: "ALTER TABLE t ALTER COLUMN a TYPE text USING 'n' || a", down: "ALTER TABLE t ALTER COLUMN a TYPE integer USING substr(a, 2)::integer",
			writes: "UPDATE t SET a = 'n11' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (9, 'n90', 'new')", onlyWith: "postgres",
			keep: "1 11 b1, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "id=1 changed since keep; id=2 deleted since keep",
			restore: "1 10 b1, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "id=1 changed since restore; id=2 deleted since keep", refused: true,
		},
		{
			name: "insert", up: "INSERT INTO t VALUES (7, 70, 'b7'), (8, 80, 'b8'), (9, 90, 'b9')", down: "SELECT 1",
			writes: "UPDATE t SET a = 71 WHERE id = 7; DELETE FROM t WHERE id = 8",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 7 71 b7", keeps: "id=7 changed since keep",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6", restores: "id=7 changed since restore", refused: true,
		},
		{
			name: "moved keys", up: "UPDATE t SET id = id + 100 WHERE a <= 30", down: "SELECT 1",
			writes: "UPDATE t SET b = 'app' WHERE id = 101; DELETE FROM t WHERE id = 102; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 10 app, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "id=2 deleted since keep",
			restore: "1 10 app, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "id=2 deleted since keep", refused: true,
		},
		{
			name: "moved keys, moved back", up: "UPDATE t SET id = id + 100, b = 'up'", down: "UPDATE t SET id = id - 100",
			writes: "UPDATE t SET a = 11 WHERE id = 101; UPDATE t SET b = 'app' WHERE id = 103; INSERT INTO t VALUES (109, 90, 'new')",
			keep:   "1 11 b1, 2 20 b2, 3 30 app, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", keeps: "id=3 changed since keep",
			restore: "1 11 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "id=3 changed since restore", refused: true,
		},
		{
			name: "drop table", up: "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, b varchar(20)); INSERT INTO n SELECT id, b FROM t; DROP TABLE t",
			down:   "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20)); INSERT INTO t (id, a, b) SELECT id, 0, b FROM n; DROP TABLE n",
			writes: "INSERT INTO n VALUES (9, 'new'); UPDATE n SET b = 'app' WHERE id = 1",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 0 new",
		},
		{
			name: "rebuild", up: "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, b varchar(20)); INSERT INTO n SELECT id, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
			down:   "CREATE TABLE n (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20)); INSERT INTO n (id, a, b) SELECT id, 0, b FROM t; DROP TABLE t; ALTER TABLE n RENAME TO t",
			writes: "INSERT INTO t VALUES (9, 'new'); UPDATE t SET b = 'app' WHERE id = 1; DELETE FROM t WHERE id = 2",
			keep:   "1 10 app, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 0 new", keeps: "id=1 changed since keep; id=2 deleted since keep",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 0 new", restores: "id=1 changed since restore; id=2 deleted since restore", refused: true,
		},
		{
			name: "upsert", up: "INSERT INTO t VALUES (1, 1, 'up'), (7, 70, 'up') ON CONFLICT (id) DO UPDATE SET b = excluded.b", down: "SELECT 1",
			mysql:  "INSERT INTO t VALUES (1, 1, 'up'), (7, 70, 'up') ON DUPLICATE KEY UPDATE b = VALUES(b)",
			writes: "UPDATE t SET a = 11 WHERE id = 1; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 11 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new",
		},
		{
			name: "inserted and removed again", up: "INSERT INTO t VALUES (7, 70, 'up'); DELETE FROM t WHERE id = 7", down: "SELECT 1",
			writes: "INSERT INTO t VALUES (7, 71, 'app')",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 7 71 app", keeps: "id=7 inserted since keep; id=7 inserted since keep",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6", restores: "id=7 inserted since restore; id=7 inserted since restore", refused: true,
		},
		{
			name: "replace", up: "INSERT OR REPLACE INTO t VALUES (1, 1, 'up'), (7, 70, 'up')", down: "SELECT 1", onlyWith: "sqlite",
			mysql:  "REPLACE INTO t VALUES (1, 1, 'up'), (7, 70, 'up')",
			writes: "UPDATE t SET a = 11 WHERE id = 7; INSERT INTO t VALUES (9, 90, 'new')",
			keep:   "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 7 11 up, 9 90 new", keeps: "id=7 changed since keep",
			restore: "1 10 b1, 2 20 b2, 3 30 b3, 4 40 b4, 5 50 b5, 6 60 b6, 9 90 new", restores: "id=7 changed since restore", refused: true,
		},
	} {
		if tc.restore == "" {
			tc.restore, tc.restores = tc.keep, tc.keeps
		}
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				tc := tc
				if tc.onlyWith != "" && !strings.HasPrefix(dsn, tc.onlyWith) && !(mysqlLike(dsn) && tc.mysql != "") {
					return
				}
				if mysqlLike(dsn) && tc.mysql != "" {
					tc.up = tc.mysql
				}
				b := newBench(t, dsn)
				fresh := func() {
					b.exec("DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS n; CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20))")
					b.exec("INSERT INTO t VALUES (1, 10, 'b1'), (2, 20, 'b2'), (3, 30, 'b3'), (4, 40, 'b4'), (5, 50, 'b5'), (6, 60, 'b6')")
					b.up(tc.up)
					b.exec(tc.writes)
				}
				rows := func() string {
					return strings.Join(b.query("SELECT id || ' ' || coalesce(a, -1) || ' ' || coalesce(b, 'NULL') FROM t ORDER BY id"), ", ")
				}
				fresh()
				written := b.rows()
				_, err := b.tryBack("down", tc.down, snapshot.Fail)
				var refused *snapshot.ConflictError
				if got := errors.As(err, &refused); got != tc.refused || err != nil && !got {
					t.Errorf("fail: %v", err)
				}
				if tc.refused {
					same(t, "after the refusal", written, b.rows())
				} else {
					fresh()
				}
				rep := b.down(tc.down, snapshot.Keep)
				if got := rows(); got != tc.keep {
					t.Errorf("keep:\n got %s\nwant %s", got, tc.keep)
				}
				if got := summary(rep); got != tc.keeps || !rep.Verified {
					t.Errorf("keep: conflicts\n got %s\nwant %s", got, tc.keeps)
				}
				fresh()
				rep = b.down(tc.down, snapshot.Restore)
				if got := rows(); got != tc.restore {
					t.Errorf("restore:\n got %s\nwant %s", got, tc.restore)
				}
				if got := summary(rep); got != tc.restores || !rep.Verified {
					t.Errorf("restore: conflicts\n got %s\nwant %s", got, tc.restores)
				}
			}, everywhere...)
		})
	}
}

// TestRestoreIsUndone: what a rollback restored over comes back with the next up.
func TestRestoreIsUndone(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, b varchar(20)); INSERT INTO t VALUES (1, 'b1'), (2, 'b2')")
		b.up("UPDATE t SET b = 'up'")
		b.exec("UPDATE t SET b = 'app' WHERE id = 1")
		b.down("SELECT 1", snapshot.Restore)
		if got := strings.Join(b.query("SELECT b FROM t ORDER BY id"), " "); got != "b1 b2" {
			t.Fatalf("after restore: %s", got)
		}
		b.again("UPDATE t SET b = 'up'")
		if got := strings.Join(b.query("SELECT b FROM t ORDER BY id"), " "); got != "app up" {
			t.Errorf("after up again: %s", got)
		}
	}, everywhere...)
}

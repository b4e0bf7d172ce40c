package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRowsWithoutAKeyBackAndForth: rows of a table without a key come back as soon as the last of their columns is there. A statement
// after that which only inserts captures the table whole: as it was before they came back. Else the next run the other way, which is
// proved against that capture, would leave rows that are the migration's, or take them out.
func TestRowsWithoutAKeyBackAndForth(t *testing.T) {
	t.Parallel()
	const wide = "CREATE TABLE t (id integer, a integer, b integer);\nINSERT INTO t VALUES (1, 10, 100), (2, 20, 200);"
	const narrow = "CREATE TABLE t (id integer, a integer);\nINSERT INTO t VALUES (1, 10), (2, 20);"
	for _, tc := range []struct{ name, setup, up, down, write, done, undone string }{
		{
			"up inserts", narrow, "ALTER TABLE t ADD COLUMN n integer DEFAULT 3;\nUPDATE t SET n = 6 WHERE a < 15;\nINSERT INTO t (id, a, n) VALUES (54, 3, -3);",
			"ALTER TABLE t DROP COLUMN n;", "", "1 10, 2 20, 54 3", "1 10, 2 20",
		},
		{
			"down inserts", wide, "INSERT INTO t (id, a) VALUES (55, 1);\nALTER TABLE t DROP COLUMN b;",
			"ALTER TABLE t ADD COLUMN b integer;\nINSERT INTO t (id, a) VALUES (77, 1);", "INSERT INTO t (id, a) VALUES (9, 9);", "1 10, 2 20, 9 9, 55 1", "1 10, 2 20, 9 9",
		},
		{
			"only down writes", narrow, "ALTER TABLE t ADD COLUMN n integer DEFAULT 3;", "DELETE FROM t WHERE id > 100;\nALTER TABLE t DROP COLUMN n;",
			"INSERT INTO t (id, a) VALUES (101, 1);", "1 10, 2 20, 101 1", "1 10, 2 20",
		},
		{
			"down empties", wide, "ALTER TABLE t DROP COLUMN b;\nINSERT INTO t SELECT id + 50, a FROM t WHERE id = 1;",
			"ALTER TABLE t ADD COLUMN b integer;\nTRUNCATE TABLE t;", "", "1 10, 2 20, 51 10", "1 10, 2 20",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				down := tc.down
				if strings.HasPrefix(dsn, "sqlite") {
					down = strings.Replace(down, "TRUNCATE TABLE", "DELETE FROM", 1)
				}
				f := newFixture(t, dsn, tc.setup, map[string]string{"00001_a.sql": migration(tc.up, down)})
				dump := func() string { return testdb.DumpAnyOrder(t, dsn) }
				is := func(when, want string) {
					t.Helper()
					if got := strings.ReplaceAll(strings.Join(testdb.Query(t, dsn, "SELECT id, a FROM t ORDER BY id"), ", "), "|", " "); got != want {
						t.Errorf("%s: %s, want %s", when, got, want)
					}
				}
				f.up()
				f.exec(tc.write)
				var done, undone string
				for i := range 3 {
					is("up", tc.done)
					if now := dump(); i == 0 {
						done = now
					} else {
						f.same(done, now, "up again")
					}
					f.rollback(migrate.RollbackRequest{OnConflict: snapshot.Fail})
					is("back", tc.undone)
					if now := dump(); i == 0 {
						undone = now
					} else {
						f.same(undone, now, "back again")
					}
					f.up()
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestKeyOfATableMadeAnew: a table without a key is dropped, and made anew with one; what Down captures of that one is known by a key that several rows of the
// first have.
func TestKeyOfATableMadeAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE sums (sku varchar(10) NOT NULL, n integer);\nINSERT INTO sums VALUES ('a', 3), ('b', 7), ('b', 7), ('b', 8);\n", map[string]string{
			"00001_a.sql": migration("DROP TABLE sums;\nCREATE TABLE sums (sku varchar(10) NOT NULL PRIMARY KEY, n integer);\nINSERT INTO sums VALUES ('a', 3), ('b', 9);",
				"DROP TABLE sums;\nCREATE TABLE sums (sku varchar(10) NOT NULL, n integer);"),
		})
		same := func(want string) {
			t.Helper()
			if diff := testdb.Diff(want, testdb.DumpAnyOrder(t, dsn)); diff != "" {
				t.Errorf("the database differs (- want, + now):\n%s", diff)
			}
		}
		before := testdb.DumpAnyOrder(t, dsn)
		f.up()
		after := testdb.DumpAnyOrder(t, dsn)
		for range 2 {
			if res := f.rollback(migrate.RollbackRequest{To: 0}); len(res.Conflicts) > 0 {
				t.Errorf("conflicts: %+v", res.Conflicts)
			}
			same(before)
			f.up()
			same(after)
		}
		f.exec("INSERT INTO sums VALUES ('c', 1);\n")
		written := testdb.DumpAnyOrder(t, dsn)
		f.rollback(migrate.RollbackRequest{To: 0})
		f.up()
		same(written)
	}, testdb.Everywhere()...)
}

// TestDownEmptiesATableWithoutAKey: rows that were written since and that a DELETE in Down removes are told of, and the next up brings them back.
func TestDownEmptiesATableWithoutAKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, events, map[string]string{"00001_x.sql": migration("INSERT INTO event VALUES (9, 's');", "DELETE FROM event;")})
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT a, b FROM event ORDER BY a, b"), " ")
		}
		f.up()
		f.exec("INSERT INTO event (a, b) VALUES (7, 'n');\nUPDATE event SET b = 'w' WHERE a = 3;\nDELETE FROM event WHERE a = 2;\n")
		after := rows()
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if !slices.ContainsFunc(res.Warnings, func(w string) bool { return strings.Contains(w, "of the rows that were written since, Down removed 4") }) {
			t.Errorf("warnings %q", res.Warnings)
		}
		if got, want := rows(), "1|x 1|x"; got != want {
			t.Errorf("rolled back: %s, want %s", got, want)
		}
		f.up()
		if got := rows(); got != after {
			t.Errorf("up again: %s, want %s", got, after)
		}
	}, testdb.Everywhere()...)
}

// TestUniqueTakenWithoutAKey: a column that may be NULL is unique in a table without a key, and the application has taken a value that is to come back. A row that
// cannot come back is a conflict; where rows would go for it, all stay as they are.
func TestUniqueTakenWithoutAKey(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		up, want  string
		conflicts int
	}{
		"deleted": {"DELETE FROM badge WHERE a IN (1, 4);", "2|20|y 3|NULL|z 4|40|v 7|10|n", 1},
		"changed": {"UPDATE badge SET u = u + 100 WHERE a < 4;", "1|110|x 2|120|y 3|NULL|z 4|40|v 7|10|n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE badge (a integer, u integer UNIQUE, b varchar(9));\nINSERT INTO badge VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, 'z'), (4, 40, 'v');\n",
					map[string]string{"00001_x.sql": migration(tc.up, "SELECT 1;")})
				f.up()
				f.exec("INSERT INTO badge VALUES (7, 10, 'n');\n")
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT * FROM badge ORDER BY a"), " "); got != tc.want {
					t.Errorf("rows %s, want %s", got, tc.want)
				}
				if len(res.Conflicts) != tc.conflicts || slices.ContainsFunc(res.Conflicts, func(c snapshot.Conflict) bool { return c.Reason != "unique value taken" }) {
					t.Errorf("conflicts %v", res.Conflicts)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestRenamedAndMadeAnewWithoutAKey: a table is renamed, and another one takes its new name: what that one holds goes with the rollback, also when the up was cut off on its way.
func TestRenamedAndMadeAnewWithoutAKey(t *testing.T) {
	t.Parallel()
	const made = "CREATE TABLE anew (a integer, b varchar(9));\nINSERT INTO anew SELECT a, upper(b) FROM happened;\nDROP TABLE happened;\nALTER TABLE anew RENAME TO happened;"
	for name, up := range map[string]string{"renamed": "", "and written": "UPDATE event SET b = 'w' WHERE a = 2;\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				text := migration(up+"ALTER TABLE event RENAME TO happened;\n"+made, "ALTER TABLE happened RENAME TO event;")
				f := newFixture(t, dsn, events, map[string]string{"00001_x.sql": text})
				before := testdb.DumpAnyOrder(t, dsn)
				back := func(when string) {
					t.Helper()
					if res := f.rollback(migrate.RollbackRequest{Steps: 1}); len(res.Conflicts) > 0 {
						t.Errorf("%s: conflicts: %v", when, res.Conflicts)
					}
					if diff := testdb.Diff(before, testdb.DumpAnyOrder(t, dsn)); diff != "" {
						t.Errorf("%s: not as before:\n%s", when, diff)
					}
				}
				for range 2 {
					f.up()
					back("back")
				}
				if !strings.HasPrefix(dsn, "m") {
					return
				}
				c := &cutter{T: t, dsn: dsn, files: f.files}
				if at, err := c.cutWhere("up", afterAnswer, func(query string) bool { return query == "ALTER TABLE anew RENAME TO happened" }); err == nil {
					t.Fatalf("up was not cut off: %q", at)
				}
				c.must("recover")
				back("after recover")
			}, testdb.Everywhere()...)
		})
	}
}

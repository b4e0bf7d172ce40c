package migrate_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// nullableKeys are migrations of tables whose primary key SQLite lets be NULL, as it does with each one of text and with those of several columns.
var nullableKeys = []struct {
	name, up, down, writes string
	want                   []string // after a rollback behind the writes
	conflicts              int
}{
	{name: "a dropped column", up: "ALTER TABLE s DROP COLUMN w;", down: "ALTER TABLE s ADD COLUMN w TEXT;",
		writes: "INSERT INTO s VALUES ('e', 5);\nUPDATE s SET v = 77 WHERE k = 'c';\nDELETE FROM s WHERE k = 'a';",
		want:   []string{"b|2|y", "c|77|z", "e|5|-"}, conflicts: 1},
	{name: "deleted rows, of which a key was taken meanwhile", up: "DELETE FROM s WHERE v > 1;", down: "SELECT 1;",
		writes: "INSERT INTO s VALUES ('b', 6, 'm'), ('e', 5, 'n');\nUPDATE s SET v = 77 WHERE k = 'a';",
		want:   []string{"a|77|x", "b|6|m", "c|3|z", "e|5|n"}, conflicts: 1},
	{name: "a table made anew",
		up:     "CREATE TABLE s2 (k TEXT PRIMARY KEY, v INT);\nINSERT INTO s2 SELECT k, v FROM s;\nDROP TABLE s;\nALTER TABLE s2 RENAME TO s;",
		down:   "CREATE TABLE s2 (k TEXT PRIMARY KEY, v INT, w TEXT);\nINSERT INTO s2 SELECT k, v, NULL FROM s;\nDROP TABLE s;\nALTER TABLE s2 RENAME TO s;",
		writes: "INSERT INTO s VALUES ('e', 5);\nUPDATE s SET v = 77 WHERE k = 'c';\nDELETE FROM s WHERE k = 'a';",
		want:   []string{"b|2|y", "c|77|z", "e|5|-"}, conflicts: 2},
	{name: "rows without a key come afterwards", up: "UPDATE s SET v = v * 10;\nALTER TABLE s DROP COLUMN w;", down: "ALTER TABLE s ADD COLUMN w TEXT;",
		writes: "INSERT INTO s VALUES (NULL, 8), (NULL, 7);\nUPDATE s SET v = 9 WHERE k = 'a';",
		want:   []string{"-|7|-", "-|8|-", "a|9|x", "b|2|y", "c|3|z"}, conflicts: 1},
}

// TestKeyThatMayBeNull: rows are known by a primary key that may be NULL as long as none is: one write of the application left all captured values of
// such a table behind.
func TestKeyThatMayBeNull(t *testing.T) {
	t.Parallel()
	const rows = "SELECT coalesce(k, '-'), v, coalesce(w, '-') FROM s ORDER BY 1, 2"
	before := []string{"a|1|x", "b|2|y", "c|3|z"}
	for _, x := range nullableKeys {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.OnSQLite.New(t)
			f := newFixture(t, dsn, "CREATE TABLE s (k TEXT PRIMARY KEY, v INT, w TEXT);\nINSERT INTO s VALUES ('a', 1, 'x'), ('b', 2, 'y'), ('c', 3, 'z');\n",
				map[string]string{"00001_x.sql": migration(x.up, x.down)})
			f.up()
			f.rollback(migrate.RollbackRequest{Steps: 1})
			if got := testdb.Query(t, dsn, rows); !slices.Equal(got, before) {
				t.Fatalf("without writes: %q", got)
			}
			f.up()
			f.exec(x.writes)
			written := testdb.Query(t, dsn, "SELECT k, v FROM s ORDER BY 1, 2")
			for range 2 {
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := testdb.Query(t, dsn, rows); !slices.Equal(got, x.want) || !res.Verified {
					t.Fatalf("rows %q, want %q; verified %t, conflicts %+v", got, x.want, res.Verified, res.Conflicts)
				}
				if x.conflicts != len(res.Conflicts) {
					t.Errorf("conflicts %+v, want %d", res.Conflicts, x.conflicts)
				}
				f.up()
				x.conflicts = 0
			}
			if x.name == "a table made anew" && !slices.Equal(testdb.Query(t, dsn, "SELECT k, v FROM s ORDER BY 1, 2"), written) {
				t.Errorf("up again: %q, want %q", testdb.Query(t, dsn, "SELECT k, v FROM s ORDER BY 1, 2"), written)
			}
		})
	}
}

// TestNullIntoTheKey: a migration that takes rows their key is refused, for they could not be found again.
func TestNullIntoTheKey(t *testing.T) {
	t.Parallel()
	for _, up := range []string{
		"UPDATE s SET k = NULL WHERE v > 1;",
		"UPDATE s SET k = NULL WHERE v > 1;\nUPDATE s SET k = 'n' || v WHERE k IS NULL;",
		"UPDATE s SET v = v + 1;\nINSERT INTO s VALUES (NULL, 9);",
		"CREATE TABLE s2 (k TEXT PRIMARY KEY, v INT);\nINSERT INTO s2 SELECT nullif(k, 'b'), v FROM s;\nDROP TABLE s;\nALTER TABLE s2 RENAME TO s;",
	} {
		dsn := testdb.OnSQLite.New(t)
		f := newFixture(t, dsn, "CREATE TABLE s (k TEXT PRIMARY KEY, v INT);\nINSERT INTO s VALUES ('a', 1), ('b', 2), ('c', 3);\n",
			map[string]string{"00001_x.sql": migration(up, "SELECT 1;")})
		_, err := f.open().Up(t.Context(), migrate.UpRequest{To: -1})
		var loss *snapshot.LossError
		if !errors.As(err, &loss) {
			t.Errorf("%s: %v, want a refusal", up, err)
		}
		if got := testdb.Query(t, dsn, "SELECT k, v FROM s ORDER BY 1"); !slices.Equal(got, []string{"a|1", "b|2", "c|3"}) {
			t.Errorf("%s: rows %q", up, got)
		}
	}
}

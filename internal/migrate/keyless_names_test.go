package migrate_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestNamesGoBackInATableWithoutAKey: a Down that only gives names back, after the application has written to a table without a key: what Up has inserted goes, and what
// the application has inserted stays.
func TestNamesGoBackInATableWithoutAKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ up, down, write, theirs string }{
		"of a column":                       {"ALTER TABLE t RENAME COLUMN v TO w;\nINSERT INTO t (a, w) VALUES (5, 50);", "ALTER TABLE t RENAME COLUMN w TO v;", "INSERT INTO t (a, w) VALUES (7, 70);", "7|70"},
		"of the table":                      {"ALTER TABLE t RENAME TO u;\nINSERT INTO u (a, v) VALUES (5, 50);", "ALTER TABLE u RENAME TO t;", "INSERT INTO u (a, v) VALUES (7, 70);", "7|70"},
		"of a column, and a statement more": {"UPDATE t SET v = v - 1;\nALTER TABLE t RENAME COLUMN v TO w;\nINSERT INTO t (a, w) VALUES (5, 50);", "ALTER TABLE t RENAME COLUMN w TO v;\nUPDATE t SET v = v + 1;", "INSERT INTO t (a, w) VALUES (7, 70);", "7|71"},
	} {
		for _, head := range []string{"", "-- +goose NO TRANSACTION\n"} {
			t.Run(name+map[bool]string{true: ", by steps"}[head != ""], func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, "CREATE TABLE t (a integer, v integer);\nINSERT INTO t VALUES (1, 10), (1, 10), (NULL, 30);\n", map[string]string{"00001_a.sql": head + migration(test.up, test.down)})
					f.up()
					f.exec(test.write)
					res := f.rollback(migrate.RollbackRequest{To: 0})
					if got := testdb.Query(t, dsn, "SELECT a, v FROM t ORDER BY v, a"); !slices.Equal(got, []string{"1|10", "1|10", "NULL|30", test.theirs}) || len(res.Conflicts) > 0 {
						t.Errorf("rows %q, conflicts %v", got, res.Conflicts)
					}
				}, testdb.Everywhere()...)
			})
		}
	}
}

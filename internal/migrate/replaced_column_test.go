package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestColumnReplacedUnderItsName: what the application writes into a column that Up has put in the place of one which it dropped, and that Down only alters, is told from what Up left
// there: it stays, and is a conflict.
func TestColumnReplacedUnderItsName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, up string }{
		{"dropped and added", "ALTER TABLE t DROP COLUMN e;\nALTER TABLE t ADD COLUMN e varchar(16) NOT NULL DEFAULT '';"},
		{"dropped, and another altered before", "ALTER TABLE t DROP COLUMN e;\nALTER TABLE t ADD COLUMN f integer;\nALTER TABLE t ADD COLUMN e varchar(16) NOT NULL DEFAULT '';\nALTER TABLE t DROP COLUMN f;"},
		{"dropped, and another renamed", "ALTER TABLE t ADD COLUMN z varchar(16) NOT NULL DEFAULT '';\nUPDATE t SET z = 'up' WHERE id < 3;\nALTER TABLE t DROP COLUMN e;\nALTER TABLE t RENAME COLUMN z TO e;"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, e varchar(16), n integer);\nINSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, NULL, 3), (4, NULL, 4), (5, 'q', 5);\n", nil)
				down := "ALTER TABLE t MODIFY COLUMN e varchar(16);"
				if f.db.Kind == engine.Postgres {
					down = "ALTER TABLE t ALTER COLUMN e DROP NOT NULL, ALTER COLUMN e DROP DEFAULT;"
				}
				f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(test.up, down))}
				f.up()
				f.exec("UPDATE t SET e = 'app' WHERE id IN (2, 3);\nUPDATE t SET n = 9 WHERE id = 1;\nINSERT INTO t (id, e, n) VALUES (7, 'new', 7);\nDELETE FROM t WHERE id = 5;\n")
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got, want := strings.Join(testdb.Query(t, dsn, "SELECT id, e, n FROM t ORDER BY id"), " "), "1|a|9 2|app|2 3|app|3 4|NULL|4 7|new|7"; got != want {
					t.Errorf("rows\n got %s\nwant %s", got, want)
				}
				var keys []string
				for _, c := range res.Conflicts {
					keys = append(keys, c.Key)
				}
				slices.Sort(keys)
				if !slices.Equal(keys, []string{"id=2", "id=3", "id=5"}) {
					t.Errorf("conflicts: %q", keys)
				}
				before := f.dump()
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "after the second rollback")
			}, append(family, testdb.OnPostgres)...)
		})
	}
}

// TestColumnReplacedInATableWithoutAKey: likewise; rows that cannot be told apart are told as conflicts.
func TestColumnReplacedInATableWithoutAKey(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE t (id integer, e varchar(16), n integer);\nINSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, NULL, 3), (4, 'd', 4), (5, 'q', 5);\n", nil)
		down := "ALTER TABLE t MODIFY COLUMN e varchar(16);"
		if f.db.Kind == engine.Postgres {
			down = "ALTER TABLE t ALTER COLUMN e DROP NOT NULL, ALTER COLUMN e DROP DEFAULT;"
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration("ALTER TABLE t DROP COLUMN e;\nALTER TABLE t ADD COLUMN e varchar(16) NOT NULL DEFAULT '';", down))}
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "after the first rollback")
		f.up()
		f.exec("UPDATE t SET e = 'app' WHERE id IN (2, 3);\nUPDATE t SET n = 9 WHERE id = 1;\nINSERT INTO t (id, e, n) VALUES (7, 'new', 7);\nDELETE FROM t WHERE id = 5;\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got, want := strings.Join(testdb.Query(t, dsn, "SELECT id, e, n FROM t ORDER BY id"), " "), "1||9 2|app|2 3|app|3 4|d|4 7|new|7"; got != want {
			t.Errorf("rows\n got %s\nwant %s", got, want)
		}
		if len(res.Conflicts) < 4 {
			t.Errorf("conflicts: %+v", res.Conflicts)
		}
	}, append(family, testdb.OnPostgres)...)
}

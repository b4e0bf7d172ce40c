package migrate_test

import (
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestCarriedByDown: what the application writes where Up put values goes back with Down, and is told: into a table without a key, and into a column that is
// taken into another one. The next up gives it back.
func TestCarriedByDown(t *testing.T) {
	for _, x := range []struct {
		name, setup, up, down, writes string
		there, query                  string // what is written to, and what is asked after a rollback
		want                          []string
		conflicts                     int
	}{
		{name: "archive", setup: "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, name varchar(20), deleted integer NOT NULL);\nINSERT INTO t VALUES (1, 'a', 0), (2, 'b', 1), (3, 'c', 1), (4, 'd', 0), (5, 'e', 1);",
			up:     "CREATE TABLE t_archive AS SELECT id, name FROM t WHERE deleted = 1;\nDELETE FROM t WHERE deleted = 1;",
			down:   "INSERT INTO t (id, name, deleted) SELECT id, name, 1 FROM t_archive;\nDROP TABLE t_archive;",
			writes: "INSERT INTO t_archive VALUES (9, 'new');\nUPDATE t_archive SET name = 'cc' WHERE id = 3;\nDELETE FROM t_archive WHERE id = 2;",
			there:  "SELECT id, name FROM t_archive ORDER BY id", query: "SELECT id, name, deleted FROM t ORDER BY id",
			want: []string{"1|a|0", "3|cc|1", "4|d|0", "5|e|1", "9|new|1"}, conflicts: 2},
		{name: "two values in one column", setup: "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, pair varchar(40));\nINSERT INTO t VALUES (1, 'a-x'), (2, 'b-y'), (3, NULL);",
			up:     "ALTER TABLE t ADD COLUMN second varchar(40);\nUPDATE t SET second = substr(pair, 3);\nUPDATE t SET pair = substr(pair, 1, 1);",
			down:   "UPDATE t SET pair = replace(replace('1-2', '1', pair), '2', second);\nALTER TABLE t DROP COLUMN second;",
			writes: "UPDATE t SET second = 'z' WHERE id = 2;",
			there:  "SELECT id, pair, second FROM t ORDER BY id", query: "SELECT id, coalesce(pair, '-') FROM t ORDER BY id",
			want: []string{"1|a-x", "2|b-z", "3|-"}, conflicts: 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, x.setup, map[string]string{"00001_x.sql": migration(x.up, x.down)})
				before := testdb.Query(t, dsn, x.query)
				for range 2 {
					f.up()
					f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := testdb.Query(t, dsn, x.query); !slices.Equal(got, before) {
						t.Fatalf("without writes: %q", got)
					}
				}
				f.up()
				f.exec(x.writes)
				written := testdb.Query(t, dsn, x.there)
				for i := range 2 {
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := testdb.Query(t, dsn, x.query); !slices.Equal(got, x.want) {
						t.Fatalf("rollback %d: %q, want %q", i+1, got, x.want)
					}
					if i == 0 && len(res.Conflicts) != x.conflicts {
						t.Errorf("conflicts: %+v, want %d", res.Conflicts, x.conflicts)
					}
					f.up()
					if got := testdb.Query(t, dsn, x.there); !slices.Equal(got, written) {
						t.Fatalf("up again %d: %q, want %q", i+1, got, written)
					}
				}
			}, testdb.Everywhere()...)
		})
	}
}

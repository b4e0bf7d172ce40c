package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWrittenOverAgainIsTold: a column, or a table, comes back with what the application had written, and the next migration of the same up writes that
// over or deletes it: up says so, the rows are captured, and the next rollback has them again. Without writes of the application it says nothing.
func TestWrittenOverAgainIsTold(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, setup, first, down, second, write, lost string }{
		{
			"a column", "CREATE TABLE t (id integer PRIMARY KEY);\nINSERT INTO t VALUES (1), (2), (3);", "ALTER TABLE t ADD COLUMN c varchar(20);", "ALTER TABLE t DROP COLUMN c;",
			"UPDATE t SET c = 'x';", "INSERT INTO t VALUES (9, 'new');\nUPDATE t SET c = 'theirs' WHERE id = 2;", "2 value(s) of c",
		},
		{
			"a table", "", "CREATE TABLE t (id integer PRIMARY KEY, c varchar(20));\nINSERT INTO t VALUES (1, 'a'), (2, 'b');", "DROP TABLE t;",
			"DELETE FROM t WHERE id > 1;", "INSERT INTO t VALUES (2, 'theirs'), (9, 'new');\nUPDATE t SET c = 'theirs' WHERE id = 1;", "2 row(s)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, tc.setup, map[string]string{"00001_a.sql": migration(tc.first, tc.down), "00002_b.sql": migration(tc.second, "SELECT 1;")})
				rows := func() []string { return testdb.Query(t, dsn, "SELECT id, c FROM t ORDER BY id") }
				told := func(r *migrate.Result) string {
					return strings.Join(slices.DeleteFunc(slices.Clone(r.Warnings), func(w string) bool { return !strings.Contains(w, "has written over what the application") }), "\n")
				}
				f.up()
				f.rollback(migrate.RollbackRequest{To: 0})
				if w := told(f.up()); w != "" {
					t.Errorf("nobody wrote anything, and it says %s", w)
				}
				f.exec(tc.write)
				f.rollback(migrate.RollbackRequest{Steps: 1})
				want := rows()
				f.rollback(migrate.RollbackRequest{To: 0})
				if w := told(f.up()); !strings.Contains(w, tc.lost) || !strings.Contains(w, "restore --snapshot ") {
					t.Errorf("it says %q, want %q and the command", w, tc.lost)
				}
				f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := rows(); !slices.Equal(got, want) {
					t.Errorf("rows after the rollback %v, want %v", got, want)
				}
			}, append([]testdb.Engine{testdb.OnPostgres, testdb.OnSQLite}, family...)...)
		})
	}
}

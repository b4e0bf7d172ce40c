package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Rows that come back into columns of another type than the one they had look as that makes them, until the end gives the type back. Where each
// statement is there for good that is nobody's write, and what somebody does write is seen.
func TestRowsComeBackIntoAnotherType(t *testing.T) {
	t.Parallel()
	const setup = "CREATE TABLE t (id integer PRIMARY KEY, nx numeric(12,2), d numeric(10,3), mx varchar(20));\nINSERT INTO t VALUES (1, 1.50, 2.125, 'a'), (2, 2.00, -0.5, NULL), (3, NULL, 7, 'c');\n"
	bringing := map[string]string{"a row is written": "UPDATE t SET mx = mx WHERE id = 1;", "a value is written": "UPDATE t SET n1 = 4;"} // rows are back behind it
	for name, last := range bringing {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				quiet := "SELECT 1;"
				if strings.HasPrefix(dsn, "sqlite") {
					quiet = "PRAGMA foreign_keys = ON;"
				}
				change := "-- +goose NO TRANSACTION\n" + migration("ALTER TABLE t ADD COLUMN n1 integer;\nUPDATE t SET n1 = 3;\nALTER TABLE t RENAME COLUMN mx TO r4;\nDROP TABLE t;",
					"CREATE TABLE t (id integer PRIMARY KEY, nx integer, d numeric(9,1), r4 varchar(20), n1 integer);\nALTER TABLE t RENAME COLUMN r4 TO mx;\n"+last+"\n"+quiet+"\nALTER TABLE t DROP COLUMN n1;")
				f := newFixture(t, dsn, setup, map[string]string{"00001_change.sql": change})
				before := f.dump()
				back := func(write string) *migrate.Result {
					t.Helper()
					f.up()
					wrote := write == ""
					m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
						if !wrote && e.Kind == migrate.StatementStart && e.Statement == 4 {
							if n := testdb.Query(t, dsn, "SELECT count(*) FROM t"); n[0] != "3" {
								t.Errorf("%s rows are back, and nothing would be written", n)
							}
							f.exec(write)
							wrote = true
						}
					}})
					if err != nil {
						t.Fatal(err)
					}
					res, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: 0})
					if err != nil || !wrote {
						t.Fatal(err, wrote)
					}
					return res
				}
				if res := back(""); len(res.Conflicts) > 0 {
					t.Errorf("nobody wrote: %+v", res.Conflicts)
				}
				f.same(before, f.dump(), "back")
				if res := back("UPDATE t SET nx = 5 WHERE id = 2;"); len(res.Conflicts) != 1 || !strings.Contains(res.Conflicts[0].Key, "2") {
					t.Errorf("conflicts %+v, want the row that was written", res.Conflicts)
				}
				got, want := testdb.Query(t, dsn, "SELECT id, nx FROM t ORDER BY id"), []string{"1|1.50", "2|5.00", "3|NULL"}
				if strings.HasPrefix(dsn, "sqlite") {
					want = []string{"1|1.5", "2|5", "3|NULL"}
				}
				if !slices.Equal(got, want) {
					t.Errorf("rows %q, want %q", got, want)
				}
			}, testdb.Everywhere()...)
		})
	}
}

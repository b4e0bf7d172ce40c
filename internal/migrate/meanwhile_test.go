package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestIndexOfSomebodyElse: where each statement is there for good, somebody makes an index, between two of them, on a table that they only write to. It is none of the
// migration's: nothing stops for it, and it stays.
func TestIndexOfSomebodyElse(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE ev (a int PRIMARY KEY, p int, b varchar(9));\nINSERT INTO ev VALUES (2, 1, 'x'), (3, 4, 'q');\n", map[string]string{
			"00001_x.sql": migration("CREATE TABLE x (a int PRIMARY KEY);\nCREATE TABLE y (a int PRIMARY KEY);\nUPDATE ev SET p = 7;", "DROP TABLE y;\nDROP TABLE x;\nUPDATE ev SET p = 8;")})
		index := ""
		open := func() *migrate.Migrator {
			t.Helper()
			m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
				if e.Kind == migrate.StatementStart && e.Statement == 2 {
					f.exec("CREATE INDEX " + index + " ON ev (b);\n")
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		indexes := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_schema = database() AND table_name = 'ev' ORDER BY 1"), " ")
		}
		index = "during_up"
		if _, err := open().Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
			t.Fatal(err)
		}
		index = "in_down"
		res, err := open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(testdb.Query(t, dsn, "SELECT * FROM ev ORDER BY a"), " "), "2|1|x 3|4|q"; got != want {
			t.Errorf("rows %s, want %s", got, want)
		}
		if got, want := indexes(), "during_up in_down PRIMARY"; got != want || len(res.Warnings) > 0 {
			t.Errorf("indexes %s, want %s; warnings %q", got, want, res.Warnings)
		}
		index = "again"
		if _, err := open().Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
			t.Fatal(err)
		}
		if got, want := indexes(), "again during_up in_down PRIMARY"; got != want {
			t.Errorf("after another up: indexes %s, want %s", got, want)
		}
	}, family...)
}

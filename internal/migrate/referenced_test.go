package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestInsertedRowThatIsReferredTo: a row that Up inserted stays, and is told, when the application has made others that point to it: they would go along, by whatever
// the foreign key does.
func TestInsertedRowThatIsReferredTo(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"CASCADE", "SET NULL", "NO ACTION"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				if strings.HasPrefix(dsn, "sqlite") {
					dsn += "?_pragma=foreign_keys(1)"
				}
				f := newFixture(t, dsn, "CREATE TABLE par (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO par VALUES (1, 'a');\nCREATE TABLE chi (id integer PRIMARY KEY, par integer, FOREIGN KEY (par) REFERENCES par (id) ON DELETE "+action+");\nINSERT INTO chi VALUES (10, 1);",
					map[string]string{"00001_a.sql": migration("INSERT INTO par VALUES (2, 'up'), (3, 'up');", "SELECT 1;")})
				f.up()
				f.exec("INSERT INTO chi VALUES (20, 2);")
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if got := testdb.Query(t, dsn, "SELECT id FROM par ORDER BY id"); !slices.Equal(got, []string{"1", "2"}) {
					t.Errorf("parents %q, want the one that is referred to, and not the other", got)
				}
				if got := testdb.Query(t, dsn, "SELECT id, par FROM chi ORDER BY id"); !slices.Equal(got, []string{"10|1", "20|2"}) {
					t.Errorf("children %q", got)
				}
				if len(res.Conflicts) != 1 || !strings.Contains(res.Conflicts[0].Reason, "referenced") {
					t.Errorf("conflicts %+v", res.Conflicts)
				}
			}, testdb.Everywhere()...)
		})
	}
}

package migrate_test

import (
	"fmt"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSumsAreMade: a capture gets its checksum after the commit; what a run that was cut off there left gets it from whatever
// looks at it next, and rows that are missing by then are noticed.
func TestSumsAreMade(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20), w varchar(20));\nINSERT INTO t VALUES (1, 'a', 'b'), (2, 'b', NULL), (3, NULL, 'c');", map[string]string{
			"00001_a.sql": migration("UPDATE t SET v = 'x' WHERE id < 3;\nALTER TABLE t DROP COLUMN w;", "ALTER TABLE t ADD COLUMN w varchar(20);"),
			"00002_b.sql": migration("CREATE TABLE u (id integer);", "DROP TABLE u;"),
		})
		before := f.dump()
		up := func(to int64) {
			t.Helper()
			if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: to}); err != nil {
				t.Fatal(err)
			}
		}
		catalog := f.db.Quote(f.db.Own("state_snapshots"))
		sums := func() []string {
			return testdb.Query(t, dsn, "SELECT checksum FROM "+catalog+" WHERE kind <> 'definition' ORDER BY id")
		}
		cutOff := func() { f.exec("UPDATE " + catalog + " SET checksum = ''") }
		up(1)
		made := sums()
		if len(made) != 2 || made[0] == "" || made[1] == "" {
			t.Fatalf("checksums: %q", made)
		}
		for name, look := range map[string]func(){
			"the next run": func() { up(2) },
			"verify": func() {
				checks, err := snapshot.New(f.db, "").Verify(t.Context(), f.db, "")
				for _, c := range checks {
					if err != nil || !c.OK || c.Checksum == "" {
						t.Fatalf("verify: %+v, %v", checks, err)
					}
				}
			},
		} {
			cutOff()
			if look(); fmt.Sprint(sums()) != fmt.Sprint(made) {
				t.Errorf("%s: checksums %q, want %q", name, sums(), made)
			}
		}
		cutOff()
		f.exec("UPDATE " + catalog + " SET row_count = 4")
		checks, err := snapshot.New(f.db, "").Verify(t.Context(), f.db, "")
		for _, c := range checks {
			if err != nil || c.OK {
				t.Fatalf("verify with rows gone: %+v, %v", checks, err)
			}
		}
		var warned string
		m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
			if e.Kind == migrate.WarningEvent {
				warned += e.Text
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); err != nil || warned == "" {
			t.Errorf("a run with rows gone: warned %q, %v", warned, err)
		}
		f.rollback(migrate.RollbackRequest{To: 0})
		f.same(before, f.dump(), "after the rollback")
	}, testdb.Everywhere()...)
}

package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestLogBetweenMigrations: a run writes behind the entry that it wrote last without looking again. What others have written to the log in between keeps
// its place, the chain holds, and each migration runs once.
func TestLogBetweenMigrations(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		files := map[string]string{}
		for i := range 6 {
			files[fmt.Sprintf("0000%d_m.sql", i+1)] = migration(fmt.Sprintf("CREATE TABLE made%d (id integer PRIMARY KEY);", i), fmt.Sprintf("DROP TABLE made%d;", i))
		}
		files["00003_m.sql"] = migration("UPDATE people SET score = 7;", "SELECT 1;") // one of another kind
		f := newFixture(t, dsn, people, files)
		log := audit.New(f.db)
		m, err := migrate.Open(t.Context(), migrate.Options{DB: f.db, Files: f.files, Dir: "migrations", Events: func(e migrate.Event) {
			if e.Kind == migrate.MigrationStart && e.Version != 5 {
				if err := log.Append(t.Context(), f.db, audit.Entry{Run: "other", Action: "other", Outcome: audit.Done}); err != nil {
					t.Error(err)
				}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		before := f.dump()
		if _, err := m.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil {
			t.Fatal(err)
		}
		if err := log.Verify(t.Context(), f.db, ""); err != nil {
			t.Error(err)
		}
		all, err := log.List(t.Context(), f.db, 0)
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, e := range all {
			order = append(order, fmt.Sprint(e.Action, e.Versions))
		}
		if got, want := strings.Join(order, " "), "up[6] other[] up[5] up[4] other[] up[3] other[] up[2] other[] up[1] other[]"; got != want {
			t.Errorf("the log, newest first: %s\nwant %s", got, want)
		}
		if err := log.Append(t.Context(), f.db, audit.Entry{Run: "other", Action: "other", Outcome: audit.Done}); err != nil { // nothing is locked any more
			t.Error(err)
		}
		f.rollback(migrate.RollbackRequest{To: 0, Steps: 6})
		f.same(before, f.dump(), "after the rollback")
	}, testdb.Everywhere()...)
}

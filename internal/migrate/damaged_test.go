package migrate_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDamagedCapture: a rollback puts nothing back that is not what was captured: it refuses before Down runs, and nothing has changed.
func TestDamagedCapture(t *testing.T) {
	t.Parallel()
	for _, damage := range []struct{ name, how string }{
		{"a value changed", "UPDATE @ SET c1 = 77 WHERE n = 1"},
		{"a row gone", "DELETE FROM @ WHERE n = 1"},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, map[string]string{"00001_a.sql": migration("UPDATE people SET score = 5 WHERE id = 2;\nALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200);")})
				f.up()
				after := f.dump()
				table := testdb.Query(t, dsn, "SELECT location FROM "+f.catalog("state_snapshots")+" WHERE kind = 'rows'")[0]
				was := testdb.Query(t, dsn, "SELECT * FROM "+table)
				testdb.Exec(t, dsn, strings.ReplaceAll(damage.how, "@", table))
				if now := testdb.Query(t, dsn, "SELECT * FROM "+table); strings.Join(now, "\n") == strings.Join(was, "\n") {
					t.Fatalf("nothing was damaged in %q", was)
				}
				_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
				var damaged *snapshot.DamagedError
				if !errors.As(err, &damaged) || !strings.Contains(err.Error(), "people") {
					t.Fatalf("rollback: %v, want it refused", err)
				}
				f.same(after, f.dump(), "after the refusal")
			}, testdb.Everywhere()...)
		})
	}
}

// catalog gives the name of one of dbrollback's own tables.
func (f *fixture) catalog(table string) string { return f.db.Quote(f.db.Own(table)) }

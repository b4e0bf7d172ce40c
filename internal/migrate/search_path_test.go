package migrate_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSearchPathOfAMigration: a migration that sets the search path is planned with it, and finds goose's version table all the same.
func TestSearchPathOfAMigration(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.Postgres(t), "CREATE SCHEMA \"In Here\";\nCREATE TABLE \"In Here\".t (id integer PRIMARY KEY, v text);\nINSERT INTO \"In Here\".t VALUES (1, 'a'), (2, 'b');", map[string]string{
		"00001_a.sql": migration("SET search_path TO \"In Here\";\nALTER TABLE t DROP COLUMN v;", "ALTER TABLE \"In Here\".t ADD COLUMN v text;"),
		"00002_b.sql": migration("SELECT pg_catalog.set_config('search_path', '', false);\nDELETE FROM \"In Here\".t;", "SELECT 1;"),
		"00003_c.sql": migration("SET LOCAL search_path = \"In Here\", public;\nDELETE FROM t;\nDROP TABLE t;", "CREATE TABLE \"In Here\".t (id integer PRIMARY KEY);"),
	})
	before := f.dump()
	plan, err := f.open().Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"columns", "rows", "rows"} {
		if c := plan.Migrations[i].Steps[1].Captures; len(c) != 1 || string(c[0].Kind) != want || c[0].Table != "In Here.t" {
			t.Errorf("migration %d: captures %+v, want %s", i+1, c, want)
		}
	}
	f.up()
	f.rollback(migrate.RollbackRequest{To: 0})
	f.same(before, f.dump(), "after the rollback")
	if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM pg_class WHERE relname = 'goose_db_version'"); got[0] != "1" {
		t.Errorf("%s version tables", got[0])
	}
}

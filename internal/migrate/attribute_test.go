package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestDownTakesAnAttribute: a rollback does not take an attribute of a composite type away with what was written into it since, by whom ever.
func TestDownTakesAnAttribute(t *testing.T) {
	t.Parallel()
	const typed = "CREATE TYPE pair AS (a integer, b text);\nCREATE TABLE holds (id integer PRIMARY KEY, v pair, w pair[]);\nINSERT INTO holds VALUES (1, ROW(1, 'one'), NULL), (2, NULL, NULL), (3, ROW(3, NULL), NULL);\n"
	for _, c := range []struct{ name, up, since, down, refused string }{
		{"nothing written", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "", "ALTER TYPE pair DROP ATTRIBUTE c;", ""},
		{"written since", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "UPDATE holds SET v.c = 7 WHERE id = 1", "ALTER TYPE pair DROP ATTRIBUTE c;", "holds.v"},
		{"written since into an element", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "UPDATE holds SET w = ARRAY[ROW(1, 'x', 7)::pair] WHERE id = 1", "ALTER TYPE pair DROP ATTRIBUTE c;", "holds.w"},
		{"other attributes written since", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "UPDATE holds SET v.b = 'new' WHERE id = 2", "ALTER TYPE pair DROP ATTRIBUTE c;", ""},
		{"by the migration", "ALTER TYPE pair ADD ATTRIBUTE c integer;\nUPDATE holds SET v.c = 5 WHERE id < 3;", "", "ALTER TYPE pair DROP ATTRIBUTE c;", "holds.v"},
		{"by the migration, and since", "ALTER TYPE pair ADD ATTRIBUTE c integer;\nUPDATE holds SET v.c = 5 WHERE id < 3;", "UPDATE holds SET v.c = 7 WHERE id = 1", "ALTER TYPE pair DROP ATTRIBUTE c;", "holds.v"},
		{"emptied again", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "UPDATE holds SET v.c = 7 WHERE id = 1; UPDATE holds SET v.c = NULL", "ALTER TYPE pair DROP ATTRIBUTE c;", ""},
		{"accepted", "ALTER TYPE pair ADD ATTRIBUTE c integer;", "UPDATE holds SET v.c = 7 WHERE id = 1", "-- +dbrollback no-capture: worthless\nALTER TYPE pair DROP ATTRIBUTE c;", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, testdb.Postgres(t), typed, map[string]string{"00001_a.sql": migration(c.up, c.down)})
			before := f.dump()
			f.up()
			if c.since != "" {
				testdb.Exec(t, f.dsn, c.since)
			}
			after := f.dump()
			_, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1})
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) || !strings.Contains(err.Error(), "takes an attribute") {
					t.Fatalf("rollback: %v, want it refused for %s", err, c.refused)
				}
				f.same(after, f.dump(), "after the refusal")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.since == "" {
				f.same(before, f.dump(), "after the rollback")
				f.up()
				f.same(after, f.dump(), "up again")
			}
		})
	}
}

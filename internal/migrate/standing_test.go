package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestColumnByHandIsDrift: a column that somebody adds to a table whose definition a migration made or changed, in whatever way, is told by status and refused by
// rollback, which goes on when that is accepted.
func TestColumnByHandIsDrift(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, table, up, down string }{
		{"made", "made", "CREATE TABLE made (id integer PRIMARY KEY, a integer);\nINSERT INTO made VALUES (1, 10);", "DROP TABLE made;"},
		{"a column added", "people", "ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"},
		{"a column dropped", "people", "ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"},
		{"an index made", "people", "CREATE INDEX people_by_name ON people (name);", "DROP INDEX people_by_name;"},
		{"renamed", "humans", "ALTER TABLE people RENAME TO humans;", "ALTER TABLE humans RENAME TO people;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				down := c.down
				f := newFixture(t, dsn, people, nil)
				if f.db.Kind == engine.MySQL || f.db.Kind == engine.MariaDB {
					down = strings.Replace(down, "DROP INDEX people_by_name", "DROP INDEX people_by_name ON people", 1)
				}
				f.add("00001_a.sql", migration(c.up, down))
				before := f.dump()
				f.up()
				drift := func() []string {
					t.Helper()
					s, err := f.open().Status(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					var out []string
					for _, d := range s.Drift {
						out = append(out, d.Kind+" "+d.Object[strings.LastIndex(d.Object, ".")+1:]+" "+map[bool]string{true: "is new"}[d.Before == ""])
					}
					return out
				}
				if d := drift(); len(d) > 0 {
					t.Fatalf("drift %q after up", d)
				}
				f.exec("ALTER TABLE " + c.table + " ADD COLUMN by_hand integer;")
				if d := drift(); !slices.Equal(d, []string{"column by_hand is new"}) {
					t.Errorf("drift %q, want the column by hand", d)
				}
				var is *migrate.DriftError
				if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); !errors.As(err, &is) || is.When != "before" || len(is.Differences) != 1 || !strings.HasSuffix(is.Differences[0].Object, ".by_hand") {
					t.Fatalf("rollback: %v, want drift before it", err)
				}
				if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1, AllowDrift: true}); err != nil {
					t.Fatalf("rollback --allow-drift: %v", err)
				}
				if d := drift(); len(d) > 0 {
					t.Errorf("drift %q, where nothing is applied", d)
				}
				switch c.table {
				case "humans":
					return // the next up takes the column for what the migration had left
				case "people":
					f.exec("ALTER TABLE people DROP COLUMN by_hand;")
				}
				f.up()
				f.rollback(migrate.RollbackRequest{Steps: 1})
				f.same(before, f.dump(), "when the column is gone again")
			}, testdb.Everywhere()...)
		})
	}
}

// TestColumnOfAnotherMigrationIsNoDrift: neither what a later migration adds, nor what one adds that goose ran.
func TestColumnOfAnotherMigrationIsNoDrift(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{
			"00001_a.sql": migration("ALTER TABLE people ADD COLUMN a integer;", "ALTER TABLE people DROP COLUMN a;"),
			"00002_b.sql": migration("ALTER TABLE people ADD COLUMN b integer;", "ALTER TABLE people DROP COLUMN b;"),
			"00003_c.sql": migration("ALTER TABLE people ADD COLUMN c integer;", "ALTER TABLE people DROP COLUMN c;"),
		})
		if _, err := f.open().Up(t.Context(), migrate.UpRequest{To: 2}); err != nil {
			t.Fatal(err)
		}
		none := func(when string) {
			t.Helper()
			if s, err := f.open().Status(t.Context()); err != nil || len(s.Drift) > 0 {
				t.Fatalf("%s: drift %v, %v", when, s.Drift, err)
			}
		}
		none("after up")
		f.exec("ALTER TABLE people ADD COLUMN c integer;\nINSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true);")
		none("after goose up")
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: 1, AllowUncaptured: true}); err != nil {
			t.Fatal(err)
		}
		none("after the rollback of two")
		f.rollback(migrate.RollbackRequest{Steps: 1})
	}, testdb.Everywhere()...)
}

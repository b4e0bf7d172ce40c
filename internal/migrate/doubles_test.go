package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRowsThatAreThereTwice: an up after a rollback inserts its rows under new keys, and writes them where no foreign key tells. Those of before come
// back under theirs beside them: it says so.
func TestRowsThatAreThereTwice(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE roles ("+serial(dsn)+", name varchar(20), note varchar(20));\nCREATE TABLE log (n integer PRIMARY KEY, role integer);\nINSERT INTO roles (name) VALUES ('user');\n",
			map[string]string{"00001_seeds.sql": migration("INSERT INTO roles (name) VALUES ('admin'), ('guest');\nINSERT INTO log SELECT id, id FROM roles WHERE name <> 'user';", "DELETE FROM roles WHERE name IN ('admin', 'guest');")})
		if res := f.up(); len(res.Warnings) > 0 {
			t.Errorf("the first up warns: %q", res.Warnings)
		}
		f.exec("UPDATE roles SET note = 'used' WHERE name = 'guest';")
		f.rollback(migrate.RollbackRequest{Steps: 1})
		res := f.up()
		if want := "1 row(s) that the migration has inserted are there a second time"; len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], want) {
			t.Errorf("warnings: %q, want %q", res.Warnings, want)
		}
		got := testdb.Query(t, dsn, "SELECT name, coalesce(note, '-'), CASE WHEN id > 3 THEN 'new' ELSE 'old' END FROM roles")
		slices.Sort(got)
		if want := []string{"admin|-|new", "admin|-|old", "guest|-|new", "guest|used|old", "user|-|old"}; !slices.Equal(got, want) {
			t.Errorf("rows %q, want %q", got, want)
		}
	}, testdb.Everywhere()...)
}

package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// A view that reads what a migration took away is broken, and stays: MySQL and MariaDB allow that. Dropped by a later migration, it
// comes back with what it reads, and is told when that stays away.
func TestBrokenView(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		schema := `CREATE TABLE people (id integer PRIMARY KEY, phone varchar(20));
CREATE VIEW phones AS SELECT id, phone FROM people;
CREATE VIEW first_phones AS SELECT phone FROM phones WHERE id < 10;
INSERT INTO people VALUES (1, '555'), (20, '777')`
		f := newFixture(t, dsn, schema, map[string]string{
			"00001_rename.sql": migration("ALTER TABLE people RENAME COLUMN phone TO telephone;", "ALTER TABLE people RENAME COLUMN telephone TO phone;"),
			"00002_drop.sql":   migration("DROP VIEW first_phones, phones;", "SELECT 1;"),
		})
		before := f.dump()
		f.up()
		if res := f.rollback(migrate.RollbackRequest{To: 0}); !res.Verified || len(res.NotUndone) > 0 {
			t.Errorf("undone together: %+v", res)
		}
		f.same(before, f.dump(), "undone together")
		if got := testdb.Query(t, dsn, "SELECT phone FROM first_phones"); len(got) != 1 || got[0] != "555" {
			t.Errorf("the view gives %q", got)
		}
		f.up()
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if said := strings.Join(res.NotUndone, "\n"); res.Verified || !strings.Contains(said, "view phones was broken before") || !strings.Contains(said, "view first_phones") {
			t.Errorf("undone alone: %+v", res)
		}
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.exec("CREATE VIEW phones AS SELECT id, phone FROM people;\nCREATE VIEW first_phones AS SELECT phone FROM phones WHERE id < 10")
		f.same(before, f.dump(), "undone one by one")
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

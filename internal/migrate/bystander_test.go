package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestBystanders: rows that Up left alone, and that Down hits all the same, stay as they were; what the application did about them since
// is its own, and Down does with that what it says, as it does with rows that came later.
func TestBystanders(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h'), (9, 'Ida', 10, 'i');\n", map[string]string{
			"00001_a.sql": migration("UPDATE people SET score = 10 WHERE score IS NULL;", "UPDATE people SET score = NULL WHERE score = 10;"),
		})
		f.up()
		f.exec("UPDATE people SET score = 11 WHERE id = 7;\nDELETE FROM people WHERE id = 8;\nUPDATE people SET note = 'app' WHERE id = 1;\n" +
			"UPDATE people SET score = 10 WHERE id = 2;\nINSERT INTO people VALUES (6, 'Fay', 10, 'f');\n")
		res := f.rollback(migrate.RollbackRequest{To: 0, OnConflict: snapshot.Restore})
		got := strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce(score, -1), note FROM people ORDER BY id"), " ")
		if want := "1|10|app 2|-1|NULL 3|-1|x'y 4|40| 6|-1|f 7|11|g 9|10|i"; got != want {
			t.Errorf("rows\n got %s\nwant %s", got, want)
		}
		if len(res.Conflicts) > 0 {
			t.Errorf("conflicts: %+v", res.Conflicts)
		}
	}, everywhere...)
}

// TestBystanderRemoved: a row that was there before Up, that the application has changed since and that Down deletes, stays as the application left it.
func TestBystanderRemoved(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people+"INSERT INTO people VALUES (7, 'Gus', 10, 'g'), (8, 'Hal', 10, 'h');\n", map[string]string{
			"00001_a.sql": migration("INSERT INTO people VALUES (5, 'Eve', 50, 'new');", "DELETE FROM people WHERE id IN (4, 5, 7, 8);"),
		})
		f.up()
		f.exec("UPDATE people SET note = 'app' WHERE id = 7;\nDELETE FROM people WHERE id = 8;\n")
		res := f.rollback(migrate.RollbackRequest{To: 0})
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, note FROM people WHERE id > 3 ORDER BY id"), " "); got != "4| 7|app" {
			t.Errorf("rows %s, want 4 and 7", got)
		}
		if len(res.Conflicts) > 0 {
			t.Errorf("conflicts %+v", res.Conflicts)
		}
		f.up()
		if got := strings.Join(testdb.Query(t, dsn, "SELECT id, note FROM people WHERE id > 4 ORDER BY id"), " "); got != "5|new 7|app" {
			t.Errorf("up again: %s, want 5|new 7|app", got)
		}
	}, everywhere...)
}

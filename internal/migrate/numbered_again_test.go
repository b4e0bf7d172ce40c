package migrate_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestNumberedAgain: a number that is the key makes way for a text, and a column that must be given a value goes with it; Down numbers the rows anew. What the
// application wrote stays, the rows have the numbers that they had, and what cannot be told any more is listed. A Down that stops after it has numbered the rows is
// taken back.
func TestNumberedAgain(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		const up = "ALTER TABLE views DROP COLUMN session;\nALTER TABLE views DROP COLUMN id;\nALTER TABLE views ADD COLUMN id varchar(31) NOT NULL FIRST;"
		const down = "ALTER TABLE views DROP COLUMN id;\nALTER TABLE views ADD COLUMN id integer AUTO_INCREMENT PRIMARY KEY NOT NULL FIRST;\nALTER TABLE views ADD COLUMN session varchar(16) NOT NULL AFTER id;"
		f := newFixture(t, dsn, "CREATE TABLE views (id integer PRIMARY KEY AUTO_INCREMENT, session varchar(16) NOT NULL, host varchar(20) NOT NULL);\nINSERT INTO views VALUES (1, 's1', 'a'), (2, 's2', 'b'), (7, 's3', 'c');\n", nil)
		set := func(down string) { f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration(up, down))} }
		set(down)
		before := f.dump()
		f.up()
		f.rollback(migrate.RollbackRequest{Steps: 1})
		f.same(before, f.dump(), "nobody has written")
		f.up()
		f.exec("INSERT INTO views (id, host) VALUES ('x', 'new');\n")
		after := f.dump()
		set(strings.Replace(down, "ADD COLUMN session varchar(16) NOT NULL AFTER id", "ADD COLUMN host integer", 1))
		if _, err := f.open().Rollback(t.Context(), migrate.RollbackRequest{To: -1, Steps: 1}); err == nil {
			t.Fatal("two columns have one name")
		}
		if _, err := f.open().Recover(t.Context(), migrate.RecoverRequest{Abort: true}); err != nil {
			t.Fatal(err)
		}
		f.same(after, f.dump(), "taken back")
		set(down)
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if got, want := strings.Join(testdb.Query(t, dsn, "SELECT id, host FROM views WHERE host <> 'new' ORDER BY id"), " "), "1|a 2|b 7|c"; got != want {
			t.Errorf("rows %s, want %s", got, want)
		}
		if got := testdb.Query(t, dsn, "SELECT count(*) FROM views WHERE host = 'new'")[0]; got != "1" {
			t.Errorf("the application's row is there %s times", got)
		}
		listed := map[string]bool{}
		for _, c := range res.Conflicts {
			listed[c.Key] = true
		}
		for _, row := range testdb.Query(t, dsn, "SELECT id FROM views WHERE host <> 'new' AND session <> elt(id, 's1', 's2', '', '', '', '', 's3')") {
			if !listed["id="+row] {
				t.Errorf("id=%s has another session, and is not listed: %+v", row, res.Conflicts)
			}
		}
	}, testdb.OnMariaDB, testdb.OnMySQL)
}

package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestUpAgainBringsEachRowOnce: what was written between up and rollback comes back with the next up, once, also where that up
// needs it early and then moves keys, or fills the table itself by a block that nobody can read.
func TestUpAgainBringsEachRowOnce(t *testing.T) {
	t.Parallel()
	const setup = "CREATE TABLE t (id integer PRIMARY KEY, a integer);\nINSERT INTO t VALUES (6, 60), (7, 70), (8, 80);"
	for _, tc := range []struct{ name, up, down, write, want string }{
		{
			"moved", "DELETE FROM t;\nCREATE UNIQUE INDEX t_a ON t (a);\nUPDATE t SET id = id + 1000 WHERE 1 = 1;", "DROP INDEX t_a;",
			"INSERT INTO t VALUES (7, -1);", "SELECT id || ' ' || a FROM t ORDER BY id",
		},
		{
			"moved by a block", "DELETE FROM t;\nCREATE UNIQUE INDEX t_a ON t (a);\n" + block("UPDATE public.t SET id = id + 1000;"), "DROP INDEX t_a;",
			"INSERT INTO t VALUES (7, -1);", "SELECT id || ' ' || a FROM t ORDER BY id",
		},
		{
			"made and moved", "CREATE TABLE made (id integer PRIMARY KEY, a integer);\nINSERT INTO made SELECT id, a FROM t;\nUPDATE made SET id = id + 1000 WHERE 1 = 1;", "DROP TABLE made;",
			"UPDATE made SET a = 71 WHERE id = 1007;\nINSERT INTO made VALUES (9, 90);", "SELECT id || ' ' || a FROM made ORDER BY id",
		},
		{
			"filled by a block", "CREATE TABLE made (id integer PRIMARY KEY, a integer);\n" + block("INSERT INTO made SELECT id, a FROM t;"), "DROP TABLE made;",
			"UPDATE made SET a = 71 WHERE id = 7;\nINSERT INTO made VALUES (9, 90);", "SELECT id || ' ' || a FROM made ORDER BY id",
		},
		{
			"made, constrained, and filled", "CREATE TABLE made (id integer PRIMARY KEY, a integer);\nINSERT INTO made VALUES (1, 10);\nCREATE UNIQUE INDEX made_a ON made (a);\nINSERT INTO made VALUES (2, 20);", "DROP TABLE made;",
			"UPDATE made SET a = 11 WHERE id = 1;\nUPDATE made SET a = 10 WHERE id = 2;\nINSERT INTO made VALUES (3, 30);", "SELECT id || ' ' || a FROM made ORDER BY id",
		},
		{
			"inserted behind a constraint", "DELETE FROM t WHERE id = 7;", "CREATE UNIQUE INDEX t_a ON t (a);\nINSERT INTO t VALUES (7, 70);\nDROP INDEX t_a;",
			"INSERT INTO t VALUES (9, 90);", "SELECT id || ' ' || a FROM t ORDER BY id",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			engines := []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite}
			if strings.Contains(tc.up, "DO $$") {
				engines = engines[:1] // SQLite has no blocks
			}
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, setup, map[string]string{"00001_a.sql": migration(tc.up, tc.down)})
				f.up()
				f.exec(tc.write)
				want := strings.Join(testdb.Query(t, dsn, tc.want), ", ")
				f.rollback(migrate.RollbackRequest{OnConflict: snapshot.Restore})
				before := strings.Join(testdb.Query(t, dsn, "SELECT id || ' ' || a FROM t ORDER BY id"), ", ")
				f.up()
				if got := strings.Join(testdb.Query(t, dsn, tc.want), ", "); got != want {
					t.Errorf("up again: %s, want %s", got, want)
				}
				f.rollback(migrate.RollbackRequest{})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id || ' ' || a FROM t ORDER BY id"), ", "); got != before {
					t.Errorf("back again: %s, want %s", got, before)
				}
			}, engines...)
		})
	}
}

// block is a statement of PostgreSQL that cannot be understood.
func block(text string) string {
	return "-- +goose StatementBegin\nDO $$ BEGIN " + text + " END $$;\n-- +goose StatementEnd"
}

// TestUpAgainWaitsForWhatItCannotFollow: a function moves the keys of all rows that are there. Nobody can see that in its text; what comes back waits until it has
// run, also behind a constraint.
func TestUpAgainWaitsForWhatItCannotFollow(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, a integer);\nINSERT INTO t VALUES (6, 60), (7, 70);\n"+
		"CREATE FUNCTION shift() RETURNS void LANGUAGE sql AS 'UPDATE t SET id = id + 1000';", map[string]string{
		"00001_a.sql": migration("DELETE FROM t;\nCREATE UNIQUE INDEX t_a ON t (a);\nSELECT shift();", "DROP INDEX t_a;"),
	})
	f.up()
	f.exec("INSERT INTO t VALUES (7, -1);")
	written := f.dump()
	f.rollback(migrate.RollbackRequest{OnConflict: snapshot.Restore})
	before := f.dump()
	f.up()
	f.same(written, f.dump(), "up again")
	f.rollback(migrate.RollbackRequest{OnConflict: snapshot.Restore})
	f.same(before, f.dump(), "after the second rollback")
}

// TestUpAgainBringsChildrenBehindTheirParents: up fills a table that it makes, behind others that point to it. What the application wrote into those comes
// back behind the rows that it points to.
func TestUpAgainBringsChildrenBehindTheirParents(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "", map[string]string{"00001_a.sql": migration("CREATE TABLE kinds (id integer PRIMARY KEY, name varchar(9));\n"+
			"CREATE TABLE items (id integer PRIMARY KEY, kind integer NOT NULL, FOREIGN KEY (kind) REFERENCES kinds (id));\n"+
			"CREATE TABLE parts (id integer PRIMARY KEY, item integer NOT NULL, FOREIGN KEY (item) REFERENCES items (id));\n"+
			"CREATE TABLE others (id integer PRIMARY KEY, kind integer, FOREIGN KEY (kind) REFERENCES kinds (id));\n"+
			"INSERT INTO kinds VALUES (1, 'a'), (2, 'b'), (3, 'c');", "DROP TABLE others;\nDROP TABLE parts;\nDROP TABLE items;\nDROP TABLE kinds;")})
		before := f.dump()
		f.up()
		f.exec("INSERT INTO items VALUES (1, 2);\nINSERT INTO parts VALUES (5, 1);\nUPDATE kinds SET name = 'z' WHERE id = 3;\nINSERT INTO kinds VALUES (4, 'd');\nINSERT INTO items VALUES (2, 4);")
		written := f.dump()
		f.rollback(migrate.RollbackRequest{})
		f.same(before, f.dump(), "after the rollback")
		f.up()
		f.same(written, f.dump(), "up again")
		f.rollback(migrate.RollbackRequest{})
		f.same(before, f.dump(), "after the second rollback")
	}, testdb.Everywhere()...)
}

// TestDropIfThereOfWhatIsNot: an Up that drops a table if it is there, and makes it, runs again after a rollback, though what was in the table is to come back into it.
func TestDropIfThereOfWhatIsNot(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE owners (id integer PRIMARY KEY);\nINSERT INTO owners VALUES (1), (2);\n", map[string]string{
			"00001_a.sql": migration("DROP TABLE IF EXISTS things;\nCREATE TABLE things (id integer PRIMARY KEY, FOREIGN KEY (id) REFERENCES owners (id) ON DELETE CASCADE);", "DROP TABLE IF EXISTS things;"),
		})
		before := f.dump()
		f.up()
		f.exec("INSERT INTO things VALUES (1), (2)")
		written := f.dump()
		for range 2 {
			f.rollback(migrate.RollbackRequest{Steps: 1})
			f.same(before, f.dump(), "after the rollback")
			f.up()
			f.same(written, f.dump(), "up again")
		}
	}, family...)
}

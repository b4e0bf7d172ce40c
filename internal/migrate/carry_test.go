package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// Rows that the application wrote after a migration that moved keys go on pointing to the rows that they pointed to when these get
// their keys back, also where each key is then another row's.
func TestLaterRowsFollowKeys(t *testing.T) {
	t.Parallel()
	schema := `CREATE TABLE parents (id integer PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE kids (id integer PRIMARY KEY, parent_id integer, note varchar(20), FOREIGN KEY (parent_id) REFERENCES parents (id) ON UPDATE CASCADE);
INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cid');
INSERT INTO kids VALUES (10, 1, 'of Ada'), (11, 1, 'of Ada'), (12, 3, 'of Cid'), (13, NULL, 'of none')`
	for name, up := range map[string]string{
		"elsewhere":     "UPDATE parents SET id = id + 100;",
		"one further":   "UPDATE parents SET id = id + 100;\nUPDATE parents SET id = id - 99;",
		"some of them":  "UPDATE parents SET id = 7 WHERE id = 3;",
		"by one script": "UPDATE parents SET id = 50 WHERE id = 1;\nUPDATE parents SET id = 1 WHERE id = 2;\nUPDATE parents SET id = 2 WHERE id = 50;",
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, schema, map[string]string{"00001_x.sql": migration(up, "SELECT 1;")})
				f.up()
				f.exec(`INSERT INTO kids SELECT 20 + p.id, p.id, 'of ` + `' FROM parents p`)
				f.exec("UPDATE kids SET note = 'new' WHERE id IN (11, 12)")
				names := "SELECT k.id, p.name, k.note FROM kids k LEFT JOIN parents p ON p.id = k.parent_id ORDER BY p.name, k.id"
				before := strings.Join(testdb.Query(t, dsn, names), "\n")
				f.rollback(migrate.RollbackRequest{To: 0})
				if after := strings.Join(testdb.Query(t, dsn, names), "\n"); after != before {
					t.Errorf("kids with the names of their parents, before\n%s\nafter\n%s", before, after)
				}
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id, name FROM parents ORDER BY id"), " "); !strings.Contains(got, "1") || strings.Index(got, "Ada") > strings.Index(got, "Bob") || strings.Index(got, "Bob") > strings.Index(got, "Cid") {
					t.Errorf("parents: %s", got)
				}
			}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB) // embedded SQLite has foreign keys off
		})
	}
}

// Triggers of a table to which foreign keys with actions point get out of the way of rows that come back, and are as before after.
func TestTriggersBesideActions(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"ON UPDATE CASCADE", "ON DELETE SET NULL", "ON DELETE CASCADE"} {
		t.Run(action, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				schema := `CREATE TABLE seen (id integer AUTO_INCREMENT PRIMARY KEY, what varchar(40));
CREATE TABLE parents (id integer PRIMARY KEY, name varchar(20) NOT NULL);
CREATE TABLE kids (id integer PRIMARY KEY, parent_id integer, FOREIGN KEY (parent_id) REFERENCES parents (id) ` + action + `);
INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cid');
INSERT INTO kids VALUES (10, 1), (12, 3);
CREATE TRIGGER added AFTER INSERT ON parents FOR EACH ROW INSERT INTO seen (what) VALUES (concat('added ', NEW.name));
CREATE TRIGGER changed AFTER UPDATE ON parents FOR EACH ROW INSERT INTO seen (what) VALUES (concat('changed ', OLD.name, ' ', NEW.name))`
				f := newFixture(t, dsn, schema, map[string]string{"00001_x.sql": migration("UPDATE parents SET name = 'x';\nDELETE FROM parents WHERE id = 2;", "SELECT 1;")})
				before := f.dump()
				f.up()
				f.rollback(migrate.RollbackRequest{To: 0})
				f.same(before, f.dump(), "after the rollback")
				f.exec("UPDATE parents SET name = 'Dan' WHERE id = 2")
				if got := testdb.Query(t, dsn, "SELECT what FROM seen"); len(got) != 1 || got[0] != "changed Bob Dan" {
					t.Errorf("the triggers saw %q", got)
				}
			}, testdb.OnMySQL, testdb.OnMariaDB)
		})
	}
}

// Where foreign keys are not checked, or a migration switches that off, rows may point to rows that are not there, and come back all the
// same: what an earlier migration removed comes after.
func TestRowsWithoutParentsComeBack(t *testing.T) {
	t.Parallel()
	const kids = "CREATE TABLE kids (id integer PRIMARY KEY, parent_id integer, note varchar(20), CONSTRAINT kids_of FOREIGN KEY (parent_id) REFERENCES parents (id));"
	for name, down := range map[string]string{"Down makes the table": kids, "Down makes nothing": "SELECT 1;"} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				schema := "CREATE TABLE parents (id integer PRIMARY KEY, name varchar(20) NOT NULL);\n" + kids + `
INSERT INTO parents VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cid');
INSERT INTO kids VALUES (10, 1, 'a'), (11, 2, 'b'), (12, 3, 'c')`
				off, on := "", ""
				if !strings.HasPrefix(dsn, "sqlite") {
					off, on = "SET FOREIGN_KEY_CHECKS = 0;\n", "\nSET FOREIGN_KEY_CHECKS = 1;"
				}
				f := newFixture(t, dsn, schema, map[string]string{
					"00001_x.sql": migration(off+"DELETE FROM parents WHERE id = 2;"+on, "SELECT 1;"),
					"00002_y.sql": migration("UPDATE kids SET note = 'd';\nDELETE FROM kids WHERE id = 10;\nDROP TABLE kids;", down),
				})
				before := f.dump()
				f.up()
				res := f.rollback(migrate.RollbackRequest{To: 0})
				if len(res.Conflicts) > 0 || !res.Verified {
					t.Errorf("%+v", res)
				}
				f.same(before, f.dump(), "after the rollback")

				if down != kids {
					return
				}
				f.up()
				f.exec("DELETE FROM parents WHERE id = 3") // by the application: its kid stays out
				res = f.rollback(migrate.RollbackRequest{To: 0})
				if !strings.HasPrefix(dsn, "sqlite") && !slices.ContainsFunc(res.Conflicts, func(c snapshot.Conflict) bool { return c.Key == "id=12" && c.Reason == "parent deleted" }) {
					t.Errorf("conflicts %+v", res.Conflicts)
				}
			}, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB)
		})
	}
}

package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// leftKeys are migrations in which a row leaves its key, and another one comes to stand under it.
var leftKeys = []struct {
	name, up, down, write string
	want                  string // after a rollback behind the write
	conflicts             bool
}{
	{name: "moved, deleted, given again", up: "UPDATE ev SET a = a + 20 WHERE a = 3;\nDELETE FROM ev;\nINSERT INTO ev (a, p) VALUES (3, 1);", down: "SELECT 1;",
		write: "UPDATE ev SET p = 5 WHERE a = 3", want: "2|1|x 3|5|- 8|1|z", conflicts: true},
	{name: "given again, and that row deleted since", up: "UPDATE ev SET a = a + 20 WHERE a = 3;\nDELETE FROM ev WHERE a = 23;\nINSERT INTO ev (a, p) VALUES (3, 1);", down: "SELECT 1;",
		write: "DELETE FROM ev WHERE a = 3", want: "2|1|x 3|4|q 8|1|z"},
	{name: "replaced, moved, deleted, given again", down: "UPDATE ev SET a = a - 20 WHERE a >= 20 AND a < 30;",
		up:    "DELETE FROM ev WHERE a = 3;\nINSERT INTO ev (a, p) VALUES (3, 2);\nUPDATE ev SET a = a + 20 WHERE a = 3;\nDELETE FROM ev;\nINSERT INTO ev (a, p) VALUES (3, 1);",
		write: "UPDATE ev SET p = 5 WHERE a = 3", want: "2|1|x 3|5|- 8|1|z", conflicts: true},
	{name: "renamed, emptied, filled", up: "ALTER TABLE ev RENAME TO e2;\nDELETE FROM e2;\nALTER TABLE e2 RENAME TO ev;\nINSERT INTO ev (a, p) VALUES (3, 1);", down: "SELECT 1;",
		write: "UPDATE ev SET p = 5 WHERE a = 3", want: "2|1|x 3|5|- 8|1|z", conflicts: true},
	{name: "moved, and a column dropped behind it", up: "UPDATE ev SET p = p + 1;\nUPDATE ev SET a = a + 20 WHERE a = 3;\nALTER TABLE ev DROP COLUMN b;",
		down:  "ALTER TABLE ev ADD COLUMN b varchar(9);\nUPDATE ev SET a = a - 20 WHERE a >= 20 AND a < 30;",
		write: "UPDATE ev SET p = 9 WHERE a = 23", want: "2|1|x 3|9|q 8|1|z", conflicts: true},
	{name: "moved back, and a column dropped behind it", up: "UPDATE ev SET p = p + 1;\nALTER TABLE ev ADD COLUMN y integer;\nUPDATE ev SET y = p;\nUPDATE ev SET a = a + 20 WHERE a = 3;",
		down:  "UPDATE ev SET a = a - 20 WHERE a >= 20 AND a < 30;\nALTER TABLE ev DROP COLUMN y;",
		write: "UPDATE ev SET p = 9 WHERE a = 23", want: "2|1|x 3|9|q 8|1|z", conflicts: true},
}

// TestKeysThatRowsLeave: values go back to the row that left a key, not to the one that stands there now; what the application made of that one stays. The second up
// and rollback end where the first did. On MySQL and MariaDB a statement that alters the table behind one that moves its keys was a dead end.
func TestKeysThatRowsLeave(t *testing.T) {
	t.Parallel()
	const before = "2|1|x 3|4|q 8|1|z"
	for _, x := range leftKeys {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) { // SQLite lets the key of type int be NULL
				f := newFixture(t, dsn, "CREATE TABLE ev (a int PRIMARY KEY, p int, b varchar(9));\nINSERT INTO ev VALUES (2, 1, 'x'), (3, 4, 'q'), (8, 1, 'z');\n",
					map[string]string{"00001_x.sql": migration(x.up, x.down)})
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT a, p, coalesce(b, '-') FROM ev ORDER BY a"), " ")
				}
				for range 2 {
					f.up()
					if res := f.rollback(migrate.RollbackRequest{Steps: 1}); rows() != before || len(res.Conflicts) > 0 {
						t.Fatalf("rows %s, want %s; conflicts %v", rows(), before, res.Conflicts)
					}
				}
				f.up()
				f.exec(x.write + ";\n")
				res := f.rollback(migrate.RollbackRequest{Steps: 1})
				if rows() != x.want || len(res.Conflicts) > 0 != x.conflicts {
					t.Fatalf("behind a write: rows %s, want %s; conflicts %v", rows(), x.want, res.Conflicts)
				}
				f.up()
				if res := f.rollback(migrate.RollbackRequest{Steps: 1}); rows() != x.want || len(res.Conflicts) > 0 {
					t.Fatalf("once more: rows %s, want %s; conflicts %v", rows(), x.want, res.Conflicts)
				}
			}, everywhere...)
		})
	}
}

// TestCutOffWhileKeysAreLeft cuts such a migration off wherever it may be, each way.
func TestCutOffWhileKeysAreLeft(t *testing.T) {
	t.Parallel()
	for _, x := range leftKeys[3:] {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				testdb.Exec(t, dsn, "CREATE TABLE ev (a int PRIMARY KEY, p int, b varchar(9))", "INSERT INTO ev VALUES (2, 1, 'x'), (3, 4, 'q'), (8, 1, 'z')")
				c := newCutter(t, dsn, migration(x.up, x.down))
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT * FROM ev ORDER BY a"), " ")
				}
				before := rows()
				c.must("up")
				after := rows()
				c.must("rollback")
				c.cutsEachWay(rows, map[string]string{"up": after, "rollback": before})
			}, family...)
		})
	}
}

// TestInsertedWrittenAndDeleted: a row that Up inserted, the application wrote and Down deletes is not said to be kept, because it is gone; it is in what Down captured,
// and the next up brings it back as the application left it.
func TestInsertedWrittenAndDeleted(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE ev (a int NOT NULL PRIMARY KEY, p int, b varchar(9));\nINSERT INTO ev VALUES (2, 1, 'x');\n",
			map[string]string{"00001_x.sql": migration("INSERT INTO ev VALUES (50, 1, 'n'), (51, 1, 'n'), (52, 1, 'n');", "DELETE FROM ev WHERE a <= 51 AND a >= 50;")})
		rows := func() string { return strings.Join(testdb.Query(t, dsn, "SELECT * FROM ev ORDER BY a"), " ") }
		f.up()
		f.exec("UPDATE ev SET p = 5 WHERE a IN (50, 52);\n")
		res := f.rollback(migrate.RollbackRequest{Steps: 1})
		if want := "2|1|x 52|5|n"; rows() != want {
			t.Fatalf("rows %s, want %s", rows(), want)
		}
		said := map[string]string{}
		for _, c := range res.Conflicts {
			said[c.Key[strings.Index(c.Key, "=")+1:]] += c.Reason
		}
		if len(said) != 2 || said["50"] != snapshot.RemovedByDown || said["52"] != "changed since" {
			t.Errorf("said %v, want that 50 was deleted by the migration and 52 changed since", said)
		}
		f.exec("DELETE FROM ev WHERE a = 52;\n") // it would stand in the way
		f.up()
		if want := "2|1|x 50|5|n 51|1|n 52|1|n"; rows() != want {
			t.Fatalf("up again: rows %s, want %s", rows(), want)
		}
	}, everywhere...)
}

package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// keylessLog has no key, and rows that are alike.
const keylessLog = "CREATE TABLE ev (r varchar(9), a integer);\nINSERT INTO ev VALUES ('x', 1), ('x', 1), ('y', 2), ('y', 2), ('z', 3), (NULL, NULL);\n"

func keylessRows(t *testing.T, dsn string) string {
	t.Helper()
	rows := testdb.Query(t, dsn, "SELECT coalesce(r, '-'), coalesce(a, 0) FROM ev")
	slices.Sort(rows)
	return strings.Join(rows, " ")
}

// TestKeylessLeftAlone: rows of a table without a key that Up left alone, and that Down deletes or writes, are there after the rollback, as often as they were; so is what the
// application did since, where that can be told.
func TestKeylessLeftAlone(t *testing.T) {
	t.Parallel()
	const before, written = "-|0 x|1 x|1 y|2 y|2 z|3", "-|0 w|2 x|1 x|1 x|1 y|2 y|2 z|9"
	for name, tc := range map[string]struct{ down, want string }{
		"some deleted":  {"DELETE FROM ev WHERE a = 2;", "-|0 x|1 x|1 x|1 y|2 y|2 z|9"}, // what is to go is to go
		"all deleted":   {"DELETE FROM ev;", written},
		"some written":  {"UPDATE ev SET a = 7 WHERE r = 'y';", written},
		"all written":   {"UPDATE ev SET a = 7;", "-|0 w|7 x|7 x|7 x|7 y|2 y|2 z|7"}, // only those like what the application wrote stay as Down makes them
		"twice deleted": {"DELETE FROM ev WHERE a = 2;\nDELETE FROM ev;", written},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people+keylessLog, map[string]string{
					"00001_a.sql": migration("UPDATE people SET score = 11 WHERE score = 10;", "UPDATE people SET score = 10 WHERE score = 11;\n"+tc.down)})
				f.up()
				for range 2 {
					res := f.rollback(migrate.RollbackRequest{To: 0})
					if got := keylessRows(t, dsn); got != before || len(res.Conflicts) > 0 {
						t.Fatalf("nobody wrote: %s, want %s; conflicts %+v", got, before, res.Conflicts)
					}
					f.up()
				}
				f.exec("INSERT INTO ev VALUES ('w', 2), ('x', 1);\nUPDATE ev SET a = 9 WHERE r = 'z';\n")
				for i := range 3 {
					res := f.rollback(migrate.RollbackRequest{To: 0, OnConflict: snapshot.Restore})
					if got := keylessRows(t, dsn); got != tc.want || len(res.Conflicts) > 0 {
						t.Fatalf("rollback %d: %s, want %s; conflicts %+v", i, got, tc.want, res.Conflicts)
					}
					f.up()
					if got := keylessRows(t, dsn); got != written {
						t.Fatalf("up again: %s, want %s", got, written)
					}
				}
			}, everywhere...)
		})
	}
}

// TestKeylessChildren: so it is with rows that a foreign key deletes, or has point to nothing, along with those of another table.
func TestKeylessChildren(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"CASCADE", "SET NULL"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, "CREATE TABLE par (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO par VALUES (1, 'a'), (2, 'b');\n"+
					"CREATE TABLE ev (r varchar(9), a integer, FOREIGN KEY (a) REFERENCES par (id) ON DELETE "+action+");\nINSERT INTO ev VALUES ('x', 1), ('x', 1), ('y', 2), ('z', NULL);\n",
					map[string]string{"00001_a.sql": migration("INSERT INTO par VALUES (3, 'c');", "DELETE FROM par;")})
				before := keylessRows(t, dsn)
				f.up()
				for i := range 3 {
					if i == 2 {
						f.exec("INSERT INTO ev VALUES ('app', 3);\n")
					}
					f.rollback(migrate.RollbackRequest{To: 0})
					if got := keylessRows(t, dsn); i < 2 && got != before {
						t.Fatalf("rollback %d: %s, want %s", i, got, before)
					}
					f.up()
				}
				if got, want := keylessRows(t, dsn), "app|3 "+before; got != want {
					t.Errorf("up again: %s, want %s", got, want)
				}
			}, everywhere...)
		})
	}
}

// TestCutOffAtKeylessLeftAlone: the client dies here and there on the way back, and on the way up again.
func TestCutOffAtKeylessLeftAlone(t *testing.T) {
	t.Parallel()
	for _, down := range []string{"DELETE FROM ev;", "DELETE FROM ev WHERE a = 2;"} {
		t.Run(down, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				c := newCutter(t, dsn, migration("ALTER TABLE people ADD COLUMN age integer;", down+"\nALTER TABLE people DROP COLUMN age;"))
				c.exec(keylessLog)
				want := keylessRows(t, dsn)
				c.must("up")
				commands := len(c.commands("rollback"))
				c.must("up")
				const cuts = 12
				for i := range cuts {
					app := fmt.Sprintf("app%d", i)
					c.exec(fmt.Sprintf("INSERT INTO ev VALUES ('%s', 8), ('x', 1);\n", app))
					want = strings.Replace(app+"|8 "+want, "x|1", "x|1 x|1", 1)
					sorted := strings.Fields(want)
					slices.Sort(sorted)
					for _, verb := range []string{"rollback", "up"} {
						at, err := c.cutAt(verb, commands*(2*i+1)/(2*cuts), []cut{afterAnswer, beforeIt, afterSending}[i%3])
						if _, merr := c.mend("recover"); merr != nil {
							c.Fatalf("%s cut off at %.80q (%v): recover: %v", verb, at, err, merr)
						}
						if applied := len(testdb.Query(t, dsn, "SELECT 1 FROM information_schema.columns WHERE table_schema = database() AND table_name = 'people' AND column_name = 'age'")) > 0; applied != (verb == "up") {
							c.must(verb)
						}
						if got := keylessRows(t, dsn); got != strings.Join(sorted, " ") {
							c.Fatalf("%s cut off at %.80q (%v): %s, want %s", verb, at, err, got, strings.Join(sorted, " "))
						}
					}
				}
			}, family...)
		})
	}
}

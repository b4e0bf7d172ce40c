package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// strays are a table whose keys Down moves, and one that points to it.
const strays = "CREATE TABLE t (id integer PRIMARY KEY, a integer);\nINSERT INTO t VALUES (1, 1), (2, 2), (3, 3);\n" +
	"CREATE TABLE c (id integer PRIMARY KEY, t_id integer, FOREIGN KEY (t_id) REFERENCES t (id) ON UPDATE CASCADE);\nINSERT INTO c VALUES (1, 1), (2, 2);\n"

func strayRows(t *testing.T, dsn string) string {
	return strings.Join(testdb.Query(t, dsn, "SELECT id, a FROM t ORDER BY a"), " ") + " / " + strings.Join(testdb.Query(t, dsn, "SELECT id, t_id FROM c ORDER BY id"), " ")
}

// TestKeysThatDownAloneMoves: rows whose keys Down moves and Up never did have them back, also those that the application has changed since, and what points to them points to them;
// the second time, too. Rows that came later are where Down puts them.
func TestKeysThatDownAloneMoves(t *testing.T) {
	t.Parallel()
	const as, later = "1|1 3|3 2|20 / 1|1 2|2", "UPDATE t SET a = 20 WHERE id = 2;\n"
	for name, c := range map[string]struct{ up, down, writes, want string }{
		"all":                    {"", "UPDATE t SET id = id + 100;", later, as},
		"twice":                  {"", "UPDATE t SET id = id + 100;\nUPDATE t SET id = id + 100 WHERE id > 101;", later, as},
		"one into the other's":   {"", "UPDATE t SET id = 9 WHERE id = 3;\nUPDATE t SET id = 3 WHERE id = 2;", later, as},
		"and deleted there":      {"", "UPDATE t SET id = id + 100;\nDELETE FROM t WHERE id = 103;", later, as},
		"other values, too":      {"", "UPDATE t SET id = id + 100;\nUPDATE t SET a = a + 1 WHERE id <> 102;", later, as},
		"of rows that Up wrote":  {"UPDATE t SET a = a * 10 WHERE id = 1;", "UPDATE t SET id = id + 100;", later, as},
		"a row that Up inserted": {"INSERT INTO t (id, a) VALUES (50, 50);", "UPDATE t SET id = id + 100;", later, as},
		"a row that came later":  {"", "UPDATE t SET id = id + 100;", "INSERT INTO t (id, a) VALUES (4, 40);\n" + later, "1|1 3|3 2|20 104|40 / 1|1 2|2"},
		"a key that is taken": {"", "UPDATE t SET id = id + 100;\nINSERT INTO t (id, a) VALUES (1, 50);", later,
			"101|1 3|3 2|20 1|50 / 1|101 2|2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				want := c.want
				if strings.HasPrefix(dsn, "sqlite") { // there a migration carries nothing along
					want = strings.Replace(want, "1|101", "1|1", 1)
				}
				f := newFixture(t, dsn, strays, map[string]string{"00001_x.sql": migration("ALTER TABLE t ADD COLUMN x integer;\n"+c.up, c.down+"\nALTER TABLE t DROP COLUMN x;")})
				f.up()
				f.exec(c.writes)
				after := strayRows(t, dsn)
				for i := range 2 {
					res := f.rollback(migrate.RollbackRequest{Steps: 1})
					if got := strayRows(t, dsn); got != want {
						t.Fatalf("rolled back, time %d: %s, want %s", i+1, got, want)
					}
					if taken := strings.Contains(c.down, "INSERT"); taken != (len(res.Conflicts) > 0) {
						t.Errorf("conflicts %+v", res.Conflicts)
					}
					if name == "a key that is taken" || name == "a row that came later" {
						break
					}
					f.up()
					if got := strayRows(t, dsn); got != after {
						t.Fatalf("up again, time %d: %s, want %s", i+1, got, after)
					}
				}
			}, everywhere...)
		})
	}
}

// TestKeysThatDownExchanges: numbers that change places go back over others that are free; of texts there are none to be had, so the rows stay and are told.
func TestKeysThatDownExchanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ kind, a, b, free, want string }{
		"numbers": {"integer", "1", "2", "9", "1|1 2|2 3|3"},
		"texts":   {"varchar(9)", "'1'", "'2'", "'9'", "1|2 2|1 3|3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				const move = "UPDATE t SET id = %s WHERE id = %s;\n"
				f := newFixture(t, dsn, "CREATE TABLE t (id "+c.kind+" NOT NULL PRIMARY KEY, a integer);\nINSERT INTO t VALUES (1, 1), (2, 2), (3, 3);\n", map[string]string{"00001_x.sql": migration("ALTER TABLE t ADD COLUMN x integer;",
					fmt.Sprintf(move+move+move, c.free, c.a, c.a, c.b, c.b, c.free)+"ALTER TABLE t DROP COLUMN x;")})
				f.up()
				res := f.rollback(migrate.RollbackRequest{})
				if got := strings.Join(testdb.Query(t, dsn, "SELECT id, a FROM t ORDER BY id"), " "); got != c.want {
					t.Errorf("rolled back: %s, want %s", got, c.want)
				}
				if told := len(res.Conflicts); told != 0 && name == "numbers" || told != 2 && name == "texts" {
					t.Errorf("conflicts %+v", res.Conflicts)
				}
			}, everywhere...)
		})
	}
}

// TestCutOffWhileKeysAreMovedByDown: the same, cut off each way.
func TestCutOffWhileKeysAreMovedByDown(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("ALTER TABLE t ADD COLUMN x integer;", "UPDATE t SET id = id + 100;\nALTER TABLE t DROP COLUMN x;"))
		c.exec(strays)
		rows := func() string { return strayRows(t, dsn) }
		before := rows()
		c.must("up")
		c.must("rollback")
		if got := rows(); got != before {
			t.Fatalf("rolled back: %s, were %s", got, before)
		}
		c.cutsEachWay(rows, map[string]string{"up": before, "rollback": before})
	}, family...)
}

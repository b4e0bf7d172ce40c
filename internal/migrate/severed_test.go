package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// parents is a table and its children, which ON DELETE SET NULL takes off their parents.
const parents = "CREATE TABLE par (id integer PRIMARY KEY, v varchar(9));\nINSERT INTO par VALUES (1, 'a'), (2, 'b'), (3, 'c');\n" +
	"CREATE TABLE ch (id integer PRIMARY KEY, p integer, n varchar(9), FOREIGN KEY (p) REFERENCES par (id) ON DELETE SET NULL);\nINSERT INTO ch VALUES (10, 1, 'x'), (11, 2, 'y'), (12, NULL, 'z'), (13, 3, 'w');\n"

// TestChildrenOfRowsThatComeBack: children point to rows that Down deletes and that are back, also those that the application has put there since.
func TestChildrenOfRowsThatComeBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ up, down, writes, want string }{
		"some": {"INSERT INTO par VALUES (4, 'd');", "DELETE FROM par WHERE id > 1;",
			"INSERT INTO ch VALUES (14, 3, 'app'), (16, 4, 'p4');\nUPDATE ch SET n = 'app' WHERE id = 11;\nUPDATE ch SET p = 2 WHERE id = 13;\n", "10|1|x 11|2|app 12|0|z 13|2|w 14|3|app 16|0|p4"},
		"all": {"INSERT INTO par VALUES (4, 'd');", "DELETE FROM par;",
			"INSERT INTO par VALUES (5, 'app');\nINSERT INTO ch VALUES (14, 3, 'app'), (15, 5, 'p5');\nUPDATE ch SET p = 2 WHERE id = 13;\n", "10|1|x 11|2|y 12|0|z 13|2|w 14|3|app 15|5|p5"},
		"what Up wrote": {"UPDATE ch SET p = 3 WHERE id IN (10, 12);\nINSERT INTO ch VALUES (20, 2, 'u');", "DELETE FROM par WHERE id = 3;",
			"INSERT INTO ch VALUES (14, 3, 'app');\n", "10|1|x 11|2|y 12|0|z 13|3|w 14|3|app"}, // is as it was before Up
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, parents, map[string]string{"00001_a.sql": migration(tc.up, tc.down)})
				rows := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce(p, 0), n FROM ch ORDER BY id"), " ")
				}
				f.up()
				f.exec(tc.writes)
				written := rows()
				for i := range 3 {
					f.rollback(migrate.RollbackRequest{To: 0})
					if got := rows(); got != tc.want {
						t.Errorf("rollback %d: %s, want %s", i, got, tc.want)
					}
					f.up()
					if got := rows(); got != written {
						t.Errorf("up again: %s, want %s", got, written)
					}
				}
			}, testdb.OnPostgres, testdb.OnMySQL, testdb.OnMariaDB)
		})
	}
}

// TestCutOffAtChildrenOfRowsThatComeBack: the client dies here and there on the way back.
func TestCutOffAtChildrenOfRowsThatComeBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("INSERT INTO par VALUES (4, 'd');\nALTER TABLE people ADD COLUMN age integer;", "DELETE FROM par;\nALTER TABLE people DROP COLUMN age;"))
		c.exec(parents)
		rows := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT id, coalesce(p, 0) FROM ch ORDER BY id"), " ")
		}
		want := rows()
		c.must("up")
		commands := len(c.commands("rollback"))
		c.must("up")
		const cuts = 12
		for i := range cuts {
			c.exec(fmt.Sprintf("INSERT INTO ch VALUES (%d, 3, 'app');\n", 20+i))
			want += fmt.Sprintf(" %d|3", 20+i)
			at, err := c.cutAt("rollback", commands*(2*i+1)/(2*cuts), []cut{afterAnswer, beforeIt, afterSending}[i%3])
			if _, merr := c.mend("recover"); merr != nil {
				c.Fatalf("cut off at %.80q (%v): recover: %v", at, err, merr)
			}
			if len(testdb.Query(t, dsn, "SELECT 1 FROM par WHERE id = 4")) > 0 { // it had not begun
				c.must("rollback")
			}
			if got := rows(); got != want {
				c.Fatalf("cut off at %.80q (%v): %s, want %s", at, err, got, want)
			}
			c.must("up")
		}
	}, family...)
}

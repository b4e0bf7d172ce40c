package journal_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestBinlogOfTablesTiedToOneWithTriggers: to switch triggers off MySQL locks the tables that foreign keys tie to theirs as well; nothing of ours is in the way.
func TestBinlogOfTablesTiedToOneWithTriggers(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, with := range []string{"p", "c"} {
			w := logged(t, dsn, "DROP TABLE IF EXISTS c", "DROP TABLE IF EXISTS p", "CREATE TABLE p (id int PRIMARY KEY, n int)", "CREATE TABLE c (id int PRIMARY KEY, n int, FOREIGN KEY (n) REFERENCES p (id))",
				"CREATE TRIGGER g_"+with+" BEFORE UPDATE ON "+with+" FOR EACH ROW SET NEW.n = NEW.n", "INSERT INTO p VALUES (1, 1), (2, 2)", "INSERT INTO c VALUES (1, 1), (2, 2)")
			p, c := w.rows("p", []string{"id"}, []string{"n"}), w.rows("c", []string{"id"}, []string{"n"})
			at := w.moment()
			w.exec("UPDATE p SET n = 10", "DELETE FROM c WHERE id = 2", "UPDATE c SET n = 2")
			if err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"c", "p"}), At: at}); err != nil {
				t.Fatalf("with a trigger on %s: %v", with, err)
			}
			w.same("p", p, w.rows("p", []string{"id"}, []string{"n"}))
			w.same("c", c, w.rows("c", []string{"id"}, []string{"n"}))
		}
	}, testdb.OnMySQL)
}

package migrate_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestWhetherItTookEffect: a run is cut off right before, and right after, each statement that commits by itself. The journal says the same
// both times, and the server shows which it was: the statement runs once, and what it gave another name is known by its old one once.
func TestWhetherItTookEffect(t *testing.T) {
	t.Parallel()
	alone := []string{
		"ALTER TABLE visit RENAME COLUMN who TO who_old", "ALTER TABLE visit ADD COLUMN who varchar(30)", "ALTER TABLE visit RENAME TO visit_old",
		"CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, place varchar(30))", "ALTER TABLE visit_old RENAME COLUMN day TO hour", "CREATE INDEX visit_hour ON visit_old (hour)",
	}
	up := []string{
		alone[0], alone[1], "UPDATE visit SET who = concat('at ', day), who_old = 'nobody' WHERE id < 3", alone[2], alone[3],
		"INSERT INTO visit SELECT id, who FROM visit_old", alone[4], "UPDATE visit_old SET hour = 7 WHERE id > 1", "DELETE FROM visit_old WHERE id = 3", alone[5],
	}
	down := "DROP INDEX visit_hour ON visit_old;\nDROP TABLE visit;\nALTER TABLE visit_old RENAME TO visit;\nALTER TABLE visit DROP COLUMN who;\nALTER TABLE visit RENAME COLUMN who_old TO who;\nALTER TABLE visit RENAME COLUMN hour TO day;"
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration(strings.Join(up, ";\n")+";", down))
		c.exec("CREATE TABLE visit (id integer NOT NULL PRIMARY KEY, who varchar(20) NOT NULL, day integer);\nINSERT INTO visit VALUES (1, 'ann', 10), (2, 'bob', NULL), (3, 'cy', 30);")
		before := testdb.DumpAnyOrder(t, dsn)
		c.must("up")
		after := testdb.DumpAnyOrder(t, dsn)
		c.must("rollback")
		for _, st := range alone {
			for _, how := range []cut{beforeIt, afterAnswer} {
				if at, _ := c.cutWhere("up", how, func(q string) bool { return strings.HasPrefix(q, st) }); at == "" {
					t.Fatalf("up never came to %q", st)
				}
				if was, err := c.mend("recover"); !was || err != nil {
					t.Fatalf("cut off at %q (%d): %t, %v", st, how, was, err)
				}
				if got := testdb.DumpAnyOrder(t, dsn); got != after {
					t.Fatalf("cut off at %q (%d), and recovered:\n%s", st, how, testdb.Diff(after, got))
				}
				c.must("rollback")
				if got := testdb.DumpAnyOrder(t, dsn); got != before {
					t.Fatalf("cut off at %q (%d), recovered, and rolled back:\n%s", st, how, testdb.Diff(before, got))
				}
			}
		}
	}, family...)
}

// TestIndexThatTookEffect: the same of an index that is made without a lock, on PostgreSQL: the connection goes when it is there, and before
// the journal says so.
func TestIndexThatTookEffect(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	f := newFixture(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v text);\nINSERT INTO t VALUES (1, 'a'), (2, 'b');\nCREATE TABLE gate (id integer PRIMARY KEY);\nINSERT INTO gate VALUES (1);\n",
		map[string]string{"00001_x.sql": "-- +goose NO TRANSACTION\n" + migration("UPDATE t SET v = 'c' WHERE id = 1;\nCREATE INDEX CONCURRENTLY t_v ON t (v);\nINSERT INTO gate VALUES (1);", "DELETE FROM gate WHERE id = 1;\nDROP INDEX CONCURRENTLY t_v;")})
	if _, err := f.open().Up(context.Background(), migrate.UpRequest{To: -1}); err == nil {
		t.Fatal("one key twice")
	}
	f.exec("DELETE FROM gate;\nUPDATE dbrollback.dbrollback_operations SET state = 'started' WHERE statement = 2;")
	if _, err := f.open().Recover(context.Background(), migrate.RecoverRequest{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(testdb.Query(t, dsn, "SELECT v FROM t ORDER BY id"), ",") + testdb.Query(t, dsn, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'")[0]; got != "c,b2" {
		t.Errorf("recovered: %s", got)
	}
	f.rollback(migrate.RollbackRequest{})
	if got := strings.Join(testdb.Query(t, dsn, "SELECT v FROM t ORDER BY id"), ",") + testdb.Query(t, dsn, "SELECT count(*) FROM pg_indexes WHERE tablename = 't'")[0]; got != "a,b1" {
		t.Errorf("rolled back: %s", got)
	}
}

// TestOpaqueThatOnlyInserts: a call that was cut off and has only added rows has left every captured one as it was. It does not run again
// for that, and is taken back. One that was cut off before it ran does run.
func TestOpaqueThatOnlyInserts(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("UPDATE visit SET who = 'bill' WHERE id = 2;\n-- +dbrollback affects: visit\nCALL more();\nALTER TABLE visit ADD COLUMN note varchar(9);", "ALTER TABLE visit DROP COLUMN note;"))
		c.exec("CREATE TABLE visit (id integer NOT NULL PRIMARY KEY AUTO_INCREMENT, who varchar(20) NOT NULL);\nINSERT INTO visit VALUES (1, 'ann'), (2, 'bob');\nCREATE PROCEDURE more() INSERT INTO visit (who) VALUES ('cy'), ('dee');")
		who := func() string {
			return strings.Join(testdb.Query(t, dsn, "SELECT who FROM visit ORDER BY who"), ",")
		}
		if at, _ := c.cutWhere("up", afterAnswer, func(q string) bool { return strings.HasPrefix(q, "CALL more") }); at == "" {
			t.Fatal("up never came to the call")
		}
		if got := who(); got != "ann,bill,cy,dee" {
			t.Fatalf("the call: %s", got)
		}
		_, err := c.mend("recover")
		var refused *migrate.RefusedError
		if !errors.As(err, &refused) || len(refused.Reasons) != 1 || !strings.Contains(refused.Reasons[0].Hint, "--abort") {
			t.Errorf("recover: %v", err)
		}
		if got := who(); got != "ann,bill,cy,dee" {
			t.Fatalf("recover ran the call again: %s", got)
		}
		res, err := c.open(dsn).Recover(context.Background(), migrate.RecoverRequest{Abort: true})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "2 rows of visit came in since") {
			t.Errorf("warnings: %q", res.Warnings)
		}
		if got := who(); got != "ann,bob,cy,dee" { // nobody can tell whose they are
			t.Errorf("taken back: %s", got)
		}
		testdb.Exec(t, dsn, "DELETE FROM visit WHERE id > 2")
		if at, _ := c.cutWhere("up", beforeIt, func(q string) bool { return strings.HasPrefix(q, "CALL more") }); at == "" {
			t.Fatal("up never came to the call again")
		}
		if _, err := c.mend("recover"); err != nil {
			t.Fatal(err)
		}
		if got := who(); got != "ann,bill,cy,dee" {
			t.Errorf("recover did not run the call once: %s", got)
		}
		c.must("rollback")
		if got := who(); got != "ann,bob" {
			t.Errorf("rolled back: %s", got)
		}
	}, family...)
}

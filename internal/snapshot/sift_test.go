package snapshot_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// stamping makes a trigger that writes down when a row was written last.
func stamping(dsn string) []string {
	switch {
	case strings.HasPrefix(dsn, "postgres"):
		return []string{"CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := now(); RETURN NEW; END $$",
			"CREATE TRIGGER stamp BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION stamp()"}
	case mysqlLike(dsn):
		return []string{"CREATE TRIGGER stamp BEFORE UPDATE ON t FOR EACH ROW SET NEW.at = now(6)"}
	}
	return []string{"CREATE TRIGGER stamp AFTER UPDATE OF b, n ON t BEGIN UPDATE t SET at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = NEW.id; END"}
}

// TestUsedRows: an application that goes on with other columns of a row, and a trigger that notes it, keep nothing of what the migration
// changed from coming back.
func TestUsedRows(t *testing.T) {
	t.Parallel()
	const ago = "2001-02-03 04:05:06"
	for _, tc := range []struct {
		name, column string
		stamp        bool   // by a trigger
		up           string // columns that it sets besides b
		only         string // engine
	}{
		{name: "trigger", column: "timestamp(6) NULL", stamp: true},
		{name: "on update", column: "timestamp(6) NULL ON UPDATE CURRENT_TIMESTAMP(6)", only: "mysql"},
		{name: "said", column: "timestamp(6) NULL", up: ", at = CURRENT_TIMESTAMP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				if tc.only != "" && !mysqlLike(dsn) {
					return
				}
				b := newBench(t, dsn)
				b.opposite = &[]effects.Statement{}
				used := "UPDATE t SET n = n + 1 WHERE id IN (1, 2)"
				if tc.up != "" && !tc.stamp { // nothing but the application says when
					used = "UPDATE t SET n = n + 1, at = '2030-01-01' WHERE id IN (1, 2)"
				}
				up := "UPDATE t SET b = 'up'" + tc.up + " WHERE a <= 50"
				fresh := func() (before string) {
					b.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, a integer, b varchar(20), n integer, at "+tc.column+")",
						"INSERT INTO t SELECT i, 10 * i, 'b' || i, 0, '"+ago+"' FROM (SELECT 1 AS i UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6) v")
					if tc.stamp {
						if strings.HasPrefix(dsn, "postgres") {
							b.exec("DROP FUNCTION IF EXISTS stamp()")
						}
						b.exec(stamping(dsn)...)
					}
					before = b.rows()
					b.up(up)
					return before
				}
				rows := func() string {
					return strings.Join(b.query("SELECT id || ' ' || a || ' ' || b || ' ' || n || CASE WHEN at = '"+ago+"' THEN '' ELSE ' later' END FROM t ORDER BY id"), ", ")
				}
				of := func(rep snapshot.Report) string {
					var out []string
					for _, c := range rep.Conflicts {
						out = append(out, fmt.Sprintf("%s %s %s", c.Key, strings.Join(c.Columns, " "), c.Resolved))
					}
					slices.Sort(out)
					return strings.Join(out, "; ")
				}
				before := fresh()
				rep := b.down("SELECT 1", snapshot.Keep)
				same(t, "with nothing written since", before, b.rows())
				if len(rep.Conflicts) > 0 || !rep.Verified || rep.Tables[0].Updated != 5 {
					t.Errorf("with nothing written since: %+v", rep)
				}

				writes := []string{used, "UPDATE t SET b = 'app' WHERE id = 2", "DELETE FROM t WHERE id = 3", "UPDATE t SET a = 41 WHERE id = 4"}
				fresh()
				b.exec(writes...)
				rep = b.down("SELECT 1", snapshot.Keep)
				fourth := "4 41 b4 0 later"
				if tc.up != "" && !tc.stamp || tc.stamp && strings.HasPrefix(dsn, "sqlite") {
					fourth = "4 41 b4 0" // writing a is no writing to the trigger
				}
				if got, want := rows(), "1 10 b1 1 later, 2 20 app 1 later, "+fourth+", 5 50 b5 0, 6 60 b6 0"; got != want {
					t.Errorf("keep:\n got %s\nwant %s", got, want)
				}
				want := "id=1 at keep; id=2 b keep; id=3 b keep"
				if strings.HasSuffix(fourth, "later") {
					want += "; id=4 at keep"
				}
				if got := of(rep); got != want || !rep.Verified {
					t.Errorf("keep: conflicts\n got %s\nwant %s", got, want)
				}
				b.again(up)
				if got, want := b.query("SELECT id || ' ' || b || ' ' || n FROM t ORDER BY id"), "1 up 1, 2 up 1, 4 up 0, 5 up 0, 6 b6 0"; strings.Join(got, ", ") != want {
					t.Errorf("up again:\n got %s\nwant %s", strings.Join(got, ", "), want)
				}

				fresh()
				b.exec(writes...)
				rep = b.down("SELECT 1", snapshot.Restore)
				third := ""
				if tc.stamp { // a trigger could have written anything: the row was captured whole
					third = "3 30 b3 0, "
				}
				if got, want := rows(), "1 10 b1 1, 2 20 b2 1, "+third+"4 41 b4 0, 5 50 b5 0, 6 60 b6 0"; got != want || !rep.Verified {
					t.Errorf("restore:\n got %s\nwant %s", got, want)
				}
				fresh()
				b.exec(writes...)
				written := b.rows()
				if _, err := b.tryBack("down", "SELECT 1", snapshot.Fail); err == nil {
					t.Error("fail: it went through")
				}
				same(t, "after the refusal", written, b.rows())
			}, everywhere...)
		})
	}
}

package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSnapshotWithoutItsEntry: where the audit log takes no entry, because there is no room for one, say, the command fails, and the same one is typed again: there is
// no snapshot then, which would take up room each time.
func TestSnapshotWithoutItsEntry(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, "CREATE TABLE item (id integer PRIMARY KEY, v varchar(20));\nINSERT INTO item VALUES (1, 'a'), (2, 'b');\n", nil)
		take := func() error {
			_, err := f.open().CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("item")})
			return err
		}
		if err := take(); err != nil {
			t.Fatal(err)
		}
		log, refuse, again := "dbrollback_log", []string{"CREATE TRIGGER refuses BEFORE INSERT ON dbrollback_log FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no room'"}, "DROP TRIGGER refuses"
		switch {
		case strings.HasPrefix(dsn, "postgres"):
			log, again = "dbrollback.dbrollback_log", "DROP FUNCTION refuse CASCADE"
			refuse = []string{"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no room''; END'", "CREATE TRIGGER refuses BEFORE INSERT ON " + log + " FOR EACH ROW EXECUTE FUNCTION refuse()"}
		case strings.HasPrefix(dsn, "sqlite"):
			refuse = []string{"CREATE TRIGGER refuses BEFORE INSERT ON dbrollback_log BEGIN SELECT RAISE(ABORT, 'no room'); END"}
		}
		catalog := strings.Replace(log, "dbrollback_log", "state_snapshots", 1)
		held := func() string {
			return testdb.Query(t, dsn, "SELECT count(*), sum(CASE WHEN status = 'complete' THEN 1 ELSE 0 END) FROM "+catalog+" WHERE status <> 'expired'")[0]
		}
		testdb.Exec(t, dsn, refuse...)
		for range 2 {
			if err := take(); err == nil || !strings.Contains(err.Error(), "no room") {
				t.Fatalf("err = %v", err)
			}
		}
		if got := held(); got != "1|1" {
			t.Errorf("snapshots that are held, and complete: %s, want the first one alone", got)
		}
		testdb.Exec(t, dsn, again)
		if err := take(); err != nil {
			t.Fatal(err)
		}
		if got := held(); got != "2|2" {
			t.Errorf("with room again: %s are held", got)
		}
		if got := testdb.Query(t, dsn, "SELECT id, v FROM item ORDER BY id"); strings.Join(got, " ") != "1|a 2|b" {
			t.Errorf("rows: %v", got)
		}
	}, everywhere...)
}

package snapshot_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestProofOfWhatIsGone: where something keeps rows that a migration inserted from being deleted again, though rules and triggers are
// switched off for that (here it switches them on again, as an event trigger can that watches over rules), the way back is refused.
func TestProofOfWhatIsGone(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	b := newBench(t, dsn, "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'a')")
	b.up("INSERT INTO t VALUES (2, 'b'); UPDATE t SET v = 'c' WHERE id = 1")
	b.exec("CREATE RULE stays AS ON DELETE TO t DO INSTEAD NOTHING", `CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
		IF EXISTS (SELECT FROM pg_rewrite WHERE rulename = 'stays' AND ev_enabled = 'D') THEN ALTER TABLE t ENABLE RULE stays; END IF; END $$`,
		"CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION watch()")
	before := b.rows()
	_, err := b.tryBack("down", "SELECT 1", snapshot.Keep)
	var proof *snapshot.ProofError
	if !errors.As(err, &proof) || proof.Rows != 1 || !strings.Contains(proof.Error(), "inserted are still there") {
		t.Errorf("%v", err)
	}
	same(t, "after the refusal", before, b.rows())
	b.exec("DROP EVENT TRIGGER watch")
	if _, err := b.tryBack("down", "SELECT 1", snapshot.Keep); err != nil {
		t.Error(err)
	}
	if got := strings.Join(b.query("SELECT id || v FROM t"), ","); got != "1a" {
		t.Errorf("rolled back: %s", got)
	}
}

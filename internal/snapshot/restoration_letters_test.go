package snapshot_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreOfRowsThatPointInOtherLetters: PostgreSQL has collations that call different bytes the same; a foreign key goes by them.
func TestRestoreOfRowsThatPointInOtherLetters(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t), "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		"CREATE TABLE lang (code text COLLATE ci PRIMARY KEY)", "CREATE TABLE note (id integer PRIMARY KEY, lang text COLLATE ci REFERENCES lang (code))",
		"INSERT INTO lang VALUES ('rust'), ('go')", "INSERT INTO note VALUES (1, 'RUST'), (2, 'Go'), (3, 'rust')")
	id := b.take("lang", "note")
	before := b.rows()
	// One parent is gone, the other stands.
	b.exec("DELETE FROM note", "DELETE FROM lang WHERE code = 'rust'")
	if r := b.restore(snapshot.Ask{Snapshot: id}); len(r.conflicts) > 0 {
		t.Errorf("conflicts %v", r.conflicts)
	}
	same(t, "restored", before, b.rows())
	if got := strings.Join(b.query("SELECT lang FROM note ORDER BY id"), " "); got != "RUST Go rust" {
		t.Errorf("letters %s", got)
	}
}

package snapshot_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRestoreMovedMeanwhile: a restore knows where the rows stand that it compared. One that a foreign key writes along while another table
// comes back stands elsewhere then, and is written all the same; rows that came later, of which no place is known, are in the safety snapshot.
func TestRestoreMovedMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBench(t, testdb.Postgres(t),
		"CREATE TABLE kinds (id integer PRIMARY KEY, code text NOT NULL UNIQUE)",
		"CREATE TABLE things (id integer PRIMARY KEY, code text REFERENCES kinds (code) ON UPDATE CASCADE, v integer)",
		"INSERT INTO kinds VALUES (1, 'a'), (2, 'b')", "INSERT INTO things SELECT g, CASE WHEN g % 3 = 0 THEN 'b' ELSE 'a' END, g FROM generate_series(1, 20) g")
	state := func() string {
		return strings.Join(b.query("SELECT row(k.*)::text FROM kinds k UNION ALL SELECT row(t.*)::text FROM things t ORDER BY 1"), " ")
	}
	before := state()
	id := b.take("kinds", "things")
	b.exec("UPDATE kinds SET code = 'z' WHERE id = 1", "UPDATE things SET v = v + 100 WHERE id % 2 = 0", "DELETE FROM things WHERE id IN (5, 6)", "INSERT INTO things VALUES (30, 'z', 30), (31, NULL, 31)")
	written := state()
	r := b.restore(snapshot.Ask{Snapshot: id, Mode: snapshot.Replace})
	if got := state(); got != before {
		t.Errorf("replaced:\n got %s\nwant %s", got, before)
	}
	b.restore(snapshot.Ask{Snapshot: r.safety})
	if got := state(); got != written {
		t.Errorf("undone:\n got %s\nwant %s", got, written)
	}
}

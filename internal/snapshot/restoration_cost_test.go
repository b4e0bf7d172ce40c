package snapshot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestReplaceCost: to find the rows that came later takes about as long as to compare those that were there, whatever the key is; it took as
// many times as long as there were rows for a thousandth of a second.
func TestReplaceCost(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		for _, key := range []string{"integer", "varchar(40)"} {
			b := newBench(t, dsn, "DROP TABLE IF EXISTS item", "CREATE TABLE item (id "+key+" NOT NULL PRIMARY KEY, v integer)")
			const rows, at = 16_000, 500
			for i := 0; i < rows; i += at {
				values := make([]string, at)
				for j := range values {
					values[j] = fmt.Sprintf("('%d', 1)", i+j)
				}
				b.exec("INSERT INTO item VALUES " + strings.Join(values, ", "))
			}
			ask := snapshot.Ask{Snapshot: b.take("item"), Tables: []engine.Name{{Name: "item"}}, Mode: snapshot.Replace}
			b.exec("UPDATE item SET v = 2 WHERE id = '7'")
			look := func(want string) time.Duration {
				began := time.Now()
				p, err := b.preview(ask)
				if err != nil {
					t.Fatal(err)
				}
				if got := counts(p); got != want {
					t.Errorf("%s: %s, want %s", key, got, want)
				}
				return time.Since(began)
			}
			none := look("+0 ~1 -0 =15999 !0")
			b.exec("INSERT INTO item VALUES ('900001', 1)")
			if later := look("+0 ~1 -1 =15999 !0"); later > 8*none+time.Second {
				t.Errorf("%s: %s with a row that came later, %s without", key, later, none)
			}
			if got := counts(b.restore(ask).tables); got != "+0 ~1 -1 =15999 !0" {
				t.Errorf("%s: did %s", key, got)
			}
			if got := b.query("SELECT concat(count(*), '/', sum(v)) FROM item"); got[0] != "16000/16000" {
				t.Errorf("%s: %v", key, got)
			}
		}
	}, testdb.Everywhere()...)
}

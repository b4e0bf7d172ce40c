package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestAbortAfterAKeptTableIsBack: a rollback that is cut off when a dropped table has its place again is taken back with the table kept
// again: the next rollback finds it.
func TestAbortAfterAKeptTableIsBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, `-- +goose Up
DROP TABLE visits;
ALTER TABLE people ADD COLUMN age integer;
-- +goose Down
CREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));
ALTER TABLE people DROP COLUMN age;
`)
		before := state(t, dsn)
		c.must("up")
		after := state(t, dsn)
		for _, how := range []cut{afterSending, afterAnswer} {
			if !c.cutWhen("rollback", how, func(query string) bool { return strings.HasPrefix(query, "RENAME TABLE `visits`") }) {
				t.Fatal("rollback exchanges nothing")
			}
			was, err := c.mend("recover --abort")
			if got := state(t, dsn); !was || err != nil || got != after {
				t.Fatalf("%d: recover --abort (%v, %v):\n%.1500s", how, was, err, testdb.Diff(after, got))
			}
			c.free("taken back")
		}
		c.must("rollback")
		if got := state(t, dsn); got != before {
			t.Errorf("rollback: not as before:\n%.1500s", testdb.Diff(before, got))
		}
	}, family...)
}

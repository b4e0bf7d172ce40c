package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestAbortGivesNamesBack: what a run that was cut off renamed keeps its rows when the run is taken back.
func TestAbortGivesNamesBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, `-- +goose Up
ALTER TABLE people RENAME COLUMN note TO remark;
RENAME TABLE visits TO calls;
UPDATE people SET score = 0;
-- +goose Down
RENAME TABLE calls TO visits;
ALTER TABLE people RENAME COLUMN remark TO note;
`)
		before := state(t, dsn)
		if !c.cutWhen("up", beforeIt, func(query string) bool { return strings.HasPrefix(query, "UPDATE people SET score = 0") }) {
			t.Fatal("up never came to its last statement")
		}
		c.must("recover --abort")
		if got := state(t, dsn); got != before {
			t.Errorf("not as before:\n%.2000s", testdb.Diff(before, got))
		}
		c.free("taken back")
	}, family...)
}

package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestMadeViewIsRefused: what goes through a view that the migration has made could be anything of what was there. Where nothing can be tried it is refused, and the
// run taken back.
func TestMadeViewIsRefused(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("CREATE VIEW vp AS SELECT id, name FROM people;\nUPDATE vp SET name = 'via' WHERE id = 2;", "DROP VIEW vp;"))
		before := state(t, dsn)
		if err := c.run(dsn, "up"); err == nil || !strings.Contains(err.Error(), "vp is a view") {
			t.Fatalf("up: %v", err)
		}
		c.must("recover --abort")
		if got := state(t, dsn); got != before {
			t.Errorf("after recover --abort:\n%s", testdb.Diff(before, got))
		}
		c.free("recover --abort")
	}, family...)
}

// TestTemporaryTableThatHides: it is refused before anything runs, as what follows could mean either of the two.
func TestTemporaryTableThatHides(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("CREATE TEMPORARY TABLE people (id integer);\nDELETE FROM people;\nDROP TEMPORARY TABLE people;\nDELETE FROM people WHERE id = 1;", "SELECT 1;"))
		before := state(t, dsn)
		if err := c.run(dsn, "up"); err == nil || !strings.Contains(err.Error(), "a temporary table of the same name hides it") {
			t.Fatalf("up: %v", err)
		}
		if got := state(t, dsn); got != before {
			t.Errorf("after the refusal:\n%s", testdb.Diff(before, got))
		}
	}, family...)
}

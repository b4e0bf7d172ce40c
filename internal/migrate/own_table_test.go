package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// madeAnew is a migration whose Down makes a table anew that Up had dropped, and writes into it: the kept one becomes a copy then.
const madeAnew = `-- +goose Up
DROP TABLE visits;
UPDATE people SET score = score + 1;
-- +goose Down
CREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));
INSERT INTO visits VALUES (1000000, 'down');
`

// TestCutOffAtOwnTables: tables of our own are made on a second connection, where they stay whatever becomes of the transaction that was to
// fill them. A run that dies right before, in or after that, in the run and in recover itself, leaves none that is in the way of the next.
func TestCutOffAtOwnTables(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, madeAnew)
		c.must("up")
		c.must("rollback")
		before := state(t, dsn)
		c.must("up")
		after := state(t, dsn)
		commands := c.commands("rollback")
		if got := state(t, dsn); got != before {
			t.Fatalf("a rollback that nobody cut off:\n%s", testdb.Diff(before, got))
		}
		made := func(q string) bool { return strings.HasPrefix(q, "CREATE TABLE `dbrollback_") }
		if !slices.ContainsFunc(commands, func(q string) bool { return strings.HasPrefix(q, "CREATE TABLE `dbrollback_data_") }) {
			t.Fatalf("no table is copied: %q", commands)
		}
		commands = slices.DeleteFunc(commands, func(q string) bool { return !made(q) })
		seen := 0
		for n, q := range commands {
			for _, how := range []cut{beforeIt, afterSending, afterAnswer} {
				if state(t, dsn) == before {
					c.must("up")
				}
				if got := state(t, dsn); got != after {
					t.Fatalf("up again:\n%s", testdb.Diff(after, got))
				}
				i := 0
				if at, err := c.cutWhere("rollback", how, func(q string) bool {
					i += map[bool]int{true: 1}[made(q)]
					return i == n+1
				}); err == nil {
					t.Fatalf("cut off at %q, and through all the same", at)
				}
				// recover is cut off the same way, where it makes its first table, then goes through.
				_, _ = c.cutWhere("recover", how, made)
				_, err := c.mend("recover")
				if err != nil {
					t.Fatalf("cut off (%d) at %.60q, the second recover: %v", how, q, err)
				}
				if got := state(t, dsn); got == after {
					continue // nothing was begun
				} else if got != before {
					t.Fatalf("cut off (%d) at %.60q, recover:\n%s", how, q, testdb.Diff(before, got))
				}
				c.free(q)
				seen++
			}
		}
		if seen < 3 {
			t.Errorf("only %d runs were cut off within a migration", seen)
		}
	}, family...)
}

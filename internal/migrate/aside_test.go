package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// cutWhen runs a verb and cuts it off at the first command that match is true of. It says whether there was one.
func (c *cutter) cutWhen(verb string, how cut, match func(query string) bool) bool {
	c.Helper()
	n := -1
	var sent []string
	w, dsn := newWire(c.T, c.dsn, func(query string) cut {
		sent = append(sent, query)
		if n < 0 && match(query) {
			n = len(sent)
			return how
		}
		return goOn
	})
	defer w.close()
	if err := c.run(dsn, verb); err == nil && n >= 0 {
		c.Fatalf("%s went well, though it was cut off at %.80q", verb, sent[n-1])
	}
	return n >= 0
}

// TestCutOffWhileAKeptTableIsCopied: a kept table whose place is taken is copied, into a table that is there at once, while the
// transaction that fills it is not. A run that is cut off in between leaves that table, and recover must not stumble over it.
func TestCutOffWhileAKeptTableIsCopied(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nDROP TABLE visits;\nCREATE TABLE visits (id integer PRIMARY KEY, page varchar(40), at datetime);\nINSERT INTO visits (id) VALUES (7);\n"+
			"-- +goose Down\nDROP TABLE visits;\nCREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));\n")
		before := state(t, dsn)
		made := func(query string) bool { return strings.HasPrefix(query, "CREATE TABLE `dbrollback_data_") }
		for _, how := range []cut{afterSending, afterAnswer} {
			if !c.cutWhen("up", how, made) {
				t.Fatal("up copies nothing")
			}
			c.must("recover")
			c.free("up was cut off")
			c.must("rollback")
			if got := state(t, dsn); got != before {
				t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
			}
		}
	}, family...)
}

// emptied is a migration whose TRUNCATE exchanges the table for an empty one.
const emptied = `-- +goose Up
ALTER TABLE people ADD COLUMN age integer;
TRUNCATE TABLE visits;
-- +goose Down
ALTER TABLE people DROP COLUMN age;
`

// TestCutOffWhileATableIsExchanged: the client dies at every command that it sends from the first about the exchange on, on the way there
// and back. Nothing of either table is lost, and nothing is left over.
func TestCutOffWhileATableIsExchanged(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, emptied)
		c.must("up")
		if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE table_name = 'visits'")[0]; got != "kept" {
			t.Fatalf("captured as %s", got)
		}
		c.must("rollback")
		before := state(t, dsn)
		commands := map[string][]string{"up": c.commands("up")}
		after := state(t, dsn)
		commands["rollback"] = c.commands("rollback")
		for _, verb := range []string{"up", "rollback"} {
			from, to, back := before, after, "rollback"
			first, last := "CREATE TABLE `dbrollback_move_", "RENAME TABLE"
			if verb == "rollback" {
				from, to, back = after, before, "up"
				first, last = "SELECT get_lock", "DROP TABLE `dbrollback_late_"
			}
			begins := func(p string) func(string) bool { return func(q string) bool { return strings.HasPrefix(q, p) } }
			end := slices.IndexFunc(commands[verb], begins(last)) + 2
			begin := slices.IndexFunc(commands[verb], begins(first))
			for n := begin; n >= 0 && n < min(end, len(commands[verb])); n++ {
				if commands[verb][n] == "" || slices.ContainsFunc([]string{"SET ", "START", "SHOW", "ROLLBACK"}, func(p string) bool { return strings.HasPrefix(commands[verb][n], p) }) {
					continue
				}
				if state(t, dsn) != from {
					c.must(back)
				}
				how, mend, want := []cut{beforeIt, afterSending, afterAnswer}[n%3], "recover", to
				if n%2 == 1 {
					mend, want = "recover --abort", from
				}
				at, err := c.cutAt(verb, n, how)
				was, merr := c.mend(mend)
				switch got := state(t, dsn); {
				case errors.As(merr, new(*migrate.RefusedError)): // nothing but the record is missing
					c.must("recover")
				case merr != nil:
					t.Fatalf("%s cut off (%d) at %.90q: %s: %v\nthe run: %v", verb, how, at, mend, merr, err)
				case was && got != want, !was && got != from && got != to:
					t.Fatalf("%s cut off (%d) at %.90q: %s (%v) does not lead where it should:\n%s\nthe run: %v", verb, how, at, mend, was, testdb.Diff(want, got), err)
				}
				c.free(at)
			}
			if state(t, dsn) == from {
				c.must(verb)
			}
		}
		if got := state(t, dsn); got != before {
			t.Fatalf("in the end not as before:\n%s", testdb.Diff(before, got))
		}
		db, err := engine.Open(t.Context(), dsn, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := snapshot.New(db, "").Prune(t.Context(), db, snapshot.PruneOptions{}); err != nil {
			t.Fatal(err)
		}
		if left := testdb.Query(t, dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name REGEXP '^dbrollback_(late|move)_'"); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	}, family...)
}

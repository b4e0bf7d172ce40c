package migrate_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
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

// TestCutOffWhileATableIsExchanged: the client dies at what it sends about the exchange, on the way there and back. Nothing of either table
// is lost, and nothing is left over.
func TestCutOffWhileATableIsExchanged(t *testing.T) {
	t.Parallel()
	about := regexp.MustCompile("^(CREATE TABLE .dbrollback_move_|RENAME TABLE|LOCK TABLES .visits|UNLOCK TABLES|DROP TABLE .dbrollback_late_)")
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, emptied)
		through := func(verb string) {
			t.Helper()
			if _, err := c.cutAt(verb, 1<<30, goOn); err != nil {
				t.Fatalf("%s: %v", verb, err)
			}
		}
		through("up")
		if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE table_name = 'visits'")[0]; got != "kept" {
			t.Fatalf("captured as %s", got)
		}
		through("rollback")
		before := state(t, dsn)
		commands := map[string][]string{"up": c.commands("up")}
		after := state(t, dsn)
		commands["rollback"] = c.commands("rollback")
		for i, verb := range []string{"up", "rollback"} {
			from, to, back := before, after, "rollback"
			if verb == "rollback" {
				from, to, back = after, before, "up"
			}
			renamed := 0
			for n, command := range commands[verb] {
				if !about.MatchString(command) {
					continue
				}
				hows := []cut{afterSending}
				if strings.HasPrefix(command, "RENAME") {
					hows, renamed = []cut{beforeIt, afterSending, afterAnswer}, renamed+1
				}
				for _, how := range hows {
					if state(t, dsn) != from {
						through(back)
					}
					mend, want := "recover", to
					if i++; i%2 == 1 {
						mend, want = "recover --abort", from
					}
					at, err := c.cutAt(verb, n, how)
					_, merr := c.cutAt(mend, 1<<30, goOn)
					was := !errors.Is(merr, migrate.ErrNothing)
					switch got := state(t, dsn); {
					case errors.As(merr, new(*migrate.RefusedError)): // nothing but the record is missing
						through("recover")
					case was && merr != nil:
						t.Fatalf("%s cut off (%d) at %.90q: %s: %v\nthe run: %v", verb, how, at, mend, merr, err)
					case was && got != want, !was && got != from && got != to:
						t.Fatalf("%s cut off (%d) at %.90q: %s (%v) does not lead where it should:\n%s\nthe run: %v", verb, how, at, mend, was, testdb.Diff(want, got), err)
					}
					c.free(at)
				}
			}
			if renamed != 1 {
				t.Fatalf("%s sends %d RENAMEs: %q", verb, renamed, commands[verb])
			}
			if state(t, dsn) == from {
				through(verb)
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

// TestAbortPutsAKeptTableAside: a rollback that is taken back after a kept table has its place again moves it aside once more; the next
// rollback finds all of it.
func TestAbortPutsAKeptTableAside(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nDROP TABLE visits;\nALTER TABLE people ADD COLUMN age integer;\n"+
			"-- +goose Down\nCREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));\nALTER TABLE people DROP COLUMN age;\n")
		before := state(t, dsn)
		c.must("up")
		after := state(t, dsn)
		if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE table_name = 'visits'")[0]; got != "kept" {
			t.Fatalf("captured as %s", got)
		}
		for _, query := range []string{"ALTER TABLE people DROP COLUMN age", "RENAME TABLE `visits`"} {
			if !c.cutWhen("rollback", afterSending, func(q string) bool { return strings.HasPrefix(q, query) }) {
				t.Fatalf("rollback never sends %s", query)
			}
			c.must("recover --abort")
			c.free("the rollback was taken back")
			if got := state(t, dsn); got != after {
				t.Fatalf("cut off at %s, taken back, not as after up:\n%s", query, testdb.Diff(after, got))
			}
		}
		c.must("rollback")
		if got := state(t, dsn); got != before {
			t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
		}
		if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE table_name = 'visits' AND direction = 'up'")[0]; got != "kept" {
			t.Errorf("went back as %s", got)
		}
	}, family...)
}

// TestKeptTableIsExchangedUnderWrites: rows that are put into the table while it is exchanged, there and back, are all there in the end, and so
// are those that were in it.
func TestKeptTableIsExchangedUnderWrites(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, emptied)
		db := testdb.Open(t, dsn)
		var next, acked atomic.Int64
		next.Store(1000)
		during := func(verb string) {
			t.Helper()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if _, err := db.Exec("INSERT INTO visits (id, page) VALUES (?, 'app')", next.Add(1)); err != nil {
							t.Errorf("a writer: %v", err) // the table is there at every moment
							return
						}
						acked.Add(1)
					}
				})
			}
			c.must(verb)
			close(stop)
			wg.Wait()
		}
		for range 2 {
			during("up")
			if got := testdb.Query(t, dsn, "SELECT kind FROM state_snapshots WHERE table_name = 'visits' AND status = 'complete'")[0]; got != "kept" {
				t.Fatalf("captured as %s", got)
			}
			testdb.Exec(t, dsn, "DELETE FROM visits WHERE id < 1000")
			if n := testdb.Query(t, dsn, "SELECT count(*) FROM visits")[0]; n != "0" { // those that came after the exchange
				testdb.Exec(t, dsn, "CREATE TABLE IF NOT EXISTS seen (id integer PRIMARY KEY)", "INSERT INTO seen SELECT id FROM visits", "DELETE FROM visits")
			}
			during("rollback") // begins with an empty table
			if n := testdb.Query(t, dsn, "SELECT count(*) FROM visits WHERE id < 1000")[0]; n != "200" {
				t.Fatalf("%s of 200 rows are back", n)
			}
		}
		testdb.Exec(t, dsn, "CREATE TABLE IF NOT EXISTS seen (id integer PRIMARY KEY)")
		if n := testdb.Query(t, dsn, "SELECT count(DISTINCT id) FROM (SELECT id FROM visits WHERE id >= 1000 UNION SELECT id FROM seen) x")[0]; n != fmt.Sprint(acked.Load()) {
			t.Errorf("%s of %d rows that were acknowledged are there", n, acked.Load())
		}
	}, family...)
}

package migrate_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

const itemRows = 22_000 // some batches

// items is a table in use, and a folder whose migration drops a column of it.
type items struct {
	t             *testing.T
	dsn, dir, was string
}

const (
	dropsNote = "-- +goose Up\nALTER TABLE items DROP COLUMN note;\nALTER TABLE items ADD COLUMN fresh integer;\n-- +goose Down\n" + notesBack
	notesBack = "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';\nALTER TABLE items DROP COLUMN fresh;\n"
)

func newItems(t *testing.T, dsn, text string) *items {
	t.Helper()
	f := &items{t: t, dsn: dsn, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.dir, "00001_change.sql"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	stmts := []string{"CREATE TABLE items (id integer PRIMARY KEY, name varchar(40) NOT NULL, n integer, note varchar(60) DEFAULT 'none')", "CREATE INDEX items_n ON items (n)"}
	for from := 0; from < itemRows; from += 1000 {
		var rows []string
		for i := from; i < from+1000; i++ {
			note := fmt.Sprintf("'note %d'", i)
			if i%11 == 0 {
				note = "NULL"
			}
			rows = append(rows, fmt.Sprintf("(%d, 'name %d', %d, %s)", i, i, i%7, note))
		}
		stmts = append(stmts, "INSERT INTO items VALUES "+strings.Join(rows, ", "))
	}
	testdb.Exec(t, dsn, stmts...)
	f.was = f.state()
	return f
}

func (f *items) state() string { return state(f.t, f.dsn) }

func (f *items) command(args ...string) testdb.Command {
	return testdb.Command{Args: append(args, "--no-progress", "--dir", f.dir, "--dsn", f.dsn)}
}

// run runs the program and wants an exit code.
func (f *items) run(code int, args ...string) testdb.Result {
	f.t.Helper()
	r := testdb.Run(f.t, f.command(args...))
	if r.Code != code {
		f.t.Fatalf("%s: want exit %d: %v", strings.Join(args, " "), code, r)
	}
	return r
}

func (f *items) same(when string) {
	f.t.Helper()
	if got := f.state(); got != f.was {
		f.t.Fatalf("%s: not as it was:\n%s", when, testdb.Diff(f.was, got))
	}
}

func (f *items) catalog(query string) []string {
	f.t.Helper()
	home := ""
	if strings.HasPrefix(f.dsn, "postgres") {
		home = "dbrollback."
	}
	return testdb.Query(f.t, f.dsn, strings.ReplaceAll(query, "{}", home))
}

// killed runs a rollback --online that dies in the middle of its batches.
func (f *items) killed() {
	f.t.Helper()
	c := f.command("rollback", "--online")
	c.KillWhen = f.begun()
	if r := testdb.Run(f.t, c); !r.Killed {
		f.t.Fatalf("it was not killed: %v", r)
	}
}

// begun is a condition: some values are back, and some are not.
func (f *items) begun() func() bool {
	db := testdb.Open(f.t, f.dsn)
	home := ""
	if strings.HasPrefix(f.dsn, "postgres") {
		home = "dbrollback."
	}
	return func() bool {
		var n sql.NullInt64
		return db.QueryRow("SELECT count(*) FROM "+home+"dbrollback_operations WHERE state = 'filling' AND fingerprint NOT LIKE '%\"batches\":0%'").Scan(&n) == nil && n.Int64 > 0
	}
}

// TestRollbackOnline: what comes back in batches is what was there, and up and rollback after it do as after any rollback.
func TestRollbackOnline(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newItems(t, dsn, dropsNote)
		f.run(0, "up")
		testdb.Exec(t, dsn, "UPDATE items SET fresh = -id WHERE id < 100")
		up := f.state()
		r := f.run(0, "rollback", "--online", "--output", "json")
		if want := fmt.Sprintf(`"updated": %d`, itemRows); !strings.Contains(r.Stdout, want) || !strings.Contains(r.Stdout, `"verified": true`) {
			t.Errorf("want %s, verified: %v", want, r)
		}
		f.same("rollback --online")
		if got := f.catalog("SELECT status FROM {}state_snapshots WHERE kind = 'columns' AND direction = 'up'"); len(got) != 1 || got[0] != "restored" {
			t.Errorf("the capture is %q", got)
		}
		if got := f.catalog("SELECT count(*) FROM {}dbrollback_log WHERE action = 'rollback'"); got[0] != "2" {
			t.Errorf("the log has %s entries of the rollback, want one of the migration and one of the values", got[0])
		}
		f.run(0, "status")
		f.run(0, "up")
		if got := f.state(); got != up {
			t.Fatalf("up again: not as after the first:\n%s", testdb.Diff(up, got))
		}
		testdb.Exec(t, dsn, "UPDATE items SET fresh = id WHERE id < 100")
		f.run(0, "rollback")
		f.same("rollback after it")
		f.run(0, "up")
		if got := testdb.Query(t, dsn, "SELECT count(*) FROM items WHERE fresh = id"); got[0] != "100" {
			t.Errorf("%s values of the rollback's own capture are back, want 100", got[0])
		}
		f.run(0, "rollback", "--online")
		f.same("a second rollback --online")
	}, testdb.Everywhere()...)
}

// TestRollbackOnlineKilled: a SIGKILL at any instant; nothing else runs then, nothing is pruned, and recover puts the rest back.
func TestRollbackOnlineKilled(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newItems(t, dsn, dropsNote)
		f.run(0, "up")
		f.killed()
		if r := f.run(3, "status", "--lock-timeout", "30s"); !strings.Contains(r.Stdout, "values are still to be put back") || !strings.Contains(r.Stdout, fmt.Sprintf(" of %d rows done", itemRows)) {
			t.Errorf("status: %v", r)
		}
		for _, args := range [][]string{{"up"}, {"rollback"}, {"rollback", "--online"}, {"restore", "--table", "items", "--migration", "1", "--yes"}} {
			if r := f.run(3, args...); !strings.Contains(r.Stderr, "dbrollback recover") {
				t.Errorf("%v: %v", args, r)
			}
		}
		f.run(0, "snapshot", "prune", "--older-than", "1s", "--yes")
		if r := f.run(0, "recover"); !strings.Contains(r.Stdout, "proof: equal") {
			t.Errorf("recover: %v", r)
		}
		f.same("recover")
		f.run(0, "status")
		f.run(0, "up")
		took := testdb.Run(t, f.command("rollback", "--online")).Took
		f.same("rollback --online")
		rng := rand.New(rand.NewPCG(drawn(t), 0))
		for range max(2, kills(t)/2) {
			f.run(0, "up")
			c := f.command("rollback", "--online")
			c.KillAfter = time.Duration(rng.Int64N(int64(took)))
			testdb.Run(t, c)
			f.run(0, "recover", "--lock-timeout", "30s")
			if testdb.Run(t, f.command("status")); strings.Contains(f.run(0, "status").Stdout, "current: 1") || f.state() != f.was {
				f.run(0, "rollback", "--online")
			}
			f.same("recover after a kill")
		}
	}, testdb.Everywhere()...)
}

// TestRollbackOnlineHammered: clients insert, update, and delete meanwhile. What was acknowledged is there; every captured value is there, or its row
// was written or deleted meanwhile and is listed.
func TestRollbackOnlineHammered(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newItems(t, dsn, dropsNote)
		f.run(0, "up")
		db := testdb.Open(t, dsn)
		stop, ready := make(chan struct{}), f.begun()
		var wait sync.WaitGroup
		type acks struct {
			n        map[int]int
			note     map[int]string
			gone     map[int]bool
			inserted []int
		}
		var all [3]acks
		for w := range all {
			a := &all[w]
			*a = acks{n: map[int]int{}, note: map[int]string{}, gone: map[int]bool{}}
			rng := rand.New(rand.NewPCG(drawn(t), uint64(w)))
			wait.Add(1)
			go func() {
				defer wait.Done()
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					id := rng.IntN(itemRows/3)*3 + w // rows of its own
					if a.gone[id] {
						continue
					}
					do := func(text string) bool {
						r, err := db.Exec(text)
						if err != nil {
							return false
						}
						n, _ := r.RowsAffected()
						return n == 1
					}
					switch i % 4 {
					case 0:
						if do(fmt.Sprintf("UPDATE items SET n = %d WHERE id = %d", i+100, id)) {
							a.n[id] = i + 100
						}
					case 1:
						if note := fmt.Sprintf("w%d %d", w, i); do(fmt.Sprintf("UPDATE items SET note = '%s' WHERE id = %d", note, id)) {
							a.note[id] = note
						}
					case 2:
						if new := 1_000_000 + w*100_000 + i; do(fmt.Sprintf("INSERT INTO items (id, name) VALUES (%d, 'new')", new)) {
							a.inserted = append(a.inserted, new)
						}
					default:
						if i%40 == 3 && do(fmt.Sprintf("DELETE FROM items WHERE id = %d", id)) {
							a.gone[id] = true
						}
					}
				}
			}()
		}
		p := testdb.Start(t, f.command("rollback", "--online", "--lock-timeout", "30s", "--output", "json"))
		until(t, "batches are under way", func() bool { return ready() || strings.Contains(p.Stdout(), "}") })
		r := p.Wait()
		close(stop)
		wait.Wait()
		if r.Code != 0 {
			t.Fatal(r)
		}
		rows := map[int][2]sql.NullString{}
		res, err := db.Query("SELECT id, n, note FROM items")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Close()
		for res.Next() {
			var id int
			var v [2]sql.NullString
			if err := res.Scan(&id, &v[0], &v[1]); err != nil {
				t.Fatal(err)
			}
			rows[id] = v
		}
		if err := res.Err(); err != nil {
			t.Fatal(err)
		}
		notes, wrong := 0, 0
		for id := range itemRows {
			a := &all[id%3]
			v, there := rows[id]
			want := sql.NullString{}
			if id%11 != 0 {
				want = sql.NullString{String: fmt.Sprintf("note %d", id), Valid: true}
			}
			if note, ok := a.note[id]; ok {
				want = sql.NullString{String: note, Valid: true}
				notes++
			}
			n := fmt.Sprint(id % 7)
			if x, ok := a.n[id]; ok {
				n = fmt.Sprint(x)
			}
			switch {
			case there == a.gone[id]:
				t.Errorf("row %d: there %v, deleted %v", id, there, a.gone[id])
			case there && (v[1] != want || v[0].String != n):
				if wrong++; wrong < 5 {
					t.Errorf("row %d is %v, want n = %s, note = %v", id, v, n, want)
				}
			}
		}
		for _, a := range all {
			for _, id := range a.inserted {
				if _, there := rows[id]; !there {
					t.Errorf("row %d that was inserted meanwhile is not there", id)
				}
			}
		}
		t.Logf("%d notes written meanwhile, %d rows deleted", notes, len(all[0].gone)+len(all[1].gone)+len(all[2].gone))
		if notes == 0 {
			t.Error("nobody wrote to the column meanwhile")
		}
	}, testdb.Everywhere()...)
}

// TestRollbackOnlinePlan: what has to be there before Down is through goes back with it, and the plan says so.
func TestRollbackOnlinePlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, up, down, says string }{
		{"a column", "ALTER TABLE items DROP COLUMN note;", "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';", "in batches, when the migration is through"},
		{"read by Down", "ALTER TABLE items DROP COLUMN note;", "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';\nUPDATE items SET name = 'x' WHERE note = 'note 5';", "not in batches: Down does more with the table than to make the column (update)"},
		{"indexed by Down", "ALTER TABLE items DROP COLUMN note;", "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';\nCREATE INDEX items_note ON items (note);", "not in batches: Down does more with the table than to make the column (create)"},
		{"drawn default", "ALTER TABLE items DROP COLUMN n;", "ALTER TABLE items ADD COLUMN n integer DEFAULT (1 + 1);", "not in batches: the column's default is no constant"},
		{"few rows", "DELETE FROM items WHERE id >= 100;\nALTER TABLE items DROP COLUMN note;", "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';", "not in batches: fewer than 5000 captured rows"},
		{"with other rows", "UPDATE items SET name = 'x' WHERE id = 1;\nALTER TABLE items DROP COLUMN note;", "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none';", "not in batches: other rows or values of the table go back as well"},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newItems(t, dsn, "-- +goose Up\n"+c.up+"\n-- +goose Down\n"+c.down+"\n")
				if c.name == "drawn default" { // which an index over the column would answer first
					testdb.Exec(t, dsn, map[bool]string{true: "DROP INDEX items_n ON items", false: "DROP INDEX items_n"}[!strings.HasPrefix(dsn, "postgres") && !strings.HasPrefix(dsn, "sqlite")])
				}
				f.was = f.state()
				f.run(0, "up")
				if r := f.run(0, "plan", "--rollback", "--online"); !strings.Contains(r.Stdout, c.says) {
					t.Errorf("the plan does not say %q: %v", c.says, r)
				}
				if c.name == "drawn default" || c.name == "read by Down" || c.name == "indexed by Down" {
					return
				}
				f.run(0, "rollback", "--online")
				f.same("rollback --online")
			}, testdb.Everywhere()...)
		})
	}
}

// TestRollbackOnlineConflicts: what the application wrote into the column before its batch came, and rows that it deleted, are listed; under restore the captured
// values win, and what stood there can be brought back.
func TestRollbackOnlineConflicts(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"keep", "restore"} {
		t.Run(policy, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newItems(t, dsn, dropsNote)
				f.run(0, "up")
				c := f.command("rollback", "--online", "--on-conflict", policy)
				c.KillWhen = f.begun()
				if r := testdb.Run(t, c); !r.Killed {
					t.Fatalf("it was not killed: %v", r)
				}
				f.run(3, "status", "--lock-timeout", "30s")
				write := "UPDATE items SET note = 'app' WHERE id >= 21990"
				until(t, "the table takes writes", func() bool { _, err := testdb.Open(t, dsn).Exec(write); return err == nil })
				testdb.Exec(t, dsn, "DELETE FROM items WHERE id = 21988", "UPDATE items SET n = 77 WHERE id = 21987")
				r := f.run(0, "recover", "--output", "json")
				if want := `"conflicts": 11`; !strings.Contains(r.Stdout, want) {
					t.Errorf("want %s: %v", want, r)
				}
				notes := func() string {
					return strings.Join(testdb.Query(t, dsn, "SELECT note FROM items WHERE id IN (21986, 21987, 21991, 21999) ORDER BY id"), " ")
				}
				want := "note 21986 note 21987 app app"
				if policy == "restore" {
					want = "note 21986 note 21987 note 21991 note 21999"
				}
				if got := notes(); got != want {
					t.Errorf("notes are %q, want %q", got, want)
				}
				if got := testdb.Query(t, dsn, "SELECT count(*) FROM items WHERE id < 21985 AND (note = 'none' OR note IS NULL AND id % 11 <> 0)"); got[0] != "0" {
					t.Errorf("%s values are not back", got[0])
				}
				f.run(0, "status")
				if policy == "keep" {
					return
				}
				saved := f.catalog("SELECT snapshot_id FROM {}state_snapshots WHERE direction = 'restore'")
				if len(saved) == 0 {
					t.Fatal("what was written over was not captured")
				}
				f.run(0, "restore", "--snapshot", saved[0], "--yes", "--on-conflict", "restore")
				if got, want := notes(), "note 21986 note 21987 app app"; got != want {
					t.Errorf("after the restore of what was written over notes are %q, want %q", got, want)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// TestRollbackOnlinePlaceGone: when somebody drops the column before all is back, recover says so, and --abort ends it with the values kept.
func TestRollbackOnlinePlaceGone(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newItems(t, dsn, dropsNote)
		f.run(0, "up")
		f.killed()
		f.run(3, "status", "--lock-timeout", "30s")
		until(t, "the column can be dropped", func() bool {
			_, err := testdb.Open(t, dsn).Exec("ALTER TABLE items DROP COLUMN note")
			return err == nil
		})
		if r := f.run(3, "recover"); !strings.Contains(r.Stderr, "column note was not made again") || !strings.Contains(r.Stderr, "recover --abort") {
			t.Errorf("recover: %v", r)
		}
		if r := f.run(0, "recover", "--abort"); !strings.Contains(r.Stderr, "items (note): left after ") {
			t.Errorf("recover --abort: %v", r)
		}
		f.run(0, "status")
		testdb.Exec(t, dsn, "ALTER TABLE items ADD COLUMN note varchar(60) DEFAULT 'none'")
		f.run(0, "restore", "--migration", "1", "--table", "items", "--on-conflict", "restore", "--yes")
		f.same("restore after it")
	}, testdb.Everywhere()...)
}

// TestRollbackOnlineSteps: several migrations of one table, each through with its values before the next begins.
func TestRollbackOnlineSteps(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newItems(t, dsn, "-- +goose Up\nALTER TABLE items DROP COLUMN note;\n-- +goose Down\nALTER TABLE items ADD COLUMN note varchar(60);\n")
		if err := os.WriteFile(filepath.Join(f.dir, "00002_name.sql"), []byte("-- +goose Up\nALTER TABLE items DROP COLUMN name;\n-- +goose Down\nALTER TABLE items ADD COLUMN name varchar(40) NOT NULL DEFAULT '';\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		f.run(0, "up")
		r := f.run(0, "rollback", "--online", "--dry-run", "--to", "0")
		if n := strings.Count(r.Stdout, "in batches, when the migration is through"); n != 2 {
			t.Errorf("the dry run tells of %d columns that go back in batches, want 2: %v", n, r)
		}
		f.run(0, "rollback", "--online", "--to", "0")
		f.same("rollback --online of two")
		if got := f.catalog("SELECT count(*) FROM {}dbrollback_log WHERE action = 'rollback'"); got[0] != "4" {
			t.Errorf("the log has %s entries, want two of each migration", got[0])
		}
	}, testdb.Everywhere()...)
}

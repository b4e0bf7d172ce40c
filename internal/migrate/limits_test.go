package migrate_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// wide is a migration that captures every value of a large table, in each of the ways.
var wide = migration("UPDATE big SET a = a + 1;\nALTER TABLE big DROP COLUMN note;\nDELETE FROM big WHERE id % 2 = 0;",
	"ALTER TABLE big ADD COLUMN note varchar(200);")

// series fills the table big with n rows.
func series(dsn string, n int) []string {
	text := "INSERT INTO big SELECT i, i % 1000, 'a note of some length, so that rows are as long as rows are: ' || i FROM %s"
	from := fmt.Sprintf("generate_series(1, %d) AS g(i)", n)
	if strings.HasPrefix(dsn, "sqlite") {
		from = fmt.Sprintf("(WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < %d) SELECT i FROM g)", n)
	}
	return []string{"CREATE TABLE big (id integer PRIMARY KEY, a integer NOT NULL, note varchar(200))", strings.Replace(text, "%s", from, 1)}
}

// peak is the most memory in KiB that the program was seen to hold while it ran.
func peak(t *testing.T, args ...string) int {
	t.Helper()
	p := testdb.Start(t, testdb.Command{Args: args})
	done := make(chan testdb.Result, 1)
	go func() { done <- p.Wait() }()
	most := 0
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case r := <-done:
			if r.Code != 0 {
				t.Fatalf("%s: %v", strings.Join(args, " "), r)
			}
			return most
		case <-tick.C:
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
			if err != nil {
				continue // it has just ended
			}
			for line := range strings.Lines(string(b)) {
				if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
					if n, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
						most = max(most, n)
					}
				}
			}
		}
	}
}

// TestMemoryIsFlat: the memory of the program does not grow with the table: at most 64 MiB above what it needs for a small
// one. ROWS=2000000 for the size that the design promises.
func TestMemoryIsFlat(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Logf("no /proc: the peak is measured on Linux")
		return
	}
	t.Parallel()
	rows := 150_000
	if s := os.Getenv("ROWS"); s != "" {
		var err error
		if rows, err = strconv.Atoi(s); err != nil {
			t.Fatalf("ROWS=%s: %v", s, err)
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00001_wide.sql"), []byte(wide), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range testdb.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			measure := func(n int) (up, down int) {
				dsn := e.New(t)
				testdb.Exec(t, dsn, series(dsn, n)...)
				sum := "SELECT count(*), sum(a), sum(length(note)), min(note), max(note) FROM big"
				before := testdb.Query(t, dsn, sum)[0]
				up = peak(t, "up", "--dsn", dsn, "--dir", dir, "--yes", "--no-progress", "--max-lock", "1h")
				down = peak(t, "rollback", "--dsn", dsn, "--dir", dir, "--yes", "--no-progress")
				if after := testdb.Query(t, dsn, sum)[0]; after != before {
					t.Errorf("%d rows: %s before, %s after", n, before, after)
				}
				return up, down
			}
			up, down := measure(100)
			bigUp, bigDown := measure(rows)
			t.Logf("%d rows: up %d MiB, rollback %d MiB; 100 rows: up %d MiB, rollback %d MiB", rows, bigUp>>10, bigDown>>10, up>>10, down>>10)
			const limit = 64 << 10
			if bigUp-up > limit || bigDown-down > limit || up == 0 || down == 0 {
				t.Errorf("%d rows need up %d KiB and rollback %d KiB, 100 rows %d and %d: more than %d KiB apart", rows, bigUp, bigDown, up, down, limit)
			}
		})
	}
}

// TestLargeValue: a value of 100 MB is captured, changed, and comes back, without passing through the program.
func TestLargeValue(t *testing.T) {
	t.Parallel()
	const size = 100_000_000
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "00001_v.sql"), []byte(migration("UPDATE files SET body = NULL WHERE id = 1;\nDELETE FROM files WHERE id = 2;", "SELECT 1;")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range testdb.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			dsn := e.New(t)
			fill, sum := fmt.Sprintf("INSERT INTO files SELECT i, convert_to(repeat('0123456789', %d), 'UTF8') FROM generate_series(1, 2) g(i)", size/10), "SELECT id, length(body), md5(body) FROM files ORDER BY id"
			kind := "bytea"
			if e == testdb.OnSQLite {
				kind, fill, sum = "blob", fmt.Sprintf("INSERT INTO files SELECT i, zeroblob(%d) FROM (SELECT 1 AS i UNION ALL SELECT 2)", size), "SELECT id, length(body), typeof(body) FROM files ORDER BY id"
			}
			testdb.Exec(t, dsn, "CREATE TABLE files (id integer PRIMARY KEY, body "+kind+")", fill)
			before := strings.Join(testdb.Query(t, dsn, sum), "\n")
			up := peak(t, "up", "--dsn", dsn, "--dir", dir, "--yes", "--no-progress")
			if got := testdb.Query(t, dsn, "SELECT count(*), count(body) FROM files")[0]; got != "1|0" {
				t.Fatalf("after up: %s", got)
			}
			down := peak(t, "rollback", "--dsn", dsn, "--dir", dir, "--yes", "--no-progress")
			if after := strings.Join(testdb.Query(t, dsn, sum), "\n"); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			t.Logf("up %d MiB, rollback %d MiB", up>>10, down>>10)
			if e == testdb.OnPostgres && max(up, down) > 200<<10 {
				t.Errorf("the value went through the program: up %d KiB, rollback %d KiB", up, down)
			}
		})
	}
}

// TestDiskFullOnPostgres: the server's files may not grow, as on a full disk or under a quota, while a capture is made and
// while rows go back, by a rollback or a restore. The run says so and changes nothing; with room again it comes to its end.
func TestDiskFullOnPostgres(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t, "autovacuum=off")
	dsn := server.DSN
	testdb.Exec(t, dsn, series(dsn, 30_000)...)
	testdb.Exec(t, dsn, "CREATE TABLE small (id integer PRIMARY KEY, v text)", "INSERT INTO small VALUES (1, 'kept')")
	files := map[string]string{"00001_a.sql": migration("UPDATE small SET v = 'x';\nUPDATE big SET note = NULL, a = 0;", "SELECT 1;")}
	state := func() string {
		return strings.Join(testdb.Query(t, dsn, "SELECT count(*), sum(a), md5(string_agg(note, ',' ORDER BY id)), (SELECT v FROM small) FROM big"), "")
	}
	before := state()
	open := func() *migrate.Migrator {
		f := newFixture(t, dsn, "", files)
		return f.open()
	}
	full := func(verb string, run func(m *migrate.Migrator) error) {
		t.Helper()
		was := state()
		size, err := strconv.ParseInt(testdb.Query(t, dsn, "SELECT pg_relation_size('big')")[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		// Half a page more than the table has: its captures do not fit, nor do new versions of its rows.
		server.Quota(size + 4096)
		err = run(open())
		server.Quota(0)
		if e, ok := engine.AsError(err); !ok || e.Class != engine.DiskFull || e.Hint == "" {
			t.Errorf("%s: err = %v, want disk full with a hint", verb, err)
		}
		if now := state(); now != was {
			t.Errorf("%s on a full disk changed something: %s, then %s", verb, was, now)
		}
	}
	up := func(m *migrate.Migrator) error {
		_, err := m.Up(context.Background(), migrate.UpRequest{To: -1})
		return err
	}
	down := func(m *migrate.Migrator) error {
		_, err := m.Rollback(context.Background(), migrate.RollbackRequest{To: 0})
		return err
	}
	full("up", up)
	if err := up(open()); err != nil {
		t.Fatalf("up, with room again: %v", err)
	}
	testdb.Exec(t, dsn, "VACUUM FULL big")
	full("rollback", down)
	if err := down(open()); err != nil {
		t.Fatalf("rollback, with room again: %v", err)
	}
	if after := state(); after != before {
		t.Errorf("%s before, %s after", before, after)
	}

	big := []engine.Name{{Schema: "public", Name: "big"}}
	taken, err := open().CreateSnapshot(context.Background(), migrate.SnapshotRequest{Tables: big})
	if err != nil {
		t.Fatal(err)
	}
	testdb.Exec(t, dsn, "UPDATE big SET note = NULL", "VACUUM FULL big")
	restore := func(m *migrate.Migrator) error {
		_, err := m.Restore(context.Background(), migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: taken.ID, Tables: big}, Write: true})
		return err
	}
	full("restore", restore)
	if err := restore(open()); err != nil {
		t.Fatalf("restore, with room again: %v", err)
	}
	if after := state(); after != before {
		t.Errorf("%s before, %s after the restore", before, after)
	}
}

// TestDiskFullOnSQLite: a file that cannot grow ends the run in one clear line, and leaves everything as it was.
func TestDiskFullOnSQLite(t *testing.T) {
	t.Parallel()
	dsn := testdb.SQLite(t)
	files := map[string]string{"00001_a.sql": migration("UPDATE big SET v = v || 'x';\nALTER TABLE big DROP COLUMN w;", "ALTER TABLE big ADD COLUMN w text;")}
	f := newFixture(t, dsn, "CREATE TABLE big (id integer PRIMARY KEY, v text, w text);\nINSERT INTO big WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 2000) SELECT i, 'a value that is long ' || i, 'another one ' || i FROM g;\n", files)
	full := func(verb string, run func(m *migrate.Migrator) error) {
		t.Helper()
		was := f.dump()
		testdb.Exec(t, dsn, "VACUUM")
		pages := testdb.Query(t, dsn, "PRAGMA page_count")[0]
		sep := "?"
		if strings.Contains(dsn, "?") {
			sep = "&"
		}
		tight := newFixture(t, dsn+sep+"_pragma=max_page_count("+pages+")", "", files)
		err := run(tight.open())
		if e, ok := engine.AsError(err); !ok || e.Class != engine.DiskFull || e.Hint == "" {
			t.Errorf("%s: err = %v, want disk full with a hint", verb, err)
		}
		f.same(was, f.dump(), verb+" on a full disk")
	}
	before := f.dump()
	full("up", func(m *migrate.Migrator) error {
		_, err := m.Up(t.Context(), migrate.UpRequest{To: -1})
		return err
	})
	f.up()
	full("rollback", func(m *migrate.Migrator) error {
		_, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		return err
	})
	f.rollback(migrate.RollbackRequest{To: 0})
	f.same(before, f.dump(), "with room again")
}

package migrate_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// walled is a server whose files may not grow beyond a size.
type walled struct {
	*fixture
	server *testdb.Server
}

// largest is the size of the server's largest file.
func (c *walled) largest() (size int64) {
	c.t.Helper()
	err := filepath.WalkDir(c.server.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size = max(size, info.Size())
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return size
}

// squeeze runs a command while no file may become larger than the largest is, and again with a little more room each time, until there is enough for it.
func (c *walled) squeeze(verb string, run func(*migrate.Migrator) error, left func(when string)) {
	c.t.Helper()
	n, more := 0, int64(100<<10)
	for size := c.largest() + 8192; ; n++ {
		c.server.Quota(size)
		err := run(newFixture(c.t, c.dsn, "", nil).open())
		if err == nil {
			break
		}
		if e, ok := engine.AsError(err); !ok || e.Class != engine.DiskFull || e.Hint == "" {
			c.t.Fatalf("%s: err = %v, want disk full with a hint", verb, err)
		}
		left(fmt.Sprintf("%s, when files may have %d bytes", verb, size))
		size += more
		more += more / 2 // what was written in vain takes up room as well
	}
	c.server.Quota(0)
	if n == 0 {
		c.t.Errorf("%s: there was room enough from the start", verb)
	}
	c.t.Logf("%s: no room %d times", verb, n)
}

// TestRestoreOnAFullPostgres: a restore for which there is no room says so and leaves every row as it was, in batches as it was then or is now; the same command is done as soon as
// there is room, and can be taken back.
func TestRestoreOnAFullPostgres(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t, "autovacuum=off")
	f := newFixture(t, server.DSN, "CREATE TABLE big (id integer PRIMARY KEY, a integer NOT NULL, note text);\nCREATE INDEX big_a ON big (a);\n"+
		"INSERT INTO big SELECT g, 7, repeat('n', 400) || g FROM generate_series(1, 6000) g;\n", nil)
	c := &walled{f, server}
	rows := func() []string { return testdb.Query(t, f.dsn, "SELECT * FROM big ORDER BY id") }
	same := func(want []string) func(string) {
		return func(when string) {
			t.Helper()
			if got := rows(); !slices.Equal(got, want) {
				t.Errorf("%s: %d rows, %d before, and not the same", when, len(got), len(want))
			}
		}
	}
	was, id := rows(), ""
	c.squeeze("snapshot create", func(m *migrate.Migrator) error {
		sn, err := m.CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("big")})
		if err == nil {
			id = sn.ID
		}
		return err
	}, same(was))
	safety := ""
	restore := func(req migrate.RestoreRequest) func(*migrate.Migrator) error {
		req.Write, req.Tables = true, tables("big")
		return func(m *migrate.Migrator) error {
			res, err := m.Restore(t.Context(), req)
			if err == nil {
				safety = res.Safety
			}
			return err
		}
	}
	writes := func() []string {
		testdb.Exec(t, f.dsn, "UPDATE big SET a = 0, note = 'm' || note WHERE id % 3 > 0", "DELETE FROM big WHERE id % 6 = 0", "INSERT INTO big VALUES (9001, 1, 'later')", "VACUUM FULL big")
		return rows()
	}
	for _, online := range []bool{false, true} {
		now := writes()
		left := same(now)
		if online {
			known := map[string]bool{}
			for _, row := range slices.Concat(was, now) {
				known[row] = true
			}
			left = func(when string) {
				t.Helper()
				for _, row := range rows() {
					if !known[row] {
						t.Fatalf("%s: a row is neither of then nor of now: %.40s", when, row)
					}
				}
			}
		}
		name := fmt.Sprintf("restore, online %v", online)
		c.squeeze(name, restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, Online: online, Batch: 1000}), left)
		same(was)(name)
		if online {
			continue // it came about in several runs, each with a snapshot of its own
		}
		for _, undo := range [][]string{now, was} {
			if err := restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: safety}})(newFixture(t, f.dsn, "", nil).open()); err != nil {
				t.Fatal(err)
			}
			same(undo)(name + ", undone")
		}
	}
	if _, err := newFixture(t, f.dsn, "", nil).open().EnableJournal(t.Context(), tables("big"), journal.Options{}); err != nil {
		t.Fatal(err)
	}
	moment, err := time.Parse(time.RFC3339Nano, testdb.Query(t, f.dsn, `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`)[0])
	if err != nil {
		t.Fatal(err)
	}
	now := writes()
	c.squeeze("restore --at", restore(migrate.RestoreRequest{Ask: snapshot.Ask{At: moment, Mode: snapshot.Replace}}), same(now))
	same(was)("restored to a moment")
}

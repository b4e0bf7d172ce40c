package migrate_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// tight is a database file that may not grow.
type tight struct {
	*fixture
	data int // tables of captured data
}

// ours counts the tables that hold what was captured, or compared.
func (c *tight) ours() int {
	n, err := strconv.Atoi(testdb.Query(c.t, c.dsn, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'dbrollback\\_data\\_%' ESCAPE '\\'")[0])
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

// squeeze runs a command on the file as large as it is, and again with a little more room each time, until there is enough for it.
func (c *tight) squeeze(verb string, run func(*migrate.Migrator) error, left func(when string)) {
	c.t.Helper()
	testdb.Exec(c.t, c.dsn, "VACUUM")
	pages, err := strconv.Atoi(testdb.Query(c.t, c.dsn, "PRAGMA page_count")[0])
	if err != nil {
		c.t.Fatal(err)
	}
	was, n := c.ours(), 0
	for ; n < 300; n++ {
		dsn := fmt.Sprintf("%s%s_pragma=max_page_count(%d)", c.dsn, map[bool]string{true: "&", false: "?"}[strings.Contains(c.dsn, "?")], pages+2*n)
		err := run(newFixture(c.t, dsn, "", nil).open())
		if err == nil {
			break
		}
		if e, ok := engine.AsError(err); !ok || e.Class != engine.DiskFull || e.Hint == "" {
			c.t.Fatalf("%s: err = %v, want disk full with a hint", verb, err)
		}
		left(fmt.Sprintf("%s, with %d pages more", verb, 2*n))
		if got := c.ours(); got > was+c.data {
			c.t.Fatalf("%s, with %d pages more: %d tables of ours more are left", verb, 2*n, got-was)
		}
	}
	if n == 0 || n == 300 {
		c.t.Fatalf("%s: there was no room %d times", verb, n)
	}
	c.t.Logf("%s: no room %d times", verb, n)
}

// TestRestoreOnAFullSQLite: a restore for which there is no room says so, leaves every row as it was, and nothing behind that takes up more of it; with a little more
// room each time it is done in the end.
func TestRestoreOnAFullSQLite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, testdb.SQLite(t), "CREATE TABLE big (id integer PRIMARY KEY, a integer NOT NULL, note text);\nCREATE INDEX big_a ON big (a);\n"+
		"INSERT INTO big WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 400) SELECT i, 7, printf('%0400d', i) FROM g;\n", nil)
	c := &tight{fixture: f}
	was, id := f.dump(), ""
	same := func(want string) func(string) {
		return func(when string) { t.Helper(); f.same(want, f.dump(), when) }
	}
	c.squeeze("snapshot create", func(m *migrate.Migrator) error {
		sn, err := m.CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("big")})
		if err == nil {
			id = sn.ID
		}
		return err
	}, same(was))
	restore := func(req migrate.RestoreRequest) func(*migrate.Migrator) error {
		req.Write, req.Tables = true, tables("big")
		return func(m *migrate.Migrator) error {
			_, err := m.Restore(t.Context(), req)
			return err
		}
	}
	writes := func() string {
		f.exec("UPDATE big SET note = 'm' || note WHERE id % 3 = 0;\nDELETE FROM big WHERE id % 3 = 1;\nINSERT INTO big VALUES (9001, 1, 'later');\n")
		return f.dump()
	}
	now := writes()
	c.squeeze("restore", restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}}), same(now))
	f.same(was, f.dump(), "restored")

	writes()
	then := testdb.Query(t, f.dsn, "SELECT * FROM big UNION ALL SELECT id, 7, printf('%0400d', id) FROM big WHERE id % 3 = 0 UNION ALL SELECT id - 1, 7, printf('%0400d', id - 1) FROM big WHERE id % 3 = 2 AND id < 9000")
	c.data = 5 // what a batch has written over
	c.squeeze("restore --online", restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Replace}, Online: true, Batch: 100}), func(when string) {
		for _, row := range testdb.Query(t, f.dsn, "SELECT * FROM big") {
			if !slices.Contains(then, row) {
				t.Fatalf("%s: a row is neither of then nor of now: %s", when, row)
			}
		}
	})
	f.same(was, f.dump(), "restored in batches")

	c.data = 0
	c.squeeze("restore --mode copy", restore(migrate.RestoreRequest{Ask: snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: engine.Name{Name: "beside"}}}), same(was))
	if a, b := testdb.Query(t, f.dsn, "SELECT * FROM big ORDER BY id"), testdb.Query(t, f.dsn, "SELECT * FROM beside ORDER BY id"); !slices.Equal(a, b) {
		t.Error("the rows beside are not those of the table")
	}
	f.exec("DROP TABLE beside;\n")

	c.squeeze("journal enable", func(m *migrate.Migrator) error {
		_, err := m.EnableJournal(t.Context(), tables("big"), journal.Options{})
		return err
	}, func(when string) {
		t.Helper()
		if got := testdb.Query(t, f.dsn, "SELECT name FROM sqlite_schema WHERE type = 'trigger'"); len(got) > 0 {
			t.Errorf("%s: triggers are left: %v", when, got)
		}
		same(was)(when)
	})
	moment, err := time.Parse(time.RFC3339Nano, testdb.Query(t, f.dsn, "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+0.001 seconds')")[0])
	if err != nil {
		t.Fatal(err)
	}
	for time.Now().Before(moment.Add(2 * time.Millisecond)) { // what is written from now on is after it
		testdb.Query(t, f.dsn, "SELECT 1")
	}
	now = writes()
	c.squeeze("restore --at", restore(migrate.RestoreRequest{Ask: snapshot.Ask{At: moment, Mode: snapshot.Replace}}), same(now))
	f.same(was, f.dump(), "restored to a moment")
}

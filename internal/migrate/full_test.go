package migrate_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// crowd is a server whose tables lie in files that do not grow, filled up to the last page.
type crowd struct {
	*fixture
	beside  *sql.DB // another database there
	fillers []string
}

// dump is without the place of tables, which MySQL spells out as soon as one was altered there.
func (c *crowd) dump() string {
	return strings.ReplaceAll(c.fixture.dump(), " /*!50100 TABLESPACE `innodb_system` */", "")
}

// rows tells what is in the tables, in short.
func (c *crowd) rows() string {
	return testdb.Query(c.t, c.dsn, "SELECT count(*), sum(crc32(concat_ws(',', id, a, note, gone))), (SELECT sum(crc32(concat_ws(',', id, v))) FROM small) FROM big")[0]
}

const tens = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"

// fill leaves no room at all.
func (c *crowd) fill() {
	c.t.Helper()
	for _, rows := range []int{30, 4, 1} {
		for {
			name := fmt.Sprintf("filler%d", len(c.fillers))
			_, err := c.beside.Exec("CREATE TABLE " + name + " (id integer PRIMARY KEY, pad varchar(8000))")
			if err == nil {
				c.fillers = append(c.fillers, name)
				_, err = c.beside.Exec(fmt.Sprintf("INSERT INTO %s SELECT a.d + 10 * b.d, repeat('p', 8000) FROM %s a, %s b WHERE a.d + 10 * b.d < %d", name, tens, tens, rows))
			}
			if err != nil {
				c.full("fill", err)
				break
			}
		}
	}
}

// room frees some of it.
func (c *crowd) room() {
	c.t.Helper()
	if len(c.fillers) == 0 {
		c.t.Fatal("there is no room, and nothing that could be freed")
	}
	last := len(c.fillers) - 1
	if _, err := c.beside.Exec("DROP TABLE " + c.fillers[last]); err != nil {
		c.t.Fatal(err)
	}
	c.fillers = c.fillers[:last]
}

func (c *crowd) empty() {
	for len(c.fillers) > 0 {
		c.room()
	}
}

// full is the answer that there is no room.
func (c *crowd) full(verb string, err error) {
	c.t.Helper()
	if e, ok := engine.AsError(err); !ok || e.Class != engine.DiskFull || e.Hint == "" {
		c.t.Fatalf("%s: err = %v, want disk full with a hint", verb, err)
	}
}

// squeeze runs a command on a full disk, and again with a little more room each time, until there is enough for it: how it goes on
// after it was begun is the second command's business, and what it has to go on from is not jumped over.
func (c *crowd) squeeze(verb string, first, again func(*migrate.Migrator) error, left func(when string)) {
	c.t.Helper()
	c.fill()
	run, n, more, begun := first, 0, 1, again == nil
	for ; ; n++ {
		err := run(c.open())
		if err == nil {
			break
		}
		c.full(verb, err)
		var partial *migrate.PartialError
		if errors.As(err, &partial) && partial.Unfinished {
			run, begun = again, true
		}
		left(fmt.Sprintf("%s, freed %d times", verb, n))
		c.room()
		for i := 1; i < more && len(c.fillers) > 0; i++ {
			c.room()
		}
		if begun {
			more += 2
		}
	}
	if n == 0 {
		c.t.Errorf("%s: there was room enough from the start", verb)
	}
	c.t.Logf("%s: no room %d times", verb, n)
	c.empty()
}

// TestDiskFullOnMySQL: tables lie in files that do not grow. A run for which there is no room says so; with a little more room each time it goes
// on, or is taken back, and in the end every row is there, and was all the time. MariaDB gives the room of dropped tables back in such a file when it likes.
func TestDiskFullOnMySQL(t *testing.T) {
	t.Parallel()
	server := testdb.PrivateMySQL(t, "innodb-file-per-table=OFF", "innodb-data-file-path=ibdata1:12M;ibdata2:24M")
	f := newFixture(t, server.DSN, "CREATE TABLE small (id integer PRIMARY KEY, v varchar(20));\nINSERT INTO small VALUES (1, 'kept');\n"+
		"CREATE TABLE big (id integer PRIMARY KEY, a integer NOT NULL, note varchar(500), gone varchar(100), KEY (a));\n"+
		fmt.Sprintf("INSERT INTO big SELECT a.d + 10 * b.d + 100 * c.d, 7, repeat('n', 400), concat('g', a.d, b.d) FROM %s a, %s b, %s c;\n", tens, tens, tens),
		map[string]string{"00001_a.sql": migration("UPDATE small SET v = 'x';\nUPDATE big SET note = concat('N', note), a = 0;\nALTER TABLE big MODIFY a bigint;\n"+
			"ALTER TABLE big DROP COLUMN gone;\nDELETE FROM big WHERE id > 100;\nTRUNCATE TABLE small;",
			"ALTER TABLE big ADD COLUMN gone varchar(100);\nALTER TABLE big MODIFY a integer NOT NULL;")})
	c := &crowd{fixture: f, beside: testdb.Open(t, server.Database())}
	c.migrations()
	c.restores()
	c.journal()
}

func (c *crowd) migrations() {
	t, f := c.t, c.fixture
	up := func(m *migrate.Migrator) error {
		_, err := m.Up(t.Context(), migrate.UpRequest{To: -1})
		return err
	}
	down := func(m *migrate.Migrator) error {
		_, err := m.Rollback(t.Context(), migrate.RollbackRequest{To: 0})
		return err
	}
	goOn := func(abort bool) func(*migrate.Migrator) error {
		return func(m *migrate.Migrator) error {
			_, err := m.Recover(t.Context(), migrate.RecoverRequest{Abort: abort})
			return err
		}
	}
	// rows are of before or after a statement, all of a table of the same.
	const before, updated = "1000 1000 0 nnn 7", "1000 1000 0 Nnn 0"
	whole := func(when string) {
		t.Helper()
		got := testdb.Query(t, f.dsn, "SELECT concat_ws(' ', count(*), count(DISTINCT id), sum(length(note) NOT IN (400, 401)), substr(min(note), 1, 3), max(a)), count(DISTINCT note), count(DISTINCT a) FROM big")[0]
		for _, want := range []string{before, updated, "101 101 0 Nnn 0"} {
			if got == want+"|1|1" {
				return
			}
		}
		t.Errorf("%s: big has %s", when, got)
	}
	was := c.dump()
	c.squeeze("up", up, goOn(false), whole)
	after := c.dump()
	c.squeeze("rollback", down, goOn(false), whole)
	f.same(was, c.dump(), "rolled back")
	// The server frees room by itself, too, as it purges what is no longer needed: a first up may go through at once, and there is nothing to take back.
	for tries := 1; ; tries++ {
		through := false
		c.squeeze("up, taken back", func(m *migrate.Migrator) error {
			err := up(m)
			through = err == nil
			return err
		}, goOn(true), whole)
		if !through {
			break
		}
		if tries == 10 {
			t.Fatal("up had room enough ten times, and there was nothing to take back")
		}
		if err := down(f.open()); err != nil {
			t.Fatal(err)
		}
	}
	f.same(was, c.dump(), "taken back")
	if err := up(f.open()); err != nil {
		t.Fatal(err)
	}
	f.same(after, c.dump(), "up, with room")
	if err := down(f.open()); err != nil {
		t.Fatal(err)
	}
}

func (c *crowd) restores() {
	t, f := c.t, c.fixture
	id := ""
	now := c.rows()
	untouched := func(when string) {
		t.Helper()
		if got := c.rows(); got != now {
			t.Errorf("%s: %s, and before it %s", when, got, now)
		}
	}
	c.squeeze("snapshot create", func(m *migrate.Migrator) error {
		sn, err := m.CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("big", "small")})
		if err == nil {
			id = sn.ID
		}
		return err
	}, nil, untouched)
	was := c.dump()
	f.exec("UPDATE big SET note = concat(id, repeat('m', 400)) WHERE id % 3 = 0;\nDELETE FROM big WHERE id % 3 = 1;\nINSERT INTO small VALUES (2, 'later');\n")
	ask := func(a snapshot.Ask) func(m *migrate.Migrator) error {
		a.Snapshot = id
		return func(m *migrate.Migrator) error {
			_, err := m.Restore(t.Context(), migrate.RestoreRequest{Ask: a, Write: true})
			return err
		}
	}
	now = c.rows()
	c.squeeze("restore", ask(snapshot.Ask{Mode: snapshot.Replace}), nil, untouched)
	f.same(was, c.dump(), "restored")
	f.exec("UPDATE big SET note = concat(id, repeat('m', 400)) WHERE id % 3 = 0;\nDELETE FROM big WHERE id % 3 = 1;\n")
	now = c.rows()
	c.squeeze("restore, merged", ask(snapshot.Ask{Tables: tables("big")}), nil, untouched)
	f.same(was, c.dump(), "merged")
	now = c.rows()
	c.squeeze("restore, side by side", ask(snapshot.Ask{Tables: tables("big"), Mode: snapshot.Copy, Into: engine.Name{Name: "beside"}}), nil, untouched)
	if got := testdb.Query(t, f.dsn, "SELECT count(*) FROM big b JOIN beside s ON b.id = s.id AND b.a = s.a AND b.note = s.note AND b.gone = s.gone"); got[0] != "1000" {
		t.Errorf("%s rows beside are as those of big, want 1000", got[0])
	}
	f.exec("DROP TABLE beside;\n")
}

func (c *crowd) journal() {
	t, f := c.t, c.fixture
	was := c.dump()
	c.squeeze("journal enable", func(m *migrate.Migrator) error {
		_, err := m.EnableJournal(t.Context(), tables("big"), journal.Options{})
		return err
	}, nil, func(string) {})
	at := testdb.Query(t, f.dsn, "SELECT date_format(utc_timestamp(6), '%Y-%m-%dT%H:%i:%s.%fZ') FROM (SELECT sleep(0.01)) s")[0]
	moment, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		t.Fatal(err)
	}
	// The application writes until there is no room for a record.
	c.fill()
	written := 0
	for ; written < 1000; written++ {
		if _, err = f.db.ExecContext(t.Context(), fmt.Sprintf("UPDATE big SET note = repeat('y', 400) WHERE id = %d", written)); err != nil {
			break
		}
	}
	c.full("a write of the application", err)
	c.empty()
	if got := testdb.Query(t, f.dsn, "SELECT count(*), coalesce(max(id), -1) FROM big WHERE note LIKE 'y%'")[0]; got != fmt.Sprintf("%d|%d", written, written-1) {
		t.Errorf("rows written, and the last: %s; %d writes were said to be done", got, written)
	}
	if _, err := f.open().Restore(t.Context(), migrate.RestoreRequest{Ask: snapshot.Ask{Tables: tables("big"), At: moment, Mode: snapshot.Replace}, Write: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.open().DisableJournal(t.Context(), tables("big")); err != nil {
		t.Fatal(err)
	}
	f.same(was, c.dump(), "as before the writes, and nothing left of the journal")
}

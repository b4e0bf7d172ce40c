package migrate_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// everyRow reads the table of people, each row with each column.
func everyRow(t *testing.T, dsn string) string {
	t.Helper()
	out := make([]string, 0, 2000)
	rows, err := testdb.Open(t, dsn).Query("SELECT id, name, score, note FROM people ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, name, score, note sql.NullString
		if err := rows.Scan(&id, &name, &score, &note); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%v %v %v %v", id, name, score, note))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// TestRestoreCutOffCatchingUp: a restore from a replication slot has to read first what nobody has read. It is killed, or one of its connections ended,
// while it does: as soon as it reads, when a part is written down, and behind the locks. Nothing of the table is changed then, no record is
// lost or there twice, and the same again reaches the end.
func TestRestoreCutOffCatchingUp(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	fill(t, dsn)
	program := func(args ...string) testdb.Command {
		return testdb.Command{Args: append(args, "--no-progress", "--lock-timeout", "30s", "--dsn", dsn)}
	}
	if r := testdb.Run(t, program("journal", "enable", "people", "--source", "slot", "--without-wal-limit")); r.Code != 0 {
		t.Fatal(r)
	}
	t.Cleanup(func() { testdb.Run(t, program("journal", "disable", "people")) })
	records := testdb.Query(t, dsn, "SELECT 'dbrollback.dbrollback_journal_' || id FROM dbrollback.dbrollback_journal")[0]
	const reading = "SELECT 1 FROM pg_replication_slots WHERE active AND database = current_database()"
	const locked = "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = 'people'::regclass AND l.mode LIKE '%Exclusive%' AND l.mode <> 'RowExclusiveLock' AND a.application_name LIKE 'dbrollback%' AND l.granted"
	at, was := serverTime(t, dsn), everyRow(t, dsn)
	write := func() string {
		testdb.Exec(t, dsn, "UPDATE people SET score = -1 - score, name = name || '!'", "UPDATE people SET note = NULL WHERE id % 2 = 0", "INSERT INTO people (id, name, score) SELECT 10000 + n, 'later', n FROM generate_series(1, 4000) n",
			"DELETE FROM people WHERE id > 9999")
		return everyRow(t, dsn)
	}
	restore := program("restore", "--table", "people", "--at", at.Format(time.RFC3339Nano), "--mode", "replace", "--yes")
	for _, c := range []struct {
		name, when string
		end        string // of a connection, instead of the program
	}{
		{"as it begins to read", reading, ""},
		{"when a part is written down", "SELECT 1 FROM " + records + " HAVING count(*) > $1 + 4000", ""},
		{"behind the locks", locked, ""},
		{"the log's connection ends", reading, "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active AND database = current_database()"},
		{"all of its connections end", reading, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dbrollback%' AND datname = current_database()"},
		{"they end behind the locks", locked, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dbrollback%' AND datname = current_database()"},
	} {
		now := write()
		before := testdb.Query(t, dsn, "SELECT count(*) FROM "+records)[0]
		when := strings.ReplaceAll(c.when, "$1", before)
		seen := func() bool { return len(testdb.Query(t, dsn, when)) > 0 }
		cut := restore
		if c.end == "" {
			cut.KillWhen = seen
		} else {
			done := false
			cut.KillWhen = func() bool {
				if !done && seen() {
					done = true
					testdb.Query(t, dsn, c.end)
				}
				return false
			}
		}
		r := testdb.Run(t, cut)
		switch got := everyRow(t, dsn); {
		case r.Code == 0 && got != was:
			t.Fatalf("%s: it said that it was done:\n%s\n%v", c.name, testdb.Diff(was, got), r)
		case r.Code != 0 && got != now:
			t.Fatalf("%s: something was changed:\n%s\n%v", c.name, testdb.Diff(now, got), r)
		case r.Code == 0 && c.end == "":
			t.Errorf("%s: it was faster than its kill", c.name)
		case r.Code != 0 && c.end != "" && !strings.Contains(r.Stderr, "hint: "):
			t.Errorf("%s: nothing says what to do: %v", c.name, r)
		}
		if r = testdb.Run(t, restore); r.Code != 0 || everyRow(t, dsn) != was {
			t.Fatalf("%s, then again: not as it was:\n%s\n%v", c.name, testdb.Diff(was, everyRow(t, dsn)), r)
		}
	}
	// What the restores themselves wrote is recorded as well: 2,000 rows at each that came to its end.
	if r := testdb.Run(t, program("journal", "run", "--until-now")); r.Code != 0 {
		t.Fatal(r)
	}
	if twice := testdb.Query(t, dsn, "SELECT count(*) FROM (SELECT x, s, op, k1, o1 FROM "+records+" WHERE op <> 'u' GROUP BY 1, 2, 3, 4, 5 HAVING count(*) > 1) d"); twice[0] != "0" {
		t.Errorf("%s records are there twice", twice[0])
	}
	if got := testdb.Query(t, dsn, "SELECT count(*) FROM "+records+" WHERE op <> 'u'")[0]; got != fmt.Sprint(8000*6) {
		t.Errorf("%s rows that were inserted and deleted are recorded, want %d", got, 8000*6)
	}
}

// TestBinlogRestoreLosesConnection: connections of a restore from the binary log end at random instants, and those that read the log, and the server is killed. It says so in one
// line with what to do, the table is as before or as after, and the same again reaches the end.
func TestBinlogRestoreLosesConnection(t *testing.T) {
	t.Parallel()
	for _, private := range map[string]func(testing.TB, ...string) *testdb.Server{"mysql": testdb.PrivateMySQL, "mariadb": testdb.PrivateMariaDB} {
		server := private(t)
		t.Run(server.DSN[:7], func(t *testing.T) {
			t.Parallel()
			dsn := server.DSN
			fill(t, dsn)
			begun := serverTime(t, dsn)
			for serverTime(t, dsn).Unix() == begun.Unix() {
			}
			at, was := serverTime(t, dsn), everyRow(t, dsn)
			for serverTime(t, dsn).Unix() == at.Unix() {
			}
			write := func() string {
				testdb.Exec(t, dsn, "UPDATE people SET score = -1, name = 'app' WHERE id % 3 = 0", "DELETE FROM people WHERE id % 7 = 0 AND id NOT IN (SELECT person_id FROM orders)", "INSERT INTO people (id, name, score) VALUES (90001, 'later', 1)")
				return everyRow(t, dsn)
			}
			restore := testdb.Command{Args: []string{"restore", "--table", "people", "--at", at.Format(time.RFC3339Nano), "--mode", "replace", "--yes", "--from-binlog", "--no-progress", "--dsn", dsn}}
			write()
			r := testdb.Run(t, restore)
			if r.Code != 0 || everyRow(t, dsn) != was {
				t.Fatal(r)
			}
			took := r.Took
			kill := func(which string) {
				db := testdb.Open(t, dsn)
				for _, k := range testdb.Query(t, dsn, "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE id <> connection_id() AND user <> 'system user' AND "+which) {
					_, _ = db.Exec(k) // it may have ended by itself
				}
			}
			rng := rand.New(rand.NewPCG(drawn(t), 21))
			harmed := 0
			for i := range max(6, kills(t)/2) {
				now := write()
				p := testdb.Start(t, restore)
				switch i % 3 {
				case 0: // as soon as it reads the log
					for over := time.Now().Add(time.Minute); len(testdb.Query(t, dsn, "SELECT 1 FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'")) == 0 && time.Now().Before(over); {
					}
					kill("command LIKE 'Binlog Dump%'")
				case 1:
					time.Sleep(time.Duration(rng.Int64N(int64(took))))
					kill("command NOT IN ('Daemon')")
				default:
					time.Sleep(time.Duration(rng.Int64N(int64(took))))
					server.Kill()
					server.Restart()
				}
				r := p.Wait()
				switch got := everyRow(t, dsn); {
				case r.Code != 0 && !strings.Contains(r.Stderr, "hint: "):
					t.Errorf("nothing says what to do: %v", r)
				case r.Code == 0 && got != was, got != was && got != now:
					t.Fatalf("neither as before nor as after:\n%s\n%v", testdb.Diff(now, got), r)
				}
				if r.Code != 0 {
					harmed++
				}
				if r = testdb.Run(t, restore); r.Code != 0 || everyRow(t, dsn) != was {
					t.Fatalf("again: not as it was:\n%s\n%v", testdb.Diff(was, everyRow(t, dsn)), r)
				}
			}
			if harmed == 0 {
				t.Error("no run was harmed: each was faster")
			}
		})
	}
}

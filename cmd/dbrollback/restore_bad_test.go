package main

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// badly is a database with a capture and a journal, and what must stay as it is there.
type badly struct {
	t        *testing.T
	dsn, dir string
}

func (b *badly) engine() string { scheme, _, _ := strings.Cut(b.dsn, ":"); return scheme }

// home is the name of a table of dbrollback's own.
func (b *badly) home(table string) string {
	if b.engine() == "postgres" {
		return "dbrollback." + table
	}
	return table
}

// all is what the application has there, and the tables and captures of dbrollback's own.
func (b *badly) all() string {
	b.t.Helper()
	own := map[string]string{"postgres": "SELECT relname FROM pg_class WHERE relnamespace = 'dbrollback'::regnamespace AND relkind = 'r' ORDER BY 1",
		"sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'dbrollback%' ORDER BY 1"}[b.engine()]
	if own == "" {
		own = "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'dbrollback%' ORDER BY 1"
	}
	return testdb.Dump(b.t, b.dsn) + "\n" + strings.Join(append(testdb.Query(b.t, b.dsn, own), testdb.Query(b.t, b.dsn, "SELECT id, status FROM "+b.home("state_snapshots")+" ORDER BY 1")...), "\n") + "\n"
}

// refused runs a command that has to end with an exit code, with one line of error that holds want, and with nothing changed.
func (b *badly) refused(exit int, want string, args ...string) {
	b.t.Helper()
	before := b.all()
	for _, yes := range [][]string{nil, {"--yes"}} {
		if len(yes) > 0 && args[0] != "restore" {
			continue
		}
		r := testdb.Run(b.t, testdb.Command{Args: append(append(append([]string{}, args...), yes...), "--dsn", b.dsn, "--dir", b.dir, "--no-progress"), Dir: b.dir})
		var said []string
		for l := range strings.Lines(r.Stderr) {
			if strings.HasPrefix(l, "error: ") {
				said = append(said, strings.TrimSpace(l))
			}
		}
		if r.Code != exit || len(said) != 1 || !strings.Contains(said[0], want) {
			b.t.Errorf("%s %v: want exit %d, one line, %q: %v", strings.Join(args, " "), yes, exit, want, r)
		}
		if after := b.all(); after != before {
			b.t.Errorf("%s %v: something was written:\n%s", strings.Join(args, " "), yes, testdb.Diff(before, after))
		}
	}
}

// snapshot captures a table by hand.
func (b *badly) snapshot(table string) string {
	b.t.Helper()
	runProgram(b.t, 0, b.dsn, b.dir, "snapshot", "create", "--table", table)
	return testdb.Query(b.t, b.dsn, "SELECT snapshot_id FROM "+b.home("state_snapshots")+" ORDER BY captured_at DESC")[0]
}

// TestBadRestores: an unknown table, a moment outside the span, a snapshot of another database, a capture that somebody changed, a table without a key:
// one line says what is wrong, the exit code is the right one, and nothing is written.
func TestBadRestores(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := &badly{t: t, dsn: dsn, dir: migrationsFolder(t, map[string]string{"00001_x.sql": "-- +goose Up\nCREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(20));\n" +
			"CREATE TABLE plain (name varchar(20));\n-- +goose Down\nDROP TABLE plain;\nDROP TABLE people;\n"})}
		runProgram(t, 0, dsn, b.dir, "up")
		testdb.Exec(t, dsn, "INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')", "INSERT INTO plain VALUES ('a'), ('a'), ('b')")
		runProgram(t, 0, dsn, b.dir, "journal", "enable", "people")
		id, plain := b.snapshot("people"), b.snapshot("plain")
		testdb.Exec(t, dsn, "UPDATE people SET name = 'wrong'", "INSERT INTO plain VALUES ('c')")

		b.refused(exitUsage, "there is no table nobody", "restore", "--table", "nobody", "--at", "1m ago")
		b.refused(exitUsage, "nobody", "restore", "--table", "nobody", "--snapshot", id)
		b.refused(exitRefused, "there are no captures of migration 1", "restore", "--table", "nobody", "--migration", "1")
		b.refused(exitUsage, "there is no table nobody", "snapshot", "create", "--table", "nobody")
		b.refused(exitUsage, "there is no table nobody", "journal", "enable", "nobody")
		b.refused(exitRefused, "2020-01-01T00:00:00.000000Z is before that", "restore", "--table", "people", "--at", "2020-01-01T00:00:00Z")
		b.refused(exitUsage, "is in the future", "restore", "--table", "people", "--at", "2120-01-01T00:00:00Z")
		b.refused(exitRefused, "plain cannot be journalled", "journal", "enable", "plain")
		b.refused(exitRefused, "plain has no key by which a row could be known again", "restore", "--table", "plain", "--snapshot", plain)

		elsewhere := *b
		for _, e := range testdb.Everywhere() {
			if string(e) == b.engine() {
				elsewhere.dsn = e.New(t)
			}
		}
		runProgram(t, 0, elsewhere.dsn, b.dir, "up")
		elsewhere.refused(exitUsage, `there is no snapshot "`+id+`" in this database`, "restore", "--table", "people", "--snapshot", id)
		elsewhere.refused(exitUsage, `there is no snapshot "`+id+`" in this database`, "restore", "--snapshot", id)

		data := testdb.Query(t, dsn, "SELECT location FROM "+b.home("state_snapshots")+" WHERE snapshot_id = '"+id+"'")[0]
		testdb.Exec(t, dsn, "UPDATE "+data+" SET c2 = 'forged' WHERE c1 = 1")
		b.refused(exitRefused, "is damaged: its rows are not those that were captured", "restore", "--table", "people", "--snapshot", id)
		testdb.Exec(t, dsn, "DROP TABLE "+data)
		b.refused(exitRefused, "its data is gone", "restore", "--table", "people", "--snapshot", id)
	}, testdb.Everywhere()...)
}

// TestRestoreReadOnly: a server that takes no writes says so in one line.
func TestRestoreReadOnly(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := &badly{t: t, dsn: dsn, dir: migrationsFolder(t, map[string]string{"00001_x.sql": "-- +goose Up\nCREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(20));\n-- +goose Down\nDROP TABLE people;\n"})}
		switch b.engine() { // read_only is the whole server's
		case "mysql":
			b.dsn = testdb.PrivateMySQL(t).Database()
		case "mariadb":
			b.dsn = testdb.PrivateMariaDB(t).Database()
		}
		runProgram(t, 0, b.dsn, b.dir, "up")
		testdb.Exec(t, b.dsn, "INSERT INTO people VALUES (1, 'Ada'), (2, 'Grace')")
		runProgram(t, 0, b.dsn, b.dir, "journal", "enable", "people")
		id := b.snapshot("people")
		testdb.Exec(t, b.dsn, "DELETE FROM people WHERE id = 1")
		admin := b.dsn
		switch b.engine() {
		case "postgres":
			base := testdb.Query(t, admin, "SELECT current_database()")[0]
			testdb.Exec(t, admin, `ALTER DATABASE "`+base+`" SET default_transaction_read_only = on`)
		case "sqlite":
			b.dsn += "?mode=ro"
		case "mysql":
			testdb.Exec(t, admin, "SET GLOBAL super_read_only = ON")
		default: // binds those who may not do everything
			base := testdb.Query(t, admin, "SELECT database()")[0]
			testdb.Exec(t, admin, "CREATE USER reader@'%' IDENTIFIED BY 'pw'", "GRANT ALL ON `"+base+"`.* TO reader@'%'", "SET GLOBAL read_only = ON")
			at := strings.LastIndex(admin, "@")
			b.dsn = "mariadb://reader:pw" + admin[at:]
		}
		before := b.all()
		for _, args := range [][]string{{"restore", "--snapshot", id, "--yes"}, {"restore", "--table", "people", "--snapshot", id, "--mode", "replace", "--online", "--yes"}, {"restore", "--snapshot", id, "--mode", "copy", "--into", "aside", "--yes"},
			{"snapshot", "create", "--table", "people"}, {"snapshot", "prune", "--keep-last", "1"}, {"journal", "disable", "people"}} {
			r := testdb.Run(t, testdb.Command{Args: append(args, "--dsn", b.dsn, "--dir", b.dir, "--no-progress"), Dir: b.dir})
			if r.Code != exitFailed || strings.Count(r.Stderr, "error: ") != 1 || !strings.Contains(strings.ReplaceAll(r.Stderr, "readonly", "read-only"), "read-only") {
				t.Errorf("%v: want exit 1, one line, read-only: %v", args, r)
			}
		}
		if after := b.all(); after != before {
			t.Errorf("something was written:\n%s", testdb.Diff(before, after))
		}
	}, testdb.Everywhere()...)
}

// TestRestoreFromMissingBinlog: the log does not go back that far: the files are gone.
func TestRestoreFromMissingBinlog(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := &badly{t: t, dsn: dsn, dir: migrationsFolder(t, map[string]string{"00001_x.sql": "-- +goose Up\nCREATE TABLE people (id integer NOT NULL PRIMARY KEY, name varchar(20));\n-- +goose Down\nDROP TABLE people;\n"})}
		var server *testdb.Server
		if b.engine() == "mysql" {
			server = testdb.PrivateMySQL(t)
		} else {
			server = testdb.PrivateMariaDB(t, "log-bin=binlog", "server-id=1", "binlog-format=ROW", "binlog-row-image=FULL", "binlog-row-metadata=FULL")
		}
		b.dsn = server.Database()
		runProgram(t, 0, b.dsn, b.dir, "up")
		testdb.Exec(t, b.dsn, "INSERT INTO people VALUES (1, 'Ada')")
		// MariaDB's log knows whole seconds.
		then := testdb.Query(t, b.dsn, "SELECT DATE_FORMAT(UTC_TIMESTAMP() - INTERVAL 2 SECOND, '%Y-%m-%dT%H:%i:%sZ')")[0]
		testdb.Exec(t, b.dsn, "UPDATE people SET name = 'wrong'", "FLUSH BINARY LOGS", "PURGE BINARY LOGS BEFORE NOW() + INTERVAL 1 DAY")
		b.refused(exitRefused, "the binary log goes back to", "restore", "--table", "people", "--from-binlog", "--at", then)
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

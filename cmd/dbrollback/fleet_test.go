package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// many is a fleet of databases with a table of users each, and a release that takes a column away and wants mails to be unique.
type many struct {
	t      *testing.T
	dir    string
	dsns   []string
	before []string
}

func newMany(t *testing.T, dsns []string, config string) *many {
	t.Helper()
	f := &many{t: t, dir: t.TempDir(), dsns: dsns}
	f.write("migrations/00001_users.sql", "-- +goose Up\nCREATE TABLE users (id integer PRIMARY KEY, mail varchar(40) NOT NULL, score integer NOT NULL DEFAULT 0);\n"+
		"INSERT INTO users VALUES (1, 'ada@x', 10), (2, 'bob@x', 20);\n-- +goose Down\nDROP TABLE users;\n")
	list := "targets:\n"
	for i, dsn := range dsns {
		if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		list += fmt.Sprintf("  - {name: t%02d, dsn: %q}\n", i, dsn)
	}
	f.write("dbrollback.yml", list+config)
	f.run(0, "up", "--targets", "all", "--release", "v1")
	for i, dsn := range dsns {
		testdb.Exec(t, dsn, fmt.Sprintf("INSERT INTO users VALUES (3, 'cyd@x', %d)", i))
	}
	f.look()
	f.write("migrations/00002_release.sql", "-- +goose Up\nALTER TABLE users DROP COLUMN score;\nCREATE UNIQUE INDEX mails ON users (mail);\n"+
		"-- +goose Down\nDROP INDEX mails"+map[bool]string{true: " ON users"}[strings.HasPrefix(dsns[0], "m")]+";\nALTER TABLE users ADD COLUMN score integer NOT NULL DEFAULT 0;\n")
	return f
}

func (f *many) look() {
	f.t.Helper()
	f.before = nil
	for _, dsn := range f.dsns {
		f.before = append(f.before, testdb.DumpAnyOrder(f.t, dsn))
	}
}

// spoil makes the release fail on a database; mend takes that back.
func (f *many) spoil(which ...int) {
	f.t.Helper()
	for _, i := range which {
		testdb.Exec(f.t, f.dsns[i], "INSERT INTO users VALUES (4, 'ada@x', 0)")
		f.before[i] = testdb.DumpAnyOrder(f.t, f.dsns[i])
	}
}

func (f *many) mend(which ...int) {
	f.t.Helper()
	for _, i := range which {
		testdb.Exec(f.t, f.dsns[i], "DELETE FROM users WHERE id = 4")
		f.before[i] = testdb.DumpAnyOrder(f.t, f.dsns[i])
	}
}

func (f *many) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *many) command(args ...string) testdb.Command { return testdb.Command{Args: args, Dir: f.dir} }

func (f *many) run(want int, args ...string) testdb.Result {
	f.t.Helper()
	r := testdb.Run(f.t, f.command(args...))
	if r.Code != want {
		f.t.Fatalf("%v: want exit %d: %v", args, want, r)
	}
	return r
}

// at makes sure that exactly these databases are at version 2, and all others as they were, row by row.
func (f *many) at2(want func(i int) bool) {
	f.t.Helper()
	for i, dsn := range f.dsns {
		version := testdb.Query(f.t, dsn, "SELECT max(version_id) FROM goose_db_version")[0]
		switch {
		case want(i) && version != "2":
			f.t.Errorf("t%02d is at version %s, want 2", i, version)
		case want(i):
			if got := testdb.Query(f.t, dsn, "SELECT * FROM users WHERE id < 4 ORDER BY id"); strings.Join(got, " ") != "1|ada@x 2|bob@x 3|cyd@x" {
				f.t.Errorf("t%02d holds %q", i, got)
			}
		default:
			if now := testdb.DumpAnyOrder(f.t, dsn); now != f.before[i] || version != "1" {
				f.t.Errorf("t%02d is at version %s and not as it was:\n%s", i, version, testdb.Diff(f.before[i], now))
			}
		}
	}
}

func (f *many) document(text string) (doc fleetDocument) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		f.t.Fatalf("%v: %s", err, text)
	}
	return doc
}

func files(t *testing.T, n int) (dsns []string) {
	dir := t.TempDir()
	for i := range n {
		dsns = append(dsns, fmt.Sprintf("sqlite:%s/%02d.db", dir, i))
	}
	return dsns
}

func databases(t *testing.T, on testdb.Engine, n int) (dsns []string) {
	for range n {
		dsns = append(dsns, on.New(t))
	}
	return dsns
}

// Of fifty databases two fail. Their waves are 5, 10, 10, 10, 10 and 5 databases: number 8 is in the second, number 33 in the fourth.
func TestFleetOfFifty(t *testing.T) {
	bad := []int{8, 33}
	for mode, c := range map[string]struct {
		through func(i int) bool
		states  string
		said    string
	}{
		"rollback": {func(i int) bool { return i < 5 }, "", "1 of 50 databases failed; wave 2 was taken back, and nothing after it was begun"},
		"continue": {func(i int) bool { return !slices.Contains(bad, i) }, "map[applied:48 failed:2]", "2 of 50 databases failed"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newMany(t, files(t, 50), "parallel: 8\n")
			f.spoil(bad...)
			r := f.run(1, "up", "--targets", "all", "--on-failure", mode, "--output", "json")
			doc := f.document(r.Stdout)
			if doc.Error == nil || doc.Error.Message != c.said || len(doc.Targets) != 50 || c.states != "" && fmt.Sprint(doc.Summary) != c.states {
				t.Errorf("%v %v", doc.Summary, doc.Error)
			}
			if x := doc.Targets[8]; x.State != "failed" || x.Error == nil || *x.Error.Line != 3 || *x.From != 1 || *x.To != 1 || x.Wave != 2 {
				t.Errorf("%+v", x)
			}
			f.at2(c.through)
			if got := f.run(0, "status", "--targets", "t00,t08").Stdout; !strings.Contains(got, "1 database at version 2, 1 database at version 1") {
				t.Error(got)
			}
			f.mend(bad...)
			r = f.run(0, "up", "--targets", "all", "--on-failure", mode)
			if !strings.Contains(r.Stdout, "50 databases at version 2") {
				t.Error(r)
			}
			f.at2(func(int) bool { return true })
			f.run(0, "rollback", "--targets", "all", "--to-release", "v1", "--no-progress")
			f.at2(func(int) bool { return false })
		})
	}
}

// On servers, and where a failed migration has to be taken back statement by statement.
func TestFleetOnServers(t *testing.T) {
	for _, on := range []testdb.Engine{testdb.OnPostgres, testdb.OnMariaDB, testdb.OnMySQL} {
		t.Run(string(on), func(t *testing.T) {
			t.Parallel()
			f := newMany(t, databases(t, on, 5), "deployment_strategy: {type: canary, initial_percentage: 20, increment_percentage: 40}\n")
			f.spoil(2)
			code := 3 // refused before it began: there nothing could take it back half-way
			if on == testdb.OnPostgres {
				code = 1
			}
			r := f.run(code, "up", "--targets", "all")
			if !strings.Contains(r.Stdout, "1 -> 2 -> 1") && !strings.Contains(r.Stdout, "t01     1") {
				t.Error(r)
			}
			f.at2(func(i int) bool { return i == 0 })
			f.run(0, "status", "--targets", "all") // nothing is unfinished
			f.run(code, "up", "--targets", "all", "--on-failure", "stop", "--parallel", "1")
			f.at2(func(i int) bool { return i < 2 })
			f.run(0, "recover", "--targets", "all", "--abort")
			f.at2(func(i int) bool { return i < 2 })
			f.mend(2)
			f.run(0, "up", "--targets", "all")
			f.at2(func(int) bool { return true })
			f.run(0, "rollback", "--targets", "all", "--to", "1")
			f.at2(func(int) bool { return false })
		})
	}
}

// A run that was killed is finished by the next one.
func TestFleetKilled(t *testing.T) {
	t.Parallel()
	f := newMany(t, files(t, 30), "parallel: 2\n")
	p := testdb.Start(t, f.command("up", "--targets", "all"))
	says(t, p, "wave 2 of 6")
	p.Kill()
	p.Wait()
	r := f.run(0, "up", "--targets", "all", "--output", "json")
	if doc := f.document(r.Stdout); doc.Summary["up to date"] < 3 || doc.Summary["up to date"]+doc.Summary["applied"] != 30 {
		t.Error(doc.Summary)
	}
	f.at2(func(int) bool { return true })
	f.run(0, "rollback", "--targets", "all", "--to", "1")
	f.at2(func(int) bool { return false })
}

// Where statements commit by themselves, the next run finishes the migration that was cut off.
func TestFleetKilledWithinAMigration(t *testing.T) {
	t.Parallel()
	f := newMany(t, databases(t, testdb.OnMariaDB, 3), "lock-timeout: 60s\n")
	testdb.Exec(t, f.dsns[1], "CREATE TABLE other (id integer PRIMARY KEY)")
	testdb.Exec(t, f.dsns[0], "CREATE TABLE other (id integer PRIMARY KEY)")
	testdb.Exec(t, f.dsns[2], "CREATE TABLE other (id integer PRIMARY KEY)")
	f.look()
	f.write("migrations/00002_release.sql", "-- +goose Up\nALTER TABLE users DROP COLUMN score;\nALTER TABLE other ADD COLUMN x integer;\n"+
		"-- +goose Down\nALTER TABLE other DROP COLUMN x;\nALTER TABLE users ADD COLUMN score integer NOT NULL;\n")
	db := testdb.Open(t, f.dsns[1])
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM other").Scan(&n); err != nil {
		t.Fatal(err)
	}
	c := f.command("up", "--targets", "all")
	c.KillWhen = func() bool {
		return testdb.Query(t, f.dsns[1], "SELECT count(*) FROM information_schema.columns WHERE table_schema = database() AND table_name = 'users' AND column_name = 'score'")[0] == "0"
	}
	if r := testdb.Run(t, c); !r.Killed {
		t.Fatal(r)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	r := f.run(0, "up", "--targets", "all")
	if !strings.Contains(r.Stdout, "a run that was cut off was finished first") {
		t.Error(r)
	}
	f.at2(func(int) bool { return true })
	f.run(0, "rollback", "--targets", "all", "--to", "1")
	f.at2(func(int) bool { return false })
}

// A target that vanishes in the middle of its wave fails, and the others of the wave are taken back.
func TestFleetTargetVanishes(t *testing.T) {
	t.Parallel()
	f := newMany(t, databases(t, testdb.OnPostgres, 4), "lock-timeout: 60s\ndeployment_strategy: {type: canary, initial_percentage: 25, increment_percentage: 75}\n")
	db := testdb.Open(t, f.dsns[2])
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), "LOCK TABLE users IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	p := testdb.Start(t, f.command("up", "--targets", "all"))
	waiting := "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	eventually(t, func() bool { return testdb.Query(t, f.dsns[2], waiting)[0] != "0" }, p.Stderr)
	name := testdb.Query(t, f.dsns[2], "SELECT current_database()")[0]
	testdb.Exec(t, f.dsns[0], "DROP DATABASE "+name+" WITH (FORCE)")
	r := p.Wait()
	if r.Code != 1 || !strings.Contains(r.Stderr, "t02: warning: failed: ") || !strings.Contains(r.Stderr, "could not be taken back") || strings.Contains(r.Stdout, "postgres://") {
		t.Error(r)
	}
	defer testdb.Exec(t, f.dsns[0], "CREATE DATABASE "+name) // the test's end drops it
	f.dsns, f.before = slices.Delete(f.dsns, 2, 3), slices.Delete(f.before, 2, 3)
	f.at2(func(i int) bool { return i == 0 })
	// It is missing from the first look on, and holds the others up only where that is wanted.
	if r := f.run(1, "up", "--targets", "all"); !strings.Contains(r.Stderr, "error: t02: ") || !strings.Contains(r.Stderr, "nothing was begun") {
		t.Error(r)
	}
	f.at2(func(i int) bool { return i == 0 })
	f.run(1, "up", "--targets", "all", "--on-failure", "continue")
	f.at2(func(int) bool { return true })
	if r := f.run(1, "status", "--targets", "all"); !strings.Contains(r.Stdout, "FAILED: connect to "+name) {
		t.Error(r)
	}
}

// Each database of a wave is watched; one that turns bad takes the wave with it, and no other.
func TestFleetGuard(t *testing.T) {
	t.Parallel()
	f := newMany(t, append(files(t, 3), databases(t, testdb.OnPostgres, 2)...), "deployment_strategy: {type: canary, initial_percentage: 20, increment_percentage: 40, increment_interval: 1s}\n")
	testdb.Exec(t, f.dsns[2], "UPDATE users SET mail = 'bad' WHERE id = 2")
	f.look()
	guard := []string{"guard", "--assert", "SELECT count(*) = 0 FROM users WHERE mail = 'bad' AND (SELECT max(version_id) FROM goose_db_version) = 2",
		"--check-interval", "100ms", "--probe-timeout", "30s", "--failure-threshold", "2"}
	up := []string{"--", "up", "--targets", "all"}
	r := f.run(3, slices.Concat(guard, []string{"--output", "json"}, up)...)
	doc := f.document(r.Stdout)
	if x := doc.Targets[2]; x.State != "failed" || x.Rollback == nil || *x.To != 1 || !strings.Contains(x.Error.Message, "2 consecutive failed checks") {
		t.Errorf("%+v: %v", x, r)
	}
	if doc.Summary["applied"] != 1 || doc.Summary["failed"] != 1 || doc.Summary["not begun"]+doc.Summary["rolled back"] != 3 {
		t.Errorf("%v: %v", doc.Summary, r)
	}
	f.at2(func(i int) bool { return i == 0 })
	// What was rolled back is not applied again by itself.
	if r := f.run(3, slices.Concat(guard, up)...); !strings.Contains(r.Stdout, "a guard has rolled these very migrations back") {
		t.Error(r)
	}
	f.at2(func(i int) bool { return i == 0 })
	testdb.Exec(t, f.dsns[2], "UPDATE users SET mail = 'bob@x' WHERE id = 2")
	f.look()
	// Killed in the watch of the second wave, it goes on with it.
	p := testdb.Start(t, f.command(slices.Concat(guard[:3], []string{"--check-interval", "1s", "--again"}, up)...))
	says(t, p, "wave 2 of 3")
	eventually(t, func() bool {
		return strings.Count(p.Stderr(), "applied: version 1 -> 2") == 2
	}, p.Stderr)
	p.Kill()
	p.Wait()
	r = f.run(0, slices.Concat(guard, []string{"--again"}, up)...)
	if !strings.Contains(r.Stderr, "t02: going on with the watch") {
		t.Error(r)
	}
	f.at2(func(int) bool { return true })
}

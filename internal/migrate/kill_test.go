package migrate_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// tenStatements is a migration of mixed statements, each of which destroys something.
const tenStatements = `-- +goose Up
ALTER TABLE people ADD COLUMN age integer;
UPDATE people SET score = score + 1;
UPDATE people SET note = 'changed' WHERE id % 3 = 0;
DELETE FROM orders WHERE id % 5 = 0;
ALTER TABLE people DROP COLUMN note;
CREATE TABLE pets (id integer PRIMARY KEY, name varchar(20));
INSERT INTO pets SELECT id, 'pet' FROM people WHERE id < 50;
DROP TABLE orders;
DROP INDEX people_score;
UPDATE people SET name = upper(name);
-- +goose Down
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
DROP TABLE pets;
ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';
ALTER TABLE people DROP COLUMN age;
`

// alone are statements that PostgreSQL refuses inside a transaction, so that each step is on its own.
const alone = `-- +goose NO TRANSACTION
-- +goose Up
UPDATE people SET score = 0;
CREATE INDEX CONCURRENTLY people_name ON people (name);
DELETE FROM orders WHERE id % 5 = 0;
DROP INDEX CONCURRENTLY people_score;
UPDATE people SET note = 'x' WHERE id % 2 = 0;
-- +goose Down
CREATE INDEX CONCURRENTLY people_score ON people (score);
DROP INDEX CONCURRENTLY people_name;
`

// keepsTable moves a table aside and back.
const keepsTable = `-- +goose Up
UPDATE people SET note = 'gone';
DROP TABLE orders;
-- +goose Down
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
`

// keepsColumn renames a column out of the way and back.
const keepsColumn = `-- +goose Up
ALTER TABLE people DROP COLUMN note;
CREATE TABLE pets (id integer PRIMARY KEY);
-- +goose Down
ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';
DROP TABLE pets;
`

// forgetful is a migration whose Down does not say all: on SQLite the table is made anew.
const forgetful = `-- +goose Up
UPDATE people SET note = 'gone' WHERE id % 2 = 0;
ALTER TABLE people DROP COLUMN note;
-- +goose Down
ALTER TABLE people ADD COLUMN note varchar(200);
`

// kills is how many kills each test makes; `make kill` makes hundreds.
func kills(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KILLS")
	if s == "" {
		return 6
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("KILLS=%s: %v", s, err)
	}
	return n
}

// drawn is the seed that a test draws from: the same each time, so that what lands is not left to chance; from the clock when KILLS
// asks for many; SEED repeats one.
func drawn(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(1)
	if os.Getenv("KILLS") != "" {
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("SEED=%s: %v", s, err)
		}
	}
	return seed
}

// state is all that a kill must leave whole: rows, schema, and the version that belongs to them.
func state(t *testing.T, dsn string) string {
	t.Helper()
	return asideName.ReplaceAllString(testdb.DumpAnyOrder(t, dsn), "dbrollback_$1")
}

// TestKilledAtAnyInstant kills the program with SIGKILL at random instants of up and rollback: afterwards the database is exactly as
// before or exactly as after, or recover makes it so; and the next run reaches the end.
func TestKilledAtAnyInstant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		engines    []testdb.Engine
	}{
		{"one transaction", tenStatements, testdb.Engines()},
		{"dropped table", keepsTable, []testdb.Engine{testdb.OnPostgres}},
		{"no transaction", alone, []testdb.Engine{testdb.OnPostgres}},
		{"step by step", mixed, family},
		{"table made anew", forgetful, []testdb.Engine{testdb.OnSQLite}},
		{"columns kept", keepsColumn, testdb.Everywhere()},
	} {
		t.Run(c.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "00001_change.sql"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				fill(t, dsn)
				fillVisits(t, dsn)
				var env []string
				if c.text == keepsColumn {
					env = []string{"DBROLLBACK_KEEP_COLUMNS=yes"}
				}
				run := func(kill time.Duration, args ...string) testdb.Result {
					return testdb.Run(t, testdb.Command{Args: append(args, "--dsn", dsn, "--dir", dir, "--yes"), Env: env, KillAfter: kill})
				}
				must := func(args ...string) testdb.Result {
					t.Helper()
					r := run(0, args...)
					if r.Code != 0 {
						t.Fatalf("%s: %v", strings.Join(args, " "), r)
					}
					return r
				}
				before := state(t, dsn)
				took := map[string]time.Duration{"up": must("up").Took}
				after := state(t, dsn)
				took["rollback"] = must("rollback").Took
				if got := state(t, dsn); got != before {
					t.Fatalf("a rollback that nobody killed: not as before:\n%s", testdb.Diff(before, got))
				}
				seed := drawn(t)
				t.Logf("seed %d", seed)
				rng := rand.New(rand.NewPCG(seed, 0))
				n := 0
				for i := range kills(t) {
					verb, from, to := "up", before, after
					if i%2 == 1 {
						verb, from, to = "rollback", after, before
					}
					r := run(time.Duration(rng.Int64N(int64(took[verb]))), verb)
					if r.Killed {
						n++
					}
					settle(t, dsn, run, verb, from, to, r)
					if state(t, dsn) == from {
						must(verb)
					}
					if got := state(t, dsn); got != to {
						t.Fatalf("%s again, after a kill: not as it should be:\n%s", verb, testdb.Diff(to, got))
					}
				}
				if n == 0 {
					t.Errorf("no run was killed: each was faster than its kill")
				}
				if took["up"] > time.Minute {
					t.Errorf("up took %v", took["up"])
				}
			}, c.engines...)
		})
	}
}

// settle checks that the database is in one of two states, and calls recover where the program says so.
func settle(t *testing.T, dsn string, run func(time.Duration, ...string) testdb.Result, verb, from, to string, r testdb.Result) {
	t.Helper()
	got := ""
	deadline := time.Now().Add(30 * time.Second)
	for { // the server needs a moment to notice that its client is gone
		got = state(t, dsn)
		if got == from || got == to {
			break
		}
		if s := run(0, "status"); strings.Contains(s.Stdout+s.Stderr, "recover") {
			rec := run(0, "recover")
			if rec.Code != 0 {
				t.Fatalf("recover after a killed %s: %v\nthe kill: %v", verb, rec, r)
			}
			continue
		}
		if time.Now().After(deadline) {
			t.Fatalf("a killed %s left something in between:\n%s\n%v", verb, testdb.Diff(from, got), r)
		}
		time.Sleep(20 * time.Millisecond)
	}
	// An unfinished run may look like either state by its tables alone.
	if s := run(0, "status"); strings.Contains(s.Stdout+s.Stderr, "recover") {
		if rec := run(0, "recover"); rec.Code != 0 {
			t.Fatalf("recover after a killed %s: %v", verb, rec)
		}
	}
}

// fillVisits makes the table of visits, which mixed empties.
func fillVisits(t *testing.T, dsn string) {
	t.Helper()
	testdb.Exec(t, dsn, "CREATE TABLE visits (id integer PRIMARY KEY, page varchar(40))", "INSERT INTO visits SELECT id, name FROM people WHERE id < 200")
}

// TestServerGoesAway: the server is killed, or throws the connection out, at random instants of up and rollback. The program
// says so in one line, and the database is exactly as before or as after, or recover makes it so.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		goesAway(t, testdb.PrivatePostgres(t), tenStatements)
	})
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		goesAway(t, testdb.PrivateMariaDB(t), mixed)
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		goesAway(t, testdb.PrivateMySQL(t), mixed)
	})
}

// TestServerKilledAtEveryStatement: the server is killed ahead of each statement of a migration of ten and of its Down, and while it runs it; recover then reaches exactly what the
// run was to reach, or exactly what was before.
func TestServerKilledAtEveryStatement(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *testdb.Server{"mariadb": testdb.PrivateMariaDB, "mysql": testdb.PrivateMySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			c := newCutter(t, server.Database(), mixed)
			c.server = server
			c.atEvery(func(commands []string) (out []cutting) {
				for n, q := range commands {
					if len(q) > 12 && strings.Contains(mixed, strings.TrimSpace(q)) {
						how, odd := beforeIt, len(out)%2 == 1
						if !c.mine(len(out)) {
							how, odd = afterSending, !odd
						}
						out = append(out, cutting{n, how, odd})
					}
				}
				return out
			})
		})
	}
}

// harm is something that takes the server away from a run.
type harm struct {
	name string
	do   func(t *testing.T, dsn string)
}

func harms(server *testdb.Server) []harm {
	return []harm{
		{"connection ended", func(t *testing.T, dsn string) {
			if strings.HasPrefix(dsn, "postgres") {
				testdb.Query(t, dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbrollback' AND datname = current_database()")
				return
			}
			for _, kill := range testdb.Query(t, dsn, "SELECT concat('KILL ', id) FROM information_schema.processlist WHERE db = database() AND id <> connection_id()") {
				_, _ = testdb.Open(t, dsn).Exec(kill) // it may have ended by itself
			}
		}},
		{"server killed", func(*testing.T, string) { server.Kill(); server.Restart() }},
	}
}

// goesAway harms the runs of a migration.
func goesAway(t *testing.T, server *testdb.Server, text string) {
	t.Helper()
	for _, c := range harms(server) {
		t.Run(c.name, func(t *testing.T) {
			dsn := server.Database()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "00001_change.sql"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			fill(t, dsn)
			fillVisits(t, dsn)
			command := func(verb string) testdb.Command {
				return testdb.Command{Args: []string{verb, "--dsn", dsn, "--dir", dir, "--yes", "--no-progress"}}
			}
			run := func(_ time.Duration, args ...string) testdb.Result { return testdb.Run(t, command(args[0])) }
			before := state(t, dsn)
			took := map[string]time.Duration{"up": run(0, "up").Took}
			after := state(t, dsn)
			took["rollback"] = run(0, "rollback").Took
			rng := rand.New(rand.NewPCG(uint64(len(c.name)), 1))
			harmed := 0
			for i := range kills(t) {
				verb, from, to := "up", before, after
				if i%2 == 1 {
					verb, from, to = "rollback", after, before
				}
				p := testdb.Start(t, command(verb))
				time.Sleep(time.Duration(rng.Int64N(int64(took[verb])))) // the instant of the harm
				c.do(t, dsn)
				r := p.Wait()
				if r.Code != 0 {
					harmed++
					if r.Code != 1 || strings.Contains(r.Stderr, "goroutine ") || !strings.Contains(r.Stderr, "hint:") {
						t.Errorf("%s: want exit 1 with a hint: %v", verb, r)
					}
				}
				settle(t, dsn, run, verb, from, to, r)
				if state(t, dsn) == from {
					if r := run(0, verb); r.Code != 0 {
						t.Fatalf("%s after the harm: %v", verb, r)
					}
				}
				if got := state(t, dsn); got != to {
					t.Fatalf("%s again: not as it should be:\n%s", verb, testdb.Diff(to, got))
				}
			}
			if harmed == 0 {
				t.Error("no run was harmed: each was faster")
			}
		})
	}
}

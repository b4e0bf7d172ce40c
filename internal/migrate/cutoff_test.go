package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// family are the engines on which a change of the schema commits by itself.
var family = []testdb.Engine{testdb.OnMariaDB, testdb.OnMySQL}

// mixed is a migration of ten statements, of which five commit by themselves; most destroy something.
const mixed = `-- +goose Up
ALTER TABLE people ADD COLUMN age integer;
UPDATE people SET score = score + 1;
DELETE FROM orders WHERE id % 5 = 0;
ALTER TABLE people DROP COLUMN note;
CREATE TABLE pets (id integer PRIMARY KEY, name varchar(20));
INSERT INTO pets SELECT id, 'pet' FROM people WHERE id < 50;
TRUNCATE TABLE visits;
DROP TABLE orders;
DROP INDEX people_score ON people;
UPDATE people SET name = upper(name);
-- +goose Down
CREATE INDEX people_score ON people (score);
CREATE TABLE orders (id integer PRIMARY KEY, person_id integer NOT NULL REFERENCES people (id) ON DELETE CASCADE, total numeric(10,2));
DROP TABLE pets;
ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';
ALTER TABLE people DROP COLUMN age;
`

// layered is one whose statements write the same rows, so that the seals of their captures follow each other.
const layered = `-- +goose Up
UPDATE people SET score = score + 1;
ALTER TABLE people MODIFY score bigint;
UPDATE people SET score = score * 2 WHERE id % 2 = 0;
ALTER TABLE people RENAME COLUMN note TO remark;
UPDATE people SET remark = upper(remark), score = 7 WHERE id < 9;
-- +goose Down
ALTER TABLE people RENAME COLUMN remark TO note;
UPDATE people SET score = score - 1;
ALTER TABLE people MODIFY score integer;
`

// overreaching is one whose Down hits rows that Up leaves alone: they are captured at the end of Up, in a transaction of their own.
const overreaching = `-- +goose Up
UPDATE people SET score = 3 WHERE score = 2;
ALTER TABLE people ADD COLUMN age integer;
UPDATE people SET note = 'new' WHERE id < 30;
-- +goose Down
ALTER TABLE people DROP COLUMN age;
UPDATE people SET score = 2 WHERE score = 3;
UPDATE people SET note = NULL WHERE note = 'new' OR id < 60;
`

// cutter runs a migration on a database of MySQL's family and cuts it off.
type cutter struct {
	*testing.T
	dsn     string
	files   fstest.MapFS
	columns bool           // dropped columns are kept
	server  *testdb.Server // is killed as the client is cut off; may be nil
}

func newCutter(t *testing.T, dsn, text string) *cutter {
	t.Helper()
	fill(t, dsn)
	fillVisits(t, dsn)
	return &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_change.sql": {Data: []byte(text)}}}
}

// mine tells whether the i-th of the instants at which a test cuts runs off is this server's: MySQL and MariaDB, which go the same way, divide them between them, but with
// CUTS=all.
func (c *cutter) mine(i int) bool {
	return os.Getenv("CUTS") == "all" || (i%2 == 0) == strings.HasPrefix(c.dsn, "mysql")
}

// cutsEachWay cuts an up, and a rollback after it, off at six commands each, or at as many as CUTS says: when recover has gone on, rows are what they are to be behind it. They
// stand before the up.
func (c *cutter) cutsEachWay(rows func() string, wants map[string]string) {
	c.Helper()
	commands := map[string]int{"up": len(c.commands("up")), "rollback": len(c.commands("rollback"))}
	cuts := 6
	switch v := os.Getenv("CUTS"); v {
	case "":
	case "all":
		cuts = max(commands["up"], commands["rollback"])
	default:
		var err error
		if cuts, err = strconv.Atoi(v); err != nil {
			c.Fatalf("CUTS: %v", err)
		}
	}
	for i := range cuts {
		if !c.mine(i) {
			continue
		}
		for _, verb := range []string{"up", "rollback"} {
			n := commands[verb] * (2*i + 1) / (2 * cuts)
			at, err := c.cutAt(verb, n, []cut{afterAnswer, beforeIt, afterSending}[i%3])
			if _, merr := c.mend("recover"); merr != nil {
				c.Fatalf("%s cut off at command %d, %.80q (%v): recover: %v", verb, n, at, err, merr)
			}
			if err != nil && rows() != wants[verb] { // it had not begun
				c.must(verb)
			}
			if got := rows(); got != wants[verb] {
				c.Fatalf("%s cut off at command %d, %.80q (%v): %s, want %s", verb, n, at, err, got, wants[verb])
			}
		}
	}
}

// cutsThereAndBack has up and rollback cut off each way, and every row compared with what an undisturbed up, and the rollback after it, leave.
func (c *cutter) cutsThereAndBack(rows func() string) {
	c.Helper()
	before := rows()
	c.must("up")
	after := rows()
	c.must("rollback")
	if got := rows(); got != before {
		c.Fatalf("rolled back:\n%s", testdb.Diff(before, got))
	}
	c.cutsEachWay(rows, map[string]string{"up": after, "rollback": before})
}

// open opens the migrations by way of a DSN, for the length of the test.
func (c *cutter) open(dsn string) *migrate.Migrator {
	c.Helper()
	m, end := c.opened(dsn)
	c.Cleanup(end)
	return m
}

func (c *cutter) opened(dsn string) (m *migrate.Migrator, end func()) {
	c.Helper()
	db, err := engine.Open(context.Background(), dsn, engine.Options{LockTimeout: 20 * time.Second})
	if err != nil {
		c.Fatal(err)
	}
	if m, err = migrate.Open(context.Background(), migrate.Options{DB: db, Files: c.files, Dir: "migrations", LockWait: 20 * time.Second, KeepColumns: c.columns}); err != nil {
		c.Fatal(err)
	}
	return m, func() { _ = db.Close() }
}

// run runs a verb, and closes its connections: a test may run hundreds.
func (c *cutter) run(dsn, verb string) error {
	c.Helper()
	m, end := c.opened(dsn)
	defer end()
	return run(m, verb)
}

func run(m *migrate.Migrator, verb string) error {
	var err error
	switch verb {
	case "up":
		_, err = m.Up(context.Background(), migrate.UpRequest{To: -1})
	case "rollback":
		_, err = m.Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1})
	case "rollback --on-conflict restore":
		_, err = m.Rollback(context.Background(), migrate.RollbackRequest{To: -1, Steps: 1, OnConflict: snapshot.Restore})
	case "recover", "recover --abort":
		_, err = m.Recover(context.Background(), migrate.RecoverRequest{Abort: verb != "recover"})
	}
	return err
}

func (c *cutter) must(verb string) {
	c.Helper()
	if err := c.run(c.dsn, verb); err != nil {
		c.Fatalf("%s: %v", verb, err)
	}
}

// commands lists what a run sends to the server.
func (c *cutter) commands(verb string) []string {
	c.Helper()
	var out []string
	w, dsn := newWire(c.T, c.dsn, func(query string) cut { out = append(out, query); return goOn })
	if err := c.run(dsn, verb); err != nil {
		c.Fatalf("%s: %v", verb, err)
	}
	w.close()
	return out
}

// cutAt runs a verb and cuts it off at its n-th command. The error is the run's; nil when it was through before.
func (c *cutter) cutAt(verb string, n int, how cut) (at string, err error) {
	c.Helper()
	i := 0
	return c.cutWhere(verb, how, func(string) bool { i++; return i == n+1 })
}

// cutWhere runs a verb and cuts it off at the first command of a kind.
func (c *cutter) cutWhere(verb string, how cut, here func(query string) bool) (at string, err error) {
	c.Helper()
	w, dsn := newWire(c.T, c.dsn, func(query string) cut {
		if at == "" && here(query) {
			at = query
			return how
		}
		return goOn
	})
	defer w.close()
	if c.server != nil {
		killed := make(chan struct{})
		w.harm = sync.OnceFunc(func() {
			defer close(killed)
			c.server.Kill()
		})
		defer func() {
			if at != "" {
				<-killed
				c.server.Restart()
			}
		}()
	}
	db, err := engine.Open(context.Background(), dsn, engine.Options{LockTimeout: 20 * time.Second})
	if err != nil {
		return at, err
	}
	defer func() { _ = db.Close() }()
	m, err := migrate.Open(context.Background(), migrate.Options{DB: db, Files: c.files, Dir: "migrations", LockWait: 20 * time.Second})
	if err != nil {
		return at, err
	}
	return at, run(m, verb)
}

// mend has recover end what was cut off, and says whether there was anything.
func (c *cutter) mend(verb string) (bool, error) {
	c.Helper()
	err := c.run(c.dsn, verb)
	if errors.Is(err, migrate.ErrNothing) {
		return false, nil
	}
	return true, err
}

// free makes sure that nothing is left locked, or in the journal.
func (c *cutter) free(when string) {
	c.Helper()
	db := testdb.Open(c, c.dsn)
	db.SetMaxIdleConns(0) // the server may be killed before the test ends
	conn, err := db.Conn(context.Background())
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, q := range []string{"SET lock_wait_timeout = 10", "LOCK TABLES people WRITE", "UNLOCK TABLES"} {
		if _, err := conn.ExecContext(context.Background(), q); err != nil {
			c.Fatalf("%s: left locked: %s: %v", when, q, err)
		}
	}
	if n := testdb.Query(c, c.dsn, "SELECT count(*) FROM dbrollback_operations")[0]; n != "0" {
		c.Fatalf("%s: %s rows are left in the journal", when, n)
	}
}

// cutting says at which command a run is cut off, how, and whether it is taken back.
type cutting struct {
	n     int
	how   cut
	abort bool
}

// cuts chooses where to cut a run off: around each statement of the migration itself, and at some other instants; at all of
// them with CUTS=all.
func (c *cutter) cuts(commands []string, text string, rng *rand.Rand) []cutting {
	c.Helper()
	var out []cutting
	add := func(n int, hows ...cut) {
		for _, how := range hows {
			out = append(out, cutting{n, how, len(out)%2 == 1})
		}
	}
	its := 0
	for n, q := range commands {
		switch {
		case os.Getenv("CUTS") == "all":
			add(n, beforeIt, afterSending, afterAnswer)
		case len(q) > 12 && strings.Contains(text, strings.TrimSpace(q)):
			// What the server was sent it carries out, whether anybody waits for its answer or not: the two leave the same behind.
			if c.mine(its) {
				add(n, beforeIt)
			} else {
				add(n, []cut{afterSending, afterAnswer}[its/2%2])
			}
			its++
		}
	}
	for range kills(c.T) {
		add(rng.IntN(len(commands)), []cut{beforeIt, afterSending, afterAnswer}[rng.IntN(3)])
	}
	return out
}

// TestCutOffAtEveryStatement is promise 2 where no transaction holds a migration together: the client dies before,
// while and after each statement, and at other instants in between; recover then reaches exactly what the run was to reach, or
// exactly what was before.
func TestCutOffAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ name, text string }{{"mixed", mixed}, {"layered", layered}, {"overreaching", overreaching}} {
		t.Run(x.name, func(t *testing.T) { cutOffAtEveryStatement(t, x.text) })
	}
}

func cutOffAtEveryStatement(t *testing.T, text string, setup ...string) {
	t.Helper()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, text)
		testdb.Exec(t, dsn, setup...)
		seed := drawn(t)
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		c.atEvery(func(commands []string) []cutting { return c.cuts(commands, text, rng) })
	}, family...)
}

// atEvery cuts an up and a rollback off where choose says; each time recover reaches exactly what the run was to reach, or, taken back, exactly what was before.
func (c *cutter) atEvery(choose func(commands []string) []cutting) {
	c.Helper()
	t, dsn := c.T, c.dsn
	c.must("up") // makes our own tables
	c.must("rollback")
	before := state(t, dsn)
	commands := map[string][]string{"up": c.commands("up")}
	after := state(t, dsn)
	commands["rollback"] = c.commands("rollback")
	if got := state(t, dsn); got != before {
		t.Fatalf("a rollback that nobody cut off: not as before:\n%s", testdb.Diff(before, got))
	}
	todo := map[string][]cutting{"up": choose(commands["up"]), "rollback": choose(commands["rollback"])}
	t.Logf("up sends %d commands, rollback %d; cut off at %d and %d", len(commands["up"]), len(commands["rollback"]), len(todo["up"]), len(todo["rollback"]))
	cut := len(todo["up"]) + len(todo["rollback"])
	// A run that recover brings to its end leaves the database where the other verb begins: the next cut is one of that verb's, so
	// that few whole runs are needed to get from one cut to the next.
	unfinished, now, when := 0, before, "in the beginning"
	for len(todo["up"])+len(todo["rollback"]) > 0 {
		verb, from, to := "up", before, after
		if now == after {
			verb, from, to = "rollback", after, before
		}
		if len(todo[verb]) == 0 {
			c.must(verb)
			if now = state(t, dsn); now != to {
				t.Fatalf("%s: %s afterwards does not lead where it should:\n%s", when, verb, testdb.Diff(to, now))
			}
			continue
		}
		at := todo[verb][0]
		todo[verb] = todo[verb][1:]
		command, err := c.cutAt(verb, at.n, at.how)
		when = fmt.Sprintf("%s cut off (%d) at command %d, %.80q", verb, at.how, at.n, command)
		mend, want := "recover", to
		if at.abort {
			mend, want = "recover --abort", from
		}
		was, merr := c.mend(mend)
		if merr != nil && at.abort && errors.As(merr, new(*migrate.RefusedError)) { // nothing but the record is missing
			c.must("recover")
			want, merr = to, nil
		}
		switch now = state(t, dsn); {
		case merr != nil:
			t.Fatalf("%s: %s: %v\nthe run: %v", when, mend, merr, err)
		case was && now != want:
			t.Fatalf("%s: %s does not lead where it should:\n%s\nthe run: %v", when, mend, testdb.Diff(want, now), err)
		case !was && now != from && now != to:
			t.Fatalf("%s: something in between, and recover finds nothing to do:\n%s\nthe run: %v", when, testdb.Diff(from, now), err)
		}
		if was {
			unfinished++
		}
		c.free(when)
	}
	for range 2 {
		verb, to := "up", after
		if now == after {
			verb, to = "rollback", before
		}
		c.must(verb)
		if now = state(t, dsn); now != to {
			t.Fatalf("%s in the end: not as it should be:\n%s", verb, testdb.Diff(to, now))
		}
	}
	if 2*unfinished < cut {
		t.Errorf("only %d of %d runs were cut off within a migration", unfinished, cut)
	}
}

// TestCutOffAfterTheLastStatement: recover has no statement left to run, and rows to put back; what the cut-off run captured on its way
// down is to tell these from rows that somebody else writes, or the next up does not bring it back.
func TestCutOffAfterTheLastStatement(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, layered)
		c.must("up")
		c.must("rollback")
		c.must("up")
		from := state(t, dsn)
		commands := c.commands("rollback")
		to := state(t, dsn)
		last := slices.Index(commands, "ALTER TABLE people MODIFY score integer")
		cuts := 0
		for n := last + 1; n < len(commands) && cuts < 4; n++ {
			if verb, _, _ := strings.Cut(commands[n], " "); verb != "INSERT" && verb != "DELETE" && verb != "UPDATE" {
				continue
			}
			cuts++
			c.must("up")
			if got := state(t, dsn); got != from {
				t.Fatalf("up, after recover, does not lead back:\n%s", testdb.Diff(from, got))
			}
			at, err := c.cutAt("rollback", n, beforeIt)
			if was, merr := c.mend("recover"); !was || merr != nil {
				t.Fatalf("cut off at %.80q: nothing to recover, or %v (the run: %v)", at, merr, err)
			}
			if got := state(t, dsn); got != to {
				t.Fatalf("cut off at %.80q: recover does not lead where it should:\n%s", at, testdb.Diff(to, got))
			}
		}
		c.must("up")
		if got := state(t, dsn); got != from || cuts < 4 {
			t.Fatalf("%d cuts; up, after recover, does not lead back:\n%s", cuts, testdb.Diff(from, got))
		}
	}, family...)
}

package migrate_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// restoreBed is a database whose tables were captured by hand and then written to.
type restoreBed struct {
	dsn         string
	was, writes string // states: as captured, and as written since
}

const writesSince = `UPDATE people SET score = -1, name = 'app' WHERE id % 3 = 0;
DELETE FROM orders WHERE id % 5 = 0;
DELETE FROM people WHERE id % 7 = 0 AND id NOT IN (SELECT person_id FROM orders);
INSERT INTO people VALUES (90001, 'later', 1, NULL), (90002, 'later', 2, NULL);
INSERT INTO orders VALUES (90001, 90001, 1)`

func newRestoreBed(t *testing.T, dsn string) *restoreBed {
	t.Helper()
	fill(t, dsn)
	b := &restoreBed{dsn: dsn, was: state(t, dsn)}
	if r := testdb.Run(t, testdb.Command{Args: []string{"snapshot", "create", "--table", "people,orders", "--label", "was", "--dsn", dsn}}); r.Code != 0 {
		t.Fatal(r)
	}
	testdb.Exec(t, dsn, strings.Split(writesSince, ";\n")...)
	b.writes = state(t, dsn)
	return b
}

func (b *restoreBed) args(more ...string) []string {
	return append([]string{"restore", "--snapshot", "was", "--mode", "replace", "--yes", "--no-progress", "--dsn", b.dsn}, more...)
}

// TestRestoreKilled: SIGKILL at random instants of a restore. In one transaction the tables are exactly as before or exactly as after;
// in batches every row is one or the other, and the same command again reaches the end.
func TestRestoreKilled(t *testing.T) {
	t.Parallel()
	for _, online := range []bool{false, true} {
		name, more := "one transaction", []string{}
		if online {
			name, more = "online", []string{"--online"}
		}
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				b := newRestoreBed(t, dsn)
				took := testdb.Run(t, testdb.Command{Args: b.args(more...)})
				if took.Code != 0 {
					t.Fatal(took)
				}
				if got := state(t, dsn); got != b.was {
					t.Fatalf("not as it was:\n%s", testdb.Diff(b.was, got))
				}
				seed := drawn(t)
				t.Logf("seed %d", seed)
				rng := rand.New(rand.NewPCG(seed, 0))
				killed := 0
				for range max(2, kills(t)/2) {
					again(t, b)
					r := testdb.Run(t, testdb.Command{Args: b.args(more...), KillAfter: time.Duration(rng.Int64N(int64(took.Took)))})
					if r.Killed {
						killed++
					}
					if !online {
						oneOf(t, b, r)
					}
					if r := testdb.Run(t, testdb.Command{Args: b.args(append(more, "--lock-timeout", "30s")...)}); r.Code != 0 {
						t.Fatalf("restore again: %v", r)
					}
					if got := state(t, dsn); got != b.was {
						t.Fatalf("again, after a kill: not as it was:\n%s", testdb.Diff(b.was, got))
					}
				}
				if killed == 0 {
					t.Error("no run was killed: each was faster than its kill")
				}
			}, everywhere...)
		})
	}
}

// again writes what the application wrote, once more.
func again(t *testing.T, b *restoreBed) {
	t.Helper()
	testdb.Exec(t, b.dsn, strings.Split(writesSince, ";\n")...)
	if got := state(t, b.dsn); got != b.writes {
		t.Fatalf("the writes made something else:\n%s", testdb.Diff(b.writes, got))
	}
}

// oneOf waits until the server has noticed that its client is gone, and checks that there is nothing in between.
func oneOf(t *testing.T, b *restoreBed, r testdb.Result) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = state(t, b.dsn); got == b.was || got == b.writes {
			return
		}
	}
	t.Fatalf("a killed restore left something in between:\n%s\n%v", testdb.Diff(b.writes, got), r)
}

// TestRestoreServerGoesAway: the server is killed, or throws the connection out: one line, exit 1, and the tables are as before or as after. In batches the same
// command again reaches the end.
func TestRestoreServerGoesAway(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...string) *testdb.Server{"postgres": testdb.PrivatePostgres, "mariadb": testdb.PrivateMariaDB, "mysql": testdb.PrivateMySQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			for _, c := range harms(server) {
				for _, more := range [][]string{nil, {"--online"}} {
					t.Run(strings.Join(append([]string{c.name}, more...), " "), func(t *testing.T) {
						restoreGoesAway(t, newRestoreBed(t, server.Database()), c, more)
					})
				}
			}
		})
	}
}

func restoreGoesAway(t *testing.T, b *restoreBed, c harm, more []string) {
	t.Helper()
	took := testdb.Run(t, testdb.Command{Args: b.args(more...)}).Took
	rng := rand.New(rand.NewPCG(uint64(len(c.name)), 2))
	harmed := 0
	for range kills(t) {
		again(t, b)
		p := testdb.Start(t, testdb.Command{Args: b.args(more...)})
		time.Sleep(time.Duration(rng.Int64N(int64(took)))) // the instant of the harm
		c.do(t, b.dsn)
		r := p.Wait()
		if r.Code != 0 {
			harmed++
			if r.Code != 1 || strings.Contains(r.Stderr, "goroutine ") || !strings.Contains(r.Stderr, "hint:") {
				t.Errorf("want exit 1 with a hint: %v", r)
			}
		}
		if more == nil {
			oneOf(t, b, r)
		}
		if r := testdb.Run(t, testdb.Command{Args: b.args(append(more, "--lock-timeout", "30s")...)}); r.Code != 0 {
			t.Fatalf("restore after the harm: %v", r)
		}
		if got := state(t, b.dsn); got != b.was {
			t.Fatalf("again: not as it was:\n%s", testdb.Diff(b.was, got))
		}
	}
	if harmed == 0 {
		t.Error("no run was harmed: each was faster")
	}
}

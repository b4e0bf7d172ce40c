package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// guarded is a database with a shop on it, and a release that the shop cannot live with.
type guarded struct {
	t      *testing.T
	dsn    string
	dir    string // the migrations
	before string
}

func newGuarded(t *testing.T, dsn string) *guarded {
	t.Helper()
	g := &guarded{t: t, dsn: dsn}
	g.dir = migrationsFolder(t, map[string]string{"00001_users.sql": "-- +goose Up\nCREATE TABLE users (id integer PRIMARY KEY, name text NOT NULL, score integer NOT NULL DEFAULT 0);\n" +
		"INSERT INTO users VALUES (1, 'Ada', 10), (2, 'Bob', 20), (3, 'Cyd', 30);\n-- +goose Down\nDROP TABLE users;\n"})
	runProgram(t, 0, dsn, g.dir, "up")
	g.before = testdb.DumpAnyOrder(t, dsn)
	g.release("ALTER TABLE users DROP COLUMN score;", "ALTER TABLE users ADD COLUMN score integer NOT NULL DEFAULT 0;")
	return g
}

func (g *guarded) release(up, down string) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, "00002_release.sql"), []byte("-- +goose Up\n"+up+"\n-- +goose Down\n"+down+"\n"), 0o644); err != nil {
		g.t.Fatal(err)
	}
}

// command is a guard that is quick to judge, and patient with a machine that is busy; options, each --name=value or --name value, win.
func (g *guarded) command(dsn string, options ...string) testdb.Command {
	args := []string{"guard", "--dsn", dsn, "--dir", g.dir}
	for _, usual := range []string{"--check-interval=100ms", "--probe-timeout=30s", "--failure-threshold=3", "--for=1s"} {
		name, _, _ := strings.Cut(usual, "=")
		if !slices.ContainsFunc(options, func(o string) bool { return o == name || strings.HasPrefix(o, name+"=") }) {
			args = append(args, usual)
		}
	}
	return testdb.Command{Args: append(append(args, options...), "--", "up"), Dir: g.dir}
}

func (g *guarded) run(want int, options ...string) testdb.Result {
	g.t.Helper()
	r := testdb.Run(g.t, g.command(g.dsn, options...))
	if r.Code != want {
		g.t.Fatalf("want exit %d: %v", want, r)
	}
	return r
}

func (g *guarded) version() string {
	g.t.Helper()
	return testdb.Query(g.t, g.dsn, "SELECT max(version_id) FROM goose_db_version")[0]
}

// asBefore makes sure that the release is gone, with one rollback, whose reason is in the log.
func (g *guarded) asBefore(reason string) {
	g.t.Helper()
	if after := testdb.DumpAnyOrder(g.t, g.dsn); after != g.before {
		g.t.Errorf("not as it was:\n%s", testdb.Diff(g.before, after))
	}
	var log struct {
		Entries []struct {
			Action, Outcome string
			Detail          map[string]string
		}
	}
	if err := json.Unmarshal([]byte(runProgram(g.t, 0, g.dsn, g.dir, "log", "--output", "json").Stdout), &log); err != nil {
		g.t.Fatal(err)
	}
	n := 0
	for _, e := range log.Entries {
		if e.Action == "rollback" {
			n++
			if !strings.Contains(e.Detail["reason"], reason) {
				g.t.Errorf("the log says: %v, want %s", e.Detail, reason)
			}
		}
	}
	if n != 1 {
		g.t.Errorf("%d rollbacks", n)
	}
}

func TestGuardRollsBack(t *testing.T) {
	engines := map[string][]testdb.Engine{"error": {testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL}}
	for way, c := range map[string]struct {
		options []string
		reason  string
	}{
		"error": {nil, "status 500"},
		"body":  {[]string{"--health-body", `"ok"`}, "the body does not match"},
		"slow":  {[]string{"--health-latency", "2s"}, "more than 2s"},
		"hang":  {[]string{"--probe-timeout", "2s"}, "no answer within 2s"},
	} {
		t.Run(way, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				g := newGuarded(t, dsn)
				health := "http://" + startShop(t, dsn, way) + "/health"
				options := append([]string{"--health", health, "--output", "json"}, c.options...)
				r := g.run(3, options...)
				var document guardDocument
				if err := json.Unmarshal([]byte(r.Stdout), &document); err != nil || document.Verdict != "rolled back" || document.Watch.State != "rolled back" ||
					document.Up == nil || document.Rollback == nil || !document.Rollback.Verified || document.Error == nil || document.Error.Exit != 3 {
					t.Errorf("%v: %s", err, r.Stdout)
				}
				g.asBefore("3 consecutive failed checks: http " + health + ": ")
				g.asBefore(c.reason)
				response, err := http.Get(health)
				if err != nil {
					t.Fatal(err)
				}
				if _ = response.Body.Close(); response.StatusCode != 200 {
					t.Errorf("the shop afterwards: status %d", response.StatusCode)
				}
			}, engines[way]...)
		})
	}
}

// Wrong rows are found by asking the database itself; with a threshold of n the rollback begins after n intervals.
func TestGuardAssertion(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		g.release("UPDATE users SET score = -score;", "UPDATE users SET score = -score;")
		r := g.run(3, "--assert", "SELECT count(*) = 3 FROM users", "--assert", "SELECT count(*) = 0 FROM users WHERE score < 0")
		if !strings.Contains(r.Stderr, "(3 of 3 in a row)") {
			t.Error(r)
		}
		g.asBefore("3 consecutive failed checks: assert SELECT count(*) = 0 FROM users WHERE score < 0")
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL)
}

// The error rate that Prometheus tells of rises with the release; while Prometheus does not know, nothing is held against it.
func TestGuardPrometheus(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		db := testdb.Open(t, dsn)
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var n int
			rate := "1.5"
			if db.QueryRowContext(r.Context(), "SELECT count(score) FROM users").Scan(&n) != nil {
				rate = "50"
			}
			switch {
			case r.URL.Path != "/api/v1/query" || r.URL.Query().Get("query") != "sum(rate(errors[1m]))":
				http.NotFound(w, r)
			case asked.Add(1) == 3: // it restarts
				http.Error(w, "starting", http.StatusServiceUnavailable)
			default:
				fmt.Fprintf(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000.5,%q]}]}}`, rate)
			}
		}))
		defer server.Close()
		r := g.run(3, "--prometheus", "sum(rate(errors[1m]))", "--prometheus-url", server.URL, "--auto-rollback-on-error-rate", "5")
		if !strings.Contains(r.Stderr, "unknown: ") {
			t.Error(r)
		}
		g.asBefore("50 is above 5")
	}, testdb.Everywhere()...)
}

func TestGuardLeavesAlone(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		g.release("ALTER TABLE users ADD COLUMN mail text;", "ALTER TABLE users DROP COLUMN mail;")
		// A probe that flaps fails every third time: never three times in a row.
		flap := "n=$(cat n 2>/dev/null || echo 0); n=$((n+1)); echo $n > n; test $((n % 3)) -ne 0"
		r := g.run(0, "--health", "http://"+startShop(t, dsn, "error"), "--probe", flap, "--assert", "SELECT count(*) = 3 FROM users")
		if !strings.Contains(r.Stdout, "well: watched version 2 for ") || !strings.Contains(r.Stderr, "(1 of 3 in a row)") {
			t.Error(r)
		}
		if g.version() != "2" {
			t.Error("the version is " + g.version())
		}
		if log := runProgram(t, 0, dsn, g.dir, "log", "--limit", "1").Stdout; !strings.Contains(log, "guard done") || !strings.Contains(log, "watched: ") {
			t.Error(log)
		}
		if again := g.run(0, "--probe", "true"); !strings.Contains(again.Stdout, "nothing to apply") {
			t.Error(again)
		}
	}, testdb.Everywhere()...)
}

// A guard that is killed goes on where it stopped, and what was rolled back once is not rolled back again.
func TestGuardKilled(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		options := []string{"--health", "http://" + startShop(t, dsn, "error")}
		// So that it is killed between the first round and the second.
		p := testdb.Start(t, g.command(dsn, append(options, "--check-interval=1h", "--for=20h")...))
		says(t, p, "(1 of 3 in a row)")
		p.Kill()
		p.Wait()
		eventually(t, func() bool {
			got := testdb.Query(t, dsn, "SELECT state, seen FROM "+watches(dsn))
			return len(got) == 1 && strings.HasPrefix(got[0], "watching|") && strings.Contains(got[0], `"consecutive":1`)
		}, func() string { return "what was seen is not in the catalog" })
		// The second round is due an hour after the first; a clock of the catalog's that says so was an hour ago.
		backdate(t, dsn)
		r := g.run(3, options...)
		if !strings.Contains(r.Stderr, "going on with the watch") || !strings.Contains(r.Stderr, "check 3: ") || strings.Contains(r.Stderr, "check 1: ") {
			t.Error(r)
		}
		g.asBefore("status 500")
		// The service manager starts it again: it must not apply, and roll back, the same migrations for ever.
		if r := g.run(3, options...); !strings.Contains(r.Stderr, "a guard has rolled these very migrations back") {
			t.Error(r)
		}
		g.asBefore("status 500")
	}, testdb.Everywhere()...)
}

func watches(dsn string) string {
	if strings.HasPrefix(dsn, "postgres") {
		return "dbrollback.dbrollback_watches"
	}
	return "dbrollback_watches"
}

// backdate moves what the last round is remembered to have been at into the past.
func backdate(t *testing.T, dsn string) {
	t.Helper()
	seen := testdb.Query(t, dsn, "SELECT seen FROM "+watches(dsn))[0]
	var fields map[string]any
	if err := json.Unmarshal([]byte(seen), &fields); err != nil {
		t.Fatal(err)
	}
	fields["last"] = time.Now().UTC().Add(-time.Hour).Format(time.RFC3339)
	b, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	testdb.Exec(t, dsn, "UPDATE "+watches(dsn)+" SET seen = '"+strings.ReplaceAll(string(b), "'", "''")+"'")
}

// Wherever a guard is killed between its decision and the end of its rollback, the next one brings it to its end, once.
func TestGuardKilledWhileItRollsBack(t *testing.T) {
	for name, done := range map[string]bool{"before the rollback": false, "after the rollback": true} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				g := newGuarded(t, dsn)
				p := testdb.Start(t, g.command(dsn, "--probe", "true", "--for=1h"))
				says(t, p, "check 2: well")
				p.Kill()
				p.Wait()
				testdb.Exec(t, dsn, "UPDATE "+watches(dsn)+" SET state = 'rolling back', reason = 'it was bad'")
				if done {
					runProgram(t, 0, dsn, g.dir, "rollback")
				}
				r := g.run(3, "--probe", "true")
				if !strings.Contains(r.Stderr, "rolled back to version 1: it was bad") {
					t.Error(r)
				}
				if done {
					g.asBefore("")
				} else {
					g.asBefore("it was bad")
				}
				if got := testdb.Query(t, dsn, "SELECT state FROM "+watches(dsn)); got[0] != "rolled back" {
					t.Errorf("the watch is %v", got)
				}
			}, testdb.Everywhere()...)
		})
	}
}

// Killed in the middle of up, it goes on with it; when somebody else moved the version, the watch is given up.
func TestGuardKilledWhileItApplies(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		p := testdb.Start(t, g.command(dsn, "--probe", "true", "--for=1h"))
		says(t, p, "check 1: well")
		p.Kill()
		p.Wait()
		testdb.Exec(t, dsn, "UPDATE "+watches(dsn)+" SET state = 'applying', to_version = 1")
		if r := g.run(0, "--probe", "true"); !strings.Contains(r.Stderr, "cut off while it applied") || !strings.Contains(r.Stdout, "well: watched version 2") {
			t.Error(r)
		}
		testdb.Exec(t, dsn, "UPDATE "+watches(dsn)+" SET state = 'watching'")
		runProgram(t, 0, dsn, g.dir, "rollback")
		if r := g.run(0, "--probe", "true"); !strings.Contains(r.Stderr, "is given up: somebody brought the database to version 1") || g.version() != "2" {
			t.Error(r)
		}
	}, testdb.Everywhere()...)
}

// The guard's own network goes, and comes back: nothing is rolled back. While only the service is out of reach, it is.
func TestGuardOwnNetwork(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"its own": true, "the service's": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := testdb.Postgres(t)
			g := newGuarded(t, dsn)
			g.release("ALTER TABLE users ADD COLUMN mail text;", "ALTER TABLE users DROP COLUMN mail;")
			u, err := url.Parse(dsn)
			if err != nil {
				t.Fatal(err)
			}
			service, database := newWire(t, startShop(t, dsn, "error")), newWire(t, u.Host)
			u.Host = database.Address()
			p := testdb.Start(t, g.command(u.String(), "--health", "http://"+service.Address(), "--for=3s"))
			says(t, p, "check 1: well")
			service.Cut(true)
			if !own {
				if r := p.Wait(); r.Code != 3 {
					t.Fatal(r)
				}
				g.asBefore("http://" + service.Address())
				return
			}
			database.Cut(true)
			says(t, p, "may be the guard's own network")
			eventually(t, func() bool { return strings.Count(p.Stderr(), "own network") > 6 }, func() string { return p.Stderr() }) // twice the threshold
			database.Cut(false)
			service.Cut(false)
			if r := p.Wait(); r.Code != 0 || strings.Contains(r.Stderr, "rolling back") {
				t.Fatal(r)
			}
			if g.version() != "2" {
				t.Error("the version is " + g.version())
			}
		})
	}
}

// A server that goes away for good ends the watch with an error, and the next guard goes on.
func TestGuardTargetVanishes(t *testing.T) {
	t.Parallel()
	server := testdb.PrivatePostgres(t)
	g := newGuarded(t, server.DSN)
	health := "http://" + startShop(t, server.DSN, "error")
	// It ends when its time is over; the next guard, which must begin before as much has passed again, would give the watch up.
	p := testdb.Start(t, g.command(server.DSN, "--health", health, "--for=20s"))
	says(t, p, "check 1: ")
	server.Kill()
	r := p.Wait()
	if r.Code != 1 && r.Code != 3 { // 3: it was faster than the kill
		t.Fatal(r)
	}
	server.Restart()
	if r.Code == 1 {
		if r := g.run(3, "--health", health); !strings.Contains(r.Stderr, "rolled back to version 1") {
			t.Error(r)
		}
	}
	g.asBefore("status 500")
}

func TestGuardApproval(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		key := filepath.Join(g.dir, "approver.pem")
		runProgram(t, 0, dsn, g.dir, "approve", "key", key)
		runProgram(t, 2, dsn, g.dir, "approve", "key", key) // never over one that is there
		approval := filepath.Join(g.dir, "approval.json")
		sign := func(args ...string) {
			t.Helper()
			r := runProgram(t, 0, dsn, g.dir, append([]string{"approve", "sign", "--key", key, "--by", "ada"}, args...)...)
			if err := os.WriteFile(approval+".new", []byte(r.Stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(approval+".new", approval); err != nil {
				t.Fatal(err)
			}
		}
		options := []string{"--require-approval", "both", "--approval", "file:" + approval, "--approval-key", key + ".pub", "--probe", "test ! -f bad", "--no-preflight"}
		refused := func(want string) {
			t.Helper()
			r := g.run(3, options...)
			if !strings.Contains(r.Stderr, "not approved: "+want) || g.version() != "1" {
				t.Error(r)
			}
			if testdb.DumpAnyOrder(t, dsn) != g.before {
				t.Error("something was done all the same")
			}
		}
		refused("there is no file")
		sign("--expires", "1ms")
		refused("the approval expired at")
		sign("--plan", strings.Repeat("ab", 32))
		refused("the approval is for another plan")
		sign()
		// The rollback's plan is another one: the guard waits for its approval.
		if err := os.WriteFile(filepath.Join(g.dir, "bad"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		p := testdb.Start(t, g.command(dsn, options...))
		says(t, p, "approval wanted for undoing 1 migration: version 2 -> 1, plan ")
		if g.version() != "2" {
			t.Error("it did not wait")
		}
		sign("--rollback")
		if r := p.Wait(); r.Code != 3 || !strings.Contains(r.Stderr, "rolled back to version 1") {
			t.Fatal(r)
		}
		g.asBefore("approved by ada")
	})
}

func TestGuardApprovalByWebhook(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g := newGuarded(t, dsn)
		var answer atomic.Value
		hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var asked struct{ Plan, Direction, Reason string }
			_ = json.NewDecoder(r.Body).Decode(&asked)
			fmt.Fprintf(w, `{"approved": %v, "plan": %q, "by": "bob"}`, asked.Direction == answer.Load(), asked.Plan)
		}))
		defer hook.Close()
		options := []string{"--require-approval", "both", "--approval", "webhook:" + hook.URL, "--probe", "test ! -f bad", "--no-preflight"}
		answer.Store("none")
		if r := g.run(3, options...); !strings.Contains(r.Stderr, "not approved: bob declined") || g.version() != "1" {
			t.Error(r)
		}
		// Up is approved, the rollback is not: the release stays, and the exit code says that all is not well.
		answer.Store("up")
		if err := os.WriteFile(filepath.Join(g.dir, "bad"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := g.run(3, options...)
		if !strings.Contains(r.Stderr, "the service is not well, and the migrations stay applied") || g.version() != "2" {
			t.Error(r)
		}
		if log := runProgram(t, 0, dsn, g.dir, "log", "--limit", "1").Stdout; !strings.Contains(log, "approved: bob") {
			t.Error(log)
		}
	}, testdb.Everywhere()...)
}

// Without a terminal nobody can be asked; --yes is no person.
func TestGuardApprovalWithoutATerminal(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, testdb.SQLite(t))
	if r := g.run(3, "--require-approval", "up", "--yes", "--probe", "true"); !strings.Contains(r.Stderr, "there is no terminal to ask on") || g.version() != "1" {
		t.Error(r)
	}
}

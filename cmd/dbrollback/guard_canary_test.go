package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// newCanary is a release whose traffic is a file: a line each step.
func newCanary(t *testing.T, dsn, command string) (g *guarded, traffic func() string, config string) {
	t.Helper()
	g = newGuarded(t, dsn)
	config = filepath.Join(g.dir, "canary.yml")
	text := "deployment_strategy:\n  type: canary\n  initial_percentage: 10\n  increment_percentage: 30\n  increment-interval: 200ms\n  set_traffic: " + command + "\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return g, func() string {
		b, err := os.ReadFile(filepath.Join(g.dir, "traffic"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(string(b)), " ")
	}, config
}

const toFile = "echo {{.Percentage}} >> traffic"

func TestCanary(t *testing.T) {
	for name, c := range map[string]struct {
		command, probe string
		code           int
		traffic        string
		reason         string
	}{
		"well to the end": {toFile, "true", 0, "10 40 70 100", ""},
		"bad at 40 %":     {toFile, "test ! -f traffic || test $(tail -n 1 traffic) -ne 40", 3, "10 40 0", "at 40% of the traffic, 3 consecutive failed checks: "},
		"bad at once":     {toFile, "test ! -f traffic", 3, "10 0", "at 10% of the traffic, 3 consecutive failed checks: "},
		"traffic that cannot be moved": {toFile + "; test {{.Percentage}} -ne 70", "true", 3, "10 40 70 0",
			"the traffic could not be moved to 70%: exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				g, traffic, config := newCanary(t, dsn, c.command)
				r := g.run(c.code, "--config", config, "--probe", c.probe)
				if got := traffic(); got != c.traffic {
					t.Errorf("traffic %s, want %s: %v", got, c.traffic, r)
				}
				if c.code == 0 {
					if g.version() != "2" {
						t.Error("the version is " + g.version())
					}
					return
				}
				g.asBefore(c.reason)
				// The traffic goes back first, then the database.
				if back, down := strings.Index(r.Stderr, "traffic: 0%"), strings.Index(r.Stderr, "down "); back < 0 || down < back {
					t.Error(r)
				}
			})
		})
	}
}

// A guard that is killed goes on with the step at which it stopped.
func TestCanaryKilled(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g, traffic, config := newCanary(t, dsn, toFile)
		text, err := os.ReadFile(config)
		if err == nil { // a watch whose guard is gone for twice its time is given up: on a slow machine that is soon
			err = os.WriteFile(config, []byte(strings.Replace(string(text), "200ms", "2s", 1)), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		p := testdb.Start(t, g.command(dsn, "--config", config, "--probe", "true", "--check-interval=300ms"))
		says(t, p, "traffic: 40%")
		eventually(t, func() bool { return strings.Contains(traffic(), "40") }, p.Stderr)
		p.Kill()
		if r := p.Wait(); !r.Killed {
			t.Fatal(r)
		}
		g.run(0, "--config", config, "--probe", "true")
		if got := traffic(); !strings.HasPrefix(got, "10 40 ") || strings.Count(got, "10 ") != 1 || !strings.HasSuffix(got, " 70 100") {
			t.Errorf("traffic %s", got)
		}
	})
}

// While the traffic cannot be taken away, the database stays: the release would go on writing to it.
func TestCanaryTrafficStays(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		g, traffic, config := newCanary(t, dsn, toFile+"; test {{.Percentage}} -ne 0 || test -f mended")
		probe := []string{"--config", config, "--probe", "test ! -f traffic"}
		r := g.run(1, probe...)
		if !strings.Contains(r.Stderr, "the database was not rolled back") || g.version() != "2" || traffic() != "10 0 0 0" {
			t.Fatalf("%s: %v", traffic(), r)
		}
		if err := os.WriteFile(filepath.Join(g.dir, "mended"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		g.run(3, probe...)
		g.asBefore("at 10% of the traffic")
		if traffic() != "10 0 0 0 0" {
			t.Error(traffic())
		}
	})
}

//go:build unix

// Package bench measures dbrollback beside its peers and the server's own limits: each case runs both in turn, several
// times, on fresh tables, and gives the ratio of the medians. `go test` runs all cases on tiny tables, as a check that they run and that
// their results are right; it asserts nothing about time. `make bench` measures, and writes docs/benchmarks.*.
package bench

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// side is one side of a comparison: it prepares what it needs, and returns what it measured of the part that counts.
type side func(b *bench) float64

// compared is one case.
type compared struct {
	name   string
	engine testdb.Engine
	unit   string // "" is seconds
	ours   side
	peer   side
	than   string  // what the peer is
	goal   float64 // ours / peer at most; 0: none is set
}

// bench is one run of one side.
type bench struct {
	testing.TB
	engine testdb.Engine
	rows   int  // of the large table
	files  int  // small migrations
	check  bool // the tables are small enough to compare every row
}

// fixed is a peer that is a number.
func fixed(n float64) side { return func(*bench) float64 { return n } }

func timed(f func()) float64 {
	start := time.Now()
	f()
	return time.Since(start).Seconds()
}

func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is not a number", name, s)
	}
	return n
}

// TestCompare runs every case. ROWS and ROUNDS set sizes, OUT is the folder that gets the results.
func TestCompare(t *testing.T) {
	rows, rounds, out := setting(t, "ROWS", 400), setting(t, "ROUNDS", 1), os.Getenv("OUT")
	small := bench{rows: rows, files: min(400, rows/10), check: rows <= 10_000}
	all := slices.Concat(cases, growth())
	if out != "" {
		all = slices.Concat(all, measured)
		if _, err := exec.LookPath("mydumper"); err != nil {
			t.Log("without the cases of mydumper, which is not installed here")
			all = slices.DeleteFunc(all, func(c compared) bool { return strings.HasPrefix(c.than, "my") })
		}
	}
	if !t.Run("cases", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.name+"/"+string(c.engine), func(t *testing.T) {
				if out == "" {
					t.Parallel()
				}
				var ours, peer []float64
				for range rounds {
					b := small
					b.TB, b.engine = t, c.engine
					ours, peer = append(ours, c.ours(&b)), append(peer, c.peer(&b))
				}
				r := result{Case: c.name, Engine: string(c.engine), Than: c.than, Unit: c.unit, Goal: c.goal, Rows: rows, Rounds: rounds, Ours: median(ours), Peer: median(peer), At: time.Now().UTC()}
				if r.Unit == "" {
					r.Unit = "s"
				}
				r.Ratio = r.Ours / r.Peer
				if r.Peer <= 0 {
					t.Fatalf("%s measured nothing", c.than)
				}
				t.Log(r)
				if out != "" {
					record(t, out, r)
				}
			})
		}
	}) || out == "" {
		return
	}
	publish(t, out)
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

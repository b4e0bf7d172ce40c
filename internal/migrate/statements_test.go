package migrate_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// seeds is a migration that makes a table and fills it, a statement a row.
func seeds(statements, width int) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE seeds (id integer PRIMARY KEY, v text NOT NULL);\n")
	v := strings.Repeat("x", width)
	for i := range statements {
		fmt.Fprintf(&b, "INSERT INTO seeds (id, v) VALUES (%d, '%s');\n", i+1, v)
	}
	return migration(b.String(), "DROP TABLE seeds;")
}

// TestMemoryOfManyStatements: what the program holds grows neither with the number of a migration's statements, beyond some 3 KB for
// each, nor with their length beyond 20 times that of the file, which has 16 MB at most.
func TestMemoryOfManyStatements(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Logf("no /proc: the peak is measured on Linux")
		return
	}
	t.Parallel()
	shapes := []struct{ name, text string }{{"few", seeds(100, 40)}, {"many", seeds(20_000, 40)}, {"long", seeds(1_600, 10_000)}}
	dirs := map[string]string{}
	for _, s := range shapes {
		dirs[s.name] = t.TempDir()
		if err := os.WriteFile(filepath.Join(dirs[s.name], "00001_seeds.sql"), []byte(s.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range []testdb.Engine{testdb.OnPostgres, testdb.OnSQLite} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			up, down := map[string]int{}, map[string]int{}
			for _, s := range shapes {
				dsn := e.New(t)
				up[s.name] = peak(t, "up", "--dsn", dsn, "--dir", dirs[s.name], "--yes", "--no-progress")
				want := fmt.Sprint(strings.Count(s.text, "INSERT"))
				if got := testdb.Query(t, dsn, "SELECT count(*) FROM seeds")[0]; got != want {
					t.Errorf("%s: %s rows of %s", s.name, got, want)
				}
				down[s.name] = peak(t, "rollback", "--dsn", dsn, "--dir", dirs[s.name], "--yes", "--no-progress")
			}
			for name, limit := range map[string]int{"many": 80 << 10, "long": 320 << 10} {
				t.Logf("%s: up %d MiB, rollback %d MiB; few: up %d MiB, rollback %d MiB", name, up[name]>>10, down[name]>>10, up["few"]>>10, down["few"]>>10)
				if up["few"] == 0 || down["few"] == 0 || up[name]-up["few"] > limit || down[name]-down["few"] > limit {
					t.Errorf("%s need up %d KiB and rollback %d KiB, few %d and %d: more than %d KiB apart", name, up[name], down[name], up["few"], down["few"], limit)
				}
			}
		})
	}
}

// TestWorkOfManyStatements: four times the statements are about four times the work. What comes after each was gathered anew for it,
// which took a minute for 20,000 statements that insert a row each.
func TestWorkOfManyStatements(t *testing.T) { // not parallel: what the process has allocated is counted
	for _, e := range testdb.Engines() {
		t.Run(string(e), func(t *testing.T) {
			work := func(n int, enough uint64) uint64 { // the least of some: what the process still does for a test before is counted as well
				m := newFixture(t, e.New(t), "SELECT 1", map[string]string{"00001_seeds.sql": seeds(n, 1)}).open()
				least := uint64(math.MaxUint64)
				for i := 0; i < 3 || i < 20 && least > enough; i++ {
					var a, b runtime.MemStats
					runtime.ReadMemStats(&a)
					if _, err := m.Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1}); err != nil {
						t.Fatal(err)
					}
					runtime.ReadMemStats(&b)
					least = min(least, b.TotalAlloc-a.TotalAlloc)
				}
				return least
			}
			few := work(1_000, 1<<40)
			many := work(4_000, 6*few)
			t.Logf("%d KiB, %d KiB", few>>10, many>>10)
			if many > 6*few {
				t.Errorf("a plan of 4,000 statements allocates %d KiB, one of 1,000 %d", many>>10, few>>10)
			}
		})
	}
}

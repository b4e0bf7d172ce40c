package bench

import (
	"errors"
	"fmt"
	"os"
	process "os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// squawkVersion is the peer that lint is measured against.
const squawkVersion = "2.66.0"

// squawk gives squawk's own binary, installed by npm into the user's cache when it is not there. SQUAWK names another one.
func squawk(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("SQUAWK"); path != "" {
		return path
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		b.Fatal(err)
	}
	dir := filepath.Join(cache, "dbrollback", "squawk-"+squawkVersion)
	platform := "@squawk-cli/" + map[string]string{"linux": "linux", "darwin": "darwin"}[runtime.GOOS] + "-" + map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	path := filepath.Join(dir, "node_modules", platform, "bin", "squawk")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if out, err := process.Command("npm", "install", "--prefix", dir, "--no-audit", "--no-fund", platform+"@"+squawkVersion).CombinedOutput(); err != nil {
		b.Fatalf("npm install %s: %v\n%s", platform, err, out)
	}
	return path
}

// historyOf writes the migrations of an application that grows: tables, columns, indexes, keys, views, data.
func historyOf(b *testing.B, n int) (dir string, files []string) {
	b.Helper()
	dir = b.TempDir()
	for i := range n {
		t := fmt.Sprintf("app_table_%03d", i/8)
		parent := fmt.Sprintf("app_table_%03d", max(0, i/8-1))
		text := []string{
			"CREATE TABLE " + t + " (id bigserial PRIMARY KEY, name varchar(80) NOT NULL, state text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'open', 'done')),\n" +
				"  amount numeric(12, 2), created_at timestamptz NOT NULL DEFAULT now(), data jsonb);\nCREATE INDEX " + t + "_name ON " + t + " (name);\n-- +goose Down\nDROP TABLE " + t + ";",
			"ALTER TABLE " + t + " ADD COLUMN parent_id bigint REFERENCES " + parent + " (id) ON DELETE CASCADE;\n-- +goose Down\nALTER TABLE " + t + " DROP COLUMN parent_id;",
			"CREATE UNIQUE INDEX " + t + "_state ON " + t + " (state, lower(name)) WHERE amount > 0;\n-- +goose Down\nDROP INDEX " + t + "_state;",
			"ALTER TABLE " + t + " ALTER COLUMN amount TYPE numeric(14, 4), ALTER COLUMN name SET DEFAULT '';\n-- +goose Down\nALTER TABLE " + t + " ALTER COLUMN name DROP DEFAULT, ALTER COLUMN amount TYPE numeric(12, 2);",
			"CREATE VIEW " + t + "_open AS SELECT x.id, x.name, p.name AS parent FROM " + t + " x LEFT JOIN " + parent + " p ON p.id = x.parent_id WHERE x.state = 'open';\n-- +goose Down\nDROP VIEW " + t + "_open;",
			"UPDATE " + t + " SET data = '{}' WHERE data IS NULL;\nALTER TABLE " + t + " ALTER COLUMN data SET NOT NULL;\n-- +goose Down\nALTER TABLE " + t + " ALTER COLUMN data DROP NOT NULL;",
			"ALTER TABLE " + t + " ADD CONSTRAINT " + t + "_amount CHECK (amount >= 0) NOT VALID;\n-- +goose Down\nALTER TABLE " + t + " DROP CONSTRAINT " + t + "_amount;",
			"COMMENT ON TABLE " + t + " IS 'what it is for';\nINSERT INTO " + t + " (name, data) VALUES ('first', '{}'), ('second', '{\"a\": 1}');\n-- +goose Down\nDELETE FROM " + t + ";\nCOMMENT ON TABLE " + t + " IS NULL;",
		}[i%8]
		path := filepath.Join(dir, fmt.Sprintf("%05d_m.sql", i+1))
		if err := os.WriteFile(path, []byte("-- +goose Up\n"+text+"\n"), 0o644); err != nil {
			b.Fatal(err)
		}
		files = append(files, path)
	}
	return dir, files
}

// program builds dbrollback as it is released.
func program(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "dbrollback")
	if out, err := process.Command("go", "build", "-o", path, "../cmd/dbrollback").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	return path
}

// cost is what one run of a program took.
type cost struct {
	wall, cpu time.Duration
	bytes     int64 // the largest resident set
}

func costOf(b *testing.B, name string, args ...string) cost {
	b.Helper()
	c := process.Command(name, args...)
	start := time.Now()
	err := c.Run()
	var exit *process.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 3) { // findings are no failure
		b.Fatalf("%s: %v", name, err)
	}
	return cost{time.Since(start), c.ProcessState.UserTime() + c.ProcessState.SystemTime(), residentSet(c.ProcessState)}
}

func median[T int64 | time.Duration](in []cost, f func(cost) T) float64 {
	var out []T
	for _, c := range in {
		out = append(out, f(c))
	}
	slices.Sort(out)
	return float64(out[len(out)/2])
}

func wall(c cost) time.Duration { return c.wall }
func cpu(c cost) time.Duration  { return c.cpu }
func resident(c cost) int64     { return c.bytes }

// BenchmarkLint: 400 PostgreSQL migrations against squawk, interleaved.
func BenchmarkLint(b *testing.B) {
	ours, peer := program(b), squawk(b)
	dir, files := historyOf(b, 400)
	var a, p []cost
	for range 2*rounds + 1 {
		a = append(a, costOf(b, ours, "lint", "--engine", "postgres", "--fail-on", "never", dir))
		p = append(p, costOf(b, peer, files...))
	}
	b.ReportMetric(median(a, wall)/1e6, "ours-ms")
	b.ReportMetric(median(p, wall)/1e6, "squawk-ms")
	b.ReportMetric(median(a, wall)/median(p, wall), "wall-ratio")
	b.ReportMetric(median(a, cpu)/median(p, cpu), "cpu-ratio")
	b.ReportMetric(median(a, resident)/(1<<20), "ours-MiB")
	b.ReportMetric(median(p, resident)/(1<<20), "squawk-MiB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLintStart: from the start of the program to the verdict on one statement of PostgreSQL; the goal is 60 ms.
func BenchmarkLintStart(b *testing.B) {
	ours := program(b)
	dir, _ := historyOf(b, 1)
	var a []cost
	for range 2*rounds + 1 {
		a = append(a, costOf(b, ours, "lint", "--engine", "postgres", "--fail-on", "never", dir))
	}
	b.ReportMetric(median(a, wall)/1e6, "wall-ms")
	b.ReportMetric(median(a, cpu)/1e6, "cpu-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLintMemory: ten times the migrations, as many tables.
func BenchmarkLintMemory(b *testing.B) {
	ours := program(b)
	for _, n := range []int{400, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir, files := historyOf(b, n)
			for i, f := range files[min(len(files), 400):] { // the same tables, changed over and over
				t := fmt.Sprintf("app_table_%03d", i%50)
				text := strings.ReplaceAll("-- +goose Up\nALTER TABLE T ALTER COLUMN state SET DEFAULT 'open';\n-- +goose Down\nALTER TABLE T ALTER COLUMN state SET DEFAULT 'new';\n", "T", t)
				if err := os.WriteFile(f, []byte(text), 0o644); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(costOf(b, ours, "lint", "--engine", "postgres", "--fail-on", "never", dir).bytes)/(1<<20), "MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

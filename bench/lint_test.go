//go:build unix

package bench

import (
	"errors"
	"fmt"
	"os"
	process "os/exec"
	"path/filepath"
	"runtime"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// squawkVersion is the peer that lint is measured against.
const squawkVersion = "2.66.0"

// squawk gives squawk's own binary, installed by npm into the user's cache when it is not there. SQUAWK names another one.
func squawk(b *bench) string {
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
func historyOf(b *bench, n int) (dir string, files []string) {
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

// linted measures how long a program takes for 400 migrations; findings are no failure.
func linted(b *bench, name string, args ...string) float64 {
	return timed(func() {
		var exit *process.ExitError
		if err := process.Command(name, args...).Run(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 3) {
			b.Fatalf("%s: %v", name, err)
		}
	})
}

// lintHistory and squawkHistory measure the same migrations.
func lintHistory(b *bench) float64 {
	dir, _ := historyOf(b, 400)
	return linted(b, testdb.Binary(b), "lint", "--engine", "postgres", "--fail-on", "never", dir)
}

func squawkHistory(b *bench) float64 {
	_, files := historyOf(b, 400)
	return linted(b, squawk(b), files...)
}

//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// What lint holds does not grow with the number of files: 30 MB of migrations take hardly more than one, in either kind of folder.
func TestLintMemoryIsFlat(t *testing.T) {
	t.Parallel()
	bin := testdb.Binary(t)
	comment := "-- " + strings.Repeat("why this is done; ", 600) + "\n"
	for name, write := range map[string]func(dir, version, up, down string) error{
		"goose": func(dir, version, up, down string) error {
			return os.WriteFile(filepath.Join(dir, version+"_m.sql"), []byte("-- +goose Up\n"+up+"-- +goose Down\n"+down), 0o600)
		},
		"golang-migrate": func(dir, version, up, down string) error {
			if err := os.WriteFile(filepath.Join(dir, version+"_m.up.sql"), []byte(up), 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, version+"_m.down.sql"), []byte(down), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peak := func(files int) (mib int64) {
				dir := t.TempDir()
				for i := range files {
					up, down := fmt.Sprintf("ALTER TABLE app ADD COLUMN c%d int DEFAULT 0;\n", (i+1)/2), fmt.Sprintf("ALTER TABLE app DROP COLUMN c%d;\n", (i+1)/2)
					switch {
					case i == 0:
						up, down = "CREATE TABLE app (id bigint PRIMARY KEY);\n", "DROP TABLE app;\n"
					case i%2 == 0:
						up, down = down, up
					}
					if err := write(dir, fmt.Sprintf("%05d", i+1), comment+up, down); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.Command(bin, "lint", "--engine", "sqlite", "--format", "json", dir)
				out, err := cmd.CombinedOutput()
				if want := fmt.Sprintf(`"migrations": %d,`, files); err != nil || !strings.Contains(string(out), want) {
					t.Fatalf("%v; %s is not in\n%.2000s", err, want, out)
				}
				unit := int64(1 << 10) // kilobytes
				if runtime.GOOS == "darwin" {
					unit = 1
				}
				return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * unit >> 20
			}
			small, large := peak(100), peak(3000)
			t.Logf("%d MiB for 100 migrations, %d MiB for 3000", small, large)
			if large > small+24 {
				t.Errorf("%d MiB for 100 migrations, %d MiB for 3000", small, large)
			}
		})
	}
}

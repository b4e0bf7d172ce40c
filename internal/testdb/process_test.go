//go:build unix

package testdb

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// childEnv makes this test binary start servers, say where they are, and wait to be killed.
const childEnv = "TESTDB_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	for _, start := range []func() (string, error){sharedPostgres, mariaDB.admin, mySQL.admin} {
		dsn, err := start()
		fmt.Println("server", dsn, err)
	}
	dir, err := processDir()
	fmt.Println("dir", dir, err)
	pids, _ := filepath.Glob(dir + "/*.pid")
	for _, p := range pids {
		pid, err := os.ReadFile(p)
		fmt.Println("pid", string(pid), err)
	}
	fmt.Println("ready")
	select {}
}

func TestNothingOutlivesKilledProcess(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"=1", PostgresEnv+"=", mariaDB.env+"=", mySQL.env+"=")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		f := strings.Fields(lines.Text())
		if len(f) != 3 || f[2] != "<nil>" {
			t.Fatalf("the child says %q", lines.Text())
		}
		said[f[0]] = append(said[f[0]], f[1])
	}
	if len(said["server"]) != 3 || len(said["pid"]) != 3 || len(said["dir"]) != 1 {
		t.Fatalf("the child says %v", said)
	}
	for _, dsn := range said["server"] {
		if err := ping(t.Context(), dsn); err != nil {
			t.Errorf("the child's server does not answer: %v", err)
		}
	}
	var family []int
	for _, s := range said["pid"] {
		pid, err := strconv.Atoi(s)
		if err != nil || !alive(pid) {
			t.Fatalf("process %q is not there: %v", s, err)
		}
		family = append(append(family, pid), children(pid)...)
	}
	if len(family) < 6 {
		t.Errorf("only %d processes: the look-up of children is broken", len(family))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	eventually(t, "the server's processes end", func() bool {
		for _, pid := range family {
			if alive(pid) {
				return false
			}
		}
		return true
	})
	eventually(t, "its directory is removed", func() bool { return !exists(said["dir"][0]) })
}

func TestTemplateIsMadeOnce(t *testing.T) {
	t.Setenv(CacheEnv, t.TempDir())
	made := 0
	make1 := func() (string, error) {
		return template("x", account{}, func(dir string) error {
			made++
			if err := os.Mkdir(dir, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "f"), []byte("1"), 0o640)
		})
	}
	for range 2 {
		dir, err := make1()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || string(b) != "1" {
			t.Fatalf("%q, %v", b, err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
	if _, err := template("bad", account{}, func(dir string) error {
		_ = os.Mkdir(dir, 0o700)
		return os.ErrInvalid
	}); err == nil {
		t.Error("no error")
	}
	if dir, err := template("bad", account{}, func(dir string) error { return os.Mkdir(dir, 0o700) }); err != nil || !exists(dir) {
		t.Errorf("a failed attempt leaves something behind: %v", err)
	}
}

func TestPortsAreNotSharedAndNotEphemeral(t *testing.T) {
	seen := map[int]bool{}
	for range 20 {
		p, err := claimPort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] || p < firstPort || p > lastPort {
			t.Errorf("port %d", p)
		}
		seen[p] = true
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	p, err := postgresProgram(false)
	if err != nil || p == nil {
		t.Fatalf("%v, %v", p, err)
	}
	s, err := launch(*p, []string{"-c", "shared_buffers=nonsense"})
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("the error does not hold the server's own words: %v", err)
	}
	if s.Running() {
		t.Error("it runs")
	}
}

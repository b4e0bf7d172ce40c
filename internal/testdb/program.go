package testdb

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Binary builds dbrollback as it is now, once per test process, and returns the path of the program.
func Binary(t testing.TB) string {
	t.Helper()
	return buildProgram(t, "./cmd/dbrollback")
}

var builds sync.Map // package -> func() (string, error)

func buildProgram(t testing.TB, pkg string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(pkg, sync.OnceValues(func() (string, error) { return build(pkg) }))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	return path
}

// build links the program into the cache, where go build leaves it alone while it is up to date, and
// gives this process a name of its own for it: the next build replaces the file, it does not write to it.
func build(pkg string) (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	base, err := processDir()
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(root + "\n" + pkg + "\n" + os.Getenv("CGO_ENABLED") + "\n" + os.Getenv("GOFLAGS")))
	kept := filepath.Join(cache, "programs", hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return "", fmt.Errorf("make the cache of programs: %w", err)
	}
	lock, err := lockFile(filepath.Join(kept, ".lock"))
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	name := filepath.Base(pkg)
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(kept, name), pkg)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	dir, err := os.MkdirTemp(base, "bin-")
	if err != nil {
		return "", fmt.Errorf("make a directory for the program: %w", err)
	}
	path := filepath.Join(dir, name)
	if os.Link(filepath.Join(kept, name), path) == nil {
		return path, nil
	}
	// Another file system. Another process copies: a file that this one has open for writing while it forks
	// cannot be run.
	if out, err := exec.Command("cp", filepath.Join(kept, name), path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copy the program: %w: %s", err, out)
	}
	return path, nil
}

// Command is one run of a program.
type Command struct {
	Program string // default: Binary
	Args    []string
	Env     []string // in addition to the test's own environment, of which DBROLLBACK_* is left out
	Dir     string   // default: the test's own
	Stdin   string

	KillAfter time.Duration // SIGKILL after that time; 0 is never
	KillWhen  func() bool   // SIGKILL as soon as it says so; it is asked every millisecond
	Timeout   time.Duration // the test fails when the program runs longer; default 2 minutes
}

// Result is what a run gave.
type Result struct {
	Code           int // exit code; -1 when a signal ended it
	Stdout, Stderr string
	Killed         bool // by KillAfter, KillWhen or Kill; false when it was faster
	Took           time.Duration
}

// String is for a test's message.
func (r Result) String() string {
	return fmt.Sprintf("exit %d, killed %v, after %v\nstdout:\n%s\nstderr:\n%s", r.Code, r.Killed, r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Process is a program that runs. It dies with the test process.
type Process struct {
	PID int

	t        testing.TB
	cmd      *exec.Cmd
	process  *child
	started  time.Time
	ended    time.Time
	killed   bool
	out, err bytes.Buffer
	mu       sync.Mutex
}

// Run runs the program to its end.
func Run(t testing.TB, c Command) Result {
	t.Helper()
	p := Start(t, c)
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var kill <-chan time.Time
	if c.KillAfter > 0 {
		kill = time.After(c.KillAfter)
	}
	var look <-chan time.Time
	if c.KillWhen != nil {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		look = tick.C
	}
	for {
		select {
		case <-p.process.ended:
			return p.Wait()
		case <-kill:
			p.Kill()
			return p.Wait()
		case <-look:
			if c.KillWhen() {
				p.Kill()
				return p.Wait()
			}
		case <-ctx.Done():
			p.Kill()
			t.Fatalf("testdb: %s %s still runs after %v\n%v", p.cmd.Path, strings.Join(c.Args, " "), timeout, p.Wait())
		}
	}
}

// Start starts the program and leaves the rest to the test. What still runs when the test ends is killed.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	program := c.Program
	if program == "" {
		program = Binary(t)
	}
	p := &Process{t: t, cmd: exec.Command(program, c.Args...)}
	p.cmd.Dir = c.Dir
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "DBROLLBACK_") })
	p.cmd.Env = append(p.cmd.Env, c.Env...)
	p.cmd.Stdin = strings.NewReader(c.Stdin)
	p.cmd.Stdout, p.cmd.Stderr = &lockedWriter{p: p, to: &p.out}, &lockedWriter{p: p, to: &p.err}
	p.cmd.WaitDelay = 5 * time.Second // a grandchild that keeps stdout open
	p.started = time.Now()
	process, err := spawn(p.cmd, account{}, sigKill)
	if err != nil {
		t.Fatalf("testdb: start %s: %v", program, err)
	}
	p.process, p.PID = process, p.cmd.Process.Pid
	t.Cleanup(func() {
		p.Kill()
		<-p.process.ended
	})
	return p
}

// lockedWriter lets Stdout and Stderr be read while the program writes.
type lockedWriter struct {
	p  *Process
	to *bytes.Buffer
}

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.to.Write(b)
}

// Stdout is what the program has printed so far.
func (p *Process) Stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// Stderr is what the program has reported so far.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// Kill sends SIGKILL.
func (p *Process) Kill() {
	select {
	case <-p.process.ended:
		return
	default:
	}
	// the process is waited for elsewhere; os.Process keeps a signal from reaching another one's id
	if err := p.cmd.Process.Kill(); err == nil {
		p.mu.Lock()
		p.killed = true
		p.mu.Unlock()
	}
}

// Signal sends a signal, os.Interrupt for Ctrl-C.
func (p *Process) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("testdb: signal %v: %v", s, err)
	}
}

// Wait waits for the end.
func (p *Process) Wait() Result {
	<-p.process.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended.IsZero() {
		p.ended = time.Now()
	}
	state := p.cmd.ProcessState
	return Result{
		Code: state.ExitCode(), Stdout: p.out.String(), Stderr: p.err.String(),
		Killed: p.killed && state.ExitCode() == -1, Took: p.ended.Sub(p.started),
	}
}

// Sees returns a condition, for KillWhen, that holds while another session of the database runs a statement
// that is LIKE the pattern, or waits in a transaction after it.
func Sees(t testing.TB, dsn, pattern string) func() bool {
	t.Helper()
	db := Open(t, dsn)
	query := `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND state <> 'idle' AND query ILIKE $1`
	if scheme, _, _ := strings.Cut(dsn, ":"); scheme == "mariadb" || scheme == "mysql" {
		query = `SELECT count(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID() AND info LIKE ?`
	}
	return func() bool {
		var n int
		// the server may be down, which is nothing that one sees
		return db.QueryRow(query, pattern).Scan(&n) == nil && n > 0
	}
}

// Grown returns a condition, for KillWhen, that holds when the file, or a journal of SQLite's beside it, has
// reached so many bytes.
func Grown(path string, size int64) func() bool {
	return func() bool {
		for _, p := range []string{path, path + "-wal", path + "-journal"} {
			if st, err := os.Stat(p); err == nil && st.Size() >= size {
				return true
			}
		}
		return false
	}
}

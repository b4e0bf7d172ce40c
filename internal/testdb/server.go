package testdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// startTimeout is generous: several test processes may start servers on a loaded machine, and a server
// that was killed recovers first.
const startTimeout = 90 * time.Second

// program is how to run one kind of server.
type program struct {
	name     string // for file names and messages
	bin      string
	template string // initialised data directory to start from
	as       account
	death    syscall.Signal // ends it at once, with all its processes
	stop     syscall.Signal // ends it in good order, without waiting for clients
	args     func(s *Server) []string
	ping     func(ctx context.Context, s *Server) error
	admin    func(s *Server) string // an administrator's DSN
	create   func(t testing.TB, s *Server, name string)
}

// Server is a database server that belongs to one test, which may do to it what it likes.
type Server struct {
	DSN  string // a database of its own on the server
	Dir  string // the data directory
	Log  string // the file with the server's log
	Port int    // on 127.0.0.1; the same after a Restart

	program  program
	settings []string
	quota    int64      // bytes that a file may have; 0: no limit
	t        testing.TB // nil for the shared server
	pid      int
	process  *child
}

// child is a process that spawn started.
type child struct {
	ended chan struct{} // closed when it has
	err   error         // of Wait; to be read after ended is closed
}

// launch makes a data directory and starts a server in it.
func launch(p program, settings []string) (*Server, error) {
	s, err := prepare(p, settings)
	if err != nil {
		return nil, err
	}
	return s, s.start()
}

// prepare makes the data directory.
func prepare(p program, settings []string) (*Server, error) {
	base, err := processDir()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(base, p.name+"-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the server: %w", err)
	}
	s := &Server{Dir: filepath.Join(home, "data"), Log: filepath.Join(home, "log"), program: p, settings: settings}
	if p.as != (account{}) {
		if err := os.Chown(home, p.as.uid, p.as.gid); err != nil {
			return nil, fmt.Errorf("hand over the server's directory: %w", err)
		}
	}
	if err := copyTree(s.Dir, p.template, p.as); err != nil {
		return nil, fmt.Errorf("copy the template of %s: %w", p.name, err)
	}
	if s.Port, err = claimPort(); err != nil {
		return nil, err
	}
	return s, nil
}

// start runs the server and waits until it answers.
func (s *Server) start() error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(s.program.bin, append(s.program.args(s), s.settings...)...)
	if s.quota > 0 { // counted in blocks of 512 bytes
		cmd = exec.Command("/bin/sh", append([]string{"-c", `ulimit -S -f "$0" && exec "$@"`, strconv.FormatInt(s.quota/512, 10), s.program.bin}, cmd.Args[1:]...)...)
	}
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, filepath.Dir(s.Dir)
	process, err := spawn(cmd, s.program.as, s.program.death)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.program.bin, err)
	}
	s.pid, s.process = cmd.Process.Pid, process
	pidFile := filepath.Dir(s.Dir) + ".pid"
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(s.pid)), 0o600); err != nil {
		return fmt.Errorf("note the server's process: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = s.program.ping(ctx, s); err == nil {
			return nil
		}
		select {
		case <-process.ended:
			s.pid = 0
			return fmt.Errorf("%s ended while starting (%v); its log ends with:\n%s", s.program.name, cmd.ProcessState, tail(s.Log))
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s does not answer after %v: %w; its log ends with:\n%s", s.program.name, startTimeout, err, tail(s.Log)), s.kill())
		case <-tick.C:
		}
	}
}

// Running tells whether the server's main process is there.
func (s *Server) Running() bool { return s.pid != 0 && alive(s.pid) }

// Kill ends the server and all its processes with SIGKILL, as a crash would. What it had told the
// operating system to write stays; what was in its memory is lost.
func (s *Server) Kill() {
	s.t.Helper()
	if err := s.kill(); err != nil {
		s.t.Fatalf("testdb: %v", err)
	}
}

func (s *Server) kill() error {
	if s.pid == 0 {
		return nil
	}
	// stopped, it cannot start another process while we look
	if err := signal(s.pid, sigStop); err != nil && alive(s.pid) {
		return fmt.Errorf("stop %s: %w", s.program.name, err)
	}
	doomed := append(children(s.pid), s.pid)
	for _, pid := range doomed {
		_ = signal(pid, sigKill) // it may have ended by itself
	}
	<-s.process.ended
	s.pid = 0
	for deadline := time.Now().Add(startTimeout); ; {
		left := 0
		for _, pid := range doomed {
			if alive(pid) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of %s outlive SIGKILL", left, s.program.name)
		}
		time.Sleep(time.Millisecond)
	}
}

// Quota starts the server again so that it cannot make any file larger than so many bytes, as on a disk that is full; 0 takes the
// limit off. A size within a page makes it fail as a full disk does, in the middle of a write.
func (s *Server) Quota(size int64) {
	s.t.Helper()
	s.quota = size
	s.Restart()
}

// Stop ends the server in good order; open transactions are rolled back.
func (s *Server) Stop() {
	s.t.Helper()
	if s.pid == 0 {
		return
	}
	if err := signal(s.pid, s.program.stop); err != nil && alive(s.pid) {
		s.t.Fatalf("testdb: stop %s: %v", s.program.name, err)
	}
	select {
	case <-s.process.ended:
		s.pid = 0
	case <-time.After(startTimeout):
		s.t.Fatalf("testdb: %s does not stop; its log ends with:\n%s", s.program.name, tail(s.Log))
	}
}

// Restart starts the server again on the same port, after a Stop if it runs, and returns when it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Fatalf("testdb: %v", err)
	}
}

// Database makes one more database on the server. It goes with the server.
func (s *Server) Database() string {
	s.t.Helper()
	name := freshName()
	s.program.create(s.t, s, name)
	return withDatabase(s.t, s.program.admin(s), name)
}

// own ties the server to the test.
func (s *Server) own(t testing.TB) {
	s.t = t
	t.Cleanup(func() {
		if err := s.kill(); err != nil {
			t.Errorf("testdb: %v", err)
		}
		home := filepath.Dir(s.Dir)
		if err := errors.Join(os.RemoveAll(home), os.Remove(home+".pid")); err != nil {
			t.Errorf("testdb: remove the server: %v", err)
		}
	})
}

// Ports are taken from below the range that the kernel hands to outgoing connections: a server that
// is restarted must find its port free. A lock on a file keeps other test processes off.
const firstPort, lastPort = 21000, 31999

func claimPort() (int, error) {
	dir := filepath.Join(tempRoot(), "ports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("make the directory of port locks: %w", err)
	}
	span := lastPort - firstPort + 1
	from := os.Getpid() * 16
	for i := range span {
		port := firstPort + (from+i)%span
		f, err := tryLockFile(filepath.Join(dir, strconv.Itoa(port)))
		if err != nil {
			return 0, err
		}
		if f == nil {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			_ = f.Close()
			continue
		}
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("release port %d: %w", port, err)
		}
		hold(f)
		return port, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, lastPort)
}

// template returns the directory in the cache that holds what initialise makes, making it when it is
// not there yet. Test processes that start together wait for the first one.
func template(key string, as account, initialise func(dir string) error) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "templates", key)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache of templates: %w", err)
	}
	lock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	base, err := processDir()
	if err != nil {
		return "", err
	}
	// made where the server's account may write, then copied to where it may not
	work, err := os.MkdirTemp(base, "template-")
	if err != nil {
		return "", fmt.Errorf("make a directory for the template: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	if as != (account{}) {
		if err := os.Chown(work, as.uid, as.gid); err != nil {
			return "", fmt.Errorf("hand over the template's directory: %w", err)
		}
	}
	if err := initialise(filepath.Join(work, "data")); err != nil {
		return "", fmt.Errorf("initialise %s: %w", key, err)
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", fmt.Errorf("clear the cache of templates: %w", err)
	}
	if err := copyTree(tmp, filepath.Join(work, "data"), account{}); err != nil {
		return "", fmt.Errorf("keep the template: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return "", fmt.Errorf("keep the template: %w", err)
	}
	return dir, nil
}

// runAs runs a short program as the account and returns its output with the error.
func runAs(as account, dir, bin string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	process, err := spawn(cmd, as, sigKill)
	if err == nil {
		<-process.ended
		err = process.err
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(bin), err, out.String())
	}
	return nil
}

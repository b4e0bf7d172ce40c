//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dataFolder, in a scratch folder, is the data directory of a PostgreSQL server; programsFile says where its programs are.
const (
	dataFolder   = "data"
	programsFile = "programs"
)

// startPostgres makes a cluster in dir and starts a server on it. It listens on a socket in dir alone, which nobody
// but its owner may enter.
func startPostgres(ctx context.Context, dir, bin string) (*server, error) {
	as, err := serverAccount()
	if err != nil {
		return nil, err
	}
	data, sockets := filepath.Join(dir, dataFolder), dir
	if len(sockets) > 85 { // a socket's path has 107 bytes at most
		if sockets, err = os.MkdirTemp("/tmp", ScratchPrefix); err != nil {
			return nil, fmt.Errorf("make a folder for the server's socket: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, programsFile), []byte(bin), 0o600); err != nil {
		return nil, err
	}
	if as != nil {
		for _, d := range []string{dir, sockets} {
			if err := os.Chown(d, int(as.Uid), int(as.Gid)); err != nil {
				return nil, fmt.Errorf("hand the scratch folder to the server's account: %w", err)
			}
		}
	}
	// The arguments are ours; the program is the one that was found.
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync",
		"--locale=C", "-E", "UTF8", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s/initdb: %w: %s", bin, err, strings.Join(strings.Fields(string(out)), " "))
	}
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	postgres := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", sockets, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_wal_size=512MB", "-c", "shared_buffers=64MB",
		"-c", "max_locks_per_transaction=1024", "-c", "autovacuum=off", "-c", "wal_level=logical", "-c", "timezone=UTC")
	postgres.Dir, postgres.Stdout, postgres.Stderr = dir, log, log
	postgres.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	endsWithUs(postgres.SysProcAttr)
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the kernel ends the server when the thread that started it ends
		err := postgres.Start()
		started <- err
		if err == nil {
			_ = postgres.Wait() // how it ended does not matter
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s/postgres: %w", bin, err)
	}
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(sockets)}
	return &server{
		url: u.String(), log: log.Name(),
		ended: func() bool {
			select {
			case <-ended:
				return true
			default:
				return false
			}
		},
		stop: func() error {
			err := stopProcess(postgres.Process, ended)
			if sockets != dir {
				err = errors.Join(err, os.RemoveAll(sockets))
			}
			return err
		},
	}, nil
}

// stopProcess asks a server to end at once, and kills it when it does not.
func stopProcess(p *os.Process, ended <-chan struct{}) error {
	for _, sig := range []os.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop the scratch server: %w", err)
		}
		timer := time.NewTimer(10 * time.Second)
		select {
		case <-ended:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return errors.New("the scratch server does not stop")
}

// serverAccount is whom a server runs as: nil for the present user, and another account for root, as whom
// PostgreSQL refuses to run.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("account %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, &Error{Class: Usage, Message: "PostgreSQL does not run as root, and there is no account postgres or nobody to run it as",
		Hint: "run as another user, or name a server with --scratch-dsn"}
}

// mayOwn tells whether a folder can be one of ours: another account's is not to be touched, and least of all is a
// program to be run that it names.
func mayOwn(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	if as, err := serverAccount(); err == nil && as != nil && owner.Uid == as.Uid {
		return true
	}
	return int(owner.Uid) == os.Geteuid()
}

// stopLeftPostgres ends the server that works on the data directory in dir. pg_ctl knows whether the process that
// the directory names is one of PostgreSQL's.
func stopLeftPostgres(dir string) {
	data := filepath.Join(dir, dataFolder)
	if _, err := os.Stat(filepath.Join(data, "postmaster.pid")); err != nil {
		return
	}
	bin, err := os.ReadFile(filepath.Join(dir, programsFile))
	if err != nil {
		return
	}
	as, err := serverAccount()
	if err != nil {
		return
	}
	ctl := exec.Command(filepath.Join(string(bin), "pg_ctl"), "stop", "-D", data, "-m", "immediate", "-t", "10")
	ctl.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	ctl.Dir = dir
	_ = ctl.Run() // it has ended already, most of the time
}

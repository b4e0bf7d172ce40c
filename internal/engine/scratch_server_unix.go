//go:build unix

package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// dataFolder, in a scratch folder, is the data directory of a server; programsFile says where its programs are.
const (
	dataFolder   = "data"
	programsFile = "programs"
	logFile      = "log"
)

// handOver gives folders to the account that the server runs as.
func handOver(as *syscall.Credential, dirs ...string) error {
	if as == nil {
		return nil
	}
	for _, d := range dirs {
		if err := os.Chown(d, int(as.Uid), int(as.Gid)); err != nil {
			return fmt.Errorf("hand the scratch folder to the server's account: %w", err)
		}
	}
	return nil
}

// runAs runs a program of the server's to its end.
func runAs(ctx context.Context, dir, program string, as *syscall.Credential, args ...string) error {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as, Setpgid: true}
	out, err := c.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) && as != nil {
		return &Error{Class: Usage, Message: "the account that the scratch server runs as may not enter " + dir, Err: err,
			Hint: "set TMPDIR to a folder that every account may enter, or name a server with --scratch-dsn"}
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}

// socketFolder is where a server listens, a folder that nobody but its account may enter: dir, or one with a shorter path,
// because a socket's has 107 bytes at most.
func socketFolder(dir string) (string, error) {
	if len(dir) <= 85 {
		return dir, nil
	}
	short, err := os.MkdirTemp("/tmp", ScratchPrefix)
	if err != nil {
		return "", fmt.Errorf("make a folder for the server's socket: %w", err)
	}
	return short, nil
}

// process is a running server program.
type process struct {
	*os.Process
	ended chan struct{} // closed when it has ended
}

// launch starts a server program in its scratch folder. It ends when this process does, by whatever cause, where the
// operating system can see to that.
func launch(dir, program string, as *syscall.Credential, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := exec.Command(program, args...)
	c.Dir, c.Stdout, c.Stderr = dir, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as, Setpgid: true}
	endsWithUs(c.SysProcAttr)
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: the kernel ends the server when the thread that started it ends
		err := c.Start()
		started <- err
		if err == nil {
			_ = c.Wait() // how it ended does not matter
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return &process{c.Process, ended}, nil
}

// over tells whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// ownedBy makes a server of a process that listens in the folder sockets.
func ownedBy(p *process, url, dir, sockets string) *server {
	return &server{
		url: url, log: filepath.Join(dir, logFile), ended: p.over,
		stop: func() error {
			err := p.stop()
			if sockets != dir {
				err = errors.Join(err, os.RemoveAll(sockets))
			}
			return err
		},
	}
}

// stop asks a server to end at once, and kills it when it does not.
func (p *process) stop() error {
	for _, sig := range []os.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		if err := p.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("stop the scratch server: %w", err)
		}
		timer := time.NewTimer(10 * time.Second)
		select {
		case <-p.ended:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
	return errors.New("the scratch server does not stop")
}

// accounts that servers run as when we are root, as whom they refuse to.
var accounts = map[Kind]string{Postgres: "postgres", MySQL: "mysql", MariaDB: "mysql"}

// serverAccount is whom a server runs as: nil for the present user, another account for root.
func serverAccount(kind Kind) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{accounts[kind], "nobody"} {
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
	return nil, &Error{Class: Usage, Message: fmt.Sprintf("a server does not run as root, and there is no account %s or nobody to run it as", accounts[kind]),
		Hint: "run as another user, or name a server with --scratch-dsn"}
}

// mayOwn tells whether a folder can be one of ours: another account's is not to be touched, and least of all is a
// program to be run that it names.
func mayOwn(info os.FileInfo) bool {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	for kind := range accounts {
		if as, err := serverAccount(kind); err == nil && as != nil && owner.Uid == as.Uid {
			return true
		}
	}
	return int(owner.Uid) == os.Geteuid()
}

//go:build unix

package testdb

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// The signals that the servers know.
const (
	sigKill = syscall.SIGKILL
	sigQuit = syscall.SIGQUIT // PostgreSQL: end at once, taking the backends along
	sigStop = syscall.SIGSTOP
	sigInt  = syscall.SIGINT  // PostgreSQL: roll back what is open and end
	sigTerm = syscall.SIGTERM // MariaDB, MySQL: end in good order
)

// lockFile opens path and waits for the exclusive lock on it; closing it, or the end of the process,
// releases the lock.
func lockFile(path string) (*os.File, error) { return flock(path, syscall.LOCK_EX) }

// tryLockFile is lockFile without the wait; nil when somebody else holds it.
func tryLockFile(path string) (*os.File, error) {
	f, err := flock(path, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return f, err
}

func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
	}
	return f, nil
}

// serverAccount is whom servers run as: the present user, or, for root, which servers refuse to run
// as, the first of the names that exists.
func serverAccount(names ...string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("account %s: %w", name, err)
		}
		return account{uid, gid}, nil
	}
	return account{}, errors.New("no unprivileged account to run a server as (looked for nobody)")
}

func signal(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

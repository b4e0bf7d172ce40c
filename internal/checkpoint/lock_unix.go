//go:build unix

package checkpoint

import (
	"errors"
	"os"
	"syscall"
)

// ErrLocked says that another process is at work on the same deployment.
var ErrLocked = errors.New("another checkpoint command is at work on this deployment")

// Lock keeps other checkpoint commands of this machine out until release, or until the process ends, however it does. The file is the one
// that describes the deployment; it is not changed.
func Lock(file string) (release func(), err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, plainly(err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { _ = f.Close() }, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return func() {}, nil // a file system without locks
}

package testdb

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// Servers are not started on Windows: tests there use a server named in the environment or a container.
var errWindows = errors.New("testdb starts no servers on Windows: name one in the environment, or start Docker")

const (
	sigKill = syscall.SIGKILL
	sigQuit = syscall.SIGQUIT
	sigStop = syscall.SIGKILL
	sigInt  = syscall.SIGINT
	sigTerm = syscall.SIGTERM
)

func detach(*exec.Cmd) {}

func spawn(*exec.Cmd, account, syscall.Signal) (*child, error) { return nil, errWindows }

func children(int) []int { return nil }

func lockFile(string) (*os.File, error) { return nil, errWindows }

func tryLockFile(string) (*os.File, error) { return nil, errWindows }

func serverAccount(...string) (account, error) { return account{}, errWindows }

func alive(int) bool { return false }

func signal(int, syscall.Signal) error { return errWindows }

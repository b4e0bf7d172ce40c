//go:build unix && !linux

package testdb

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// detach takes cmd out of the terminal's process group, so that Ctrl-C leaves it to finish its work.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// spawn starts cmd. There is no signal on a parent's death here: the watchdog ends what is left.
func spawn(cmd *exec.Cmd, as account, _ syscall.Signal) (*child, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if as != (account{}) {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{ended: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	return c, nil
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	b, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	var out []int
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 2 || f[1] != strconv.Itoa(pid) {
			continue
		}
		if n, err := strconv.Atoi(f[0]); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// alive tells whether the process exists.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

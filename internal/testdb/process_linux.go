package testdb

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
)

// detach takes cmd out of the terminal's process group, so that Ctrl-C leaves it to finish its work.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// spawn starts cmd so that the kernel sends it the signal sig when this process dies, by whatever
// cause. The kernel ties that to the thread that forked, so the thread is kept for as long as cmd
// runs.
func spawn(cmd *exec.Cmd, as account, sig syscall.Signal) (*child, error) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: sig}
	if as != (account{}) {
		attr.Credential = &syscall.Credential{Uid: uint32(as.uid), Gid: uint32(as.gid)}
	}
	cmd.SysProcAttr = attr
	started, c := make(chan error), &child{ended: make(chan struct{})}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not serve, or end, before cmd does
		err := cmd.Start()
		started <- err
		if err == nil {
			c.err = cmd.Wait()
			close(c.ended)
		}
	}()
	return c, <-started
}

// children are the processes whose parent is pid.
func children(pid int) []int {
	var out []int
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return nil
	}
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// alive tells whether the process still runs. One that nobody has waited for (an orphan, where the
// first process of a container does not care) counts as ended.
func alive(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	// "pid (name) state …": the name may hold anything, so look behind its last parenthesis
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	return len(f) > 0 && f[0][0] != 'Z' && f[0][0] != 'X'
}

//go:build unix && !linux

package engine

import "syscall"

// endsWithUs has no counterpart here: a server that outlives a kill is stopped by the next run.
func endsWithUs(*syscall.SysProcAttr) {}

package bench

import (
	"os"
	"syscall"
)

// residentSet is the most memory that a process had, in bytes.
func residentSet(s *os.ProcessState) int64 { return s.SysUsage().(*syscall.Rusage).Maxrss << 10 }

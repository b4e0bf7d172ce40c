package engine

import "syscall"

// endsWithUs has the kernel stop the process when this one dies, by whatever cause.
func endsWithUs(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

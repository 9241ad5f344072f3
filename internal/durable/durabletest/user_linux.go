package durabletest

import "syscall"

// endWithUs has the kernel interrupt a program when its parent is gone.
func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT} }

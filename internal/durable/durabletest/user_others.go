//go:build unix && !linux

package durabletest

import "syscall"

func endWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

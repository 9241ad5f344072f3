//go:build unix

package durabletest

import (
	"os/exec"
	"os/user"
	"syscall"
)

// runAs lets a program run as another user, and end with this one however that ends.
func runAs(c *exec.Cmd, as *user.User) {
	c.SysProcAttr = endWithUs()
	if as != nil {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(number(as.Uid)), Gid: uint32(number(as.Gid))}
	}
}

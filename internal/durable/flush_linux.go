package durable

import (
	"os"
	"syscall"
)

// flush makes what was written durable: the bytes and, if it has changed, the size.
func flush(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}

//go:build !unix || solaris || aix

package mapped

import (
	"io"
	"os"
)

func contents(f *os.File, size int) ([]byte, func() error, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, nil, err
	}
	return b, func() error { return nil }, nil
}

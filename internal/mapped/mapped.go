// Package mapped gives the bytes of a whole file as memory: mapped where the operating system
// can, so that a model's weights are neither copied nor read before they are used and
// are shared between processes; read otherwise.
//
// It must not interpret what it gives. A file that is mapped must not be changed in place:
// replace it by renaming another one over it, as every careful program does.
package mapped

import (
	"errors"
	"fmt"
	"os"
)

// File is the content of a file.
type File struct {
	// Bytes are valid until Close. They must not be written to.
	Bytes []byte

	release func() error
}

// Open maps or reads the file of that name, which must be a regular one.
func Open(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // a mapping outlives the descriptor
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	case info.Size() != int64(int(info.Size())):
		return nil, fmt.Errorf("%s has %d bytes, too many for this machine", name, info.Size())
	case info.Size() == 0: // cannot be mapped
		return &File{}, nil
	}
	b, release, err := contents(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, err)
	}
	return &File{b, release}, nil
}

// Close gives the memory back. Using Bytes, or anything that shares their memory,
// afterwards is a fault that may end the program.
func (f *File) Close() error {
	if f.release == nil {
		return nil
	}
	f.Bytes = nil
	release := f.release
	f.release = func() error { return errors.New("file is closed") }
	return release()
}

package quant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

const (
	tensorMagic  = "essaimT1"
	tensorHeader = 16 + 4 + 4 + 4
)

// ErrFormat is wrapped by every complaint about a tensor file's content.
var ErrFormat = errors.New("bad tensor file")

// Tensors are named arrays of integers, as a file holds them.
//
// The file is the eight bytes "essaimT1", then for each tensor its name (16 bytes, zeros
// at the end), the size of an element in bytes (1, 2 or 4), rows and columns (each
// uint32), then rows·columns signed elements, row-major. All numbers are little-endian;
// nothing is padded; the names are all different.
type Tensors map[string]Tensor

// Tensor is one array of a file.
type Tensor struct {
	Size       int // of an element in bytes: 1, 2 or 4
	Rows, Cols int
	data       []byte
}

// ReadTensors takes a file apart. The result refers to data, which must not change
// afterwards.
//
// Errors: wraps ErrFormat.
func ReadTensors(data []byte) (Tensors, error) {
	rest, ok := bytes.CutPrefix(data, []byte(tensorMagic))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrFormat, tensorMagic)
	}
	all := Tensors{}
	for len(rest) > 0 {
		if len(rest) < tensorHeader {
			return nil, fmt.Errorf("%w: it ends within a header", ErrFormat)
		}
		name := string(bytes.TrimRight(rest[:16], "\x00"))
		size := binary.LittleEndian.Uint32(rest[16:])
		rows := binary.LittleEndian.Uint32(rest[20:])
		cols := binary.LittleEndian.Uint32(rest[24:])
		rest = rest[tensorHeader:]
		if size != 1 && size != 2 && size != 4 {
			return nil, fmt.Errorf("%w: %q has elements of %d bytes", ErrFormat, name, size)
		}
		// rows·cols is below 2⁶⁴, times size it might not be.
		if n := uint64(rows) * uint64(cols); n > uint64(len(rest))/uint64(size) {
			return nil, fmt.Errorf("%w: it ends within %q", ErrFormat, name)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("%w: %q is there twice", ErrFormat, name)
		}
		n := int(rows) * int(cols) * int(size)
		all[name] = Tensor{Size: int(size), Rows: int(rows), Cols: int(cols), data: rest[:n:n]}
		rest = rest[n:]
	}
	return all, nil
}

// Get returns the tensor if it is there with this element size and shape.
//
// Errors: wraps ErrFormat.
func (t Tensors) Get(name string, size, rows, cols int) (Tensor, error) {
	got, ok := t[name]
	if !ok {
		return got, fmt.Errorf("%w: no tensor %q", ErrFormat, name)
	}
	if got.Size != size || got.Rows != rows || got.Cols != cols {
		return got, fmt.Errorf("%w: %q is %d x %d of %d bytes, want %d x %d of %d bytes",
			ErrFormat, name, got.Rows, got.Cols, got.Size, rows, cols, size)
	}
	return got, nil
}

// Int8 is the content of a tensor of one-byte elements. It shares the file's memory
// and must not be written to.
func (t Tensor) Int8() []int8 {
	if len(t.data) == 0 {
		return nil
	}
	// Same size, same alignment, every bit pattern valid: only the type changes. A copy
	// would double the memory of a model that is embedded in the binary.
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(t.data))), len(t.data))
}

// Int16 is a copy of the content of a tensor of two-byte elements.
func (t Tensor) Int16() []int16 {
	out := make([]int16, len(t.data)/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(t.data[2*i:]))
	}
	return out
}

// Int32 is a copy of the content of a tensor of four-byte elements.
func (t Tensor) Int32() []int32 {
	out := make([]int32, len(t.data)/4)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(t.data[4*i:]))
	}
	return out
}

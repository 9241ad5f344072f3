package quant

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// A weights file: header, table of entries, data. docs/protocol/weights.md is its
// definition; what is not as it says there is refused.
const (
	fileMagic   = "essaimW\n"
	fileVersion = 1
	headerSize  = 64
	entrySize   = 64
	nameSize    = 32
	alignment   = 64 // of each tensor's data, from the file's beginning
	maxTensors  = 4096
	maxDims     = 4
	maxShift    = 62
)

// ErrFormat is wrapped by every complaint about a weights file's content.
var ErrFormat = errors.New("bad weights file")

// Type is the type of a tensor's elements. The numbers are those of the file.
type Type uint8

// The element types.
const (
	Int8 Type = 1 + iota
	Uint8
	Int16
	Int32
)

var types = [...]struct {
	name string
	size uint64
}{Int8: {"int8", 1}, Uint8: {"uint8", 1}, Int16: {"int16", 2}, Int32: {"int32", 4}}

func (t Type) valid() bool { return t >= Int8 && int(t) < len(types) }

// Size is that of an element in bytes; 0 for types that are none.
func (t Type) Size() int {
	if !t.valid() {
		return 0
	}
	return int(types[t].size)
}

// String is the name of the Go type.
func (t Type) String() string {
	if !t.valid() {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return types[t].name
}

// Tensor is one named array of a weights file. Its elements share the memory of the
// file wherever the machine's byte order and alignment allow, and must not be written to.
type Tensor struct {
	Type  Type
	Shape []int // 1 to 4 lengths, the last one contiguous
	Shift uint  // an element counts 2^-Shift
	data  []byte
}

// Len is the number of elements.
func (t Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Int8 is the content of an int8 tensor, nil for another type. It is never copied.
func (t Tensor) Int8() []int8 {
	if t.Type != Int8 || len(t.data) == 0 {
		return nil
	}
	// Same size, same alignment, every bit pattern valid: only the type changes.
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(t.data))), len(t.data))
}

// Uint8 is the content of a uint8 tensor, nil for another type. It is never copied.
func (t Tensor) Uint8() []uint8 {
	if t.Type != Uint8 {
		return nil
	}
	return t.data
}

// Int16 is the content of an int16 tensor, nil for another type.
func (t Tensor) Int16() []int16 {
	if t.Type != Int16 {
		return nil
	}
	return elements(t.data, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
}

// Int32 is the content of an int32 tensor, nil for another type.
func (t Tensor) Int32() []int32 {
	if t.Type != Int32 {
		return nil
	}
	return elements(t.data, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
}

// elements views little-endian bytes as integers where the machine reads them so, and
// decodes a copy where it does not.
func elements[T int16 | int32](data []byte, decode func([]byte) T) []T {
	size := int(unsafe.Sizeof(T(0)))
	if len(data) == 0 {
		return nil
	}
	first := unsafe.Pointer(unsafe.SliceData(data))
	if littleEndian && uintptr(first)%unsafe.Alignof(T(0)) == 0 {
		return unsafe.Slice((*T)(first), len(data)/size)
	}
	out := make([]T, len(data)/size)
	for i := range out {
		out[i] = decode(data[i*size:])
	}
	return out
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Tensors are the content of a weights file by name.
type Tensors map[string]Tensor

// ReadTensors takes a weights file apart, in time and memory that depend on the number of
// its tensors only. The result refers to file, which must not change afterwards.
//
// Errors: wraps ErrFormat.
func ReadTensors(file []byte) (Tensors, error) {
	count, err := readHeader(file)
	if err != nil {
		return nil, err
	}
	all := make(Tensors, count)
	last, end := "", uint64(headerSize+entrySize*count)
	for i := range count {
		e := entry(file[headerSize+entrySize*i:][:entrySize])
		name, err := e.name()
		if err != nil {
			return nil, fmt.Errorf("%w: tensor %d: %w", ErrFormat, i, err)
		}
		if i > 0 && name <= last {
			return nil, fmt.Errorf("%w: %q comes after %q: names are in ascending order, each once", ErrFormat, name, last)
		}
		t, err := e.tensor(file, end)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrFormat, name, err)
		}
		all[name] = t
		last, end = name, align(end)+uint64(len(t.data))
	}
	if end != uint64(len(file)) {
		return nil, fmt.Errorf("%w: %d bytes follow the last tensor", ErrFormat, uint64(len(file))-end)
	}
	return all, nil
}

// readHeader returns the number of tensors, whose entries the file is long enough for.
func readHeader(file []byte) (int, error) {
	if !bytes.HasPrefix(file, []byte(fileMagic)) {
		return 0, fmt.Errorf("%w: it does not begin with %q", ErrFormat, fileMagic)
	}
	if len(file) < headerSize {
		return 0, fmt.Errorf("%w: it ends within its header", ErrFormat)
	}
	version := binary.LittleEndian.Uint32(file[8:])
	count := binary.LittleEndian.Uint32(file[12:])
	size := binary.LittleEndian.Uint64(file[16:])
	switch {
	case version != fileVersion:
		return 0, fmt.Errorf("%w: version %d, this program reads version %d", ErrFormat, version, fileVersion)
	case size != uint64(len(file)):
		return 0, fmt.Errorf("%w: it is %d bytes long and says %d", ErrFormat, len(file), size)
	case !zero(file[24:headerSize]):
		return 0, fmt.Errorf("%w: reserved bytes of its header are not zero", ErrFormat)
	case count == 0 || count > maxTensors:
		return 0, fmt.Errorf("%w: %d tensors, want 1 to %d", ErrFormat, count, maxTensors)
	case headerSize+entrySize*uint64(count) > size:
		return 0, fmt.Errorf("%w: it ends within its table of %d tensors", ErrFormat, count)
	}
	return int(count), nil
}

// entry is one entry of the table:
//
//	0  name, padded with zeros    32  type    33  dimensions    34  shift    35  zero
//	36 zero point    40  shape, four uint32    56  offset of the data, uint64
type entry []byte

func (e entry) name() (string, error) {
	name := bytes.TrimRight(e[:nameSize], "\x00")
	if len(name) == 0 {
		return "", errors.New("it has no name")
	}
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("name %q is not printable ASCII without spaces", name)
		}
	}
	return string(name), nil
}

// tensor checks the entry and cuts its data, which begin at the first aligned place
// from end on, out of the file.
func (e entry) tensor(file []byte, end uint64) (Tensor, error) {
	t := Tensor{Type: Type(e[32]), Shift: uint(e[34])}
	switch {
	case !t.Type.valid():
		return t, fmt.Errorf("element type %d is not known", e[32])
	case t.Shift > maxShift:
		return t, fmt.Errorf("shift %d, at most %d is possible", t.Shift, maxShift)
	case e[35] != 0 || !zero(e[36:40]):
		return t, errors.New("zero point or reserved byte is not 0")
	}
	size, err := e.shape(&t, uint64(len(file)))
	if err != nil {
		return t, err
	}
	begin, at := align(end), binary.LittleEndian.Uint64(e[56:])
	switch {
	case at != begin:
		return t, fmt.Errorf("its data are at %d, want %d", at, begin)
	case begin > uint64(len(file)) || size > uint64(len(file))-begin:
		return t, errors.New("the file ends within its data")
	case !zero(file[end:begin]):
		return t, errors.New("the bytes before its data are not zero")
	}
	t.data = file[begin : begin+size : begin+size]
	return t, nil
}

// shape fills in the shape and returns the size of the data in bytes, at most limit.
func (e entry) shape(t *Tensor, limit uint64) (uint64, error) {
	dims := int(e[33])
	if dims < 1 || dims > maxDims {
		return 0, fmt.Errorf("%d dimensions, want 1 to %d", dims, maxDims)
	}
	size := types[t.Type].size
	for i := range maxDims {
		d := uint64(binary.LittleEndian.Uint32(e[40+4*i:]))
		switch {
		case i >= dims && d != 0:
			return 0, fmt.Errorf("length %d beyond its %d dimensions", d, dims)
		case i >= dims:
		case d == 0:
			return 0, errors.New("a length is 0")
		case size > limit/d: // size*d is exact, since limit is far below 2⁶⁴
			return 0, errors.New("its shape is larger than the file")
		default:
			size *= d
			t.Shape = append(t.Shape, int(d))
		}
	}
	return size, nil
}

func align(n uint64) uint64 { return (n + alignment - 1) &^ (alignment - 1) }

func zero(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

// Get returns the tensor if it is there with this type and shape.
//
// Errors: wraps ErrFormat.
func (t Tensors) Get(name string, typ Type, shape ...int) (Tensor, error) {
	got, ok := t[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%w: no tensor %q", ErrFormat, name)
	}
	if got.Type != typ || !slices.Equal(got.Shape, shape) {
		return Tensor{}, fmt.Errorf("%w: %q is %v of %v, want %v of %v", ErrFormat, name, got.Type, got.Shape, typ, shape)
	}
	return got, nil
}

package quant_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/essaim/essaim/quant"
)

// entry is one entry of a file's table, with its data.
type entry struct {
	name       string
	typ        quant.Type
	dims       byte
	shift      byte
	zero       uint32 // zero point
	shape      [4]uint32
	data       []byte
	moveOffset int64 // added to the offset
}

// weightsFile writes a file by docs/protocol/weights.md, byte by byte.
func weightsFile(entries ...entry) []byte {
	f := make([]byte, 64+64*len(entries))
	copy(f, "essaimW\n")
	binary.LittleEndian.PutUint32(f[8:], 1)
	binary.LittleEndian.PutUint32(f[12:], uint32(len(entries)))
	for i, e := range entries {
		f = append(f, make([]byte, -len(f)&63)...)
		b := f[64+64*i:][:64]
		copy(b[:32], e.name)
		b[32], b[33], b[34] = byte(e.typ), e.dims, e.shift
		binary.LittleEndian.PutUint32(b[36:], e.zero)
		for d, n := range e.shape {
			binary.LittleEndian.PutUint32(b[40+4*d:], n)
		}
		binary.LittleEndian.PutUint64(b[56:], uint64(int64(len(f))+e.moveOffset))
		f = append(f, e.data...)
	}
	binary.LittleEndian.PutUint64(f[16:], uint64(len(f)))
	return f
}

var (
	tensorA = entry{name: "a.w", typ: quant.Int8, dims: 2, shape: [4]uint32{1, 3}, data: []byte{1, 0x80, 0xff}}
	tensorB = entry{name: "b.mul", typ: quant.Int32, dims: 1, shift: 20, shape: [4]uint32{2}, data: []byte{0, 1, 0, 0x80, 1, 0, 0, 0}}
	tensorC = entry{name: "c", typ: quant.Int16, dims: 3, shape: [4]uint32{1, 1, 1}, data: []byte{0xfe, 0xff}}
	tensorD = entry{name: "d", typ: quant.Uint8, dims: 4, shape: [4]uint32{1, 2, 1, 1}, data: []byte{0, 0xff}}
)

func TestReadTensors(t *testing.T) {
	all, err := quant.ReadTensors(weightsFile(tensorA, tensorB, tensorC, tensorD))
	if err != nil {
		t.Fatal(err)
	}
	a, err := all.Get("a.w", quant.Int8, 1, 3)
	if err != nil || !slices.Equal(a.Int8(), []int8{1, -128, -1}) || a.Shift != 0 || a.Len() != 3 {
		t.Errorf("a.w: %+v, %v", a, err)
	}
	b, err := all.Get("b.mul", quant.Int32, 2)
	if err != nil || !slices.Equal(b.Int32(), []int32{math.MinInt32 + 256, 1}) || b.Shift != 20 {
		t.Errorf("b.mul: %+v, %v", b, err)
	}
	if c := all["c"].Int16(); !slices.Equal(c, []int16{-2}) {
		t.Errorf("c: %v", c)
	}
	if d := all["d"].Uint8(); !slices.Equal(d, []uint8{0, 255}) {
		t.Errorf("d: %v", d)
	}
	if got := all["d"]; got.Int8() != nil || got.Int16() != nil || got.Int32() != nil || all["c"].Uint8() != nil {
		t.Error("a tensor is read as another type")
	}
}

func TestGetWantsTypeAndShape(t *testing.T) {
	all, err := quant.ReadTensors(weightsFile(tensorA))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		typ   quant.Type
		shape []int
	}{{"b", quant.Int8, []int{1, 3}}, {"a.w", quant.Uint8, []int{1, 3}}, {"a.w", quant.Int8, []int{3, 1}}, {"a.w", quant.Int8, []int{3}}, {"a.w", quant.Int8, nil}} {
		if _, err := all.Get(c.name, c.typ, c.shape...); !errors.Is(err, quant.ErrFormat) {
			t.Errorf("%s, %v of %v: error %v", c.name, c.typ, c.shape, err)
		}
	}
}

// TestExampleOfTheSpecification reads the bytes that docs/protocol/weights.md shows.
func TestExampleOfTheSpecification(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol/weights.md")
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	for _, line := range regexp.MustCompile(`(?m)^[0-9a-f]{8}  ([0-9a-f ]+)  \|`).FindAllStringSubmatch(string(page), -1) {
		b, err := hex.DecodeString(strings.ReplaceAll(line[1], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		file = append(file, b...)
	}
	if !slices.Equal(file, weightsFile(tensorA)) {
		t.Errorf("the example is\n%s\nwant\n%s", hex.Dump(file), hex.Dump(weightsFile(tensorA)))
	}
	all, err := quant.ReadTensors(file)
	if err != nil || !slices.Equal(all["a.w"].Int8(), []int8{1, -128, -1}) {
		t.Errorf("the example reads as %v, error %v", all, err)
	}
}

// TestTensorsShareTheFile: a model that is embedded or mapped must not be copied.
func TestTensorsShareTheFile(t *testing.T) {
	file := weightsFile(tensorA, tensorB)
	within := func(p unsafe.Pointer) bool {
		first := uintptr(unsafe.Pointer(unsafe.SliceData(file)))
		return uintptr(p) >= first && uintptr(p) < first+uintptr(len(file))
	}
	all, err := quant.ReadTensors(file)
	if err != nil {
		t.Fatal(err)
	}
	if !within(unsafe.Pointer(unsafe.SliceData(all["a.w"].Int8()))) {
		t.Error("an int8 tensor is a copy")
	}
	little := binary.NativeEndian.Uint16([]byte{1, 0}) == 1
	if shared := within(unsafe.Pointer(unsafe.SliceData(all["b.mul"].Int32()))); shared != little {
		t.Errorf("an int32 tensor shares the file: %t, little-endian machine: %t", shared, little)
	}
}

// TestMisalignedMemory: the bytes of an embedded file may begin anywhere.
func TestMisalignedMemory(t *testing.T) {
	file := weightsFile(tensorA, tensorB, tensorC)
	for shift := range 8 {
		memory := make([]byte, shift+len(file))
		copy(memory[shift:], file)
		all, err := quant.ReadTensors(memory[shift:])
		if err != nil {
			t.Fatal(err)
		}
		if b, c := all["b.mul"].Int32(), all["c"].Int16(); b[1] != 1 || c[0] != -2 {
			t.Errorf("%d bytes off: %v, %v", shift, b, c)
		}
	}
}

func TestFilesWithFaultsAreRefused(t *testing.T) {
	good := weightsFile(tensorA, tensorB)
	altered := func(at int, b ...byte) []byte {
		f := slices.Clone(good)
		copy(f[at:], b)
		return f
	}
	with := func(change func(*entry)) []byte {
		e := tensorB
		change(&e)
		return weightsFile(tensorA, e)
	}
	for _, c := range []struct {
		why  string
		file []byte
		want string
	}{
		{"empty", nil, "begin with"},
		{"another kind of file", []byte("\x89PNG\r\n\x1a\n"), "begin with"},
		{"cut in the header", good[:63], "within its header"},
		{"cut in the table", good[:100], "bytes long and says"},
		{"cut in the data", good[:len(good)-1], "bytes long and says"},
		{"one byte too long", append(slices.Clone(good), 0), "bytes long and says"},
		{"another version", altered(8, 2), "version 2"},
		{"reserved byte of the header", altered(40, 1), "reserved"},
		{"no tensors", altered(12, 0, 0), "0 tensors"},
		{"absurdly many tensors", altered(12, 0xff, 0xff, 0xff, 0xff), "4294967295 tensors"},
		{"more tensors than there is room", altered(12, 200), "within its table"},
		{"type 0", altered(64+32, 0), "type 0"},
		{"type 5", altered(64+32, 5), "type 5"},
		{"no dimension", altered(64+33, 0), "0 dimensions"},
		{"five dimensions", altered(64+33, 5), "5 dimensions"},
		{"reserved byte of an entry", altered(64+35, 1), "reserved"},
		{"byte of the padding", altered(64+2*64+3, 1), "not zero"},
		{"no name", with(func(e *entry) { e.name = "" }), "no name"},
		{"name with a space", with(func(e *entry) { e.name = "b c" }), "printable"},
		{"name with a zero inside", with(func(e *entry) { e.name = "b\x00c" }), "printable"},
		{"name twice", with(func(e *entry) { e.name = tensorA.name }), "ascending"},
		{"names out of order", with(func(e *entry) { e.name = "A" }), "ascending"},
		{"shift too large", with(func(e *entry) { e.shift = 63 }), "shift 63"},
		{"zero point", with(func(e *entry) { e.zero = 128 }), "zero point"},
		{"length 0", with(func(e *entry) { e.shape[0] = 0 }), "length is 0"},
		{"length beyond the dimensions", with(func(e *entry) { e.shape[2] = 1 }), "beyond"},
		{"shape larger than the file", with(func(e *entry) { e.dims, e.shape = 4, [4]uint32{1 << 31, 1 << 31, 1 << 31, 1 << 31} }), "larger than the file"},
		{"data beyond the end", with(func(e *entry) { e.shape[0] = 3 }), "within its data"},
		{"data shorter than the file", with(func(e *entry) { e.shape[0] = 1 }), "4 bytes follow"},
		{"misaligned", with(func(e *entry) { e.moveOffset = 4 }), "want"},
		{"overlapping", with(func(e *entry) { e.moveOffset = -64 }), "want"},
		{"far outside", with(func(e *entry) { e.moveOffset = math.MaxInt64 - 1024 }), "want"},
	} {
		_, err := quant.ReadTensors(c.file)
		if !errors.Is(err, quant.ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.why, err, c.want)
		}
	}
}

// TestEveryCutIsRefused: a file that ends early never reads, wherever it ends.
func TestEveryCutIsRefused(t *testing.T) {
	file := weightsFile(tensorA, tensorB, tensorC, tensorD)
	for n := range file {
		if _, err := quant.ReadTensors(file[:n]); !errors.Is(err, quant.ErrFormat) {
			t.Errorf("%d of %d bytes: error %v", n, len(file), err)
		}
	}
}

// FuzzReadTensors: whatever the bytes are, there is an error or a file that is exactly
// accounted for: header, table, padding and data.
func FuzzReadTensors(f *testing.F) {
	f.Add(weightsFile(tensorA, tensorB, tensorC, tensorD))
	f.Add(weightsFile(tensorA))
	f.Add(weightsFile(tensorB, tensorA))
	f.Add(weightsFile(tensorC)[:100])
	f.Add([]byte("essaimW"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fixSize := slices.Clone(b)
		if len(fixSize) >= 24 { // else hardly any mutation gets past the first check
			binary.LittleEndian.PutUint64(fixSize[16:], uint64(len(fixSize)))
		}
		for _, file := range [][]byte{b, fixSize} {
			all, err := quant.ReadTensors(file)
			if err != nil {
				if !errors.Is(err, quant.ErrFormat) {
					t.Errorf("error %v is not ErrFormat", err)
				}
				continue
			}
			total := 64 + 64*len(all)
			for name, x := range all {
				n := len(x.Int8()) + len(x.Uint8()) + 2*len(x.Int16()) + 4*len(x.Int32())
				if got := len(x.Int8()) + len(x.Uint8()) + len(x.Int16()) + len(x.Int32()); got != x.Len() {
					t.Errorf("%q: %d elements for shape %v", name, got, x.Shape)
				}
				total += n
			}
			if total > len(file) || total+63*len(all) < len(file) {
				t.Errorf("%d bytes are accounted for, the file has %d", total, len(file))
			}
		}
	})
}

// BenchmarkReadTensors reads the file of the picture model: neither copied nor hashed.
func BenchmarkReadTensors(b *testing.B) {
	file, err := os.ReadFile("../engine/pixel/weights.bin")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := quant.ReadTensors(file); err != nil {
			b.Fatal(err)
		}
	}
}

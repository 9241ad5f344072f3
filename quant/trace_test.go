package quant_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"slices"
	"testing"

	"github.com/essaim/essaim/quant"
)

// merkle is the definition in RFC 6962, section 2.1.
func merkle(leaves [][]byte) [32]byte {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		left, right := merkle(leaves[:k]), merkle(leaves[k:])
		return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
	}
}

// commitment is docs/protocol/trace.md in the simplest words.
func commitment(ops []quant.Op) [32]byte {
	var leaves [][]byte
	for _, o := range ops {
		root := merkle(slices.Collect(slices.Chunk(o.AppendOutput(nil), 256)))
		leaves = append(leaves, append(o.Header().Append(nil), root[:]...))
	}
	root := merkle(leaves)
	count := binary.LittleEndian.AppendUint32(nil, uint32(len(ops)))
	return sha256.Sum256(slices.Concat([]byte{2}, count, root[:]))
}

func TestTraceHashIsTheDocumentedOne(t *testing.T) {
	var (
		hash quant.TraceHash
		ops  []quant.Op
	)
	for i := range 70 {
		op := quant.Op{Layer: "x", Operator: quant.Sum{}, Out: quant.Value{ID: i + 1, Vectors: 1, Wide: make([]int32, 1+17*i)}}
		for j := range op.Out.Wide {
			op.Out.Wide[j] = int32(quant.Draw(uint64(i), uint64(j)))
		}
		hash.Add(op)
		ops = append(ops, op)
		if got, want := hash.Root(), commitment(ops); got != want {
			t.Fatalf("%d operators: %x, want %x", i+1, got, want)
		}
	}
	if (&quant.TraceHash{}).Root() != (quant.Hash{}) || (*quant.TraceHash)(nil).Root() != (quant.Hash{}) {
		t.Error("no operators have a commitment")
	}
}

// TestTraceVector is the example of docs/protocol/trace.md: two operators, their bytes and their commitment.
func TestTraceVector(t *testing.T) {
	narrow := quant.Op{
		Step: 2, Layer: "up0.pre", Operator: quant.Activate{Lo: -127, Hi: 127},
		In:  []quant.Value{{ID: 5}},
		Out: quant.Value{ID: 6, Vectors: 1, Narrow: []int16{1, -1}},
	}
	wide := quant.Op{
		Layer: "in", Operator: quant.Sum{},
		In:  []quant.Value{{ID: 300}, {}},
		Out: quant.Value{ID: 301, Vectors: 2, Wide: []int32{1, -2}},
	}
	for _, c := range []struct {
		op           quant.Op
		header, data string
	}{
		{narrow, "06000000" + "02000000" + "08" + "6163746976617465" + "07" + "7570302e707265" + "01" + "05000000" + "01000000" + "02000000" + "01" + "02" + "81ffffff" + "7f000000", "01ff"},
		{wide, "2d010000" + "00000000" + "03" + "73756d" + "02" + "696e" + "02" + "2c010000" + "00000000" + "02000000" + "01000000" + "04" + "00", "01000000feffffff"},
	} {
		if got := hex.EncodeToString(c.op.Header().Append(nil)); got != c.header {
			t.Errorf("header %s, want %s", got, c.header)
		}
		if got := hex.EncodeToString(c.op.AppendRecord(nil)); got != c.header+c.data {
			t.Errorf("record %s, want %s", got, c.header+c.data)
		}
	}
	var hash quant.TraceHash
	hash.Add(narrow)
	hash.Add(wide)
	const want = "b40ec754103d252ac8bfc95c9ee3b95e12aab6b6b5e94214944bff221cddf817"
	if got := hash.Root(); hex.EncodeToString(got[:]) != want || got != commitment([]quant.Op{narrow, wide}) {
		t.Errorf("commitment %x, want %s", got, want)
	}
}

// TestEachTypeOfOutput compares each way to lay out elements with the plain one.
func TestEachTypeOfOutput(t *testing.T) {
	wide, narrow := make([]int32, 700), make([]int16, 700)
	for i := range wide {
		wide[i], narrow[i] = int32(quant.Draw(1, uint64(i))), int16(quant.Draw(2, uint64(i)))
	}
	for _, c := range []struct {
		o     quant.Operator
		out   quant.Value
		plain func(i int) []byte
	}{
		{quant.Sum{}, quant.Value{Vectors: 7, Wide: wide}, func(i int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(wide[i])) }},
		{quant.Lookup{}, quant.Value{Vectors: 7, Narrow: narrow}, func(i int) []byte { return binary.LittleEndian.AppendUint16(nil, uint16(narrow[i])) }},
		{quant.Activate{Lo: -127, Hi: 127}, quant.Value{Vectors: 7, Narrow: narrow}, func(i int) []byte { return []byte{byte(narrow[i])} }},
	} {
		var want []byte
		for i := range 700 {
			want = append(want, c.plain(i)...)
		}
		if got := (quant.Op{Operator: c.o, Out: c.out}).AppendOutput(nil); !bytes.Equal(got, want) {
			t.Errorf("%s: its output is laid out otherwise", c.o.Kind())
		}
	}
}

func FuzzReadHeader(f *testing.F) {
	f.Add(quant.Op{Layer: "in", Operator: quant.Activate{Lo: -1, Hi: 9}, In: []quant.Value{{ID: 300}, {}}, Out: quant.Value{ID: 301, Vectors: 2, Narrow: []int16{1, -2}}}.Header().Append(nil))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := quant.ReadHeader(b)
		if err != nil {
			return
		}
		again, none, err := quant.ReadHeader(h.Append(nil))
		if err != nil || len(none) != 0 || !reflect.DeepEqual(h, again) || !bytes.Equal(append(h.Append(nil), rest...), b) || h.Size() < 1 {
			t.Fatalf("%x is read as %+v, then as %+v, error %v", b, h, again, err)
		}
	})
}

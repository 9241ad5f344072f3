//go:build unix

package proof

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/succinct"
	"github.com/essaim/essaim/quant"
)

// A network is a perceptron, or a convolutional network over pictures of side x side with three channels, if there are convolutions.
type network struct {
	side   int
	convs  []int // their outputs' channels; kernels are 5 x 5, and each is pooled by twos
	dense  []int // rows of the layers after them
	layers []quant.Linear

	// lookedUp says that the input is a row of a matrix, which the seed chooses, as a model's words are; succinct mode has no
	// other input
	lookedUp bool
	table    []int8
	scale    quant.Scale
}

const tableRows = 64

const kernel = 5

// networks are those of peers.py.
var networks = map[string]network{
	"mlp-131k": {dense: slices.Repeat([]int{256}, 2)},
	"mlp-262k": {dense: slices.Repeat([]int{256}, 4)},
	"mlp-1m":   {dense: slices.Repeat([]int{512}, 4)},
	"mlp-4m":   {dense: slices.Repeat([]int{1024}, 4)},
	"cnn-263k": {side: 32, convs: []int{16, 32}, dense: []int{280, 84, 10}},
}

// shapes are rows and columns of all layers.
func (n *network) shapes() (out [][2]int) {
	width, side := n.dense[0], n.side
	if len(n.convs) > 0 {
		width = 3
	}
	for _, c := range n.convs {
		out = append(out, [2]int{c, width * kernel * kernel})
		width, side = c, (side-kernel+1)/2
	}
	width *= max(side*side, 1)
	for _, d := range n.dense {
		out = append(out, [2]int{d, width})
		width = d
	}
	return out
}

// file is a weights file (docs/protocol/weights.md) of drawn numbers, with factors that keep activations within a byte.
func (n *network) file() []byte {
	sizes := map[string][]int{}
	for i, s := range n.shapes() {
		name := fmt.Sprintf("layer%d", i)
		sizes[name+".w"], sizes[name+".bias"], sizes[name+".mul"] = []int{s[0], s[1]}, []int{s[0]}, []int{s[0]}
	}
	if n.lookedUp {
		sizes["input"], sizes["input.mul"] = []int{tableRows, n.dense[0]}, []int{n.dense[0]}
	}
	names := slices.Sorted(maps.Keys(sizes))
	f := make([]byte, 64+64*len(names))
	copy(f, "essaimW\n")
	binary.LittleEndian.PutUint32(f[8:], 1)
	binary.LittleEndian.PutUint32(f[12:], uint32(len(names)))
	for i, name := range names {
		f = append(f, make([]byte, -len(f)&63)...)
		e, count := f[64+64*i:][:64], 1
		copy(e[:32], name)
		for d, length := range sizes[name] {
			binary.LittleEndian.PutUint32(e[40+4*d:], uint32(length))
			count *= length
		}
		e[32], e[33], e[34] = byte(quant.Int32), byte(len(sizes[name])), 16
		if len(sizes[name]) == 2 {
			e[32], e[34] = byte(quant.Int8), 0
		}
		binary.LittleEndian.PutUint64(e[56:], uint64(len(f)))
		for j := range count {
			if v := quant.Draw(uint64(i), uint64(j)); len(sizes[name]) == 2 {
				f = append(f, byte(int8(v%255)-127))
			} else {
				f = binary.LittleEndian.AppendUint32(f, uint32(20+v%80))
			}
		}
	}
	binary.LittleEndian.PutUint64(f[16:], uint64(len(f)))
	return f
}

// open is the network with a file's tensors.
func (n network) open(t quant.Tensors) (*network, error) {
	r := t.Reader()
	if n.lookedUp {
		n.table, n.scale = r.Tensor("input", quant.Int8, tableRows, n.dense[0]).Int8(), r.Scale("input", n.dense[0])
	}
	for i, s := range n.shapes() {
		n.layers = append(n.layers, r.Linear(fmt.Sprintf("layer%d", i), s[0], s[1], true))
	}
	return &n, r.Err()
}

// Walk runs it on an input that is drawn from the seed.
func (n *network) Walk(ctx context.Context, r engine.Request, given func(quant.Op) (quant.Value, bool), watch func(quant.Op)) error {
	t := &quant.Tape{Given: given, Watch: watch}
	var x quant.Value
	if n.lookedUp {
		sum := t.Do("input", quant.Gather{Table: n.table, Cols: n.dense[0]}, t.Do("row", row{r.Seed % tableRows}))
		x = t.Do("input", quant.Activate{Scale: n.scale, Lo: 0, Hi: 127}, sum)
	} else {
		x = t.Do("input", drawn{r.Seed, max(n.side*n.side, 1), n.channels()})
	}
	side := n.side
	for i := range n.layers {
		name := fmt.Sprintf("layer%d", i)
		if i < len(n.convs) {
			x = n.layers[i].Activated(t, name, t.Do(name, patches{side}, x), 0, 127)
			side -= kernel - 1
			x = t.Do(name, pool{side}, x)
			side /= 2
			continue
		}
		if x.Vectors > 1 {
			x = t.Do(name, flat{}, x)
		}
		x = n.layers[i].Activated(t, name, x, 0, 127)
	}
	return ctx.Err()
}

func (n *network) channels() int {
	if len(n.convs) > 0 {
		return 3
	}
	return n.dense[0]
}

// drawn is an input; patches, pool and flat are what a convolution is besides a product: columns of pixels (im2col), the greatest of
// each square of four, all in one vector.
type (
	drawn struct {
		seed              uint64
		vectors, elements int
	}
	patches struct{ side int }
	pool    struct{ side int }
	flat    struct{}
	row     struct{ at uint64 } // of a table, so many times that its numbers fill a byte after the change of unit
)

func (drawn) Kind() string         { return "drawn" }
func (d drawn) Numbers() []int32   { return []int32{int32(d.seed), int32(d.vectors), int32(d.elements)} }
func (drawn) Type() quant.Type     { return quant.Int8 }
func (patches) Kind() string       { return "patches" }
func (p patches) Numbers() []int32 { return []int32{int32(p.side)} }
func (patches) Type() quant.Type   { return quant.Int8 }
func (pool) Kind() string          { return "pool" }
func (p pool) Numbers() []int32    { return []int32{int32(p.side)} }
func (pool) Type() quant.Type      { return quant.Int8 }
func (flat) Kind() string          { return "flat" }
func (flat) Numbers() []int32      { return nil }
func (flat) Type() quant.Type      { return quant.Int8 }

func (row) Kind() string       { return "row" }
func (r row) Numbers() []int32 { return []int32{int32(r.at)} }
func (row) Type() quant.Type   { return quant.Int32 }

func (r row) Apply([]quant.Value, *quant.Room) quant.Value {
	return quant.Value{Vectors: 1, Wide: []int32{int32(r.at), 1000}}
}

func (d drawn) Apply([]quant.Value, *quant.Room) quant.Value {
	out := quant.Value{Vectors: d.vectors, Narrow: make([]int16, d.vectors*d.elements)}
	for i := range out.Narrow {
		out.Narrow[i] = int16(quant.Draw(d.seed, uint64(i)) % 128)
	}
	return out
}

func (p patches) Apply(in []quant.Value, _ *quant.Room) quant.Value {
	x, to := in[0], p.side-kernel+1
	out, c := quant.Value{Vectors: to * to}, x.Elements()
	for at := range to * to {
		for k := range kernel * kernel {
			from := (at/to+k/kernel)*p.side + at%to + k%kernel
			out.Narrow = append(out.Narrow, x.Narrow[from*c:][:c]...)
		}
	}
	return out
}

func (p pool) Apply(in []quant.Value, _ *quant.Room) quant.Value {
	x, to, c := in[0], p.side/2, in[0].Elements()
	out := quant.Value{Vectors: to * to}
	for at := range to * to {
		first := 2*(at/to)*p.side + 2*(at%to)
		for j := range c {
			v := func(place int) int16 { return x.Narrow[place*c+j] }
			out.Narrow = append(out.Narrow, max(v(first), v(first+1), v(first+p.side), v(first+p.side+1)))
		}
	}
	return out
}

func (flat) Apply(in []quant.Value, _ *quant.Room) quant.Value {
	return quant.Value{Vectors: 1, Narrow: in[0].Narrow}
}

// measured reports the CPU time of do, which alone can be compared on a machine with other work.
func measured(b *testing.B, do func()) {
	cpu := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := cpu()
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// BenchmarkNetworks commits, runs, proves and checks, with one goroutine.
func BenchmarkNetworks(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		file := n.file()
		p, model, whole, public := parts(b, n, file)
		s := proof.Statement{Model: essaim.DigestOf(file), Seed: 1}
		run := &proof.Run{Untraced: true}
		if err := whole.Walk(b.Context(), s.Request(), nil, run.Watch); err != nil {
			b.Fatal(err)
		}
		s.Result = run.Result()
		prove := func() []byte {
			made, err := p.Prove([]proof.Statement{s}, []*proof.Run{run})
			if err != nil {
				b.Fatal(err)
			}
			return made.Encode()
		}
		made := prove()
		b.Run(name+"/commit", func(b *testing.B) { measured(b, func() { parts(b, n, file) }) })
		b.Run(name+"/run", func(b *testing.B) {
			measured(b, func() {
				if err := whole.Walk(b.Context(), s.Request(), nil, nil); err != nil {
					b.Fatal(err)
				}
			})
		})
		b.Run(name+"/prove", func(b *testing.B) { measured(b, func() { prove() }) })
		b.Run(name+"/verify", func(b *testing.B) {
			measured(b, func() {
				if err := model.Verify(b.Context(), public, made, s); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(len(made)), "bytes")
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/1e6, "process-MB")
		})
	}
}

// parts are prover and verifier of a network, and the network with its weights and without.
func parts(b *testing.B, n network, file []byte) (*proof.Prover, *proof.Model, *network, *network) {
	digest := essaim.DigestOf(file)
	p, err := proof.NewProver(digest, file, 1)
	if err != nil {
		b.Fatal(err)
	}
	public, err := quant.Public(file)
	if err != nil {
		b.Fatal(err)
	}
	tensors, root, err := quant.ReadPublic(public)
	if err != nil {
		b.Fatal(err)
	}
	without, err := n.open(tensors)
	if err != nil {
		b.Fatal(err)
	}
	if tensors, err = quant.ReadTensors(file); err != nil {
		b.Fatal(err)
	}
	with, err := n.open(tensors)
	if err != nil {
		b.Fatal(err)
	}
	model, err := proof.NewModel(digest, essaim.Digest(root), p.Root(), public)
	if err != nil {
		b.Fatal(err)
	}
	return p, model, with, without
}

// BenchmarkSuccinct proves and checks the perceptrons in the mode whose checker sees no activation but the last layer's.
func BenchmarkSuccinct(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		n := networks[name]
		if len(n.convs) > 0 {
			continue // pooling is no operator of that mode
		}
		n.lookedUp = true
		file := n.file()
		p, model, whole, public := parts(b, n, file)
		s := proof.Statement{Model: essaim.DigestOf(file), Seed: 1}
		clear, run := &proof.Run{Untraced: true}, new(succinct.Run)
		if err := whole.Walk(b.Context(), s.Request(), nil, func(o quant.Op) { clear.Watch(o); run.Watch(o) }); err != nil {
			b.Fatal(err)
		}
		s.Result = clear.Result()
		var made []byte
		b.Run(name+"/prove", func(b *testing.B) {
			measured(b, func() {
				q, err := succinct.Prove(p, []proof.Statement{s}, []*succinct.Run{run})
				if err != nil {
					b.Fatal(err)
				}
				made = q.Encode()
			})
		})
		b.Run(name+"/verify", func(b *testing.B) {
			measured(b, func() {
				if err := succinct.Verify(b.Context(), model, public, made, s); err != nil {
					b.Fatal(err)
				}
			})
			b.ReportMetric(float64(len(made)), "bytes")
		})
	}
}

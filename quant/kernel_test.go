package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// force makes products take a path until the test ends.
func force(t testing.TB, p path) {
	before := chosen
	chosen = p
	t.Cleanup(func() { chosen = before })
}

// onEveryPath runs a test once for each path that the machine has.
func onEveryPath(t *testing.T, test func(t *testing.T)) {
	for _, p := range paths {
		t.Run(p.name, func(t *testing.T) {
			force(t, p)
			test(t)
		})
	}
}

// byDefinition is what Products must give, modulo 2³².
func byDefinition(m *Matrix, x []int16, vectors int) []int32 {
	out := make([]int32, vectors*m.Rows)
	for i := range out {
		v, r := i/m.Rows, i%m.Rows
		if m.Bias != nil {
			out[i] = m.Bias[r]
		}
		for c := range m.Cols {
			out[i] += int32(m.W[r*m.Cols+c]) * int32(x[v*m.Cols+c])
		}
	}
	return out
}

func checkProducts(t *testing.T, m *Matrix, x []int16, vectors int) {
	t.Helper()
	want := byDefinition(m, x, vectors)
	for _, workers := range []int{1, 3} {
		got := slices.Repeat([]int32{math.MinInt32}, len(want)+1)
		m.Products(got, x, vectors, workers)
		if got[len(want)] != math.MinInt32 {
			t.Fatalf("%d x %d, %d vectors, %d workers: written beyond the end", m.Rows, m.Cols, vectors, workers)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%d x %d, %d vectors, %d workers: row %d of vector %d is %d, want %d",
					m.Rows, m.Cols, vectors, workers, i%m.Rows, i/m.Rows, got[i], want[i])
			}
		}
	}
}

// Ways of filling weights and activations. Extremes come in every order: a kernel that
// saturates anywhere is then off.
var (
	weightFills = map[string]func(r *rand.Rand) int8{
		"any":      func(r *rand.Rand) int8 { return int8(r.Uint32()) },
		"lowest":   func(*rand.Rand) int8 { return math.MinInt8 },
		"highest":  func(*rand.Rand) int8 { return math.MaxInt8 },
		"extremes": func(r *rand.Rand) int8 { return int8(127 - 255*r.IntN(2)) },
		"sparse":   func(r *rand.Rand) int8 { return int8(r.Uint32()) * int8(1-min(r.IntN(9), 1)) },
	}
	activationFills = map[string]func(r *rand.Rand) int16{
		"bytes":         func(r *rand.Rand) int16 { return int16(int8(r.Uint32())) },
		"lowest byte":   func(*rand.Rand) int16 { return math.MinInt8 },
		"highest byte":  func(*rand.Rand) int16 { return math.MaxInt8 },
		"around a byte": func(r *rand.Rand) int16 { return int16(126 + r.IntN(3) - 254*r.IntN(2)) },
		"any":           func(r *rand.Rand) int16 { return int16(r.Uint32()) },
		"lowest":        func(*rand.Rand) int16 { return math.MinInt16 },
		"extremes":      func(r *rand.Rand) int16 { return int16(math.MaxInt16 - 65535*r.IntN(2)) },
		"zero":          func(*rand.Rand) int16 { return 0 },
	}
)

func fill[T any](r *rand.Rand, n int, with func(*rand.Rand) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = with(r)
	}
	return out
}

func TestPathsAreTheDefinition(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for wName, w := range weightFills {
			for xName, x := range activationFills {
				t.Run(wName+" weights, activations "+xName, func(t *testing.T) {
					for range 12 {
						m := &Matrix{Rows: 1 + r.IntN(70), Cols: r.IntN(330)}
						m.W = fill(r, m.Rows*m.Cols, w)
						if r.IntN(2) == 0 {
							m.Bias = fill(r, m.Rows, func(r *rand.Rand) int32 { return int32(r.Uint32()) })
						}
						vectors := r.IntN(40)
						checkProducts(t, m, fill(r, vectors*m.Cols, x), vectors)
					}
				})
			}
		}
	})
}

// TestPathsAtEveryEdge goes through all shapes around the kernels' sizes.
func TestPathsAtEveryEdge(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for _, cols := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 192, 1000} {
			for _, rows := range []int{0, 1, 3, 4, 5, 8, 9, 16, 37} {
				for _, vectors := range []int{0, 1, 2, 3, 4, 5, 9, 16, 17, 32} {
					m := &Matrix{Rows: rows, Cols: cols, W: fill(r, rows*cols, weightFills["any"])}
					checkProducts(t, m, fill(r, vectors*cols, activationFills["bytes"]), vectors)
					checkProducts(t, m, fill(r, vectors*cols, activationFills["any"]), vectors)
				}
			}
		}
		large := &Matrix{Rows: 514, Cols: 2049, W: fill(r, 514*2049, weightFills["any"])}
		checkProducts(t, large, fill(r, 5*2049, activationFills["bytes"]), 5)
		checkProducts(t, large, fill(r, 5*2049, activationFills["any"]), 5)
		checkProducts(t, large, fill(r, 19*2049, activationFills["bytes"]), 19)
		large = &Matrix{Rows: 515, Cols: 1023, W: fill(r, 515*1023, weightFills["any"]), Bias: fill(r, 515, func(r *rand.Rand) int32 { return int32(r.Uint32()) })}
		checkProducts(t, large, fill(r, 35*1023, activationFills["bytes"]), 35)
	})
}

// TestOneByteTooLarge has a single activation that does not fit, at every place.
func TestOneByteTooLarge(t *testing.T) {
	onEveryPath(t, func(t *testing.T) {
		m := &Matrix{Rows: 4, Cols: 70, W: slices.Repeat([]int8{3}, 4*70)}
		for _, large := range []int16{128, -129, math.MaxInt16, math.MinInt16, 256} {
			for i := range 2 * m.Cols {
				x := slices.Repeat([]int16{1}, 2*m.Cols)
				x[i] = large
				checkProducts(t, m, x, 2)
			}
		}
	})
}

func FuzzProducts(f *testing.F) {
	f.Add([]byte{0x80, 0x7f, 0xff}, []byte{0x80, 0, 0x7f, 0xff}, uint16(130), uint8(9), uint8(5))
	f.Add([]byte{0x80}, []byte{0, 0x80}, uint16(64), uint8(4), uint8(4))
	f.Add([]byte{1, 2, 3, 4, 5}, []byte{1, 0}, uint16(77), uint8(6), uint8(3))
	f.Add([]byte{0x80, 0x7f, 1}, []byte{0x80, 0x7f, 0x81}, uint16(199), uint8(37), uint8(33))
	f.Fuzz(func(t *testing.T, weights, activations []byte, cols uint16, rows, vectors uint8) {
		if len(weights) == 0 || len(activations) == 0 {
			return
		}
		m := &Matrix{Rows: int(rows % 40), Cols: int(cols % 300)}
		n := int(vectors % 36)
		i := 0
		next := func(from []byte) byte { i++; return from[(i-1)%len(from)] }
		m.W = fill(nil, m.Rows*m.Cols, func(*rand.Rand) int8 { return int8(next(weights)) })
		x := fill(nil, n*m.Cols, func(*rand.Rand) int16 { return int16(next(activations)) | int16(next(activations))<<8 })
		for _, p := range paths {
			force(t, p)
			checkProducts(t, m, x, n)
		}
	})
}

// TestPathsCanBeDenied starts this test again with processor features switched off,
// which is how other packages test all paths.
func TestPathsCanBeDenied(t *testing.T) {
	const variable = "QUANT_TEST_PATHS"
	var names []string
	for _, p := range paths {
		names = append(names, p.name)
	}
	if want := os.Getenv(variable); want != "" {
		if got := strings.Join(names, " "); got != want {
			t.Errorf("paths are %s, want %s", got, want)
		}
		return
	}
	if runtime.GOARCH != "amd64" || len(names) < 3 {
		t.Skipf("this build on this machine has %v only", names)
	}
	for debug, want := range map[string]string{
		"cpu.avx512vnni=off":              "avx2 scalar",
		"cpu.avx512vnni=off,cpu.avx2=off": "scalar",
	} {
		again := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestPathsCanBeDenied$")
		again.Env = append(os.Environ(), "GODEBUG="+debug, variable+"="+want)
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", debug, err, out)
		}
	}
}

// BenchmarkProducts reads one matrix of the model's largest shape, and enough of them
// to leave the caches of most machines.
func BenchmarkProducts(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []struct {
		name     string
		matrices int
	}{{"cached", 1}, {"64MB", 64}} {
		const rows, cols = 2048, 512
		all := make([]*Matrix, size.matrices)
		for i := range all {
			all[i] = &Matrix{Rows: rows, Cols: cols, W: fill(r, rows*cols, weightFills["any"])}
		}
		for _, input := range []string{"bytes", "any"} {
			for _, vectors := range []int{1, 16} {
				x, dst := fill(r, vectors*cols, activationFills[input]), make([]int32, vectors*rows)
				for _, p := range paths {
					b.Run(fmt.Sprintf("%s/%s/%d/%s", size.name, input, vectors, p.name), func(b *testing.B) {
						force(b, p)
						b.ReportAllocs()
						i := 0
						for b.Loop() {
							all[i%len(all)].Products(dst, x, vectors, 1)
							i++
						}
						b.ReportMetric(float64(rows*cols*vectors)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "MAC/ns")
					})
				}
			}
		}
	}
}

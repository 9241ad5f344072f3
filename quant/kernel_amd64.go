//go:build !purego

package quant

import "golang.org/x/sys/cpu"

// machinePaths asks the processor. GODEBUG=cpu.avx512vnni=off and cpu.avx2=off, read
// by the package cpu, make it deny the one or the other.
func machinePaths() (found []path) {
	avx2 := path{name: "avx2", wide: &kernels[int16]{chunk: 16, many: 2, one: avx2One, some: avx2Two}}
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512VNNI {
		found = append(found, path{
			name:  "avx512vnni",
			wide:  &kernels[int16]{chunk: 32, many: 4, one: avx512One, some: avx512Four},
			bytes: &kernels[int8]{chunk: 64, many: 4, one: vnniOne, some: vnniFour, offset: vnniOffset},
			tiles: &tiles{interleave: vnniInterleave, sixteen: vnniSixteen},
			pack:  avx512Pack,
			add:   avx512Add,

			scaleWide:   avx512Wide,
			scaleNarrow: avx512Narrow,

			flow: avx512Flow,
		})
	}
	if cpu.X86.HasAVX2 {
		found = append(found, avx2)
	}
	return found
}

//go:noescape
func avx2One(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

//go:noescape
func avx2Two(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

//go:noescape
func avx512One(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

//go:noescape
func avx512Four(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

//go:noescape
func vnniOne(dst *int32, w *int8, x *int8, groups, n, cols, rows int)

//go:noescape
func vnniFour(dst *int32, w *int8, x *int8, groups, n, cols, rows int)

//go:noescape
func vnniOffset(x *int8, n int) int32

//go:noescape
func vnniInterleave(dst, src *int8, n, stride int, flip uint32)

//go:noescape
func vnniSixteen(t *tile)

//go:noescape
func avx512Add(dst, a, b *int32, n int, offset int32)

//go:noescape
func avx512Pack(dst *int8, src *int16, n int) bool

//go:noescape
func avx512Wide(dst, src, mul *int32, n int, shift uint)

//go:noescape
func avx512Narrow(dst *int16, src, mul *int32, n int, shift uint, lo, hi int32)

//go:noescape
func avx512Flow(dst, here, below, was, now, pulls *int32, n, wide int, first, last int32) (before int32)

//go:build !purego

package quant

// machinePaths is NEON alone, which every arm64 processor that Go runs on has.
func machinePaths() []path {
	return []path{{name: "neon", wide: &kernels[int16]{chunk: 8, many: 4, one: neonOne, some: neonFour}}}
}

//go:noescape
func neonOne(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

//go:noescape
func neonFour(dst *int32, w *int8, x *int16, groups, n, cols, rows int)

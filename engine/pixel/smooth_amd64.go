//go:build !purego

package pixel

import "golang.org/x/sys/cpu"

// smoothChunk is how many pixels smoothRow takes at a time; 0: this machine cannot run it.
var smoothChunk = chunkIf(cpu.X86.HasAVX512F)

func chunkIf(able bool) int {
	if able {
		return 16
	}
	return 0
}

// smoothRow does what smooth.row does for n pixels, a multiple of smoothChunk and above 0. The
// other rows begin with a pixel of border and have n+2.
//
//go:noescape
func smoothRow(out, above, here, below *int32, n int)

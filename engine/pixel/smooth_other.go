//go:build purego || !amd64

package pixel

var smoothChunk = 0

func smoothRow(_, _, _, _ *int32, _ int) { panic("pixel: no such code for this machine") }

//go:build purego || !(amd64 || arm64)

package quant

func machinePaths() []path { return nil }

//go:build !race

package pixel

const raced = false

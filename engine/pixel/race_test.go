//go:build race

package pixel

// raced says that the race detector is on, which makes the arithmetic twenty times slower:
// what has no goroutines is then tested on less.
const raced = true

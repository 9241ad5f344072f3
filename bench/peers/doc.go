// Package peers puts the gateway beside others in one run: the same engine behind all, the same clients before
// all, every program a process of its own, so that CPU time and memory of the gateway alone are known.
//
//	go test -c -o peers ./bench/peers
//	./peers run                              # direct, Go's reverse proxy, Essaim
//	./peers run -also bifrost=… -also portkey=… -also litellm=…
//	./peers overload -for 10m
//
// PROFILES names a folder for the CPU profiles of all processes. How the others are installed and started is in README.md. The ledger is one in memory (world.go); everything
// else of Essaim is what `essaim node` runs.
//
// It holds a measurement, and a short overload as a test; the product must not import it.
package peers

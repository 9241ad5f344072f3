// Package bench measures whole paths that no single package can: a task from an HTTP
// request to a receipt, with everything real but the engine and the ledger. What was
// measured, how, and what the figures do not include is in README.md beside it.
//
// It holds benchmarks only; the product must not import it.
package bench

// Package proof measures proofs of the networks that others publish figures of, beside EZKL on the same machine. What was measured, how,
// and how the statements differ is in README.md beside it; peers.py is EZKL's half.
//
// It holds a benchmark only; the product must not import it.
package proof

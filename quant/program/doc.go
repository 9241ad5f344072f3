// Package program is what can be known of a run of an integer engine without its model and its prompt: which
// operators there are, in which order, and what one number of each follows from.
//
// It exists because a judge of a trace, such as the ledger, must not need the engine, whose weights
// are 25 MB: it checks that the operator at a place is the one that belongs there, and
// computes one of its numbers again from a few that it is shown.
//
// # What follows from what
//
// A run's operators follow from the engine's name, the request's size and seed, and the header of the first
// operator, which says how many things a prompt names, how many table rows stand for them, and which may be
// mirrored. Its output, the rows, follows from the prompt alone.
//
// # Limits
//
// The package holds definitions, not fast code: package engine/pixel computes the same, and tests compare them on
// whole traces. Like quant it uses no floating point, keeps no state and does no I/O. It knows no model.
package program

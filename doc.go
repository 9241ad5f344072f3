// Package essaim holds the words of the network: Task, Attempt, Receipt, Session,
// Settlement, Amount, Digest, Address, Error, and the state machine that rules the
// life of a task.
//
// Every other package speaks these words, on the ledger and off it, so that one
// definition decides what a price, a signature or a settlement is. The package does
// no I/O, reads no clock, starts no goroutine and imports nothing of ours: consensus
// code calls it.
//
// Reading order: task.go and receipt.go are what travels, sign.go how it is signed,
// lifecycle.go what may happen to it, ledger.go and settlement.go what the ledger
// keeps, voucher.go what a payer accepts, opening.go how a claim is shown to be true or
// false, amount.go and address.go who holds what, errors.go how it is told.
package essaim

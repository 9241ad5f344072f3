// Package dispute is the game in which a miner that signed a wrong result is convicted, by a judge who computes a
// single number: who has run the same request leads the judge, by questions that the miner must answer,
// to the first number that came out otherwise.
//
// It exists so that the ledger can punish a wrong result without running a model, and without believing
// anybody. docs/protocol/dispute.md has the rules; what they cover, and what not, is there as well.
//
// # The game
//
// Two sides take turns. Each answer of the miner is checked against what it has committed to before, so that
// it can be silent but not change its story:
//
//	miner       opens: commits to its trace, shows the first operator
//	challenger  picks the operators (or their result)
//	miner       reveals up to 16 nodes below the one picked; challenger picks the first that differs; and so on
//	miner       shows the operator; a wrong one ends the game
//	miner       reveals, challenger picks, down to a block of the operator's output
//	miner       shows the block; challenger names a number in it
//	miner       says up to 16 numbers on the way to it; challenger picks the first wrong one; and so on
//	challenger  proves: inputs and weights of that step, with paths. The judge computes it.
//
// [Game] is the judge, [Miner] and [Challenger] play from a [Record] of all that a run computed. A side that does
// not move in time loses ([Game.Timeout]).
//
// # Limits
//
// The package knows no ledger, no money and no time. It is consensus code: no floating point, no clock, no
// randomness, no map order, no goroutine.
package dispute

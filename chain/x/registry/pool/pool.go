// Package pool is the arithmetic of stake that backs one actor: shares, slashes and
// rewards, in integers, exact to the last uaim. It knows no ledger, no account and no
// time, so that a test can run it against a model that does the same by hand; who may do
// what, and when, is x/registry's business.
//
// A pool has a stake T in uaim, cut into S shares, of which L are leaving; T ≤ S always.
// Each holder has a Position with its active shares; leaving ones are counted by whoever
// keeps the exits. The rules of rounding:
//
//   - Joining with a uaim makes ⌊a·S/T⌋ shares, or a when the pool is empty. Rounding
//     down favours who is there already; since T ≤ S, nobody gets less than a shares.
//   - Leaving moves shares from active to leaving and changes neither T nor S, so a slash
//     reaches both alike. To take out a uaim, ⌈a·S/T⌉ shares leave, so what comes is not
//     less than what was asked for, as long as nothing is slashed.
//   - Releasing s leaving shares pays ⌊s·T/S⌋. The rounding stays in the pool, and who
//     leaves last takes all that is there: there is no dust.
//   - A slash lowers T and leaves S alone; giving it back raises T. If nothing joined and
//     nothing was released in between, each share is worth exactly what it was. That is
//     why the registry freezes a pool while a slash can be reversed.
//   - A pool that is slashed to nothing, or to less than 1/1024 a share, takes no one in:
//     shares would outgrow 64 bits. Who is in it can leave.
//
// Rewards are an index per active share with 64 bits of fraction. What a division leaves
// over waits in Rest for the next reward, and each position keeps its own fraction, so
// that at any moment
//
//	Unclaimed·2⁶⁴ = Rest + Σ positions (Pending·2⁶⁴ + Fraction + Shares·(Index − Seen))
//
// exactly; who claims gets the whole uaim of its part, so what it sees may be one less
// than it would by real numbers until the next reward. The index may wrap around 2¹²⁸: a position's part of it cannot, because it is
// below Unclaimed, which is below 2⁶⁴ uaim.
package pool

import (
	"errors"
	"math/bits"
)

// MaxRatio is the most shares for a uaim at which a pool takes anyone in.
const MaxRatio = 1024

// Why a pool refuses.
var (
	ErrWorn   = errors.New("slashed to less than 1/1024 of its shares")
	ErrRange  = errors.New("amount out of range")
	ErrShares = errors.New("more shares than there are")
)

// Fixed is a number with 64 bits before and 64 bits after the point.
type Fixed struct{ Hi, Lo uint64 }

func (a Fixed) add(b Fixed) Fixed {
	lo, carry := bits.Add64(a.Lo, b.Lo, 0)
	hi, _ := bits.Add64(a.Hi, b.Hi, carry)
	return Fixed{hi, lo}
}

func (a Fixed) sub(b Fixed) Fixed {
	lo, borrow := bits.Sub64(a.Lo, b.Lo, 0)
	hi, _ := bits.Sub64(a.Hi, b.Hi, borrow)
	return Fixed{hi, lo}
}

// times is the product modulo 2¹²⁸.
func (a Fixed) times(n uint64) Fixed {
	hi, lo := bits.Mul64(a.Lo, n)
	return Fixed{hi + a.Hi*n, lo}
}

// Pool is the stake behind one actor. The zero value is an empty pool.
type Pool struct {
	Stake     uint64 // T, uaim
	Shares    uint64 // S, leaving ones too
	Leaving   uint64 // L
	Index     Fixed  // rewards per active share since the beginning
	Rest      Fixed  // rewards that are not in the index yet
	Unclaimed uint64 // uaim: all rewards that positions have not taken
}

// Position is one holder's part.
type Position struct {
	Shares   uint64 // active ones
	Seen     Fixed  // the index up to which rewards are counted
	Pending  uint64 // uaim: counted, not taken
	Fraction uint64 // of a uaim, in 2⁻⁶⁴
}

// Active is how many shares earn.
func (p Pool) Active() uint64 { return p.Shares - p.Leaving }

// Value is what shares are worth now, rounded down.
func (p Pool) Value(shares uint64) uint64 {
	if p.Shares == 0 {
		return 0
	}
	hi, lo := bits.Mul64(shares, p.Stake)
	q, _ := bits.Div64(hi, lo, p.Shares) // hi < Shares, because shares ≤ Shares
	return q
}

// SharesFor is how many shares must leave for an amount: rounded up, and never more than
// have.
func (p Pool) SharesFor(amount, have uint64) uint64 {
	if p.Stake == 0 || amount >= p.Value(have) {
		return have
	}
	hi, lo := bits.Mul64(amount, p.Shares)
	q, rest := bits.Div64(hi, lo, p.Stake) // amount < Value(have) ≤ Stake, so hi < Stake
	if rest > 0 {
		q++
	}
	return min(q, have)
}

// Joinable reports why nobody can join with an amount, or nil.
func (p Pool) Joinable(amount uint64) error {
	_, err := p.sharesOf(amount)
	return err
}

func (p Pool) sharesOf(amount uint64) (uint64, error) {
	_, over := bits.Add64(p.Stake, amount, 0)
	switch {
	case amount == 0 || over != 0:
		return 0, ErrRange
	case p.Shares == 0:
		return amount, nil
	case p.Stake == 0 || p.Shares/MaxRatio > p.Stake || p.Shares/MaxRatio == p.Stake && p.Shares%MaxRatio > 0:
		return 0, ErrWorn
	}
	hi, lo := bits.Mul64(amount, p.Shares)
	if hi >= p.Stake {
		return 0, ErrRange
	}
	shares, _ := bits.Div64(hi, lo, p.Stake)
	if _, over := bits.Add64(p.Shares, shares, 0); over != 0 {
		return 0, ErrRange
	}
	return shares, nil
}

// Join adds an amount to a position.
//
// Errors: ErrRange, ErrWorn; then nothing changed.
func (p *Pool) Join(pos *Position, amount uint64) error {
	shares, err := p.sharesOf(amount)
	if err != nil {
		return err
	}
	p.Settle(pos)
	pos.Shares += shares
	p.Shares += shares
	p.Stake += amount
	return nil
}

// Leave takes active shares out of a position. They stay in the pool until Release.
//
// Errors: ErrShares; then nothing changed.
func (p *Pool) Leave(pos *Position, shares uint64) error {
	if shares > pos.Shares {
		return ErrShares
	}
	p.Settle(pos)
	pos.Shares -= shares
	p.Leaving += shares
	return nil
}

// Release takes leaving shares out of the pool and returns what they are worth.
//
// Errors: ErrShares; then nothing changed.
func (p *Pool) Release(shares uint64) (uint64, error) {
	if shares > p.Leaving {
		return 0, ErrShares
	}
	amount := p.Value(shares)
	p.Stake -= amount
	p.Shares -= shares
	p.Leaving -= shares
	return amount, nil
}

// Slash takes basis points of the stake, rounded down.
func (p *Pool) Slash(bps uint32) uint64 {
	hi, lo := bits.Mul64(p.Stake, uint64(min(bps, 10_000)))
	amount, _ := bits.Div64(hi, lo, 10_000)
	p.Stake -= amount
	return amount
}

// Restore gives a slash back.
//
// Errors: ErrRange if the pool never held so much; then nothing changed.
func (p *Pool) Restore(amount uint64) error {
	stake, over := bits.Add64(p.Stake, amount, 0)
	if over != 0 || stake > p.Shares {
		return ErrRange
	}
	p.Stake = stake
	return nil
}

// Reward shares an amount among the active shares. It reports false, and changes nothing,
// if there are none or the amount is out of range: the caller then finds another taker.
func (p *Pool) Reward(amount uint64) bool {
	unclaimed, over := bits.Add64(p.Unclaimed, amount, 0)
	active := p.Active()
	if active == 0 || over != 0 {
		return false
	}
	p.Unclaimed = unclaimed
	sum := p.Rest.add(Fixed{amount, 0}) // Rest is part of Unclaimed, so this is below 2⁶⁴ uaim
	hi, rest := sum.Hi/active, sum.Hi%active
	lo, rest := bits.Div64(rest, sum.Lo, active)
	p.Index = p.Index.add(Fixed{hi, lo})
	p.Rest = Fixed{0, rest}
	return true
}

// Settle counts a position's rewards up to now.
func (p Pool) Settle(pos *Position) {
	due := p.Index.sub(pos.Seen).times(pos.Shares).add(Fixed{0, pos.Fraction})
	pos.Pending += due.Hi
	pos.Fraction = due.Lo
	pos.Seen = p.Index
}

// Take empties a position's rewards and returns the whole uaim in them.
func (p *Pool) Take(pos *Position) uint64 {
	p.Settle(pos)
	amount := pos.Pending
	pos.Pending = 0
	p.Unclaimed -= amount
	return amount
}

// Drop gives the fraction of a position without shares and rewards back to the pool, when
// its holder is gone.
func (p *Pool) Drop(pos *Position) {
	p.Settle(pos)
	p.Rest = p.Rest.add(Fixed{0, pos.Fraction})
	pos.Fraction = 0
}

// Sweep takes the rewards that no division could share, once the last position is gone.
func (p *Pool) Sweep() uint64 {
	amount := p.Rest.Hi
	p.Rest.Hi = 0
	p.Unclaimed -= amount
	return amount
}

package tally

import (
	"math"
	"math/big"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// house is what one house says, in any unit.
type house struct {
	seated   bool
	possible *big.Int // power that could have counted
	options  [options]*big.Int
}

// counted is the power that counts.
func (h house) counted() *big.Int {
	sum := new(big.Int)
	for _, o := range h.options {
		sum.Add(sum, o)
	}
	return sum
}

// turnout is the part of the possible power that counts. Power is taken when a vote is
// cast and the total when votes are counted, so stake that has left in between could make
// it more than all.
func (h house) turnout() *big.Rat {
	counted := h.counted()
	switch {
	case !h.seated || counted.Sign() == 0:
		return new(big.Rat)
	case counted.Cmp(h.possible) >= 0:
		return big.NewRat(1, 1)
	}
	return new(big.Rat).SetFrac(counted, h.possible)
}

// share is an option's part of the counted power, which must not be 0.
func (h house) share(option int) *big.Rat {
	return new(big.Rat).SetFrac(h.options[option], h.counted())
}

// mean joins the houses: turnout is the mean over the houses that are seated, so that a
// house that stays away lowers it; each option's share is the mean over the houses that
// said anything, so that a house that stays away does not dilute what the other says.
func mean(houses ...house) (turnout *big.Rat, shares [options]*big.Rat) {
	turnout = new(big.Rat)
	for i := range shares {
		shares[i] = new(big.Rat)
	}
	var seated, spoke int64
	for _, h := range houses {
		if !h.seated {
			continue
		}
		seated++
		turnout.Add(turnout, h.turnout())
		if h.counted().Sign() == 0 {
			continue
		}
		spoke++
		for i := range shares {
			shares[i].Add(shares[i], h.share(i))
		}
	}
	if seated > 0 {
		turnout.Mul(turnout, big.NewRat(1, seated))
	}
	if spoke > 0 {
		for i := range shares {
			shares[i].Mul(shares[i], big.NewRat(1, spoke))
		}
	}
	return turnout, shares
}

// limit is the most that one account counts, and how many accounts hold more: the largest
// fixed point of "no more than bps of what then counts".
//
// With the k strongest at the cap c and the others' stake R in full, T = k*c + R counts,
// and c = bps*T gives c = bps*R / (10000 - k*bps). k is right as soon as the next account
// is not above c. That is so at the latest for the last k with k*bps < 10000: the right
// side is then at least R, and no account is above the sum it is part of. So strongest
// needs no more than 10000/bps accounts, in falling order.
//
// Where fewer accounts vote than the cap allows for, k*c never reaches T: nothing counts.
func limit(all *big.Int, strongest []tallyv1.Capped, bps uint32) (c uint64, above int) {
	rest := new(big.Int).Set(all)
	for k, next := range strongest {
		divisor := int64(MaxCap) - int64(k)*int64(bps)
		stake := new(big.Int).SetUint64(next.Stake)
		left, right := new(big.Int).Mul(stake, big.NewInt(divisor)), new(big.Int).Mul(rest, big.NewInt(int64(bps)))
		if left.Cmp(right) <= 0 {
			if right.Quo(right, big.NewInt(divisor)); !right.IsUint64() {
				return math.MaxUint64, k // above what anybody holds
			}
			return right.Uint64(), k
		}
		rest.Sub(rest, stake)
	}
	return 0, len(strongest)
}

// parts rounds a part of 1 down to parts of Whole.
func parts(r *big.Rat) uint64 {
	n := new(big.Int).Mul(r.Num(), big.NewInt(Whole))
	return n.Quo(n, r.Denom()).Uint64()
}

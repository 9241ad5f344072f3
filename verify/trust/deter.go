package trust

import (
	"math/bits"

	"github.com/essaim/essaim"
)

// Bargain is what a cheater weighs: what it saves on a job against what it loses if it is
// found out.
type Bargain struct {
	Price   essaim.Amount // R, of the largest job
	Work    essaim.Bps    // c, what doing it costs, as a share of the price
	Cheat   essaim.Bps    // c′, what cheating costs
	Audits  essaim.Bps    // p, the share of jobs that are audited
	Finds   essaim.Bps    // d, how often an audit of a cheat finds it
	Corrupt essaim.Bps    // r, the share of verifiers that look away
}

// Typical is the bargain that parameters are chosen against: work costs 70 % of its price,
// cheating 5 %, an audit finds 95 %, a third of the verifiers look away.
func Typical(price essaim.Amount, audits essaim.Bps) Bargain {
	return Bargain{Price: price, Work: 7_000, Cheat: 500, Audits: audits, Finds: 9_500, Corrupt: 3_333}
}

// Deterrent is what a cheater must stand to lose, so that cheating does not pay: the least
// S that satisfies
//
//	S >= (c - c′)/q - R        q = p·d·(1 - r)
//
// rounded up. ok is false if no amount deters: nothing is ever found, or S does not fit.
//
// An honest miner earns R - c; a cheater R - c′ with chance 1 - q, and loses S + c′ with
// chance q.
func (b Bargain) Deterrent() (s essaim.Amount, ok bool) {
	if b.Work > essaim.BpsWhole || b.Cheat > b.Work || b.Audits > essaim.BpsWhole || b.Finds > essaim.BpsWhole || b.Corrupt > essaim.BpsWhole {
		return 0, false
	}
	const whole = 1_000_000_000_000 // of q, in 1/10,000³
	q := uint64(b.Audits) * uint64(b.Finds) * uint64(essaim.BpsWhole-b.Corrupt)
	high, low := bits.Mul64(uint64(b.Price), uint64(b.Work-b.Cheat))
	saved, rest := bits.Div64(high, low, uint64(essaim.BpsWhole))
	if rest > 0 {
		saved++
	}
	if high, low = bits.Mul64(saved, whole); high >= q {
		return 0, saved == 0
	}
	needed, rest := bits.Div64(high, low, q)
	if rest > 0 {
		needed++
	}
	if needed < uint64(b.Price) {
		return 0, true
	}
	return essaim.Amount(needed) - b.Price, true
}

// StakePerPrice is how many times a job's price must be behind its miner: coordinators give
// dearer jobs to none. It makes what a slash takes a number of prices.
const StakePerPrice = 400

// LargestJob is the dearest job that a stake stands for.
func LargestJob(stake essaim.Amount) essaim.Amount { return stake / StakePerPrice }

// Deters reports whether a slash of this share of the stake, for one wrong result that is
// proven, deters a miner from cheating at the dearest job that its stake stands for, if so
// large a share of jobs is audited; and the least share that would.
func Deters(slash, audits essaim.Bps) (least essaim.Bps, ok bool) {
	const price = 1_000_000
	need, possible := Typical(price, audits).Deterrent()
	if !possible || need > price*StakePerPrice {
		return essaim.BpsWhole + 1, false
	}
	least = essaim.Bps((uint64(need)*uint64(essaim.BpsWhole) + price*StakePerPrice - 1) / (price * StakePerPrice))
	return least, slash >= least
}

// LargestPrice is the dearest job from which a miner that stands to lose s is deterred,
// which is the largest Price for which Deterrent is at most s.
func (b Bargain) LargestPrice(s essaim.Amount) essaim.Amount {
	low, high := essaim.Amount(0), essaim.Amount(1)<<62 // deterred at low
	for low < high {
		b.Price = low + (high-low+1)/2
		if need, ok := b.Deterrent(); ok && need <= s {
			low = b.Price
		} else {
			high = b.Price - 1
		}
	}
	return low
}

package tally

import (
	"math/big"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Credit loses half its worth each half-life. Rather than lower every account's credit as
// time goes by, the ledger writes later credit larger: a fee earned at height h adds
// fee * rate(h) units, and a number of units is worth units / rate(now). So stored units
// never change, all accounts lose alike, and the total is exactly the sum of its parts.
//
// Between two doublings the rate rises along a straight line, which needs no table and no
// root: rate = base * (half_life + r) * 2^q, where q half-lives and r blocks have passed.
// It is never more than 6.2 % above the exponential that meets it at the doublings, and an
// old credit is worth exactly half of an equal one that is a half-life younger.

// firstBase leaves room to change the half-life without losing precision.
var firstBase = new(big.Int).Lsh(big.NewInt(1), 64)

// rate is how many units one uaim of fee adds at a height.
func rate(base *big.Int, since, height int64, halfLife uint64) *big.Int {
	passed := uint64(max(height-since, 0))
	out := new(big.Int).SetUint64(halfLife + passed%halfLife)
	return out.Lsh(out.Mul(out, base), uint(passed/halfLife))
}

// rebase is the scale under which units keep their worth when the half-life becomes
// another one. The base is rounded up, so that what is old never gains.
func rebase(rateNow *big.Int, height int64, halfLife uint64) tallyv1.Scale {
	h := new(big.Int).SetUint64(halfLife)
	base := new(big.Int).Add(rateNow, h)
	base.Sub(base, big.NewInt(1))
	return tallyv1.Scale{Base: base.Quo(base, h).String(), Since: height}
}

// number reads a stored number; what the module stores is never negative.
func number(s string) (*big.Int, error) {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok || n.Sign() < 0 || n.String() != s {
		return nil, ErrState.Wrapf("number %q", s)
	}
	return n, nil
}

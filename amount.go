package essaim

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

const (
	// Denom is the name of the smallest unit of the coin on the ledger.
	Denom = "uaim"

	// AIM is one coin, in uaim.
	AIM Amount = 1_000_000
)

// Amount is a sum of money in uaim, 10⁻⁶ AIM. There are no negative amounts and no
// fractions of a uaim.
type Amount uint64

// ParseAmount reads "12.5", "12.5 AIM", "12.5aim" (coins) or "250uaim" (smallest
// units). More than six decimals is an error, never rounded.
func ParseAmount(s string) (Amount, error) {
	t := strings.ToLower(strings.TrimSpace(s))
	bad := fmt.Errorf("amount %q: want AIM such as 1.25, or uaim such as 1250000uaim", s)
	if n, ok := strings.CutSuffix(t, Denom); ok {
		v, err := strconv.ParseUint(strings.TrimSpace(n), 10, 64)
		if err != nil {
			return 0, bad
		}
		return Amount(v), nil
	}
	whole, frac, _ := strings.Cut(strings.TrimSpace(strings.TrimSuffix(t, "aim")), ".")
	if len(frac) > 6 || whole == "" {
		return 0, bad
	}
	w, err := strconv.ParseUint(whole, 10, 64)
	if err != nil {
		return 0, bad
	}
	f, err := strconv.ParseUint((frac + "000000")[:6], 10, 64)
	if err != nil {
		return 0, bad
	}
	hi, lo := bits.Mul64(w, uint64(AIM))
	sum, carry := bits.Add64(lo, f, 0)
	if hi != 0 || carry != 0 {
		return 0, fmt.Errorf("amount %q: too large", s)
	}
	return Amount(sum), nil
}

// String writes coins without trailing zeros: "1.25 AIM".
func (a Amount) String() string {
	s := fmt.Sprintf("%d.%06d", a/AIM, a%AIM)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " AIM"
}

// Add returns a + b; ok is false if the sum does not fit.
func (a Amount) Add(b Amount) (sum Amount, ok bool) {
	s, carry := bits.Add64(uint64(a), uint64(b), 0)
	return Amount(s), carry == 0
}

// Sub returns a − b; ok is false if b is larger.
func (a Amount) Sub(b Amount) (rest Amount, ok bool) { return a - b, b <= a }

// Mul returns a × n; ok is false if the product does not fit.
func (a Amount) Mul(n uint64) (product Amount, ok bool) {
	hi, lo := bits.Mul64(uint64(a), n)
	return Amount(lo), hi == 0
}

// Bps is a share in basis points, 1/10,000.
type Bps uint32

// BpsWhole is all of it.
const BpsWhole Bps = 10_000

// Of returns the share of an amount, rounded down. It panics if the share is more
// than the whole: every stored share is checked when it is accepted.
func (b Bps) Of(a Amount) Amount {
	if b > BpsWhole {
		panic("essaim: share above the whole")
	}
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, _ := bits.Div64(hi, lo, uint64(BpsWhole))
	return Amount(q)
}

// String writes percent: "1.5 %".
func (b Bps) String() string {
	s := fmt.Sprintf("%d.%02d", b/100, b%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " %"
}

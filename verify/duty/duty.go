// Package duty draws what is audited and by whom, from a beacon that came after the result
// was committed to.
//
// Pure functions of public values: everybody computes the same, nobody chooses. The miner
// has committed to its receipt before the beacon is known, so it cannot make a receipt that
// is not audited, or is audited by a friend; a verifier cannot make itself drawn. What
// the beacon itself resists is its own matter (docs/adr/0017).
//
// All values are integers: the ledger draws with this package, too. It must not use
// floating point, a clock, or any other randomness.
package duty

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/essaim/essaim"
)

// Candidate is a node that may be given duties.
type Candidate struct {
	Node  essaim.NodeKey
	Owner essaim.Address // one owner's nodes are one candidate's chances, and one verdict
	Stake essaim.Amount
}

// Draw chooses up to n verifiers of a receipt, each with a chance in proportion to its stake
// among those that are left, no two of one owner and none of an excluded owner: the
// miner's, at least, and its coordinator's. The order of candidates does not matter; that of
// the result does, the first one is asked first. Those without stake are never drawn.
//
// Errors: CodeBadInput if stakes add up to 2^64 uaim or more, or a node is there twice.
func Draw(beacon, receipt essaim.Digest, candidates []Candidate, n int, excluded ...essaim.Address) ([]essaim.NodeKey, error) {
	left := make([]Candidate, 0, len(candidates))
	for _, c := range candidates {
		if c.Stake > 0 && !slices.Contains(excluded, c.Owner) {
			left = append(left, c)
		}
	}
	slices.SortFunc(left, func(a, b Candidate) int {
		return cmp.Or(bytes.Compare(a.Node[:], b.Node[:]), bytes.Compare(a.Owner[:], b.Owner[:]))
	})
	total := essaim.Amount(0)
	for i, c := range left {
		var ok bool
		if total, ok = total.Add(c.Stake); !ok {
			return nil, essaim.Errorf(essaim.CodeBadInput, "", "the stakes of %d candidates overflow", len(left))
		}
		if i > 0 && left[i-1].Node == c.Node {
			return nil, essaim.Errorf(essaim.CodeBadInput, "", "candidate %s is there twice", c.Node.Short())
		}
	}
	g := newGenerator("essaim.duty.v1", beacon, receipt)
	var out []essaim.NodeKey
	for len(out) < n && len(left) > 0 {
		at := essaim.Amount(g.below(uint64(total)))
		i := 0
		for ; at >= left[i].Stake; i++ {
			at -= left[i].Stake
		}
		out = append(out, left[i].Node)
		owner := left[i].Owner
		left = slices.DeleteFunc(left, func(c Candidate) bool {
			if c.Owner != owner {
				return false
			}
			total -= c.Stake
			return true
		})
	}
	return out, nil
}

// Most is how many miners are drawn for a receipt: the first is asked first, the others when it cannot be asked or
// disagrees.
const Most = 16

// Order computes whom a beacon wants to run a receipt's task again: every miner of the model that is at work at that
// height, with a chance in proportion to its stake, none of the owner of the receipt's miner or of its coordinator, and
// no two of one owner. miners are those of the ledger after that block.
//
// Errors: those of Draw.
func Order(beacon essaim.Digest, r essaim.Receipt, height int64, miners []essaim.Actor, coordinator essaim.Address) ([]essaim.NodeKey, error) {
	excluded := []essaim.Address{coordinator}
	var candidates []Candidate
	for _, m := range miners {
		if m.NodeKey == r.Miner {
			excluded = append(excluded, m.Owner)
		}
		away := m.AwayFrom <= height && height < m.AwayUntil
		if _, offers := m.Price(r.Model); offers && m.RetiredAt == 0 && m.JailedUntil == 0 && !away && len(m.HPKEKey) > 0 {
			candidates = append(candidates, Candidate{Node: m.NodeKey, Owner: m.Owner, Stake: m.Stake})
		}
	}
	return Draw(beacon, r.Digest(), candidates, Most, excluded...)
}

// Audited reports whether a receipt is audited, which happens to a share of all receipts.
func Audited(beacon, receipt essaim.Digest, share essaim.Bps) bool {
	return newGenerator("essaim.audit.v1", beacon, receipt).below(uint64(essaim.BpsWhole)) < uint64(share)
}

// A generator gives the numbers SHA-256(domain, beacon, receipt, counter), the first eight
// bytes of each, big-endian, for the counters 0, 1, 2 ... as 8 bytes, big-endian. The
// domain comes with its length in one byte before it.
type generator struct {
	seed    []byte
	counter uint64
}

func newGenerator(domain string, beacon, receipt essaim.Digest) *generator {
	seed := append([]byte{byte(len(domain))}, domain...)
	seed = append(append(seed, beacon[:]...), receipt[:]...)
	return &generator{seed: seed}
}

// below is a number from 0 to n-1, each with the same chance: what would favour the lower
// ones is thrown away.
func (g *generator) below(n uint64) uint64 {
	for {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(g.seed[:len(g.seed):len(g.seed)], g.counter))
		g.counter++
		// Of x·n in 128 bits, the high half is below n; the low half tells the surplus (Lemire, 2019).
		high, low := bits.Mul64(binary.BigEndian.Uint64(h[:8]), n)
		if low >= -n%n {
			return high
		}
	}
}

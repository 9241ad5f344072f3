package pool

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

const huge = ^uint64(0)

// TestExtremes: no amount makes the arithmetic overflow or panic.
func TestExtremes(t *testing.T) {
	var p Pool
	var a, b Position
	if err := p.Join(&a, huge); err != nil || p.Value(a.Shares) != huge {
		t.Fatal(err, p)
	}
	if err := p.Join(&b, 1); !errors.Is(err, ErrRange) {
		t.Fatal(err)
	}
	if !p.Reward(huge) || p.Reward(1) {
		t.Fatal("unclaimed rewards must stay below 2⁶⁴")
	}
	if got := p.Take(&a); got != huge {
		t.Fatal(got)
	}
	if got := p.Slash(10_001); got != huge {
		t.Fatal(got)
	}
	if err := p.Join(&b, 5); !errors.Is(err, ErrWorn) {
		t.Fatal(err)
	}
	if err := p.Restore(huge); err != nil {
		t.Fatal(err)
	}
	if err := p.Restore(1); !errors.Is(err, ErrRange) {
		t.Fatal(err)
	}
	if err := p.Leave(&a, huge); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Release(huge); err != nil || p.Shares != 0 || p.Stake != 0 {
		t.Fatal(err, p)
	}
	if p.Reward(1) {
		t.Fatal("nobody earns")
	}
}

// TestIndexWraps: one share earns more than an index of 128 bits can count.
func TestIndexWraps(t *testing.T) {
	var p Pool
	var a Position
	if err := p.Join(&a, 1); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if !p.Reward(huge) || p.Take(&a) != huge {
			t.Fatal(p)
		}
	}
}

// TestWorn: at exactly 1/1024 a share the pool still takes people in, below it no more.
func TestWorn(t *testing.T) {
	var a Position
	p := Pool{Stake: 10, Shares: 10 * MaxRatio}
	if err := p.Join(&a, 3); err != nil || a.Shares != 3*MaxRatio {
		t.Fatal(err, a)
	}
	p = Pool{Stake: 10, Shares: 10*MaxRatio + 1}
	if err := p.Join(&a, 3); !errors.Is(err, ErrWorn) {
		t.Fatal(err)
	}
}

// TestNobodyGains: joining and leaving at once never pays more than was put in, and takes
// nothing from those who stay; a slash and its reversal change nobody's value.
func TestNobodyGains(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Pool
		var old, in Position
		if err := p.Join(&old, rapid.Uint64Range(1, 1<<40).Draw(t, "old")); err != nil {
			t.Fatal(err)
		}
		p.Slash(rapid.Uint32Range(0, 9990).Draw(t, "bps"))
		amount := rapid.Uint64Range(1, 1<<40).Draw(t, "in")
		before := p.Value(old.Shares)
		if err := p.Join(&in, amount); err != nil {
			return
		}
		if got := p.Value(in.Shares); got > amount || p.Value(old.Shares) < before {
			t.Fatalf("put in %d, worth %d; the other had %d, has %d", amount, got, before, p.Value(old.Shares))
		}
		shares, worth := in.Shares, p.Value(in.Shares)
		taken := p.Slash(rapid.Uint32Range(0, 10_000).Draw(t, "slash"))
		if err := p.Restore(taken); err != nil || p.Value(shares) != worth {
			t.Fatal(err, p.Value(shares), worth)
		}
		want := rapid.Uint64Range(0, worth).Draw(t, "out")
		out := p.SharesFor(want, in.Shares)
		if err := p.Leave(&in, out); err != nil {
			t.Fatal(err)
		}
		got, err := p.Release(out)
		if err != nil || got < want || p.Stake > p.Shares {
			t.Fatalf("asked for %d, got %d, %v, %+v", want, got, err, p)
		}
	})
}

// TestRewardsAddUp is the equation of the package comment over random schedules.
func TestRewardsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Pool
		at := make([]Position, 4)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			pos := &at[rapid.IntRange(0, len(at)-1).Draw(t, "who")]
			n := rapid.Uint64Range(0, 1<<50).Draw(t, "n")
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				_ = p.Join(pos, n)
			case 1:
				out := p.SharesFor(n, pos.Shares)
				if err := p.Leave(pos, out); err != nil {
					t.Fatal(err)
				}
				if _, err := p.Release(out); err != nil {
					t.Fatal(err)
				}
			case 2:
				p.Take(pos)
			case 3:
				if p.Settle(pos); pos.Shares == 0 && pos.Pending == 0 {
					p.Drop(pos)
				}
			case 4:
				p.Slash(uint32(n % 5000))
			default:
				p.Reward(n)
			}
			sum := new(big.Int).Add(whole(p.Rest.Hi), new(big.Int).SetUint64(p.Rest.Lo))
			for _, x := range at {
				p.Settle(&x)
				sum.Add(sum, whole(x.Pending)).Add(sum, new(big.Int).SetUint64(x.Fraction))
			}
			if sum.Cmp(whole(p.Unclaimed)) != 0 {
				t.Fatalf("%+v owes %s/2⁶⁴", p, sum)
			}
		}
	})
}

func whole(n uint64) *big.Int { return new(big.Int).Lsh(new(big.Int).SetUint64(n), 64) }

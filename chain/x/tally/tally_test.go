package tally

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/runtime"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/testutil"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// held is stake that tests give and take at will.
type held map[essaim.Address]uint64

func (h held) Owned(_ context.Context, a essaim.Address) (uint64, error) { return h[a], nil }

func (h held) TotalStake(context.Context) (sum uint64, _ error) {
	for _, n := range h {
		sum += n
	}
	return sum, nil
}

func account(i int) essaim.Address { return essaim.Address{0: 0xac, 18: byte(i >> 8), 19: byte(i)} }

// bench is a keeper on a store in memory.
type bench struct {
	Keeper
	ctx   sdk.Context
	stake held
}

func newBench(t testing.TB, p tallyv1.Params) *bench {
	t.Helper()
	key := storetypes.NewKVStoreKey(Name)
	stake := held{}
	b := &bench{
		Keeper: NewKeeper(codec.NewProtoCodec(codectypes.NewInterfaceRegistry()), runtime.NewKVStoreService(key), "governance", stake),
		ctx:    testutil.DefaultContextWithDB(t, key, storetypes.NewTransientStoreKey("transient")).Ctx.WithBlockHeight(1),
		stake:  stake,
	}
	if err := b.load(b.ctx, tallyv1.GenesisState{Params: p, Scale: tallyv1.Scale{Base: firstBase.String()}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) vote(t testing.TB, proposal uint64, who int, weights ...uint64) {
	t.Helper()
	a := account(who)
	if err := b.cast(b.ctx, proposal, a[:], weights); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) credit(t testing.TB, who int, fee uint64) {
	t.Helper()
	if err := b.Credit(b.ctx, account(who), fee); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) result(t testing.TB, proposal uint64) counted {
	t.Helper()
	c, err := b.count(b.ctx, proposal)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	yes  = []uint64{certain, 0, 0, 0}
	no   = []uint64{0, 0, certain, 0}
	veto = []uint64{0, 0, 0, certain}
)

// naiveCap iterates "no more than bps of what counts", downwards from no cap at all, in
// steps of 10^-15 of a coin, until nothing changes.
func naiveCap(stakes []uint64, bps uint32) *big.Int {
	fine := big.NewInt(1e15)
	var all []*big.Int
	top := new(big.Int)
	for _, s := range stakes {
		n := new(big.Int).Mul(new(big.Int).SetUint64(s), fine)
		all = append(all, n)
		top.Add(top, n)
	}
	c := top
	for range 100_000 {
		sum := new(big.Int)
		for _, n := range all {
			if n.Cmp(c) > 0 {
				n = c
			}
			sum.Add(sum, n)
		}
		next := sum.Quo(sum.Mul(sum, big.NewInt(int64(bps))), big.NewInt(MaxCap))
		if next.Cmp(c) >= 0 {
			break
		}
		c = next
	}
	return c.Quo(c, fine)
}

// TestLimit compares the closed form with the iteration it stands for.
func TestLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stakes := rapid.SliceOfN(rapid.OneOf(rapid.Uint64Range(1, 50), rapid.Uint64Range(1, 1e15)), 0, 60).Draw(t, "stakes")
		bps := rapid.SampledFrom([]uint32{100, 333, 500, 700, 2_500, 5_000, 9_000, 10_000}).Draw(t, "cap")
		checkLimit(t, stakes, bps)
	})
	equal := make([]uint64, 20)
	for i := range equal {
		equal[i] = 7
	}
	checkLimit(t, equal, 500)
	checkLimit(t, equal[:19], 500) // fewer than the cap allows for: nothing counts
}

func checkLimit(t rapid.TB, stakes []uint64, bps uint32) {
	t.Helper()
	all, sorted := new(big.Int), ranked(stakes)
	for _, s := range stakes {
		all.Add(all, new(big.Int).SetUint64(s))
	}
	c, above := limit(all, sorted[:min(len(sorted), MaxCap/int(bps)+1)], bps)
	if above == 0 {
		if len(sorted) > 0 && overCap(sorted[0].Stake, all, bps) {
			t.Fatal("an account above the cap is not capped")
		}
		return
	}
	sum := new(big.Int)
	for i, s := range sorted {
		if i < above && s.Stake <= c || i >= above && s.Stake > c+1 {
			t.Fatalf("account %d has %d: the cap is %d, and %d are said to be above it", i, s.Stake, c, above)
		}
		sum.Add(sum, new(big.Int).SetUint64(min(s.Stake, c)))
	}
	if overCap(c, sum, bps) {
		t.Fatalf("cap %d is above %d basis points of %s", c, bps, sum)
	}
	naive := naiveCap(stakes, bps)
	if d := naive.Sub(naive, new(big.Int).SetUint64(c)); d.CmpAbs(big.NewInt(1)) > 0 {
		t.Fatalf("cap %d, the iteration is off by %s; stakes %v, %d basis points", c, d, stakes, bps)
	}
}

// overCap reports whether an account has more than so many basis points of a sum.
func overCap(stake uint64, sum *big.Int, bps uint32) bool {
	has, may := new(big.Int).SetUint64(stake), new(big.Int).Mul(sum, big.NewInt(int64(bps)))
	return has.Mul(has, big.NewInt(MaxCap)).Cmp(may) > 0
}

// TestScale: credit is worth exactly half after a half-life, falls all the time, and keeps
// its worth when the half-life is changed.
func TestScale(t *testing.T) {
	for _, h := range []uint64{1, 2, 1000, 1_500_000} {
		last := new(big.Int)
		for at := int64(5); at < 5+int64(4*h); at += max(int64(h)/7, 1) {
			now, later := rate(firstBase, 5, at, h), rate(firstBase, 5, at+int64(h), h)
			if later.Cmp(new(big.Int).Lsh(now, 1)) != 0 {
				t.Fatalf("half-life %d: %s at %d, %s one later", h, now, at, later)
			}
			if now.Cmp(last) <= 0 {
				t.Fatalf("half-life %d: credit does not fall at %d", h, at)
			}
			last = now
		}
	}
	p := DefaultParams()
	p.HalfLifeBlocks = 1000
	b := newBench(t, p)
	b.credit(t, 1, 1e12)
	b.ctx = b.ctx.WithBlockHeight(1234)
	worth := func() uint64 {
		r, err := queryServer{b.Keeper}.Power(b.ctx, &tallyv1.QueryPowerRequest{Address: account(1).String()})
		if err != nil {
			t.Fatal(err)
		}
		return r.Work
	}
	before := worth()
	p.HalfLifeBlocks = 77
	if _, err := (msgServer{b.Keeper}).UpdateParams(b.ctx, &tallyv1.MsgUpdateParams{Authority: "governance", Params: p}); err != nil {
		t.Fatal(err)
	}
	if after := worth(); after > before || before-after > 1 {
		t.Fatalf("the change of half-life made %d of %d", after, before)
	}
	before = worth()
	b.ctx = b.ctx.WithBlockHeight(1234 + 77)
	if after := worth(); after != before/2 {
		t.Fatalf("%d after a half-life of the new length, it was %d", after, before)
	}
}

// recount is what a proposal's outcome must be, from all ballots one by one.
func recount(stakes []uint64, weights [][]uint64, bps uint32) (options [4]*big.Int, counted uint64) {
	c := uint64(1 << 63)
	all := new(big.Int)
	for _, s := range stakes {
		all.Add(all, new(big.Int).SetUint64(s))
	}
	if x, above := limit(all, ranked(stakes), bps); above > 0 {
		c = x
	}
	for i := range options {
		options[i] = new(big.Int)
	}
	for i, s := range stakes {
		s = min(s, c)
		counted += s
		for o, w := range weights[i] {
			options[o].Add(options[o], new(big.Int).Mul(new(big.Int).SetUint64(s), new(big.Int).SetUint64(w)))
		}
	}
	return options, counted
}

// TestYear replays a year of random work, stake and votes, and compares the running sums
// with a recount after every week.
func TestYear(t *testing.T) {
	const people, day = 80, 17_280
	random := rand.New(rand.NewPCG(2026, 11))
	p := DefaultParams()
	p.MinWork = 1
	b := newBench(t, p)
	type power struct {
		stake   uint64
		weights []uint64
	}
	votes := map[int]power{}
	proposal := uint64(1)
	for d := range 365 {
		b.ctx = b.ctx.WithBlockHeight(int64(1 + d*day))
		for range 20 {
			who := random.IntN(people)
			switch random.IntN(4) {
			case 0:
				b.stake[account(who)] = random.Uint64N(1 << (10 + random.UintN(40)))
			case 1:
				b.credit(t, who, random.Uint64N(1e10))
			default:
				w := yes
				switch random.IntN(5) {
				case 0:
					w = no
				case 1:
					w = veto
				case 2:
					part := random.Uint64N(certain)
					w = []uint64{part, 0, certain - part, 0}
				}
				b.vote(t, proposal, who, w...)
				votes[who] = power{b.stake[account(who)], w}
			}
		}
		if d%7 != 6 {
			continue
		}
		if err := b.CheckInvariant(b.ctx); err != nil {
			t.Fatalf("day %d: %v", d, err)
		}
		var stakes []uint64
		var weights [][]uint64
		for who := range people {
			if v, ok := votes[who]; ok {
				stakes, weights = append(stakes, v.stake), append(weights, v.weights)
			}
		}
		want, counted := recount(stakes, weights, p.CapBps)
		got := b.result(t, proposal).outcome
		if got.Stake.Counted != counted {
			t.Fatalf("day %d: counted %d, a recount says %d", d, got.Stake.Counted, counted)
		}
		for o := range want {
			if whole(want[o], one) != got.Stake.Options[o] {
				t.Fatalf("day %d: option %d has %d, a recount says %s", d, o, got.Stake.Options[o], want[o])
			}
		}
		if got.Work.Counted > got.Work.Total {
			t.Fatalf("day %d: more work voted than there is: %v", d, got.Work)
		}
		if d%28 == 27 { // the next proposal
			proposal++
			clear(votes)
		}
	}
}

func ranked(stakes []uint64) (out []tallyv1.Capped) {
	for _, s := range stakes {
		out = append(out, tallyv1.Capped{Stake: s})
	}
	for i := range out {
		for j := i; j > 0 && out[j].Stake > out[j-1].Stake; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

// TestSplitting measures what a whale gains by spreading over 1,000 accounts: nothing in
// the house of work, much in the house of stake. docs/governance.md states the figures.
func TestSplitting(t *testing.T) {
	const all, fee = uint64(1e15), uint64(1e9)
	share := func(parts int) (stake, work uint64) {
		p := DefaultParams()
		p.MinWork = 1
		b := newBench(t, p)
		for i := range 100 { // forty per cent of each house, evenly
			b.stake[account(i)] = all * 40 / 100 / 100
			b.credit(t, i, fee*40/100/100)
			b.vote(t, 1, i, no...)
		}
		for i := range parts { // the whale
			b.stake[account(1000+i)] = all * 60 / 100 / uint64(parts)
			b.credit(t, 1000+i, fee*60/100/uint64(parts))
			b.vote(t, 1, 1000+i, yes...)
		}
		o := b.result(t, 1).outcome
		nearest := func(part, of uint64) uint64 { return (part*10_000 + of/2) / of }
		return nearest(o.Stake.Options[0], o.Stake.Counted), nearest(o.Work.Options[0], o.Work.Counted)
	}
	stake, work := share(1)
	splitStake, splitWork := share(1000)
	t.Logf("a whale with 60%% of both houses: house of stake %d.%02d %% whole, %d.%02d %% as 1,000 accounts; house of work %d.%02d %% and %d.%02d %%",
		stake/100, stake%100, splitStake/100, splitStake%100, work/100, work%100, splitWork/100, splitWork%100)
	if stake != 500 || splitStake != 6000 {
		t.Errorf("house of stake: %d and %d basis points; docs/governance.md says 500 and 6000", stake, splitStake)
	}
	if splitWork > work+99 {
		t.Errorf("house of work: %d basis points, %d split: splitting must gain less than 1 %%", work, splitWork)
	}
}

// TestPayingOneself: miners that pay themselves lose the protocol fee, gain credit that is
// worth less than it from the next block on, and get no more than emission gives back.
func TestPayingOneself(t *testing.T) {
	const day = 17_280
	const fee = uint64(1000 * essaim.AIM) // a day: the 1 % of 100,000 AIM of work
	b := newBench(t, DefaultParams())
	var paid uint64
	for d := range 365 {
		b.ctx = b.ctx.WithBlockHeight(int64(1 + d*day))
		for sybil := range 10 {
			b.credit(t, sybil, fee/10)
		}
		paid += fee
	}
	b.ctx = b.ctx.WithBlockHeight(365 * day)
	var worth uint64
	for sybil := range 10 {
		r, err := queryServer{b.Keeper}.Power(b.ctx, &tallyv1.QueryPowerRequest{Address: account(sybil).String()})
		if err != nil {
			t.Fatal(err)
		}
		worth += r.Work
	}
	lost := paid - paid*80/100 // emission gives back at most 80 %
	t.Logf("a year of paying oneself: %s of fees, at least %s lost after emission, credit worth %s (%d %% of the fees)",
		essaim.Amount(paid), essaim.Amount(lost), essaim.Amount(worth), worth*100/paid)
	if worth >= paid {
		t.Error("credit is worth more than the fees it cost")
	}
	if got := fmt.Sprint(worth * 100 / paid); got != "32" {
		t.Errorf("credit is worth %s %% of the fees; docs/governance.md says 32 %%", got)
	}
}

// TestParams refuses what would make counts dear or meaningless.
func TestParams(t *testing.T) {
	b := newBench(t, DefaultParams())
	for _, change := range []func(*tallyv1.Params){
		func(p *tallyv1.Params) { p.CapBps = MinCap - 1 },
		func(p *tallyv1.Params) { p.CapBps = MaxCap + 1 },
		func(p *tallyv1.Params) { p.HalfLifeBlocks = 0 },
		func(p *tallyv1.Params) { p.HalfLifeBlocks = MaxHalfLife + 1 },
		func(p *tallyv1.Params) { p.MinBlockMs = 0 },
		func(p *tallyv1.Params) { p.MinBlockMs = MaxBlockMS + 1 },
	} {
		p := DefaultParams()
		change(&p)
		if _, err := (msgServer{b.Keeper}).UpdateParams(b.ctx, &tallyv1.MsgUpdateParams{Authority: "governance", Params: p}); !ErrParams.Is(err) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if _, err := (msgServer{b.Keeper}).UpdateParams(b.ctx, &tallyv1.MsgUpdateParams{Authority: "somebody", Params: DefaultParams()}); !ErrAuthority.Is(err) {
		t.Error(err)
	}
}

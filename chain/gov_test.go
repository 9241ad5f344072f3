package chain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// A republic has a whale with 60 % of the stake and 40 citizens with 1 % each; the whale
// may hold its stake in one account or in 30.
const (
	citizens   = 40
	whale      = citizens
	whaleParts = 30
	citizenHas = 10_000 * essaim.AIM
)

var (
	authority = essaim.Address(authtypes.NewModuleAddress(govtypes.ModuleName)).String()
	operator  = essaim.Address{0: 0xfe}
)

func republic(t testing.TB, parts int) *world {
	t.Helper()
	g := genesis()
	g.Registry.UnbondingBlocks = 300_000
	g.Accounts = nil
	for i := range citizens + parts {
		g.Accounts = append(g.Accounts, chain.Account{Address: account(i), Balance: rich})
	}
	w := newWorldOf(t, g)
	for i := range citizens {
		w.delegate(t, i, citizenHas)
	}
	for i := range parts {
		w.delegate(t, whale+i, 60*citizenHas/essaim.Amount(parts))
	}
	return w
}

func (w *world) delegate(t testing.TB, who int, amount essaim.Amount) {
	t.Helper()
	coin := sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(amount)))
	w.must(t, stakingtypes.NewMsgDelegate(account(who).String(), sdk.ValAddress(operator[:]).String(), coin))
}

// work gives each citizen 1/40 of the work that seats the house of work twice over.
func (w *world) work(t testing.TB) {
	t.Helper()
	for i := range citizens {
		if err := w.app.Tally.Credit(w.ctx, account(i), 2*tally.DefaultParams().MinWork/citizens); err != nil {
			t.Fatal(err)
		}
	}
}

// propose opens a proposal for votes.
func (w *world) propose(t testing.TB, expedited bool, msgs ...sdk.Msg) uint64 {
	t.Helper()
	deposit := sdk.NewCoins(sdk.NewCoin(essaim.Denom, govv1.DefaultMinExpeditedDepositTokens))
	m, err := govv1.NewMsgSubmitProposal(msgs, deposit, account(0).String(), "metadata", "title", "summary", expedited)
	if err != nil {
		t.Fatal(err)
	}
	r := w.must(t, m)
	var out govv1.MsgSubmitProposalResponse
	if err := w.app.Codec.Unmarshal(r.MsgResponses[0].Value, &out); err != nil {
		t.Fatal(err)
	}
	return out.ProposalId
}

func (w *world) vote(t testing.TB, id uint64, option govv1.VoteOption, who ...int) {
	t.Helper()
	for _, i := range who {
		w.must(t, govv1.NewMsgVote(addr(i), id, option, ""))
	}
}

// decide lets the voting period pass and returns the proposal.
func (w *world) decide(t testing.TB, id uint64) govv1.Proposal {
	t.Helper()
	p, err := w.app.Gov.Proposals.Get(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	w.ctx = w.ctx.WithBlockTime(p.VotingEndTime.Add(time.Second)).WithBlockHeight(w.ctx.BlockHeight() + 1)
	if err := gov.EndBlocker(w.ctx, w.app.Gov); err != nil {
		t.Fatal(err)
	}
	if p, err = w.app.Gov.Proposals.Get(w.ctx, id); err != nil {
		t.Fatal(err)
	}
	return p
}

// decided runs a proposal on which everybody agrees.
func (w *world) decided(t testing.TB, msgs ...sdk.Msg) govv1.Proposal {
	t.Helper()
	id := w.propose(t, false, msgs...)
	w.vote(t, id, govv1.OptionYes, upTo(citizens)...)
	return w.decide(t, id)
}

// addr is account in the SDK's terms.
func addr(i int) sdk.AccAddress {
	a := account(i)
	return a[:]
}

func upTo(n int) []int { return span(0, n) }

func span(from, to int) (out []int) {
	for i := from; i < to; i++ {
		out = append(out, i)
	}
	return out
}

// TestWhale: 60 % of the stake alone neither passes nor blocks, in one account or in many.
func TestWhale(t *testing.T) {
	for _, parts := range []int{1, whaleParts} {
		w := republic(t, parts)
		w.work(t)
		id := w.propose(t, false)
		w.vote(t, id, govv1.OptionYes, span(whale, whale+parts)...)
		if p := w.decide(t, id); p.Status != govv1.StatusRejected {
			t.Errorf("in %d accounts, the whale passed a proposal alone: %v", parts, p.FinalTallyResult)
		}
		for _, against := range []govv1.VoteOption{govv1.OptionNo, govv1.OptionNoWithVeto} {
			id = w.propose(t, false)
			w.vote(t, id, govv1.OptionYes, upTo(citizens)...)
			w.vote(t, id, against, span(whale, whale+parts)...)
			p := w.decide(t, id)
			t.Logf("whale in %d accounts, %s: %v", parts, against, p.FinalTallyResult)
			if p.Status != govv1.StatusPassed {
				t.Errorf("in %d accounts, the whale blocked by %s: %v", parts, against, p.FinalTallyResult)
			}
		}
	}
}

// TestYoungChain: without work the house of stake counts alone, with the cap.
func TestYoungChain(t *testing.T) {
	w := republic(t, 1)
	id := w.propose(t, false)
	w.vote(t, id, govv1.OptionYes, whale)
	if p := w.decide(t, id); p.Status != govv1.StatusRejected {
		t.Error("the whale passed a proposal alone")
	}
	id = w.propose(t, false)
	w.vote(t, id, govv1.OptionYes, upTo(citizens)...)
	w.vote(t, id, govv1.OptionNoWithVeto, whale)
	if p := w.decide(t, id); p.Status != govv1.StatusPassed {
		t.Error("the whale blocked alone:", p.FinalTallyResult)
	}
}

// TestThresholds: x/gov's quorum, threshold and veto apply to the mean of both houses.
func TestThresholds(t *testing.T) {
	for _, tt := range []struct {
		name         string
		yes, no      int // citizens, of 40: 1 % of the stake and 2.5 % of the work each
		abstain, bad int
		want         govv1.ProposalStatus
	}{
		{"quorum missed", 19, 0, 0, 0, govv1.StatusRejected}, // (19 % + 47.5 %) / 2 = 33.25 %
		{"quorum met", 20, 0, 0, 0, govv1.StatusPassed},      // 35 %
		{"half", 20, 20, 0, 0, govv1.StatusRejected},
		{"more than half", 21, 19, 0, 0, govv1.StatusPassed},
		{"abstention counts for the quorum only", 2, 1, 37, 0, govv1.StatusPassed},
		{"all abstain", 0, 0, 40, 0, govv1.StatusRejected},
		{"a third veto", 27, 0, 0, 13, govv1.StatusPassed},
		{"more than a third veto", 26, 0, 0, 14, govv1.StatusRejected},
	} {
		w := republic(t, 1)
		w.work(t)
		id := w.propose(t, false)
		at := 0
		for _, v := range []struct {
			n      int
			option govv1.VoteOption
		}{{tt.yes, govv1.OptionYes}, {tt.no, govv1.OptionNo}, {tt.abstain, govv1.OptionAbstain}, {tt.bad, govv1.OptionNoWithVeto}} {
			w.vote(t, id, v.option, span(at, at+v.n)...)
			at += v.n
		}
		before := w.coins()
		if p := w.decide(t, id); p.Status != tt.want {
			t.Errorf("%s: %s, %v", tt.name, p.Status, p.FinalTallyResult)
		}
		if burnt := before - w.coins(); (burnt > 0) != (tt.bad > 13) {
			t.Errorf("%s: %s burnt", tt.name, burnt)
		}
	}
}

func (w *world) coins() essaim.Amount {
	return essaim.Amount(w.app.Bank.GetSupply(w.ctx, essaim.Denom).Amount.Uint64())
}

// TestExpedited: a proposal that fails its higher threshold goes on as an ordinary one,
// with the votes it has.
func TestExpedited(t *testing.T) {
	w := republic(t, 1)
	w.work(t)
	id := w.propose(t, true)
	w.vote(t, id, govv1.OptionYes, upTo(24)...)
	w.vote(t, id, govv1.OptionNo, span(24, 40)...)
	if p := w.decide(t, id); p.Status != govv1.StatusVotingPeriod || p.Expedited {
		t.Fatalf("60 %% is not two thirds: %s", p.Status)
	}
	if p := w.decide(t, id); p.Status != govv1.StatusPassed {
		t.Errorf("60 %% is enough for an ordinary proposal: %s %v", p.Status, p.FinalTallyResult)
	}
	id = w.propose(t, true)
	w.vote(t, id, govv1.OptionYes, upTo(28)...)
	w.vote(t, id, govv1.OptionNo, span(28, 40)...)
	if p := w.decide(t, id); p.Status != govv1.StatusPassed || !p.Expedited {
		t.Errorf("70 %% is more than two thirds: %s", p.Status)
	}
}

// TestVotes: a vote cast again replaces the former, weights are exact, and stake that
// leaves after its vote stays locked until the vote is over.
func TestVotes(t *testing.T) {
	w := republic(t, 1)
	id := w.propose(t, false)
	w.vote(t, id, govv1.OptionNo, upTo(citizens)...)
	w.vote(t, id, govv1.OptionYes, upTo(citizens-1)...)
	w.must(t, govv1.NewMsgVoteWeighted(addr(39), id, govv1.WeightedVoteOptions{
		{Option: govv1.OptionYes, Weight: "0.25"}, {Option: govv1.OptionAbstain, Weight: "0.75"},
	}, ""))
	coin := sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(citizenHas)))
	w.must(t, stakingtypes.NewMsgUndelegate(account(3).String(), sdk.ValAddress(operator[:]).String(), coin))
	has := w.balance(account(3))
	o := w.outcome(t, id)
	want := []uint64{uint64(39*citizenHas + citizenHas/4), uint64(citizenHas * 3 / 4), 0, 0}
	if !slices.Equal(o.Stake.Options, want) {
		t.Errorf("options have %v, want %v", o.Stake.Options, want)
	}
	w.decide(t, id)
	if _, err := w.app.Staking.CompleteUnbonding(w.ctx, addr(3), operator[:]); err != nil {
		t.Fatal(err)
	}
	if w.balance(account(3)) != has {
		t.Error("stake that voted was free before the vote ended")
	}
	if _, err := w.do(govv1.NewMsgVote(addr(0), id, govv1.OptionNo, "")); err == nil {
		t.Error("a decided proposal took a vote")
	}
}

// query asks the application as a client does.
func (w *world) query(t testing.TB, path string, req, resp proto.Message) {
	t.Helper()
	bz, err := w.app.Codec.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.app.GRPCQueryRouter().Route(path)(w.ctx, &abci.RequestQuery{Path: path, Data: bz})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.app.Codec.Unmarshal(r.Value, resp); err != nil {
		t.Fatal(err)
	}
}

func (w *world) outcome(t testing.TB, id uint64) tallyv1.Outcome {
	t.Helper()
	var r tallyv1.QueryOutcomeResponse
	w.query(t, "/essaim.tally.v1.Query/Outcome", &tallyv1.QueryOutcomeRequest{Proposal: id}, &r)
	return r.Outcome
}

// TestSweep: the ballots of a decided proposal go, x/gov's too, so many a block; its
// outcome stays.
func TestSweep(t *testing.T) {
	w := republic(t, 1)
	first := w.propose(t, false)
	w.vote(t, first, govv1.OptionYes, upTo(citizens)...)
	w.decide(t, first)
	again := w.propose(t, false)
	w.vote(t, again, govv1.OptionYes, upTo(citizens)...)
	m := tally.NewModule(w.app.Tally, w.app.Gov)
	for range 4 {
		if err := m.EndBlock(w.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.app.Tally.CheckInvariant(w.ctx); err != nil {
		t.Fatal(err)
	}
	left := map[uint64]int{}
	if err := w.app.Gov.Votes.Walk(w.ctx, nil, func(k collections.Pair[uint64, sdk.AccAddress], _ govv1.Vote) (bool, error) {
		left[k.K1()]++
		return false, nil
	}); err != nil {
		t.Fatal(err)
	}
	if left[first] != 0 || left[again] != citizens {
		t.Errorf("votes left: %v", left)
	}
	if o := w.outcome(t, first); o.Stake.Counted != uint64(citizens*citizenHas) {
		t.Errorf("the outcome is gone: %v", o)
	}
}

// TestGovernedParams: every module's parameters change by proposal, and within bounds.
func TestGovernedParams(t *testing.T) {
	w := republic(t, 1)
	marketParams, registryParams, tallyParams := market.DefaultParams(), registry.DefaultParams(), tally.DefaultParams()
	marketParams.ProtocolFeeBps, registryParams.MinBondMiner, tallyParams.CapBps = 200, 7, 400
	good := []sdk.Msg{
		&marketv1.MsgUpdateParams{Authority: authority, Params: marketParams},
		&registryv1.MsgUpdateParams{Authority: authority, Params: registryParams},
		&tallyv1.MsgUpdateParams{Authority: authority, Params: tallyParams},
	}
	if p := w.decided(t, good...); p.Status != govv1.StatusPassed {
		t.Fatalf("%s: %s", p.Status, p.FailedReason)
	}
	if p, err := w.app.Tally.Params(w.ctx); err != nil || p.CapBps != 400 {
		t.Error("the change did not arrive:", p, err)
	}
	marketParams.ProtocolFeeBps = 201
	registryParams.UnbondingBlocks = 0
	tallyParams.CapBps = 99
	for _, bad := range []sdk.Msg{
		&marketv1.MsgUpdateParams{Authority: authority, Params: marketParams},
		&registryv1.MsgUpdateParams{Authority: authority, Params: registryParams},
		&tallyv1.MsgUpdateParams{Authority: authority, Params: tallyParams},
	} {
		if p := w.decided(t, bad); p.Status != govv1.StatusFailed {
			t.Errorf("%s: %s", sdk.MsgTypeURL(bad), p.Status)
		}
	}
	for _, m := range good { // only governance
		if _, err := w.do(strip(m)); err == nil {
			t.Errorf("%s by somebody else", sdk.MsgTypeURL(m))
		}
	}
}

func strip(m sdk.Msg) sdk.Msg {
	switch m := m.(type) {
	case *marketv1.MsgUpdateParams:
		m.Authority = account(1).String()
	case *registryv1.MsgUpdateParams:
		m.Authority = account(1).String()
	case *tallyv1.MsgUpdateParams:
		m.Authority = account(1).String()
	}
	return m
}

// TestPeriods: no change of parameters lets stake leave before a vote ends.
func TestPeriods(t *testing.T) {
	w := republic(t, 1)
	voting, err := w.app.Gov.Params.Get(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	staking, err := w.app.Staking.GetParams(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	long, short := 22*24*time.Hour, time.Hour
	govParams := func(d time.Duration) sdk.Msg {
		p := voting
		p.VotingPeriod = &d
		return &govv1.MsgUpdateParams{Authority: authority, Params: p}
	}
	stakingParams := func(d time.Duration) sdk.Msg {
		p := staking
		p.UnbondingTime = d
		return &stakingtypes.MsgUpdateParams{Authority: authority, Params: p}
	}
	pools := registry.DefaultParams()
	pools.UnbondingBlocks = 1000
	fast := tally.DefaultParams()
	fast.MinBlockMs = 1
	for _, bad := range []sdk.Msg{
		govParams(long), stakingParams(short),
		&registryv1.MsgUpdateParams{Authority: authority, Params: pools},
		&tallyv1.MsgUpdateParams{Authority: authority, Params: fast},
	} {
		if p := w.decided(t, bad); p.Status != govv1.StatusFailed || !strings.Contains(p.FailedReason, "vote twice") {
			t.Errorf("%s: %s %s", sdk.MsgTypeURL(bad), p.Status, p.FailedReason)
		}
	}
	pools.UnbondingBlocks = 3_000_000
	if p := w.decided(t, stakingParams(2*long), &registryv1.MsgUpdateParams{Authority: authority, Params: pools}, govParams(long)); p.Status != govv1.StatusPassed {
		t.Errorf("longer in the right order: %s %s", p.Status, p.FailedReason)
	}
}

// TestProposals: texts, and spending what the community pool holds.
func TestProposals(t *testing.T) {
	w := republic(t, 1)
	if p := w.decided(t); p.Status != govv1.StatusPassed {
		t.Errorf("text: %s", p.Status)
	}
	coins := sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewInt(5_000_000)))
	w.must(t, distrtypes.NewMsgFundCommunityPool(coins, account(1).String()))
	spend := &distrtypes.MsgCommunityPoolSpend{Authority: authority, Recipient: essaim.Address{1: 1}.String(), Amount: coins}
	if p := w.decided(t, spend); p.Status != govv1.StatusPassed || w.balance(essaim.Address{1: 1}) != 5*essaim.AIM {
		t.Errorf("spend: %s %s", p.Status, p.FailedReason)
	}
	plan := upgradetypes.Plan{Name: "next", Height: 1_000_000}
	if p := w.decided(t, &upgradetypes.MsgSoftwareUpgrade{Authority: authority, Plan: plan}); p.Status != govv1.StatusPassed {
		t.Errorf("upgrade: %s %s", p.Status, p.FailedReason)
	}
	var r upgradetypes.QueryCurrentPlanResponse
	if w.query(t, "/cosmos.upgrade.v1beta1.Query/CurrentPlan", &upgradetypes.QueryCurrentPlanRequest{}, &r); r.Plan == nil || r.Plan.Name != "next" {
		t.Errorf("no plan: %v", r.Plan)
	}
	if p := w.decided(t, spend); p.Status != govv1.StatusFailed {
		t.Errorf("spend what is not there: %s", p.Status)
	}
}

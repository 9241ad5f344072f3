package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cosmossdk.io/math"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Draft is what every proposal says.
type Draft struct {
	Title     string        `json:"title"`
	Summary   string        `json:"summary"`
	Deposit   essaim.Amount `json:"deposit"` // leaves the proposer's account; less than the minimum waits for others' deposits
	Expedited bool          `json:"expedited"`
}

// Options of a vote, in the order of every list of four in this file.
var voteOptions = []string{"yes", "abstain", "no", "veto"}

// Choice is one option of a vote with its weight; the weights of a vote add up to 10000.
type Choice struct {
	Option string     `json:"option"` // yes, abstain, no or veto
	Weight essaim.Bps `json:"weight_bps"`
}

// Proposal is what governance was asked, and how far it is.
type Proposal struct {
	ID        uint64          `json:"id"`
	Title     string          `json:"title"`
	Summary   string          `json:"summary"`
	Proposer  string          `json:"proposer"`
	Status    string          `json:"status"` // deposit, voting, passed, rejected or failed
	Failure   string          `json:"failure,omitempty"`
	Expedited bool            `json:"expedited"`
	Messages  json.RawMessage `json:"messages"` // what is done if it passes; null for a text
	Deposit   essaim.Amount   `json:"deposit"`
	Until     time.Time       `json:"until"` // the end of the deposit or voting period
	Outcome   *Outcome        `json:"outcome,omitempty"`
}

// Outcome is a proposal's count: as of now while it is voted on, else as of its end.
type Outcome struct {
	Height  int64                    `json:"height"`
	Stake   House                    `json:"stake"`
	Work    House                    `json:"work"`
	Turnout uint64                   `json:"turnout"` // parts of 10^12
	Shares  map[string]uint64        `json:"shares"`  // by option, parts of 10^12
	Cap     essaim.Amount            `json:"cap"`     // the most that one account's stake counts; 0: nobody is capped
	Capped  map[string]essaim.Amount `json:"capped"`  // by account: the stake that counts as the cap
}

// House is one house's part of an outcome, in uaim of stake or of credit.
type House struct {
	Seated  bool                     `json:"seated"`
	Total   essaim.Amount            `json:"total"`
	Voted   essaim.Amount            `json:"voted"`
	Counted essaim.Amount            `json:"counted"`
	Options map[string]essaim.Amount `json:"options"`
}

// Power is what an account's vote weighs now.
type Power struct {
	Stake      essaim.Amount `json:"stake"`
	TotalStake essaim.Amount `json:"total_stake"`
	Work       essaim.Amount `json:"work"` // credit
	TotalWork  essaim.Amount `json:"total_work"`
}

// governance is the account that passed proposals act as.
var governance = essaim.Address(authtypes.NewModuleAddress(govtypes.ModuleName))

// LeastDeposit is what a proposal needs to be voted on.
func (c *Client) LeastDeposit(ctx context.Context, expedited bool) (essaim.Amount, error) {
	bz, err := c.Params(ctx, "gov")
	if err != nil {
		return 0, err
	}
	type list []struct{ Denom, Amount string }
	var p struct {
		Least     list `json:"min_deposit"`
		Expedited list `json:"expedited_min_deposit"`
	}
	if err := json.Unmarshal(bz, &p); err != nil {
		return 0, err
	}
	least := p.Least
	if expedited {
		least = p.Expedited
	}
	for _, coin := range least {
		if coin.Denom == essaim.Denom {
			n, err := strconv.ParseUint(coin.Amount, 10, 64)
			return essaim.Amount(n), err
		}
	}
	return 0, nil
}

// ProposeText asks a question whose answer changes nothing by itself. It returns the
// proposal's number, like every Propose method.
func (c *Client) ProposeText(ctx context.Context, by Signer, d Draft) (uint64, essaim.Tx, error) {
	return c.propose(ctx, by, d)
}

// ProposeSpend asks to pay from the community pool.
func (c *Client) ProposeSpend(ctx context.Context, by Signer, d Draft, to essaim.Address, amount essaim.Amount) (uint64, essaim.Tx, error) {
	return c.propose(ctx, by, d, &distrtypes.MsgCommunityPoolSpend{Authority: governance.String(), Recipient: to.String(), Amount: coinsOf(amount)})
}

// ProposeUpgrade asks every node to stop before a height and to go on with a program that
// knows the upgrade's name. info says where to get it.
func (c *Client) ProposeUpgrade(ctx context.Context, by Signer, d Draft, name string, height int64, info string) (uint64, essaim.Tx, error) {
	plan := upgradetypes.Plan{Name: name, Height: height, Info: info}
	return c.propose(ctx, by, d, &upgradetypes.MsgSoftwareUpgrade{Authority: governance.String(), Plan: plan})
}

// ProposeParams asks to change parameters of a module: change is a JSON object with those
// that change, spelled as Params shows them; the others stay as they are today.
//
// Errors: CodeBadInput for a module that Params does not know, or a parameter that it does
// not have.
func (c *Client) ProposeParams(ctx context.Context, by Signer, d Draft, module string, change json.RawMessage) (uint64, essaim.Tx, error) {
	now, err := c.Params(ctx, module)
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	var params, wanted map[string]json.RawMessage
	if err := json.Unmarshal(now, &params); err != nil {
		return 0, essaim.Tx{}, err
	}
	if err := json.Unmarshal(change, &wanted); err != nil || len(wanted) == 0 {
		return 0, essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, `write it like {"cap_bps": 400}`, "parameters of %s: want a JSON object", module)
	}
	for name, value := range wanted {
		if _, known := params[name]; !known {
			return 0, essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "look at the parameters it has", "module %s has no parameter %q", module, name)
		}
		params[name] = value
	}
	msg, err := c.updateParams(module, params)
	if err != nil {
		return 0, essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "spell values as the ledger shows them", "parameters of %s: %w", module, err)
	}
	return c.propose(ctx, by, d, msg)
}

// updateParams is the message that sets a module's parameters; it has the same shape in
// every module of governed.
func (c *Client) updateParams(module string, params map[string]json.RawMessage) (sdk.Msg, error) {
	bz, err := json.Marshal(map[string]any{
		"@type": "/" + governed[module].name + ".MsgUpdateParams", "authority": governance.String(), "params": params,
	})
	if err != nil {
		return nil, err
	}
	var msg sdk.Msg
	return msg, c.enc.Codec.UnmarshalInterfaceJSON(bz, &msg)
}

// governed are the modules whose parameters proposals change.
var governed = map[string]struct {
	name     string // of the protobuf package
	request  func() proto.Message
	response func() proto.Message
}{
	"market":       {"essaim.market.v1", func() proto.Message { return &marketv1.QueryParamsRequest{} }, func() proto.Message { return &marketv1.QueryParamsResponse{} }},
	"registry":     {"essaim.registry.v1", func() proto.Message { return &registryv1.QueryParamsRequest{} }, func() proto.Message { return &registryv1.QueryParamsResponse{} }},
	"tally":        {"essaim.tally.v1", func() proto.Message { return &tallyv1.QueryParamsRequest{} }, func() proto.Message { return &tallyv1.QueryParamsResponse{} }},
	"gov":          {"cosmos.gov.v1", func() proto.Message { return &govv1.QueryParamsRequest{ParamsType: govv1.ParamVoting} }, func() proto.Message { return &govv1.QueryParamsResponse{} }},
	"staking":      {"cosmos.staking.v1beta1", func() proto.Message { return &stakingtypes.QueryParamsRequest{} }, func() proto.Message { return &stakingtypes.QueryParamsResponse{} }},
	"slashing":     {"cosmos.slashing.v1beta1", func() proto.Message { return &slashingtypes.QueryParamsRequest{} }, func() proto.Message { return &slashingtypes.QueryParamsResponse{} }},
	"distribution": {"cosmos.distribution.v1beta1", func() proto.Message { return &distrtypes.QueryParamsRequest{} }, func() proto.Message { return &distrtypes.QueryParamsResponse{} }},
}

// Governed lists the modules that Params and ProposeParams know.
func Governed() []string {
	var out []string
	for name := range governed {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Params are a module's parameters, as a JSON object.
//
// Errors: CodeBadInput for a module that is not among Governed.
func (c *Client) Params(ctx context.Context, module string) (json.RawMessage, error) {
	m, ok := governed[module]
	if !ok {
		return nil, essaim.Errorf(essaim.CodeBadInput, "one of "+strings.Join(Governed(), ", "), "no module %q", module)
	}
	r := m.response()
	if err := c.call(ctx, "/"+m.name+".Query/Params", m.request(), r); err != nil {
		return nil, err
	}
	bz, err := c.enc.Codec.MarshalJSON(r)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Params json.RawMessage `json:"params"`
	}
	return answer.Params, json.Unmarshal(bz, &answer)
}

func (c *Client) propose(ctx context.Context, by Signer, d Draft, msgs ...sdk.Msg) (uint64, essaim.Tx, error) {
	if d.Title == "" || d.Summary == "" {
		return 0, essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "say what it is about", "a proposal needs a title and a summary")
	}
	m, err := govv1.NewMsgSubmitProposal(msgs, coinsOf(d.Deposit), by.Address().String(), "essaim", d.Title, d.Summary, d.Expedited)
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	r, err := c.send(ctx, by, m)
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	var out govv1.MsgSubmitProposalResponse
	if err := answer(r.TxResult.Data, &out); err != nil {
		return 0, essaim.Tx{}, fmt.Errorf("SubmitProposal: answer: %w", err)
	}
	t, err := txOf(r)
	return out.ProposalId, t, err
}

func coinsOf(a essaim.Amount) sdk.Coins {
	return sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(a))))
}

// Deposit adds to a proposal's deposit, which comes back unless the proposal is vetoed.
func (c *Client) Deposit(ctx context.Context, by Signer, proposal uint64, amount essaim.Amount) (essaim.Tx, error) {
	return c.do(ctx, by, &govv1.MsgDeposit{ProposalId: proposal, Depositor: by.Address().String(), Amount: coinsOf(amount)})
}

// Vote casts a vote with the signer's stake and credit as of now; it replaces the one
// that the signer cast before.
//
// Errors: CodeBadInput for an option that is not there, or weights that do not add up.
func (c *Client) Vote(ctx context.Context, by Signer, proposal uint64, choices ...Choice) (essaim.Tx, error) {
	var options govv1.WeightedVoteOptions
	var sum essaim.Bps
	for _, choice := range choices {
		i := slices.Index(voteOptions, choice.Option)
		if i < 0 || choice.Weight == 0 {
			return essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "one of "+strings.Join(voteOptions, ", ")+", with a weight", "no option %q of weight %d", choice.Option, choice.Weight)
		}
		sum += choice.Weight
		options = append(options, govv1.NewWeightedVoteOption(govv1.VoteOption(i+1), math.LegacyNewDecWithPrec(int64(choice.Weight), 4)))
	}
	if sum != 10_000 {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeBadInput, "a whole vote for one option is 10000", "the weights add up to %d basis points", sum)
	}
	return c.do(ctx, by, &govv1.MsgVoteWeighted{ProposalId: proposal, Voter: by.Address().String(), Options: options})
}

// VotingPower asks what an account's vote would weigh now.
func (c *Client) VotingPower(ctx context.Context, a essaim.Address) (Power, error) {
	var r tallyv1.QueryPowerResponse
	err := c.call(ctx, "/essaim.tally.v1.Query/Power", &tallyv1.QueryPowerRequest{Address: a.String()}, &r)
	return Power{essaim.Amount(r.Stake), essaim.Amount(r.TotalStake), essaim.Amount(r.Work), essaim.Amount(r.TotalWork)}, err
}

// Proposal returns a proposal with both houses' counts.
//
// Errors: CodeNotFound.
func (c *Client) Proposal(ctx context.Context, id uint64) (Proposal, error) {
	var r govv1.QueryProposalResponse
	if err := c.call(ctx, "/cosmos.gov.v1.Query/Proposal", &govv1.QueryProposalRequest{ProposalId: id}, &r); err != nil {
		return Proposal{}, err
	}
	return c.proposal(ctx, r.Proposal)
}

// Proposals lists all proposals that got their deposit or still may, oldest first, with
// both houses' counts.
func (c *Client) Proposals(ctx context.Context) ([]Proposal, error) {
	word := func(p *govv1.Proposal) (Proposal, error) { return c.proposal(ctx, p) }
	return pages(word, func(p *query.PageRequest) ([]*govv1.Proposal, *query.PageResponse, error) {
		var r govv1.QueryProposalsResponse
		err := c.call(ctx, "/cosmos.gov.v1.Query/Proposals", &govv1.QueryProposalsRequest{Pagination: p}, &r)
		return r.Proposals, r.Pagination, err
	})
}

var proposalStates = map[govv1.ProposalStatus]string{
	govv1.StatusDepositPeriod: "deposit", govv1.StatusVotingPeriod: "voting", govv1.StatusPassed: "passed",
	govv1.StatusRejected: "rejected", govv1.StatusFailed: "failed",
}

// proposal turns x/gov's form of a proposal into the network's word for it.
func (c *Client) proposal(ctx context.Context, p *govv1.Proposal) (Proposal, error) {
	out := Proposal{
		ID: p.Id, Title: p.Title, Summary: p.Summary, Proposer: p.Proposer, Status: proposalStates[p.Status],
		Failure: p.FailedReason, Expedited: p.Expedited, Deposit: essaim.Amount(sdk.Coins(p.TotalDeposit).AmountOf(essaim.Denom).Uint64()),
	}
	switch {
	case p.VotingEndTime != nil:
		out.Until = *p.VotingEndTime
	case p.DepositEndTime != nil:
		out.Until = *p.DepositEndTime
	}
	var err error
	if out.Messages, err = c.messages(p.Messages); err != nil {
		return out, err
	}
	var r tallyv1.QueryOutcomeResponse
	switch err := c.call(ctx, "/essaim.tally.v1.Query/Outcome", &tallyv1.QueryOutcomeRequest{Proposal: p.Id}, &r); {
	case essaim.CodeOf(err) == essaim.CodeNotFound && err != nil: // nobody has voted
		return out, nil
	case err != nil:
		return out, err
	}
	out.Outcome = outcome(r.Outcome)
	return out, nil
}

// messages are a proposal's messages as a JSON list, or nothing.
func (c *Client) messages(list []*codectypes.Any) (json.RawMessage, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var parts [][]byte
	for _, m := range list {
		var msg sdk.Msg
		if err := c.enc.Types.UnpackAny(m, &msg); err != nil {
			return nil, err
		}
		bz, err := c.enc.Codec.MarshalInterfaceJSON(msg)
		if err != nil {
			return nil, err
		}
		parts = append(parts, bz)
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]")), nil
}

func outcome(o tallyv1.Outcome) *Outcome {
	out := Outcome{
		Height: o.Height, Stake: houseOf(o.Stake), Work: houseOf(o.Work), Turnout: o.Turnout,
		Shares: map[string]uint64{}, Cap: essaim.Amount(o.Cap), Capped: map[string]essaim.Amount{},
	}
	for i, s := range o.Shares {
		out.Shares[voteOptions[i]] = s
	}
	for _, x := range o.Capped {
		out.Capped[x.Voter] = essaim.Amount(x.Stake)
	}
	return &out
}

func houseOf(h tallyv1.House) House {
	out := House{
		Seated: h.Seated, Total: essaim.Amount(h.Total), Voted: essaim.Amount(h.Voted), Counted: essaim.Amount(h.Counted),
		Options: map[string]essaim.Amount{},
	}
	for i, n := range h.Options {
		out.Options[voteOptions[i]] = essaim.Amount(n)
	}
	return out
}

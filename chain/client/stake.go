package client

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/registry/pool"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Standing is an actor with all that its owner and its stakers want to know. Heights are
// 0 where nothing is set.
type Standing struct {
	essaim.Actor
	RegisteredAt int64         `json:"registered_at"`
	ReleaseAt    int64         `json:"release_at"`   // when a retired actor's bond goes back
	Closed       bool          `json:"closed"`       // it has gone back
	Pool         essaim.Amount `json:"pool"`         // all stake, also what is leaving
	Shares       uint64        `json:"shares"`       // all, also leaving ones
	Earned       essaim.Amount `json:"earned"`       // commission that the owner has not claimed
	Held         uint32        `json:"held"`         // slashes that can still be reversed; while there are any, the pool is frozen
	FrozenUntil  int64         `json:"frozen_until"` // when the last of their windows ends
	Missed       uint32        `json:"missed"`       // duties

	pool pool.Pool
}

// SharesFor is how many shares an amount would make if it joined now.
//
// Errors: CodeConflict if the pool takes no one in.
func (s Standing) SharesFor(amount essaim.Amount) (uint64, error) {
	p, pos := s.pool, pool.Position{}
	if err := p.Join(&pos, uint64(amount)); err != nil {
		return 0, essaim.Errorf(essaim.CodeConflict, "choose another actor, or a smaller amount", "pool of %s: %w", s.NodeKey.Short(), err)
	}
	return pos.Shares, nil
}

func standing(a registryv1.Actor) (Standing, error) {
	w, err := registry.Word(a)
	return Standing{
		Actor: w, RegisteredAt: a.RegisteredAt, ReleaseAt: a.ReleaseAt, Closed: a.Closed,
		Pool: essaim.Amount(a.Pool.Stake), Shares: a.Pool.Shares,
		Earned: essaim.Amount(a.Earned), Held: a.Held, FrozenUntil: a.FrozenUntil, Missed: a.Missed,
		pool: pool.Pool{Stake: a.Pool.Stake, Shares: a.Pool.Shares, Leaving: a.Pool.Leaving},
	}, err
}

// Standing returns who holds a node key.
//
// Errors: CodeNotFound.
func (c *Client) Standing(ctx context.Context, k essaim.NodeKey) (Standing, error) {
	var r registryv1.QueryActorResponse
	if err := c.call(ctx, "/essaim.registry.v1.Query/Actor", &registryv1.QueryActorRequest{NodeKey: k.String()}, &r); err != nil {
		return Standing{}, err
	}
	return standing(r.Actor)
}

// Standings lists a role's actors by falling stake: at most limit, all for 0.
func (c *Client) Standings(ctx context.Context, role essaim.Role, limit int) ([]Standing, error) {
	return some(limit, standing, func(p *query.PageRequest) ([]registryv1.Actor, *query.PageResponse, error) {
		if role == essaim.RoleCoordinator {
			var r registryv1.QueryCoordinatorsResponse
			err := c.call(ctx, "/essaim.registry.v1.Query/Coordinators", &registryv1.QueryCoordinatorsRequest{Pagination: p}, &r)
			return r.Coordinators, r.Pagination, err
		}
		var r registryv1.QueryMinersResponse
		err := c.call(ctx, "/essaim.registry.v1.Query/Miners", &registryv1.QueryMinersRequest{Pagination: p}, &r)
		return r.Miners, r.Pagination, err
	})
}

// Delegation is one account's stake on one actor.
type Delegation struct {
	Actor     essaim.NodeKey `json:"actor"`
	Delegator essaim.Address `json:"delegator"`
	Shares    uint64         `json:"shares"`
	Value     essaim.Amount  `json:"value"`    // of the shares, now
	Reward    essaim.Amount  `json:"reward"`   // claimable now, an owner's commission too
	Compound  bool           `json:"compound"` // a claim joins the pool instead of being paid
	Exits     uint32         `json:"exits"`    // under way
}

func delegation(s registryv1.StakeOf) (Delegation, error) {
	node, err := essaim.ParseNodeKey(s.NodeKey)
	if err != nil {
		return Delegation{}, err
	}
	who, err := essaim.ParseAddress(s.Delegation.Delegator)
	return Delegation{
		Actor: node, Delegator: who, Shares: s.Delegation.Shares, Value: essaim.Amount(s.Value), Reward: essaim.Amount(s.Reward),
		Compound: s.Delegation.Compound, Exits: s.Delegation.Exits,
	}, err
}

// Delegations lists what an account has staked.
func (c *Client) Delegations(ctx context.Context, who essaim.Address) ([]Delegation, error) {
	return pages(delegation, func(p *query.PageRequest) ([]registryv1.StakeOf, *query.PageResponse, error) {
		var r registryv1.QueryDelegationsResponse
		err := c.call(ctx, "/essaim.registry.v1.Query/Delegations", &registryv1.QueryDelegationsRequest{Delegator: who.String(), Pagination: p}, &r)
		return r.Delegations, r.Pagination, err
	})
}

// Delegators lists who stakes on an actor: at most limit, all for 0.
//
// Errors: CodeNotFound.
func (c *Client) Delegators(ctx context.Context, k essaim.NodeKey, limit int) ([]Delegation, error) {
	return some(limit, delegation, func(p *query.PageRequest) ([]registryv1.StakeOf, *query.PageResponse, error) {
		var r registryv1.QueryDelegatorsResponse
		err := c.call(ctx, "/essaim.registry.v1.Query/Delegators", &registryv1.QueryDelegatorsRequest{NodeKey: k.String(), Pagination: p}, &r)
		return r.Delegations, r.Pagination, err
	})
}

// Exit is stake on its way out of a pool.
type Exit struct {
	ID          uint64         `json:"id"`
	Actor       essaim.NodeKey `json:"actor"`
	To          essaim.NodeKey `json:"to,omitzero"`  // the actor it goes to; zero: back to the account
	Value       essaim.Amount  `json:"value"`        // now: a slash may still lower it
	RequestedAt int64          `json:"requested_at"` // height
	DueAt       int64          `json:"due_at"`       // height; later if the pool is frozen then
	Bond        bool           `json:"bond"`         // a retired actor's
}

// Exits lists an account's stake on its way out, oldest first.
func (c *Client) Exits(ctx context.Context, who essaim.Address) ([]Exit, error) {
	word := func(x registryv1.ExitOf) (out Exit, err error) {
		out = Exit{ID: x.Exit.Id, Value: essaim.Amount(x.Value), RequestedAt: x.Exit.RequestedAt, DueAt: x.Exit.DueAt, Bond: x.Exit.Bond}
		if out.Actor, err = essaim.ParseNodeKey(x.NodeKey); err == nil && x.To != "" {
			out.To, err = essaim.ParseNodeKey(x.To)
		}
		return out, err
	}
	return pages(word, func(p *query.PageRequest) ([]registryv1.ExitOf, *query.PageResponse, error) {
		var r registryv1.QueryExitsResponse
		err := c.call(ctx, "/essaim.registry.v1.Query/Exits", &registryv1.QueryExitsRequest{Delegator: who.String(), Pagination: p}, &r)
		return r.Exits, r.Pagination, err
	})
}

// SlashState is where slashed coins are.
type SlashState string

// The states of a slash. Final and Reversed are final.
const (
	SlashHeld     SlashState = "held"     // with the ledger, until the appeal window ends
	SlashFinal    SlashState = "final"    // restitution paid, the rest burned
	SlashReversed SlashState = "reversed" // back in the pool
)

// Slash is stake taken with evidence.
type Slash struct {
	ID              uint64         `json:"id"`
	Actor           essaim.NodeKey `json:"actor"` // its node key then
	Cause           string         `json:"cause"`
	Method          string         `json:"method,omitempty"`
	Evidence        []string       `json:"evidence"` // CIDs
	Heights         []int64        `json:"heights,omitempty"`
	Amount          essaim.Amount  `json:"amount"`
	Part            essaim.Bps     `json:"part"`             // of the stake
	Wronged         essaim.Address `json:"wronged,omitzero"` // zero: nobody
	Restitution     essaim.Amount  `json:"restitution"`      // at most this much of the amount
	At              int64          `json:"at"`
	EndsAt          int64          `json:"ends_at"` // when the appeal window ends
	JailedUntil     int64          `json:"jailed_until"`
	State           SlashState     `json:"state"`
	Appealed        bool           `json:"appealed"`
	CounterEvidence []string       `json:"counter_evidence,omitempty"`
}

func slash(s registryv1.Slash) (out Slash, err error) {
	out = Slash{
		ID: s.Id, Cause: s.Cause, Method: s.Method, Evidence: s.Evidence, Heights: s.Heights, Amount: essaim.Amount(s.Amount), Part: essaim.Bps(s.Bps),
		Restitution: essaim.Amount(s.Restitution), At: s.At, EndsAt: s.EndsAt, JailedUntil: s.JailedUntil,
		State: SlashHeld, Appealed: s.Appealed, CounterEvidence: s.CounterEvidence,
	}
	switch s.State {
	case registryv1.SlashState_SLASH_STATE_FINAL:
		out.State = SlashFinal
	case registryv1.SlashState_SLASH_STATE_REVERSED:
		out.State = SlashReversed
	}
	if out.Actor, err = essaim.ParseNodeKey(s.NodeKey); err == nil && s.Wronged != "" {
		out.Wronged, err = essaim.ParseAddress(s.Wronged)
	}
	return out, err
}

// Slash returns one slash.
//
// Errors: CodeNotFound.
func (c *Client) Slash(ctx context.Context, id uint64) (Slash, error) {
	var r registryv1.QuerySlashResponse
	if err := c.call(ctx, "/essaim.registry.v1.Query/Slash", &registryv1.QuerySlashRequest{Id: id}, &r); err != nil {
		return Slash{}, err
	}
	return slash(r.Slash)
}

// Slashes lists slashes, oldest first: one actor's, or all of them for the zero key.
func (c *Client) Slashes(ctx context.Context, k essaim.NodeKey) ([]Slash, error) {
	req := registryv1.QuerySlashesRequest{}
	if !k.IsZero() {
		req.NodeKey = k.String()
	}
	return pages(slash, func(p *query.PageRequest) ([]registryv1.Slash, *query.PageResponse, error) {
		var r registryv1.QuerySlashesResponse
		req.Pagination = p
		err := c.call(ctx, "/essaim.registry.v1.Query/Slashes", &req, &r)
		return r.Slashes, r.Pagination, err
	})
}

// Epoch is what one epoch's work paid in protocol fees, and what it is paid on top.
type Epoch struct {
	Number   uint64        `json:"number"`
	Fees     essaim.Amount `json:"fees"`
	Emission essaim.Amount `json:"emission"`
}

// Emission is where emission stands.
type Emission struct {
	Epoch     uint64        `json:"epoch"`      // the open one
	StartedAt int64         `json:"started_at"` // its first height
	Fees      essaim.Amount `json:"fees"`       // paid in it so far
	Promised  essaim.Amount `json:"promised"`   // of closed epochs, not paid yet
	Balance   essaim.Amount `json:"balance"`    // of the emission account
	Last      []Epoch       `json:"last"`       // closed ones, newest first
}

// Emission returns the state of emission and the last n closed epochs.
func (c *Client) Emission(ctx context.Context, n uint64) (Emission, error) {
	var r registryv1.QueryEmissionResponse
	page := &query.PageRequest{Limit: max(n, 1), Reverse: true}
	if err := c.call(ctx, "/essaim.registry.v1.Query/Emission", &registryv1.QueryEmissionRequest{Pagination: page}, &r); err != nil {
		return Emission{}, err
	}
	out := Emission{
		Epoch: r.State.Epoch, StartedAt: r.State.StartedAt, Fees: essaim.Amount(r.State.Fees),
		Promised: essaim.Amount(r.State.Promised), Balance: essaim.Amount(r.Balance),
	}
	for _, e := range r.Epochs {
		out.Last = append(out.Last, Epoch{Number: e.Number, Fees: essaim.Amount(e.Fees), Emission: essaim.Amount(e.Emission)})
	}
	return out, nil
}

// TotalStake is the active stake of all pools together.
func (c *Client) TotalStake(ctx context.Context) (essaim.Amount, error) {
	var r registryv1.QueryTotalsResponse
	err := c.call(ctx, "/essaim.registry.v1.Query/Totals", &registryv1.QueryTotalsRequest{}, &r)
	return essaim.Amount(r.ActiveStake), err
}

// StakeParams are the parameters of stake that people ask about.
type StakeParams struct {
	MinBondMiner       essaim.Amount `json:"min_bond_miner"`
	MinBondCoordinator essaim.Amount `json:"min_bond_coordinator"`
	UnbondingBlocks    int64         `json:"unbonding_blocks"`
	EpochBlocks        int64         `json:"epoch_blocks"`
	CommissionChange   essaim.Bps    `json:"commission_change"` // the most in one epoch
	AppealBlocks       int64         `json:"appeal_blocks"`
	ExtensionBlocks    int64         `json:"extension_blocks"` // how much longer after an appeal
	AwayBlocks         int64         `json:"away_blocks"`
	AwayNoticeBlocks   int64         `json:"away_notice_blocks"`
}

// StakeParams returns them.
func (c *Client) StakeParams(ctx context.Context) (StakeParams, error) {
	var r registryv1.QueryParamsResponse
	err := c.call(ctx, "/essaim.registry.v1.Query/Params", &registryv1.QueryParamsRequest{}, &r)
	p := r.Params
	return StakeParams{
		MinBondMiner: essaim.Amount(p.MinBondMiner), MinBondCoordinator: essaim.Amount(p.MinBondCoordinator),
		UnbondingBlocks: int64(p.UnbondingBlocks), EpochBlocks: int64(p.EpochBlocks), CommissionChange: essaim.Bps(p.CommissionChangeBps),
		AppealBlocks: int64(p.AppealBlocks), ExtensionBlocks: int64(p.ExtensionBlocks),
		AwayBlocks: int64(p.AwayBlocks), AwayNoticeBlocks: int64(p.AwayNoticeBlocks),
	}, err
}

// some is pages that end after limit items; 0: all.
func some[S, W any](limit int, word func(S) (W, error), ask func(*query.PageRequest) ([]S, *query.PageResponse, error)) ([]W, error) {
	if limit == 0 {
		return pages(word, ask)
	}
	left := limit
	return pages(word, func(p *query.PageRequest) ([]S, *query.PageResponse, error) {
		p.Limit = min(p.Limit, uint64(left))
		items, next, err := ask(p)
		if left -= len(items); left <= 0 {
			next = nil
		}
		return items, next, err
	})
}

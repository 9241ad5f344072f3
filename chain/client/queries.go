package client

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// pageSize is how many items one query of a list asks for.
const pageSize = 200

// Balance is what an account holds; 0 for one that the ledger does not know.
func (c *Client) Balance(ctx context.Context, a essaim.Address) (essaim.Amount, error) {
	var r banktypes.QueryBalanceResponse
	err := c.call(ctx, "/cosmos.bank.v1beta1.Query/Balance", &banktypes.QueryBalanceRequest{Address: a.String(), Denom: essaim.Denom}, &r)
	if err != nil || r.Balance == nil {
		return 0, err
	}
	if !r.Balance.Amount.IsUint64() {
		return 0, essaim.Errorf(essaim.CodeInternal, "", "balance of %s is %s", a, r.Balance)
	}
	return essaim.Amount(r.Balance.Amount.Uint64()), nil
}

// Account is what a transaction's signature commits to, besides the chain.
type Account struct {
	Address  essaim.Address `json:"address"`
	Number   uint64         `json:"number"`
	Sequence uint64         `json:"sequence"` // how many transactions it has sent
}

// Account returns an account's numbers.
//
// Errors: CodeInsufficient for one that has never received coins: it does not exist, and
// cannot send.
func (c *Client) Account(ctx context.Context, a essaim.Address) (Account, error) {
	var r authtypes.QueryAccountInfoResponse
	err := c.call(ctx, "/cosmos.auth.v1beta1.Query/AccountInfo", &authtypes.QueryAccountInfoRequest{Address: a.String()}, &r)
	if essaim.CodeOf(err) == essaim.CodeNotFound {
		return Account{}, essaim.Errorf(essaim.CodeInsufficient, "send coins to the account first", "account %s has never received coins", a)
	}
	if err != nil {
		return Account{}, err
	}
	return Account{Address: a, Number: r.Info.AccountNumber, Sequence: r.Info.Sequence}, nil
}

// Actor returns who holds a node key: a miner or a coordinator, retired or not.
//
// Errors: CodeNotFound.
func (c *Client) Actor(ctx context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	var r registryv1.QueryActorResponse
	if err := c.call(ctx, "/essaim.registry.v1.Query/Actor", &registryv1.QueryActorRequest{NodeKey: k.String()}, &r); err != nil {
		return essaim.Actor{}, err
	}
	return registry.Word(r.Actor)
}

// Miner returns the miner that holds a node key.
//
// Errors: CodeNotFound, also for a coordinator's key.
func (c *Client) Miner(ctx context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	return c.actor(ctx, k, essaim.RoleMiner)
}

// Coordinator returns the coordinator that holds a node key.
//
// Errors: CodeNotFound, also for a miner's key.
func (c *Client) Coordinator(ctx context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	return c.actor(ctx, k, essaim.RoleCoordinator)
}

func (c *Client) actor(ctx context.Context, k essaim.NodeKey, role essaim.Role) (essaim.Actor, error) {
	a, err := c.Actor(ctx, k)
	if err == nil && a.Role != role {
		err = essaim.Errorf(essaim.CodeNotFound, "", "node key %s belongs to a %s", k.Short(), a.Role)
	}
	return a, err
}

// Miners lists all miners, retired ones too, by falling stake.
func (c *Client) Miners(ctx context.Context) ([]essaim.Actor, error) { return c.MinersAt(ctx, 0) }

// MinersAt is Miners as it was after a block; 0: the last one. A node that keeps no old states cannot say.
func (c *Client) MinersAt(ctx context.Context, height int64) ([]essaim.Actor, error) {
	return pages(registry.Word, func(p *query.PageRequest) ([]registryv1.Actor, *query.PageResponse, error) {
		var r registryv1.QueryMinersResponse
		err := c.callAt(ctx, height, "/essaim.registry.v1.Query/Miners", &registryv1.QueryMinersRequest{Pagination: p}, &r)
		return r.Miners, r.Pagination, err
	})
}

// Coordinators lists all coordinators, retired ones too, by falling stake.
func (c *Client) Coordinators(ctx context.Context) ([]essaim.Actor, error) {
	return pages(registry.Word, func(p *query.PageRequest) ([]registryv1.Actor, *query.PageResponse, error) {
		var r registryv1.QueryCoordinatorsResponse
		err := c.call(ctx, "/essaim.registry.v1.Query/Coordinators", &registryv1.QueryCoordinatorsRequest{Pagination: p}, &r)
		return r.Coordinators, r.Pagination, err
	})
}

// Model returns a registered model.
//
// Errors: CodeNotFound.
func (c *Client) Model(ctx context.Context, d essaim.Digest) (essaim.Model, error) {
	var r modelv1.QueryModelResponse
	if err := c.call(ctx, "/essaim.model.v1.Query/Model", &modelv1.QueryModelRequest{Digest: d.String()}, &r); err != nil {
		return essaim.Model{}, err
	}
	return model.Word(r.Model)
}

// Models lists all models in the order of their digests.
func (c *Client) Models(ctx context.Context) ([]essaim.Model, error) {
	return pages(model.Word, func(p *query.PageRequest) ([]modelv1.Model, *query.PageResponse, error) {
		var r modelv1.QueryModelsResponse
		err := c.call(ctx, "/essaim.model.v1.Query/Models", &modelv1.QueryModelsRequest{Pagination: p}, &r)
		return r.Models, r.Pagination, err
	})
}

// Session returns a session, open or not.
//
// Errors: CodeNotFound.
func (c *Client) Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error) {
	var r marketv1.QuerySessionResponse
	if err := c.call(ctx, "/essaim.market.v1.Query/Session", &marketv1.QuerySessionRequest{Id: uint64(id)}, &r); err != nil {
		return essaim.Session{}, err
	}
	return market.Word(r.Session)
}

// Sessions lists a payer's sessions, oldest first.
func (c *Client) Sessions(ctx context.Context, payer essaim.Address) ([]essaim.Session, error) {
	return pages(market.Word, func(p *query.PageRequest) ([]marketv1.Session, *query.PageResponse, error) {
		var r marketv1.QuerySessionsResponse
		err := c.call(ctx, "/essaim.market.v1.Query/Sessions", &marketv1.QuerySessionsRequest{Payer: payer.String(), Pagination: p}, &r)
		return r.Sessions, r.Pagination, err
	})
}

// pages asks for a list page by page and turns its items into words.
func pages[S, W any](word func(S) (W, error), ask func(*query.PageRequest) ([]S, *query.PageResponse, error)) ([]W, error) {
	var out []W
	for page := (&query.PageRequest{Limit: pageSize}); ; {
		items, next, err := ask(page)
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			w, err := word(i)
			if err != nil {
				return nil, err
			}
			out = append(out, w)
		}
		if next == nil || len(next.NextKey) == 0 {
			return out, nil
		}
		page = &query.PageRequest{Key: next.NextKey, Limit: pageSize}
	}
}

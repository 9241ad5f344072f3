package client

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// What stake answers for, and how coordinators keep their word.

// Cover is how much work may rest on stake, as governance has it now.
func (c *Client) Cover(ctx context.Context) (essaim.Cover, error) {
	var r registryv1.QueryParamsResponse
	err := c.call(ctx, "/essaim.registry.v1.Query/Params", &registryv1.QueryParamsRequest{}, &r)
	p := r.Params
	return essaim.Cover{Coordinator: uint64(p.CoverCoordinator), Miner: essaim.Bps(p.CoverMinerBps), AuditBlocks: int64(p.AuditBlocks)}, err
}

// Line returns what a settled session says that a miner earned with a model; a line of
// nothing if it does not name them.
//
// Errors: CodeNotFound for a session that is not settled, CodeExpired when it can be
// contested no more.
func (c *Client) Line(ctx context.Context, id essaim.SessionID, miner essaim.NodeKey, model essaim.Digest) (essaim.Line, error) {
	var r marketv1.QueryLineResponse
	err := c.call(ctx, "/essaim.market.v1.Query/Line", &marketv1.QueryLineRequest{Session: uint64(id), Miner: miner.String(), Model: model.String()}, &r)
	return essaim.Line{Miner: miner, Model: model, Amount: essaim.Amount(r.Line.Amount), Tasks: r.Line.Tasks}, err
}

// Record returns how a coordinator has kept its word; of one that the ledger does not
// know, nothing.
func (c *Client) Record(ctx context.Context, k essaim.NodeKey) (essaim.Record, error) {
	var r marketv1.QueryCoordinatorRecordResponse
	if err := c.call(ctx, "/essaim.market.v1.Query/CoordinatorRecord", &marketv1.QueryCoordinatorRecordRequest{Coordinator: k.String()}, &r); err != nil {
		return essaim.Record{}, err
	}
	s := r.Record
	out := essaim.Record{Opened: s.Opened, Settled: s.Settled, Expired: s.Expired, Paid: ^essaim.Amount(0), Unpaid: s.Unpaid}
	if s.Paid.IsUint64() { // turnover may exceed 64 bits
		out.Paid = essaim.Amount(s.Paid.Uint64())
	}
	var slashes registryv1.QuerySlashesResponse
	err := c.call(ctx, "/essaim.registry.v1.Query/Slashes", &registryv1.QuerySlashesRequest{
		NodeKey: k.String(), Pagination: &query.PageRequest{Limit: 1, CountTotal: true},
	}, &slashes)
	if essaim.CodeOf(err) == essaim.CodeNotFound {
		return out, nil
	}
	if slashes.Pagination != nil {
		out.Slashes = slashes.Pagination.Total
	}
	return out, err
}

// ClaimUnpaid shows the ledger an acknowledgement that was not kept. sig is the miner's
// node key's signature of essaim.ClaimBytes; the signer may be anyone, and gets nothing.
//
// Errors: CodeRefused if the promise was kept, CodeConflict if the claim was upheld
// before or the session is not over, CodeExpired if it comes too late.
func (c *Client) ClaimUnpaid(ctx context.Context, by Signer, ack, sig []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &marketv1.MsgClaimUnpaid{Submitter: by.Address().String(), Ack: ack, Signature: sig})
}

// Unclaimed is what an actor has earned, for its owner and for those who stake on it, and
// nobody has claimed yet.
//
// Errors: CodeNotFound.
func (c *Client) Unclaimed(ctx context.Context, k essaim.NodeKey) (essaim.Amount, error) {
	var r registryv1.QueryActorResponse
	err := c.call(ctx, "/essaim.registry.v1.Query/Actor", &registryv1.QueryActorRequest{NodeKey: k.String()}, &r)
	return essaim.Amount(r.Actor.Earned + r.Actor.Pool.Unclaimed), err
}

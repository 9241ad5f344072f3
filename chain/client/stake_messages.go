package client

import (
	"context"
	"fmt"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Delegate stakes on an actor. compound says for all of the signer's stake on it whether
// a claim joins the pool or is paid.
//
// Errors: CodeConflict if the actor is retired, jailed or frozen, CodeInsufficient.
func (c *Client) Delegate(ctx context.Context, by Signer, k essaim.NodeKey, amount essaim.Amount, compound bool) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgDelegate{Delegator: by.Address().String(), NodeKey: k.String(), Amount: uint64(amount), Compound: compound})
}

// Undelegate begins to take stake back: an amount in today's value, 0 for all. The height
// is when it arrives, if the pool is not frozen then; until then a slash reaches it.
func (c *Client) Undelegate(ctx context.Context, by Signer, k essaim.NodeKey, amount essaim.Amount) (due int64, _ essaim.Tx, _ error) {
	var r registryv1.MsgUndelegateResponse
	tx, err := c.ask(ctx, by, &registryv1.MsgUndelegate{Delegator: by.Address().String(), NodeKey: k.String(), Amount: uint64(amount)}, &r)
	return r.DueAt, tx, err
}

// Redelegate begins to move stake to another actor: an amount in today's value, 0 for all.
// It takes as long as Undelegate.
func (c *Client) Redelegate(ctx context.Context, by Signer, from, to essaim.NodeKey, amount essaim.Amount) (due int64, _ essaim.Tx, _ error) {
	var r registryv1.MsgRedelegateResponse
	tx, err := c.ask(ctx, by, &registryv1.MsgRedelegate{
		Delegator: by.Address().String(), NodeKey: from.String(), To: to.String(), Amount: uint64(amount),
	}, &r)
	return r.DueAt, tx, err
}

// SetCompound says whether a claim of rewards on an actor joins its pool or is paid.
func (c *Client) SetCompound(ctx context.Context, by Signer, k essaim.NodeKey, compound bool) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgSetCompound{Delegator: by.Address().String(), NodeKey: k.String(), Compound: compound})
}

// Claimed is what a claim brought.
type Claimed struct {
	Paid       essaim.Amount `json:"paid"`
	Compounded essaim.Amount `json:"compounded"` // joined the pools
}

// Claim takes the rewards on one actor, or on all for the zero key, and an owner's
// commission.
func (c *Client) Claim(ctx context.Context, by Signer, k essaim.NodeKey) (Claimed, essaim.Tx, error) {
	m := &registryv1.MsgClaim{Delegator: by.Address().String()}
	if !k.IsZero() {
		m.NodeKey = k.String()
	}
	var r registryv1.MsgClaimResponse
	tx, err := c.ask(ctx, by, m, &r)
	return Claimed{essaim.Amount(r.Paid), essaim.Amount(r.Compounded)}, tx, err
}

// Unjail puts the signer's actor back to work after its jail.
//
// Errors: CodeConflict if it is not jailed, must stay longer or has too small a bond.
func (c *Client) Unjail(ctx context.Context, by Signer, k essaim.NodeKey) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgUnjail{Owner: by.Address().String(), NodeKey: k.String()})
}

// Appeal holds the coins of a slash of the signer's actor longer, once, so that governance
// can decide. The height is when the window ends now.
//
// Errors: CodeNotFound; CodeExpired when the window is over.
func (c *Client) Appeal(ctx context.Context, by Signer, slash uint64, evidence []string) (ends int64, _ essaim.Tx, _ error) {
	var r registryv1.MsgAppealResponse
	tx, err := c.ask(ctx, by, &registryv1.MsgAppeal{Owner: by.Address().String(), Slash: slash, Evidence: evidence}, &r)
	return r.EndsAt, tx, err
}

// ProposeSlash asks governance to slash: of x it takes Actor, Cause, Part, Evidence,
// Heights, Method, Wronged and Restitution.
func (c *Client) ProposeSlash(ctx context.Context, by Signer, d Draft, x Slash) (uint64, essaim.Tx, error) {
	m := &registryv1.MsgSlash{
		Authority: governance.String(), NodeKey: x.Actor.String(), Cause: x.Cause, Bps: uint32(x.Part), Evidence: x.Evidence,
		Heights: x.Heights, Method: x.Method, Restitution: uint64(x.Restitution),
	}
	if !x.Wronged.IsZero() {
		m.Wronged = x.Wronged.String()
	}
	return c.propose(ctx, by, d, m)
}

// ProposeReverse asks governance to give back what a slash took.
func (c *Client) ProposeReverse(ctx context.Context, by Signer, d Draft, slash uint64, evidence []string) (uint64, essaim.Tx, error) {
	return c.propose(ctx, by, d, &registryv1.MsgReverse{Authority: governance.String(), Slash: slash, Evidence: evidence})
}

// RotateKey gives the signer's actor a new node key, which signs possession as for a
// registration. The height is until when the old one answers.
func (c *Client) RotateKey(ctx context.Context, by Signer, old, k essaim.NodeKey, possession []byte) (overlap int64, _ essaim.Tx, _ error) {
	var r registryv1.MsgRotateKeyResponse
	tx, err := c.ask(ctx, by, &registryv1.MsgRotateKey{
		Owner: by.Address().String(), NodeKey: old.String(), NewKey: k.String(), Possession: possession,
	}, &r)
	return r.OverlapUntil, tx, err
}

// Away announces maintenance between two heights, in which missed duties do not count; 0
// to 0 takes it back.
func (c *Client) Away(ctx context.Context, by Signer, k essaim.NodeKey, from, until int64) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgAway{Owner: by.Address().String(), NodeKey: k.String(), From: from, Until: until})
}

// SetCommission changes the owner's part of income.
func (c *Client) SetCommission(ctx context.Context, by Signer, k essaim.NodeKey, commission essaim.Bps) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgSetCommission{Owner: by.Address().String(), NodeKey: k.String(), CommissionBps: uint32(commission)})
}

// ask is do for a message with an answer.
func (c *Client) ask(ctx context.Context, by Signer, msg sdk.Msg, into codecMessage) (essaim.Tx, error) {
	r, err := c.send(ctx, by, msg)
	if err != nil {
		return essaim.Tx{}, err
	}
	if err := answer(r.TxResult.Data, into); err != nil {
		return essaim.Tx{}, fmt.Errorf("%s: answer: %w", sdk.MsgTypeURL(msg), err)
	}
	return txOf(r)
}

package client

import (
	"context"
	"fmt"

	"cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Every method below signs one transaction without fee and returns once it is in a block.
// If the context ends while it waits, the error says which transaction may still come.

// Send pays coins to another account.
func (c *Client) Send(ctx context.Context, by Signer, to essaim.Address, amount essaim.Amount) (essaim.Tx, error) {
	coins := sdk.NewCoins(sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(amount))))
	return c.do(ctx, by, &banktypes.MsgSend{FromAddress: by.Address().String(), ToAddress: to.String(), Amount: coins})
}

// RegisterMiner registers a machine with a bond, which leaves the signer's account. Of a
// it takes NodeKey, HPKEKey, Offers, Bond, Commission and CommissionChange; the signer
// becomes the owner. possession is the node key's signature of essaim.PossessionBytes.
func (c *Client) RegisterMiner(ctx context.Context, by Signer, a essaim.Actor, possession []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgRegisterMiner{
		Owner: by.Address().String(), NodeKey: a.NodeKey.String(), HpkeKey: a.HPKEKey, Offers: offers(a.Offers),
		Bond: uint64(a.Bond), Possession: possession,
		CommissionBps: uint32(a.Commission), CommissionChangeBps: uint32(a.CommissionChange),
	})
}

// RegisterCoordinator is RegisterMiner for a coordinator, with Fee and URL.
func (c *Client) RegisterCoordinator(ctx context.Context, by Signer, a essaim.Actor, possession []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgRegisterCoordinator{
		Owner: by.Address().String(), NodeKey: a.NodeKey.String(), HpkeKey: a.HPKEKey, Offers: offers(a.Offers),
		Bond: uint64(a.Bond), FeeBps: uint32(a.Fee), Url: a.URL, Possession: possession,
		CommissionBps: uint32(a.Commission), CommissionChangeBps: uint32(a.CommissionChange),
	})
}

// UpdateActor replaces what the actor with a's NodeKey offers: HPKEKey, Offers, Fee and
// URL, all of them.
func (c *Client) UpdateActor(ctx context.Context, by Signer, a essaim.Actor) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgUpdate{
		Owner: by.Address().String(), NodeKey: a.NodeKey.String(), HpkeKey: a.HPKEKey, Offers: offers(a.Offers),
		FeeBps: uint32(a.Fee), Url: a.URL,
	})
}

// AddBond adds to an actor's bond.
func (c *Client) AddBond(ctx context.Context, by Signer, k essaim.NodeKey, amount essaim.Amount) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgAddBond{Owner: by.Address().String(), NodeKey: k.String(), Amount: uint64(amount)})
}

// Retire takes an actor out of work at once. Its bond comes back after the unbonding
// period.
func (c *Client) Retire(ctx context.Context, by Signer, k essaim.NodeKey) (essaim.Tx, error) {
	return c.do(ctx, by, &registryv1.MsgRetire{Owner: by.Address().String(), NodeKey: k.String()})
}

// RegisterModel registers a manifest, whose digest becomes the model's name. data are those
// who get a part of each price because the model was made from their data, at most four.
func (c *Client) RegisterModel(ctx context.Context, by Signer, manifest []byte, unitPrice essaim.Amount, royalty essaim.Bps, data ...essaim.DataShare) (essaim.Digest, essaim.Tx, error) {
	m := &modelv1.MsgRegisterModel{Owner: by.Address().String(), Manifest: manifest, UnitPrice: uint64(unitPrice), RoyaltyBps: uint32(royalty)}
	for _, d := range data {
		m.Data = append(m.Data, modelv1.DataShare{Owner: d.Owner.String(), RoyaltyBps: uint32(d.Royalty)})
	}
	t, err := c.do(ctx, by, m)
	return essaim.DigestOf(manifest), t, err
}

// UpdateModel sets a model's price and royalty.
func (c *Client) UpdateModel(ctx context.Context, by Signer, d essaim.Digest, unitPrice essaim.Amount, royalty essaim.Bps) (essaim.Tx, error) {
	return c.do(ctx, by, &modelv1.MsgUpdateOffer{
		Owner: by.Address().String(), Model: d.String(), UnitPrice: uint64(unitPrice), RoyaltyBps: uint32(royalty),
	})
}

// TransferModel gives a model, and with it the royalty, to another account.
func (c *Client) TransferModel(ctx context.Context, by Signer, d essaim.Digest, to essaim.Address) (essaim.Tx, error) {
	return c.do(ctx, by, &modelv1.MsgTransfer{Owner: by.Address().String(), Model: d.String(), NewOwner: to.String()})
}

// OpenSession escrows a deposit. Of s it takes Coordinator, Deposit, SessionKey and
// Expiry, a height; the signer is the payer.
func (c *Client) OpenSession(ctx context.Context, by Signer, s essaim.Session) (essaim.SessionID, essaim.Tx, error) {
	r, err := c.send(ctx, by, &marketv1.MsgOpenSession{
		Payer: by.Address().String(), Coordinator: s.Coordinator.String(), Deposit: uint64(s.Deposit),
		SessionKey: s.SessionKey.String(), Expiry: s.Expiry,
	})
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	var opened marketv1.MsgOpenSessionResponse
	if err := answer(r.TxResult.Data, &opened); err != nil {
		return 0, essaim.Tx{}, fmt.Errorf("OpenSession: answer: %w", err)
	}
	t, err := txOf(r)
	return essaim.SessionID(opened.Session), t, err
}

// TopUp adds to the deposit of a session that the signer has opened, and returns what the
// deposit is now.
//
// Errors: CodeConflict or the like for a session that is over, CodeInsufficient if the
// account has less.
func (c *Client) TopUp(ctx context.Context, by Signer, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error) {
	r, err := c.send(ctx, by, &marketv1.MsgTopUp{Payer: by.Address().String(), Session: uint64(id), Amount: uint64(amount)})
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	var raised marketv1.MsgTopUpResponse
	if err := answer(r.TxResult.Data, &raised); err != nil {
		return 0, essaim.Tx{}, fmt.Errorf("TopUp: answer: %w", err)
	}
	t, err := txOf(r)
	return essaim.Amount(raised.Deposit), t, err
}

// Settle pays a session out: at once what the payer's voucher covers, the rest after the
// challenge window. sig is the coordinator's node key's signature of s.SignBytes, voucher
// the newest that the payer has signed, or nil; the signer may be anyone, and pays nobody.
func (c *Client) Settle(ctx context.Context, by Signer, s essaim.Settlement, sig, voucher []byte) (essaim.Tx, error) {
	m := &marketv1.MsgSettle{Submitter: by.Address().String(), Session: uint64(s.Session), Root: s.Root[:], Signature: sig, Voucher: voucher}
	if !s.Receipts.IsZero() {
		m.Receipts = s.Receipts[:]
	}
	for _, l := range s.Lines {
		m.Lines = append(m.Lines, marketv1.Line{Miner: l.Miner[:], Model: l.Model[:], Amount: uint64(l.Amount), Tasks: l.Tasks})
	}
	return c.do(ctx, by, m)
}

func (c *Client) do(ctx context.Context, by Signer, msg sdk.Msg) (essaim.Tx, error) {
	r, err := c.send(ctx, by, msg)
	if err != nil {
		return essaim.Tx{}, err
	}
	return txOf(r)
}

func offers(in []essaim.Offer) []registryv1.Offer {
	var out []registryv1.Offer
	for _, o := range in {
		out = append(out, registryv1.Offer{Model: o.Model.String(), UnitPrice: uint64(o.UnitPrice)})
	}
	return out
}

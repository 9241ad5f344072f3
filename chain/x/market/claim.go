package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Fault is what a coordinator has done wrong, as x/registry needs it to take stake.
type Fault struct {
	Coordinator essaim.NodeKey
	Evidence    essaim.Digest  // of the signed acknowledgement, the openings or the root
	Height      int64          // when the session ended
	Wronged     essaim.Address // the miner's owner, or the payer; zero: it has left
	Restitution essaim.Amount  // what it was to get, or paid for nothing
}

// ClaimUnpaid decides at once: an acknowledgement says what a session must pay a miner in
// all, and the ledger knows what it paid, or will when nobody proves the leaves false. A
// later claim counts only for what has gone missing since.
func (s msgServer) ClaimUnpaid(ctx context.Context, m *marketv1.MsgClaimUnpaid) (*marketv1.MsgClaimUnpaidResponse, error) {
	ack, session, err := s.promise(ctx, m)
	if err != nil {
		return nil, err
	}
	key := lineKey(session.Id, ack.Miner, ack.Model)
	known, err := s.claims.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	line, err := s.lines.Get(ctx, key)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	settled := line.Line.Amount - line.Voided
	unpaid, ok := ack.Total.Sub(essaim.Amount(settled))
	switch {
	case known.Unpaid > 0 && (!ok || uint64(unpaid) <= known.Unpaid):
		return nil, ErrClaimed.Wrapf("session %d", session.Id)
	case !ok || unpaid == 0:
		return nil, ErrKept.Wrapf("%d uaim were promised, %d are settled", ack.Total, settled)
	}
	unpaid -= essaim.Amount(known.Unpaid)
	slash, err := s.punish(ctx, session, ack, m.Ack, unpaid)
	if err != nil {
		return nil, err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	claim := marketv1.Claim{Session: session.Id, Miner: ack.Miner[:], Model: ack.Model[:], Unpaid: known.Unpaid + uint64(unpaid), Slash: slash, Height: height}
	if err := s.claims.Set(ctx, key, claim); err != nil {
		return nil, err
	}
	if err := s.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Unpaid++ }); err != nil {
		return nil, err
	}
	return &marketv1.MsgClaimUnpaidResponse{Unpaid: uint64(unpaid), Slash: slash}, emit(ctx, &marketv1.EventUnpaid{
		Session: session.Id, Coordinator: session.Coordinator, Miner: ack.Miner.String(), Model: ack.Model.String(),
		Promised: uint64(ack.Total), Settled: settled, Slash: slash,
	})
}

// promise checks that a promise can be contested now.
func (s msgServer) promise(ctx context.Context, m *marketv1.MsgClaimUnpaid) (ack essaim.Ack, session marketv1.Session, err error) {
	if ack, session, err = s.acknowledged(ctx, m.Ack, m.Signature); err != nil {
		return ack, session, err
	}
	switch session.State {
	case marketv1.State_STATE_OPEN:
		return ack, session, ErrOpen.Wrapf("session %d, until height %d at most", session.Id, session.Expiry)
	case marketv1.State_STATE_LAPSED:
		return ack, session, ErrOpen.Wrapf("session %d, until height %d: claim what is left of it", session.Id, session.Final)
	}
	if sdk.UnwrapSDKContext(ctx).BlockHeight() >= session.ContestUntil {
		return ack, session, ErrLate.Wrapf("session %d, until height %d", session.Id, session.ContestUntil)
	}
	return ack, session, nil
}

// acknowledged checks who signed what: the coordinator the promise, the miner that this
// one is shown.
func (s msgServer) acknowledged(ctx context.Context, signed, signature []byte) (ack essaim.Ack, session marketv1.Session, err error) {
	if len(signed) > MaxAck {
		return ack, session, ErrAck.Wrapf("%d bytes, at most %d", len(signed), MaxAck)
	}
	ack, signer, err := essaim.OpenAck(signed)
	if err != nil {
		return ack, session, ErrAck.Wrap(err.Error())
	}
	if session, err = s.session(ctx, uint64(ack.Session)); err != nil {
		return ack, session, err
	}
	switch {
	case ack.ChainID != sdk.UnwrapSDKContext(ctx).ChainID():
		return ack, session, ErrAck.Wrapf("it is for chain %q", ack.ChainID)
	case signer.String() != session.Coordinator:
		return ack, session, ErrAck.Wrap("it is not signed by the session's coordinator")
	}
	return ack, session, s.shownBy(ctx, ack.Miner, signed, signature)
}

// shownBy checks that the miner shows a promise: by the key that it was made to, or by the one that it has now.
func (s msgServer) shownBy(ctx context.Context, miner essaim.NodeKey, signed, signature []byte) error {
	if miner.Verify(essaim.ClaimBytes(signed, miner), signature) {
		return nil
	}
	a, ok, err := s.Registry.Actor(ctx, miner)
	switch {
	case err != nil:
		return err
	case !ok || !a.NodeKey.Verify(essaim.ClaimBytes(signed, a.NodeKey), signature):
		return ErrSignature.Wrap("the claim is not signed by the miner")
	}
	return nil
}

// punish takes stake of the session's coordinator, first for the miner's owner.
func (s msgServer) punish(ctx context.Context, session marketv1.Session, ack essaim.Ack, signed []byte, unpaid essaim.Amount) (uint64, error) {
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return 0, err
	}
	switch _, ok, err := s.Registry.Actor(ctx, node); {
	case err != nil:
		return 0, err
	case !ok:
		return 0, ErrCoordinator.Wrapf("%s has left", node)
	}
	f := Fault{Coordinator: node, Evidence: essaim.DigestOf(signed), Height: session.Ended}
	switch miner, ok, err := s.Registry.Actor(ctx, ack.Miner); {
	case err != nil:
		return 0, err
	case ok && miner.Role == essaim.RoleMiner:
		f.Wronged, f.Restitution = miner.Owner, unpaid
	}
	return s.Registry.Unpaid(ctx, f)
}

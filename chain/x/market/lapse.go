package market

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// lapse keeps a session that nobody settled in time for those who were promised something
// out of it.
func (k Keeper) lapse(ctx context.Context, s marketv1.Session, blocks uint32) error {
	s.Final = sdk.UnwrapSDKContext(ctx).BlockHeight() + int64(blocks)
	if err := k.end(ctx, &s, marketv1.State_STATE_LAPSED); err != nil {
		return err
	}
	if err := k.finals.Set(ctx, collections.Join(uint64(s.Final), s.Id)); err != nil {
		return err
	}
	if err := k.count(ctx, s.Coordinator, func(r *marketv1.Record) { r.Expired++ }); err != nil {
		return err
	}
	return emit(ctx, &marketv1.EventLapsed{Session: s.Id, Payer: s.Payer, Until: s.Final})
}

// lapsed is what has been shown of a lapsed session.
func (k Keeper) lapsed(ctx context.Context, session uint64) (marketv1.Lapse, error) {
	l, err := k.lapses.Get(ctx, session)
	if errors.Is(err, collections.ErrNotFound) {
		return marketv1.Lapse{Session: session}, nil
	}
	return l, err
}

// accept raises how much of a lapsed session the payer has acknowledged.
func (k Keeper) accept(ctx context.Context, session marketv1.Session, amount uint64) error {
	l, err := k.lapsed(ctx, session.Id)
	if err != nil {
		return err
	}
	if amount <= l.Acknowledged {
		return ErrStale.Wrapf("%d uaim are acknowledged", l.Acknowledged)
	}
	l.Acknowledged = amount
	return k.lapses.Set(ctx, session.Id, l)
}

// ClaimLapsed puts a miner on the list of a lapsed session's payees with what its
// coordinator had acknowledged. The miner's signature makes sure that nobody else spends
// the claim on an early acknowledgement; a later one replaces it.
func (s msgServer) ClaimLapsed(ctx context.Context, m *marketv1.MsgClaimLapsed) (*marketv1.MsgClaimLapsedResponse, error) {
	ack, session, err := s.acknowledged(ctx, m.Ack, m.Signature)
	if err != nil {
		return nil, err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if session.State != marketv1.State_STATE_LAPSED || height >= session.Final {
		return nil, ErrLapsed.Wrapf("session %d", session.Id)
	}
	switch miner, ok, err := s.Registry.Actor(ctx, ack.Miner); {
	case err != nil:
		return nil, err
	case !ok || miner.Role != essaim.RoleMiner:
		return nil, ErrPayee.Wrap(ack.Miner.String())
	}
	switch _, ok, err := s.Models.Model(ctx, ack.Model); {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrModel.Wrap(ack.Model.String())
	}
	accepted := uint64(0)
	if len(m.Voucher) > 0 {
		if accepted, err = s.voucher(ctx, session, m.Voucher); err != nil {
			return nil, err
		}
	}
	l, err := s.enlist(ctx, session, ack, accepted)
	return &marketv1.MsgClaimLapsedResponse{Claimed: l.Claimed, Acknowledged: l.Acknowledged}, err
}

// enlist writes a claim as a line of the session, and the voucher that came with it.
func (s msgServer) enlist(ctx context.Context, session marketv1.Session, ack essaim.Ack, accepted uint64) (marketv1.Lapse, error) {
	l, err := s.lapsed(ctx, session.Id)
	if err != nil {
		return l, err
	}
	line, err := s.lines.Get(ctx, lineKey(session.Id, ack.Miner, ack.Model))
	switch {
	case errors.Is(err, collections.ErrNotFound):
		if l.Lines++; l.Lines > essaim.MaxLines {
			return l, ErrSettlement.Wrapf("session %d has %d lines, the most", session.Id, essaim.MaxLines)
		}
	case err != nil:
		return l, err
	}
	more, ok := ack.Total.Sub(essaim.Amount(line.Line.Amount))
	if !ok || more == 0 {
		return l, ErrStale.Wrapf("%d uaim are claimed", line.Line.Amount)
	}
	sum, ok := essaim.Amount(l.Claimed).Add(more)
	if !ok {
		return l, ErrAck.Wrap("the claims overflow")
	}
	l.Claimed, l.Acknowledged = uint64(sum), max(l.Acknowledged, accepted)
	line = marketv1.SettledLine{Session: session.Id, Line: marketv1.Line{Miner: ack.Miner[:], Model: ack.Model[:], Amount: uint64(ack.Total)}}
	return l, errors.Join(s.putLine(ctx, line), s.lapses.Set(ctx, session.Id, l))
}

// finishLapsed pays lapsed sessions whose time to claim is over.
func (k Keeper) finishLapsed(ctx context.Context, height uint64) error {
	due, err := head(ctx, k.finals, height, releasesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		if err := k.finish(ctx, key.K2()); err != nil {
			return err
		}
		if err := k.finals.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// finish pays what payees have claimed of a lapsed session, up to what the payer has
// acknowledged and in proportion if that is less, and gives the rest back.
func (k Keeper) finish(ctx context.Context, id uint64) error {
	session, err := k.sessions.Get(ctx, id)
	if err != nil {
		return err
	}
	shown, err := k.lapsed(ctx, id)
	if err != nil {
		return err
	}
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return err
	}
	due, paid, err := k.claimedOf(ctx, session, shown)
	if err != nil {
		return err
	}
	due.add(payout{to: payer, reason: ReasonRefund, amount: essaim.Amount(session.Deposit - paid)})
	d, err := k.disburse(ctx, session, due)
	if err != nil {
		return err
	}
	session.State = marketv1.State_STATE_EXPIRED
	if err := errors.Join(k.put(ctx, session), k.lapses.Remove(ctx, id)); err != nil {
		return err
	}
	if d.out > 0 {
		if err := emit(ctx, &marketv1.EventReleased{Session: id, Payouts: d.list}); err != nil {
			return err
		}
	}
	return emit(ctx, &marketv1.EventExpired{Session: id, Payer: session.Payer, Refunded: d.back})
}

// claimedOf turns the claims into lines with what they are paid, and that into payouts,
// which come to paid.
func (k Keeper) claimedOf(ctx context.Context, session marketv1.Session, shown marketv1.Lapse) (due payouts, paid uint64, err error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return due, 0, err
	}
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return due, 0, err
	}
	coordinator, _, err := k.Registry.Actor(ctx, node)
	if err != nil {
		return due, 0, err
	}
	coordinator.NodeKey = node // one that has left is paid nothing
	claims, err := k.linesOf(ctx, session.Id)
	if err != nil {
		return due, 0, err
	}
	var words []essaim.Line
	most := min(shown.Acknowledged, session.Deposit)
	for _, c := range claims {
		amount := c.Line.Amount
		if shown.Claimed > most {
			amount = part(amount, most, shown.Claimed)
		}
		words = append(words, essaim.Line{Miner: essaim.NodeKey(c.Line.Miner), Model: essaim.Digest(c.Line.Model), Amount: essaim.Amount(amount)})
	}
	lines, err := k.lineUp(ctx, params, session, coordinator, words)
	if err != nil {
		return due, 0, err
	}
	for _, l := range lines {
		paid += l.Line.Amount
		due.release(&l, 1, 1)
		if err := k.putLine(ctx, l); err != nil {
			return due, 0, err
		}
	}
	return due, paid, nil
}

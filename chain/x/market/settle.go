package market

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Settle pays a session out: at once what the payer has acknowledged, the rest after the
// challenge window. Everything is checked before anything is paid.
func (s msgServer) Settle(ctx context.Context, m *marketv1.MsgSettle) (*marketv1.MsgSettleResponse, error) {
	session, err := s.settleable(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	claim, err := claimed(sdk.UnwrapSDKContext(ctx).ChainID(), m)
	if err != nil {
		return nil, err
	}
	coordinator, err := s.signer(ctx, session, claim, m.Signature)
	if err != nil {
		return nil, err
	}
	if err := claim.Check(essaim.Amount(session.Deposit)); err != nil {
		return nil, ErrSettlement.Wrap(err.Error())
	}
	params, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	sum := uint64(claim.Root.Sum())
	out := marketv1.Settlement{
		Session: session.Id, Root: claim.Root[:], Height: sdk.UnwrapSDKContext(ctx).BlockHeight(), Tasks: claim.Root.Count(),
		Receipts: named(claim.Receipts), Acknowledged: sum,
	}
	if params.ChallengeBlocks > 0 {
		out.ChallengeUntil, out.Acknowledged = out.Height+int64(params.ChallengeBlocks), 0
	}
	if len(m.Voucher) > 0 {
		v, err := s.voucher(ctx, session, m.Voucher)
		if err != nil {
			return nil, err
		}
		out.Acknowledged = max(out.Acknowledged, min(v, sum))
	}
	lines, err := s.lineUp(ctx, params, session, coordinator, claim.Lines)
	if err != nil {
		return nil, err
	}
	if err := s.close(ctx, params, session, &out, lines); err != nil {
		return nil, err
	}
	r := &marketv1.MsgSettleResponse{Paid: out.Paid, Refunded: out.Refunded, Pending: out.Pending}
	if out.Pending > 0 {
		r.PendingUntil = out.ChallengeUntil
	}
	return r, nil
}

// settleable loads a session that is open and has time left.
func (s msgServer) settleable(ctx context.Context, id uint64) (marketv1.Session, error) {
	session, err := s.session(ctx, id)
	switch height := sdk.UnwrapSDKContext(ctx).BlockHeight(); {
	case err != nil:
		return session, err
	case session.State != marketv1.State_STATE_OPEN:
		return session, ErrClosed.Wrapf("%d", id)
	case height >= session.Expiry:
		return session, ErrExpired.Wrapf("%d, at height %d", id, session.Expiry)
	}
	return session, nil
}

// claimed turns a message into the network's word for it.
func claimed(chainID string, m *marketv1.MsgSettle) (essaim.Settlement, error) {
	c := essaim.Settlement{ChainID: chainID, Session: essaim.SessionID(m.Session)}
	if len(m.Root) != len(c.Root) {
		return c, ErrSettlement.Wrapf("root is %d bytes, want %d", len(m.Root), len(c.Root))
	}
	c.Root = essaim.SumRoot(m.Root)
	if n := len(m.Receipts); n != 0 && n != len(c.Receipts) {
		return c, ErrSettlement.Wrapf("digest of the receipts is %d bytes, want %d", n, len(c.Receipts))
	}
	copy(c.Receipts[:], m.Receipts)
	if len(m.Lines) > essaim.MaxLines {
		return c, ErrSettlement.Wrapf("%d lines, at most %d", len(m.Lines), essaim.MaxLines)
	}
	for i, l := range m.Lines {
		line := essaim.Line{Amount: essaim.Amount(l.Amount), Tasks: l.Tasks}
		if len(l.Miner) != len(line.Miner) || len(l.Model) != len(line.Model) {
			return c, ErrSettlement.Wrapf("line %d: miner is %d bytes and model %d, want %d each", i, len(l.Miner), len(l.Model), len(line.Miner))
		}
		line.Miner, line.Model = essaim.NodeKey(l.Miner), essaim.Digest(l.Model)
		c.Lines = append(c.Lines, line)
	}
	return c, nil
}

// signer checks who signed the claim, and returns that coordinator. One that has retired
// may still settle until its bond goes back.
func (s msgServer) signer(ctx context.Context, session marketv1.Session, claim essaim.Settlement, sig []byte) (essaim.Actor, error) {
	node, err := essaim.ParseNodeKey(session.Coordinator)
	if err != nil {
		return essaim.Actor{}, err
	}
	actor, ok, err := s.Registry.Actor(ctx, node)
	switch {
	case err != nil:
		return actor, err
	case !ok || actor.Role != essaim.RoleCoordinator:
		return actor, ErrCoordinator.Wrap(node.String())
	case !node.Verify(claim.SignBytes(node), sig):
		return actor, ErrSignature
	}
	return actor, nil
}

// close pays what is due at once, and writes what remains of the session.
func (s msgServer) close(ctx context.Context, params marketv1.Params, session marketv1.Session, out *marketv1.Settlement, lines []marketv1.SettledLine) error {
	sum := essaim.SumRoot(out.Root).Sum()
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return err
	}
	var due payouts
	for i := range lines {
		due.release(&lines[i], out.Acknowledged, uint64(sum))
	}
	due.add(payout{to: payer, reason: ReasonRefund, amount: essaim.Amount(session.Deposit) - sum})
	paid, err := s.disburse(ctx, session, due)
	if err != nil {
		return err
	}
	out.Paid, out.Refunded = paid.out, paid.back
	out.Pending = session.Deposit - paid.out - paid.back
	if err := s.end(ctx, &session, marketv1.State_STATE_SETTLED); err != nil {
		return err
	}
	for _, l := range lines {
		if err := s.putLine(ctx, l); err != nil {
			return err
		}
	}
	if err := s.settlements.Set(ctx, session.Id, *out); err != nil {
		return err
	}
	if err := s.await(ctx, params, *out); err != nil {
		return err
	}
	if err := s.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Settled++ }); err != nil {
		return err
	}
	event := &marketv1.EventSettled{Session: session.Id, Payouts: paid.list, Pending: out.Pending}
	if out.Pending > 0 {
		event.PendingUntil = out.ChallengeUntil
	}
	return emit(ctx, event)
}

// await queues a settlement for what happens to it later: the beacon, and the end of the
// challenge window.
func (s msgServer) await(ctx context.Context, params marketv1.Params, out marketv1.Settlement) error {
	if params.OpeningBps > 0 && out.ChallengeUntil > 0 && essaim.SumRoot(out.Root).Sum() > 0 {
		if err := s.asks.Set(ctx, collections.Join(uint64(out.Height+drawDelay), out.Session)); err != nil {
			return err
		}
	}
	if out.Pending == 0 {
		return nil
	}
	return s.releases.Set(ctx, collections.Join(uint64(out.ChallengeUntil), out.Session))
}

// named is the stored form of a digest; of none, no bytes.
func named(d essaim.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

package market

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// voucher checks that a voucher is the session's payer's, and returns its amount.
func (k Keeper) voucher(ctx context.Context, session marketv1.Session, signed []byte) (uint64, error) {
	if len(signed) > MaxVoucher {
		return 0, ErrVoucher.Wrapf("%d bytes, at most %d", len(signed), MaxVoucher)
	}
	chargeSignatures(ctx, 1)
	v, signer, err := essaim.OpenVoucher(signed)
	switch {
	case err != nil:
		return 0, ErrVoucher.Wrap(err.Error())
	case signer.String() != session.SessionKey:
		return 0, ErrVoucher.Wrap("it is not signed by the session's key")
	case v.ChainID != sdk.UnwrapSDKContext(ctx).ChainID() || uint64(v.Session) != session.Id || v.Coordinator.String() != session.Coordinator:
		return 0, ErrVoucher.Wrapf("it is for session %s of chain %q with coordinator %s", v.Session, v.ChainID, v.Coordinator.Short())
	}
	return uint64(v.Amount), nil
}

// ShowVoucher pays at once what a settlement's voucher did not cover, or raises what can
// be claimed of a lapsed session. An older voucher than the ledger has seen is refused: it
// says nothing new.
func (s msgServer) ShowVoucher(ctx context.Context, m *marketv1.MsgShowVoucher) (*marketv1.MsgShowVoucherResponse, error) {
	session, err := s.session(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	amount, err := s.voucher(ctx, session, m.Voucher)
	if err != nil {
		return nil, err
	}
	switch session.State {
	case marketv1.State_STATE_LAPSED:
		return &marketv1.MsgShowVoucherResponse{}, s.accept(ctx, session, amount)
	case marketv1.State_STATE_OPEN:
		return nil, ErrOpen.Wrapf("session %d: the coordinator shows it when it settles", session.Id)
	}
	out, err := s.waits(ctx, session)
	if err != nil {
		return nil, err
	}
	sum := uint64(essaim.SumRoot(out.Root).Sum())
	if amount = min(amount, sum); amount <= out.Acknowledged {
		return nil, ErrStale.Wrapf("%d uaim are acknowledged", out.Acknowledged)
	}
	out.Acknowledged = amount
	released, err := s.release(ctx, session, &out, amount, sum)
	return &marketv1.MsgShowVoucherResponse{Released: released, Pending: out.Pending}, err
}

// settledSession loads a settled session with its settlement.
func (k Keeper) settledSession(ctx context.Context, id uint64) (marketv1.Session, marketv1.Settlement, error) {
	session, err := k.sessions.Get(ctx, id)
	if err != nil {
		return session, marketv1.Settlement{}, err
	}
	out, err := k.settlements.Get(ctx, id)
	return session, out, err
}

// waits loads a settlement of which something waits.
func (k Keeper) waits(ctx context.Context, session marketv1.Session) (out marketv1.Settlement, err error) {
	if session.State == marketv1.State_STATE_SETTLED {
		out, err = k.settlements.Get(ctx, session.Id)
	}
	if err == nil && out.Pending == 0 {
		err = ErrClosed.Wrapf("%d: nothing waits", session.Id)
	}
	return out, err
}

// release pays out of what waits, so that n/d of each share is paid. It returns how much
// left the escrow.
func (k Keeper) release(ctx context.Context, session marketv1.Session, out *marketv1.Settlement, n, d uint64) (uint64, error) {
	lines, err := k.linesOf(ctx, session.Id)
	if err != nil {
		return 0, err
	}
	var due payouts
	for i := range lines {
		if len(lines[i].Shares) == 0 {
			continue
		}
		due.release(&lines[i], n, d)
		if err := k.putLine(ctx, lines[i]); err != nil {
			return 0, err
		}
	}
	return k.payLater(ctx, session, out, due)
}

// payLater pays out of what waits, and writes the settlement.
func (k Keeper) payLater(ctx context.Context, session marketv1.Session, out *marketv1.Settlement, due payouts) (uint64, error) {
	paid, err := k.disburse(ctx, session, due)
	if err != nil {
		return 0, err
	}
	out.Paid, out.Refunded, out.Pending = out.Paid+paid.out, out.Refunded+paid.back, out.Pending-paid.out-paid.back
	if err := k.settlements.Set(ctx, session.Id, *out); err != nil {
		return 0, err
	}
	if out.Pending == 0 {
		if err := k.releases.Remove(ctx, collections.Join(uint64(out.ChallengeUntil), session.Id)); err != nil {
			return 0, err
		}
	}
	return paid.out + paid.back, emit(ctx, &marketv1.EventReleased{Session: session.Id, Payouts: paid.list, Pending: out.Pending})
}

// releaseDue pays what has waited until now, unless the beacon waits for an answer.
func (k Keeper) releaseDue(ctx context.Context, height uint64) error {
	due, err := head(ctx, k.releases, height, releasesPerBlock)
	if err != nil {
		return err
	}
	for _, key := range due {
		id := key.K2()
		if err := k.releases.Remove(ctx, key); err != nil {
			return err
		}
		asked, err := k.drawsOf(ctx, id)
		if err != nil {
			return err
		}
		if len(asked) > 0 {
			if err := k.releases.Set(ctx, collections.Join(max(uint64(asked[0].Due), height+1), id)); err != nil {
				return err
			}
			continue
		}
		session, out, err := k.settledSession(ctx, id)
		if err != nil {
			return err
		}
		if _, err := k.release(ctx, session, &out, 1, 1); err != nil {
			return err
		}
	}
	return nil
}

// head collects what is due of a queue, before anything is changed under the iterator.
func head(ctx context.Context, queue collections.KeySet[collections.Pair[uint64, uint64]], height uint64, most int) (due []collections.Pair[uint64, uint64], err error) {
	err = queue.Walk(ctx, nil, func(key collections.Pair[uint64, uint64]) (bool, error) {
		if key.K1() > height || len(due) == most {
			return true, nil
		}
		due = append(due, key)
		return false, nil
	})
	return due, err
}

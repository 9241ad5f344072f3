package market

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

type msgServer struct{ Keeper }

var _ marketv1.MsgServer = msgServer{}

// OpenSession escrows a deposit for work with a coordinator that is at work now.
func (s msgServer) OpenSession(ctx context.Context, m *marketv1.MsgOpenSession) (*marketv1.MsgOpenSessionResponse, error) {
	payer, session, err := s.check(ctx, m)
	if err != nil {
		return nil, err
	}
	if err := s.Bank.SendCoinsFromAccountToModule(ctx, payer[:], Name, coins(m.Deposit)); err != nil {
		return nil, err
	}
	if session.Id, err = s.next.Next(ctx); err != nil {
		return nil, err
	}
	if err := s.put(ctx, session); err != nil {
		return nil, err
	}
	if err := s.account(ctx, m.Deposit, 0, 0, 0); err != nil {
		return nil, err
	}
	if err := s.opened(ctx, session); err != nil {
		return nil, err
	}
	if err := s.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Opened++ }); err != nil {
		return nil, err
	}
	return &marketv1.MsgOpenSessionResponse{Session: session.Id}, emit(ctx, &marketv1.EventOpened{
		Session: session.Id, Payer: session.Payer, Coordinator: session.Coordinator, Deposit: session.Deposit,
	})
}

// check refuses a session that cannot be opened, and returns it without its number.
func (s msgServer) check(ctx context.Context, m *marketv1.MsgOpenSession) (payer essaim.Address, out marketv1.Session, err error) {
	if payer, err = essaim.ParseAddress(m.Payer); err != nil {
		return payer, out, ErrPayer.Wrap(err.Error())
	}
	key, err := essaim.ParseNodeKey(m.SessionKey)
	switch {
	case err != nil || key.IsZero():
		return payer, out, ErrSessionKey
	case m.Deposit == 0:
		return payer, out, ErrDeposit
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return payer, out, err
	}
	height := sdk.UnwrapSDKContext(ctx).BlockHeight()
	if m.Expiry <= height || m.Expiry > height+int64(p.MaxSessionBlocks) {
		return payer, out, ErrExpiry.Wrapf("height %d, want %d to %d", m.Expiry, height+1, height+int64(p.MaxSessionBlocks))
	}
	actor, err := s.trusted(ctx, m.Coordinator, m.Deposit)
	if err != nil {
		return payer, out, err
	}
	return payer, marketv1.Session{
		Payer: payer.String(), Coordinator: actor.NodeKey.String(), Deposit: m.Deposit, SessionKey: key.String(),
		Opened: height, Expiry: m.Expiry, State: marketv1.State_STATE_OPEN, FeeBps: uint32(actor.Fee),
	}, nil
}

// TopUp adds to the deposit of a session that is open. Only its payer may: who is to have
// the rest back is not changed by it. Nor are the expiry and the coordinator's fee.
func (s msgServer) TopUp(ctx context.Context, m *marketv1.MsgTopUp) (*marketv1.MsgTopUpResponse, error) {
	session, err := s.settleable(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	payer, err := essaim.ParseAddress(m.Payer)
	if err != nil {
		return nil, ErrPayer.Wrap(err.Error())
	}
	total, ok := essaim.Amount(session.Deposit).Add(essaim.Amount(m.Amount))
	switch {
	case payer.String() != session.Payer:
		return nil, ErrPayer.Wrapf("session %d is paid by %s", m.Session, session.Payer)
	case m.Amount == 0 || !ok:
		return nil, ErrDeposit
	}
	if _, err := s.trusted(ctx, session.Coordinator, m.Amount); err != nil {
		return nil, err
	}
	if err := s.Bank.SendCoinsFromAccountToModule(ctx, payer[:], Name, coins(m.Amount)); err != nil {
		return nil, err
	}
	session.Deposit = uint64(total)
	if err := s.put(ctx, session); err != nil {
		return nil, err
	}
	if err := s.account(ctx, m.Amount, 0, 0, 0); err != nil {
		return nil, err
	}
	if err := s.added(ctx, session.Coordinator, m.Amount); err != nil {
		return nil, err
	}
	return &marketv1.MsgTopUpResponse{Deposit: session.Deposit}, emit(ctx, &marketv1.EventToppedUp{
		Session: session.Id, Payer: session.Payer, Amount: m.Amount, Deposit: session.Deposit,
	})
}

// trusted finds a coordinator that may be given so much more to spend: one at work, whose
// stake answers for it.
func (s msgServer) trusted(ctx context.Context, coordinator string, more uint64) (essaim.Actor, error) {
	node, err := essaim.ParseNodeKey(coordinator)
	if err != nil {
		return essaim.Actor{}, ErrCoordinator.Wrap(err.Error())
	}
	switch actor, ok, err := s.Registry.Actor(ctx, node); {
	case err != nil:
		return actor, err
	case !ok || actor.Role != essaim.RoleCoordinator || actor.RetiredAt != 0:
		return actor, ErrCoordinator.Wrap(node.String())
	case actor.JailedUntil != 0:
		return actor, ErrCoordinator.Wrapf("%s is jailed", node)
	default:
		return actor, s.checkCover(ctx, node, more)
	}
}

// checkCover refuses a deposit that the coordinator's stake does not answer for.
func (s msgServer) checkCover(ctx context.Context, node essaim.NodeKey, deposit uint64) error {
	limit, err := s.Registry.Cover(ctx, node)
	if err != nil {
		return err
	}
	have, err := s.deposits(ctx, node)
	if err != nil {
		return err
	}
	if have > limit || deposit > limit-have {
		return ErrCover.Wrapf("%s has %d uaim in open sessions, its stake covers %d", node, have, limit)
	}
	return nil
}

// UpdateParams replaces the parameters.
func (s msgServer) UpdateParams(ctx context.Context, m *marketv1.MsgUpdateParams) (*marketv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	return &marketv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

func checkParams(p marketv1.Params) error {
	switch {
	case p.ProtocolFeeBps > MaxProtocolFee:
		return ErrParams.Wrapf("protocol fee of %d basis points, at most %d", p.ProtocolFeeBps, MaxProtocolFee)
	case p.MaxSessionBlocks == 0:
		return ErrParams.Wrap("max_session_blocks must be at least 1")
	case p.BurnBps > MaxBurn:
		return ErrParams.Wrapf("%d basis points of the protocol fee burned, at most %d", p.BurnBps, MaxBurn)
	case p.OpeningBps > uint32(essaim.BpsWhole) || p.Openings > MaxOpenings:
		return ErrParams.Wrapf("a chance of %d basis points to be asked for %d openings, at most %d and %d", p.OpeningBps, p.Openings, essaim.BpsWhole, MaxOpenings)
	case p.OpeningBps > 0 && (p.Openings == 0 || p.OpeningBlocks == 0 || p.ChallengeBlocks <= drawDelay):
		return ErrParams.Wrapf("openings need a number, time to answer, and a challenge window of more than %d blocks", drawDelay)
	case p.ChallengeBlocks > 0 && uint64(p.ChallengeBlocks)+uint64(p.OpeningBlocks)+drawDelay >= uint64(p.ClaimBlocks):
		return ErrParams.Wrapf("miners must have time to claim, %d blocks, after %d of challenges and %d of openings", p.ClaimBlocks, p.ChallengeBlocks, p.OpeningBlocks)
	}
	return nil
}

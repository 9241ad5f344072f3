package market

import (
	"context"
	"crypto/ed25519"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Settle pays a session out. Everything is checked before anything is paid.
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
	split, err := s.split(ctx, session, coordinator, claim)
	if err != nil {
		return nil, err
	}
	paid := uint64(claim.Root.Sum())
	return &marketv1.MsgSettleResponse{Paid: paid, Refunded: session.Deposit - paid}, s.close(ctx, session, claim, split)
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
	case !ed25519.Verify(node[:], claim.SignBytes(node), sig):
		return actor, ErrSignature
	}
	return actor, nil
}

// split turns the claim's lines into payments, which add up to the session's deposit.
func (s msgServer) split(ctx context.Context, session marketv1.Session, coordinator essaim.Actor, claim essaim.Settlement) (payouts, error) {
	params, err := s.params.Get(ctx)
	if err != nil {
		return payouts{}, err
	}
	var out payouts
	for _, l := range claim.Lines {
		miner, ok, err := s.Registry.Actor(ctx, l.Miner)
		switch {
		case err != nil:
			return out, err
		case !ok || miner.Role != essaim.RoleMiner:
			return out, ErrPayee.Wrap(l.Miner.String())
		}
		model, ok, err := s.Models.Model(ctx, l.Model)
		switch {
		case err != nil:
			return out, err
		case !ok:
			return out, ErrModel.Wrap(l.Model.String())
		}
		protocol := essaim.Bps(params.ProtocolFeeBps).Of(l.Amount)
		royalty := model.Royalty.Of(l.Amount)
		fee := essaim.Bps(session.FeeBps).Of(l.Amount)
		out.add(miner.Owner, ReasonMiner, l.Amount-protocol-royalty-fee) // the caps leave at least 48 %
		out.add(model.Owner, ReasonRoyalty, royalty)
		out.add(coordinator.Owner, ReasonCoordinator, fee)
		out.add(essaim.Address(treasury()), ReasonTreasury, protocol)
	}
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return out, err
	}
	out.add(payer, ReasonRefund, essaim.Amount(session.Deposit)-claim.Root.Sum())
	return out, nil
}

// close pays, and writes what remains of the session.
func (s msgServer) close(ctx context.Context, session marketv1.Session, claim essaim.Settlement, split payouts) error {
	for _, p := range split.list {
		if err := s.pay(ctx, p); err != nil {
			return err
		}
	}
	session.State = marketv1.State_STATE_SETTLED
	if err := s.put(ctx, session); err != nil {
		return err
	}
	paid := uint64(claim.Root.Sum())
	refunded := session.Deposit - paid
	if err := s.settlements.Set(ctx, session.Id, marketv1.Settlement{
		Session: session.Id, Root: claim.Root[:], Height: sdk.UnwrapSDKContext(ctx).BlockHeight(),
		Paid: paid, Refunded: refunded, Tasks: claim.Root.Count(),
	}); err != nil {
		return err
	}
	if err := s.account(ctx, 0, paid, refunded); err != nil {
		return err
	}
	return emit(ctx, &marketv1.EventSettled{Session: session.Id, Payouts: split.list})
}

func (s msgServer) pay(ctx context.Context, p marketv1.Payout) error {
	if p.Reason == ReasonTreasury {
		return s.Treasury.FundCommunityPool(ctx, coins(p.Amount), escrow())
	}
	to, err := essaim.ParseAddress(p.To)
	if err != nil {
		return err
	}
	return s.Bank.SendCoinsFromModuleToAccount(ctx, Name, to[:], coins(p.Amount))
}

// payouts collects payments, one per account and reason, in the order of the lines.
type payouts struct {
	list []marketv1.Payout
	at   map[payee]int // where in the list
}

type payee struct {
	to     essaim.Address
	reason string
}

func (p *payouts) add(to essaim.Address, reason string, amount essaim.Amount) {
	if amount == 0 {
		return
	}
	who := payee{to, reason}
	if i, ok := p.at[who]; ok {
		p.list[i].Amount += uint64(amount) // at most the deposit in all
		return
	}
	if p.at == nil {
		p.at = map[payee]int{}
	}
	p.at[who] = len(p.list)
	p.list = append(p.list, marketv1.Payout{To: to.String(), Reason: reason, Amount: uint64(amount)})
}

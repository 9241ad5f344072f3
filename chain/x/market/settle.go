package market

import (
	"context"

	"cosmossdk.io/math"
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
	paid, refunded, err := s.close(ctx, session, claim, split)
	return &marketv1.MsgSettleResponse{Paid: paid, Refunded: refunded}, err
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

// split turns the claim's lines into payments, which add up to the session's deposit.
func (s msgServer) split(ctx context.Context, session marketv1.Session, coordinator essaim.Actor, claim essaim.Settlement) (payouts, error) {
	params, err := s.params.Get(ctx)
	if err != nil {
		return payouts{}, err
	}
	var out payouts
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return out, err
	}
	for _, l := range claim.Lines {
		model, ok, err := s.Models.Model(ctx, l.Model)
		switch {
		case err != nil:
			return out, err
		case !ok:
			return out, ErrModel.Wrap(l.Model.String())
		}
		miner, ok, err := s.Registry.Actor(ctx, l.Miner)
		switch {
		case err != nil:
			return out, err
		case !ok || miner.Role != essaim.RoleMiner:
			out.add(payout{to: payer, reason: ReasonGone, amount: l.Amount})
			continue
		}
		protocol := essaim.Bps(params.ProtocolFeeBps).Of(l.Amount)
		royalty := model.Royalty.Of(l.Amount)
		fee := essaim.Bps(session.FeeBps).Of(l.Amount)
		out.add(payout{to: miner.Owner, node: l.Miner, reason: ReasonMiner, amount: l.Amount - protocol - royalty - fee, fee: protocol}) // the caps leave at least 48 %
		out.add(payout{to: model.Owner, reason: ReasonRoyalty, amount: royalty})
		out.add(payout{to: coordinator.Owner, node: coordinator.NodeKey, reason: ReasonCoordinator, amount: fee})
		out.add(payout{to: essaim.Address(treasury()), reason: ReasonTreasury, amount: protocol})
	}
	out.add(payout{to: payer, reason: ReasonRefund, amount: essaim.Amount(session.Deposit) - claim.Root.Sum()})
	return out, nil
}

// close pays, and writes what remains of the session. It returns what was paid and what
// went back to the payer.
func (s msgServer) close(ctx context.Context, session marketv1.Session, claim essaim.Settlement, split payouts) (paid, refunded uint64, err error) {
	event := &marketv1.EventSettled{Session: session.Id}
	for _, p := range split.list {
		if err := s.pay(ctx, p); err != nil {
			return 0, 0, err
		}
		if p.reason == ReasonRefund || p.reason == ReasonGone {
			refunded += uint64(p.amount)
		} else {
			paid += uint64(p.amount)
		}
		event.Payouts = append(event.Payouts, marketv1.Payout{To: p.to.String(), Reason: p.reason, Amount: uint64(p.amount)})
	}
	if err := s.end(ctx, &session, marketv1.State_STATE_SETTLED); err != nil {
		return 0, 0, err
	}
	if err := s.settlements.Set(ctx, session.Id, marketv1.Settlement{
		Session: session.Id, Root: claim.Root[:], Height: session.Ended, Paid: paid, Refunded: refunded, Tasks: claim.Root.Count(),
		Receipts: named(claim.Receipts),
	}); err != nil {
		return 0, 0, err
	}
	for _, l := range claim.Lines {
		line := marketv1.Line{Miner: l.Miner[:], Model: l.Model[:], Amount: uint64(l.Amount), Tasks: l.Tasks}
		if err := s.lines.Set(ctx, lineKey(session.Id, l.Miner, l.Model), line); err != nil {
			return 0, 0, err
		}
	}
	if err := s.account(ctx, 0, paid, refunded); err != nil {
		return 0, 0, err
	}
	if err := s.count(ctx, session.Coordinator, func(r *marketv1.Record) {
		r.Settled++
		r.Paid = r.Paid.Add(math.NewIntFromUint64(paid))
	}); err != nil {
		return 0, 0, err
	}
	return paid, refunded, emit(ctx, event)
}

// named is the stored form of a digest; of none, no bytes.
func named(d essaim.Digest) []byte {
	if d.IsZero() {
		return nil
	}
	return d[:]
}

func (s msgServer) pay(ctx context.Context, p payout) error {
	switch p.reason {
	case ReasonTreasury:
		return s.Treasury.FundCommunityPool(ctx, coins(uint64(p.amount)), escrow())
	case ReasonMiner, ReasonCoordinator:
		return s.Registry.Income(ctx, Name, p.node, uint64(p.amount), uint64(p.fee))
	}
	return s.Bank.SendCoinsFromModuleToAccount(ctx, Name, p.to[:], coins(uint64(p.amount)))
}

// payout is one payment; those to a node go through the registry.
type payout struct {
	to     essaim.Address
	node   essaim.NodeKey // miners and coordinators
	reason string
	amount essaim.Amount
	fee    essaim.Amount // protocol fee paid on the same work
}

// payouts collects payments, one per payee, in the order of the lines.
type payouts struct {
	list []payout
	at   map[payee]int // where in the list
}

type payee struct {
	to     essaim.Address
	node   essaim.NodeKey
	reason string
}

func (p *payouts) add(x payout) {
	if x.amount == 0 && x.fee == 0 {
		return
	}
	who := payee{x.to, x.node, x.reason}
	if i, ok := p.at[who]; ok {
		p.list[i].amount += x.amount // at most the deposit in all
		p.list[i].fee += x.fee
		return
	}
	if p.at == nil {
		p.at = map[payee]int{}
	}
	p.at[who] = len(p.list)
	p.list = append(p.list, x)
}

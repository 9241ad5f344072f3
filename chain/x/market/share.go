package market

import (
	"context"
	"math/bits"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// lineUp splits the amounts of lines among those who get them, at today's shares. What
// rounding leaves over is the miner's. A line whose miner has left goes back to the payer.
func (k Keeper) lineUp(ctx context.Context, p marketv1.Params, session marketv1.Session, coordinator essaim.Actor, lines []essaim.Line) ([]marketv1.SettledLine, error) {
	var out []marketv1.SettledLine
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		model, ok, err := k.Models.Model(ctx, l.Model)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			return nil, ErrModel.Wrap(l.Model.String())
		}
		miner, ok, err := k.Registry.Actor(ctx, l.Miner)
		if err != nil {
			return nil, err
		}
		settled := marketv1.SettledLine{
			Session: session.Id,
			Line:    marketv1.Line{Miner: l.Miner[:], Model: l.Model[:], Amount: uint64(l.Amount), Tasks: l.Tasks},
		}
		if ok && miner.Role == essaim.RoleMiner {
			settled.Shares = split(p, l, miner, coordinator, model, essaim.Bps(session.FeeBps))
		} else if l.Amount > 0 {
			settled.Shares = []marketv1.Share{{To: payer[:], Reason: ReasonGone, Amount: uint64(l.Amount)}}
		}
		out = append(out, settled)
	}
	return out, nil
}

// split divides a line. The caps of all shares leave the miner at least 48 %.
func split(p marketv1.Params, l essaim.Line, miner, coordinator essaim.Actor, model essaim.Model, fee essaim.Bps) []marketv1.Share {
	rest := l.Amount
	var out []marketv1.Share
	add := func(to essaim.Address, node []byte, reason string, amount essaim.Amount) {
		if amount > 0 {
			out = append(out, marketv1.Share{To: to[:], Node: node, Reason: reason, Amount: uint64(amount)})
		}
		rest -= amount
	}
	add(model.Owner, nil, ReasonRoyalty, model.Royalty.Of(l.Amount))
	for _, d := range model.Data {
		add(d.Owner, nil, ReasonData, d.Royalty.Of(l.Amount))
	}
	add(coordinator.Owner, coordinator.NodeKey[:], ReasonCoordinator, fee.Of(l.Amount))
	protocol := essaim.Bps(p.ProtocolFeeBps).Of(l.Amount)
	burn := essaim.Bps(p.BurnBps).Of(protocol)
	add(essaim.Address(treasury()), nil, ReasonTreasury, protocol-burn)
	add(essaim.Address{}, nil, ReasonBurn, burn)
	first := marketv1.Share{To: miner.Owner[:], Node: miner.NodeKey[:], Reason: ReasonMiner, Amount: uint64(rest)}
	return append([]marketv1.Share{first}, out...)
}

// part is amount·n/d, rounded down; n is at most d.
func part(amount, n, d uint64) uint64 {
	if n == d {
		return amount
	}
	hi, lo := bits.Mul64(amount, n)
	q, _ := bits.Div64(hi, lo, d)
	return q
}

// waiting is what of a line is not paid yet.
func waiting(l marketv1.SettledLine) (sum uint64) {
	for _, s := range l.Shares {
		sum += s.Amount - s.Paid
	}
	return sum
}

// release makes payouts of a line so that n/d of each share is paid. What goes back to the
// payer goes at once.
func (p *payouts) release(l *marketv1.SettledLine, n, d uint64) {
	var fee essaim.Amount
	var list []payout
	rest := false
	for i := range l.Shares {
		s := &l.Shares[i]
		due := part(s.Amount, n, d)
		if s.Reason == ReasonGone {
			due = s.Amount
		}
		x := payout{to: essaim.Address(s.To), reason: s.Reason}
		if len(s.Node) > 0 {
			x.node = essaim.NodeKey(s.Node)
		}
		if due > s.Paid { // not so after a conviction, perhaps
			x.amount, s.Paid = essaim.Amount(due-s.Paid), due
		}
		if s.Reason == ReasonTreasury || s.Reason == ReasonBurn {
			fee += x.amount
		}
		list = append(list, x)
		rest = rest || s.Paid < s.Amount
	}
	for _, x := range list {
		if x.reason == ReasonMiner {
			x.fee = fee
		}
		p.add(x)
	}
	if !rest {
		l.Shares = nil
	}
}

// void takes at most so much out of what waits of a line, from each share alike, and
// returns what it took.
func void(l *marketv1.SettledLine, want uint64) uint64 {
	have := waiting(*l)
	want = min(want, have)
	left := want
	cut := func(s *marketv1.Share, x uint64) { s.Amount, left = s.Amount-x, left-x }
	if have > 0 {
		for i := range l.Shares {
			s := &l.Shares[i]
			cut(s, part(s.Amount-s.Paid, want, have))
		}
	}
	for i := range l.Shares { // what rounding left
		s := &l.Shares[i]
		cut(s, min(left, s.Amount-s.Paid))
	}
	l.Voided += want
	if waiting(*l) == 0 {
		l.Shares = nil
	}
	return want
}

func (k Keeper) putLine(ctx context.Context, l marketv1.SettledLine) error {
	return k.lines.Set(ctx, collections.Join3(l.Session, l.Line.Miner, l.Line.Model), l)
}

// linesOf are a session's lines by miner, then model.
func (k Keeper) linesOf(ctx context.Context, session uint64) (out []marketv1.SettledLine, err error) {
	err = k.lines.Walk(ctx, collections.NewPrefixedTripleRange[uint64, []byte, []byte](session), func(_ ofSession, l marketv1.SettledLine) (bool, error) {
		out = append(out, l)
		return false, nil
	})
	return out, err
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

// disbursed is what payouts came to.
type disbursed struct {
	list      []marketv1.Payout
	out, back uint64 // to those who work, and to the payer
}

// disburse pays out of a session's escrow, and keeps the books of it. A node that has left
// since the settlement is paid nothing: the payer gets it back.
func (k Keeper) disburse(ctx context.Context, session marketv1.Session, p payouts) (d disbursed, err error) {
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return d, err
	}
	var burned uint64
	for _, x := range p.list {
		if !x.node.IsZero() {
			switch _, ok, err := k.Registry.Actor(ctx, x.node); {
			case err != nil:
				return d, err
			case !ok:
				x = payout{to: payer, reason: ReasonGone, amount: x.amount}
			}
		}
		if err := k.pay(ctx, x); err != nil {
			return d, err
		}
		switch x.reason {
		case ReasonRefund, ReasonGone, ReasonVoid:
			d.back += uint64(x.amount)
		case ReasonBurn:
			burned += uint64(x.amount)
			fallthrough
		default:
			d.out += uint64(x.amount)
		}
		paid := marketv1.Payout{To: x.to.String(), Reason: x.reason, Amount: uint64(x.amount)}
		if x.reason == ReasonBurn {
			paid.To = ""
		}
		d.list = append(d.list, paid)
	}
	if err := k.account(ctx, 0, d.out, d.back, burned); err != nil {
		return d, err
	}
	return d, k.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Paid = r.Paid.Add(math.NewIntFromUint64(d.out)) })
}

func (k Keeper) pay(ctx context.Context, p payout) error {
	switch p.reason {
	case ReasonTreasury:
		return k.Treasury.FundCommunityPool(ctx, coins(uint64(p.amount)), escrow())
	case ReasonBurn:
		return k.Bank.BurnCoins(ctx, Name, coins(uint64(p.amount)))
	case ReasonMiner, ReasonCoordinator:
		return k.Registry.Income(ctx, Name, p.node, uint64(p.amount), uint64(p.fee))
	}
	return k.Bank.SendCoinsFromModuleToAccount(ctx, Name, p.to[:], coins(uint64(p.amount)))
}

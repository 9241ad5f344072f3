package market

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// Challenge decides at once: an opening proves what the settlement claimed, and whether
// that is true can be read from it. A challenge of what is true costs its sender the
// transaction.
func (s msgServer) Challenge(ctx context.Context, m *marketv1.MsgChallenge) (*marketv1.MsgChallengeResponse, error) {
	session, err := s.session(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	if n := len(m.Openings); n < 1 || n > 2 {
		return nil, ErrOpening.Wrapf("%d openings, want one or two", n)
	}
	d, out, err := s.docket(ctx, session)
	if err != nil {
		return nil, err
	}
	if height := sdk.UnwrapSDKContext(ctx).BlockHeight(); height >= out.ChallengeUntil {
		return nil, ErrLate.Wrapf("session %d, until height %d", session.Id, out.ChallengeUntil)
	}
	var leaves []leaf
	for _, o := range m.Openings {
		l, err := d.locate(ctx, o)
		if err != nil {
			return nil, err
		}
		leaves = append(leaves, l)
	}
	guilty, fault := leaves[0], d.judge(leaves[0])
	if len(leaves) == 2 {
		if guilty.Index < leaves[1].Index {
			guilty = leaves[1] // the earlier one may be right
		}
		if fault = ""; doubled(leaves[0], leaves[1]) {
			fault = FaultDoubled
		}
	}
	if fault == "" {
		return nil, ErrTrue.Wrapf("session %d, leaf %d", session.Id, guilty.Index)
	}
	c, err := s.convict(ctx, session, out, d, guilty, fault, leaves)
	return &marketv1.MsgChallengeResponse{Conviction: c}, err
}

// Open answers a draw. Anyone may who has the leaf.
func (s msgServer) Open(ctx context.Context, m *marketv1.MsgOpen) (*marketv1.MsgOpenResponse, error) {
	session, err := s.session(ctx, m.Session)
	if err != nil {
		return nil, err
	}
	key := collections.Join(m.Session, m.Draw)
	draw, err := s.draw(ctx, key)
	if err != nil {
		return nil, err
	}
	d, out, err := s.docket(ctx, session)
	if err != nil {
		return nil, err
	}
	l, err := d.locate(ctx, m.Opening)
	if err != nil {
		return nil, err
	}
	if point := essaim.Amount(draw.Point); point < l.before || point-l.before >= l.Amount {
		return nil, ErrOpening.Wrapf("leaf %d covers %d to %d, the draw asks for %d", l.Index, l.before, l.before+l.Amount, point)
	}
	if err := s.answered(ctx, session, draw); err != nil {
		return nil, err
	}
	fault := d.judge(l)
	known, err := s.convictions.Has(ctx, collections.Join(session.Id, l.Index))
	if err != nil {
		return nil, err
	}
	if fault == "" || known {
		return &marketv1.MsgOpenResponse{}, emit(ctx, &marketv1.EventAnswered{Session: session.Id, Draw: m.Draw})
	}
	c, err := s.convict(ctx, session, out, d, l, fault, []leaf{l})
	return &marketv1.MsgOpenResponse{Fault: fault, Slash: c.Slash}, err
}

// convict takes a false leaf's amount out of what waits of its line, back to the payer,
// and slashes the coordinator, out of which the payer gets what did not wait any more. A
// leaf that is right where the lines' totals are wrong is paid once: whoever got less than
// promised has ClaimUnpaid.
func (s msgServer) convict(ctx context.Context, session marketv1.Session, out marketv1.Settlement, d docket, l leaf, fault string, evidence []leaf) (c marketv1.Conviction, err error) {
	key := collections.Join(session.Id, l.Index)
	switch known, err := s.convictions.Has(ctx, key); {
	case err != nil:
		return c, err
	case known:
		return c, ErrConvicted.Wrapf("session %d, leaf %d", session.Id, l.Index)
	}
	payer, err := essaim.ParseAddress(session.Payer)
	if err != nil {
		return c, err
	}
	c = marketv1.Conviction{Session: session.Id, Index: l.Index, Fault: fault, Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}
	f := Fault{Coordinator: d.session.Coordinator, Evidence: evidenceOf(evidence), Height: out.Height, Wronged: payer}
	if fault != FaultLine {
		line := &d.lines[l.line]
		due := min(uint64(l.Amount), kept(*line))
		c.Voided = void(line, due)
		c.Restitution = due - c.Voided
		line.Restored += c.Restitution
		if err := s.putLine(ctx, *line); err != nil {
			return c, err
		}
		var back payouts
		back.add(payout{to: payer, reason: ReasonVoid, amount: essaim.Amount(c.Voided)})
		if c.Voided > 0 {
			if _, err := s.payLater(ctx, session, &out, back); err != nil {
				return c, err
			}
		}
	}
	f.Restitution = essaim.Amount(c.Restitution)
	switch _, ok, err := s.Registry.Actor(ctx, f.Coordinator); {
	case err != nil:
		return c, err
	case ok:
		if c.Slash, err = s.Registry.Convict(ctx, f, fault); err != nil {
			return c, err
		}
	}
	if err := s.convictions.Set(ctx, key, c); err != nil {
		return c, err
	}
	if err := s.count(ctx, session.Coordinator, func(r *marketv1.Record) { r.Convicted++ }); err != nil {
		return c, err
	}
	return c, emit(ctx, &marketv1.EventConvicted{Coordinator: session.Coordinator, Conviction: c})
}

func evidenceOf(leaves []leaf) essaim.Digest {
	var openings []essaim.Opening
	for _, l := range leaves {
		openings = append(openings, l.Opening)
	}
	return essaim.EvidenceOf(openings)
}

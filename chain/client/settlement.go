package client

import (
	"context"
	"fmt"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// ShowVoucher shows the ledger what a session's payer has accepted: of a settled session
// so much is paid at once, of a lapsed one so much can be claimed.
//
// Errors: CodeConflict if the ledger has seen a newer one or nothing waits, CodeBadInput
// for a voucher of another session.
func (c *Client) ShowVoucher(ctx context.Context, by Signer, id essaim.SessionID, voucher []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &marketv1.MsgShowVoucher{Submitter: by.Address().String(), Session: uint64(id), Voucher: voucher})
}

// Convicted is what became of a leaf that was proven to be false.
type Convicted struct {
	Fault       string        `json:"fault"`
	Voided      essaim.Amount `json:"voided"`      // out of what waited, back to the payer
	Restitution essaim.Amount `json:"restitution"` // to the payer out of the slash, as far as that suffices
	Slash       uint64        `json:"slash"`       // its number; 0: the coordinator has left
}

// Challenge shows one false leaf of a settlement, or two that are one task.
//
// Errors: CodeConflict if it is true, was shown before or comes too late, CodeBadInput if
// it is no leaf of the settlement.
func (c *Client) Challenge(ctx context.Context, by Signer, id essaim.SessionID, openings []essaim.Opening) (Convicted, essaim.Tx, error) {
	m := &marketv1.MsgChallenge{Submitter: by.Address().String(), Session: uint64(id)}
	for _, o := range openings {
		m.Openings = append(m.Openings, opening(o))
	}
	var r marketv1.MsgChallengeResponse
	tx, err := c.ask(ctx, by, m, &r)
	return Convicted{
		Fault: r.Conviction.Fault, Voided: essaim.Amount(r.Conviction.Voided), Restitution: essaim.Amount(r.Conviction.Restitution), Slash: r.Conviction.Slash,
	}, tx, err
}

// Open answers a draw with the leaf that covers its point. A leaf that is false convicts
// the coordinator: fault then says why.
//
// Errors: CodeNotFound if the draw is not open, CodeBadInput for another leaf.
func (c *Client) Open(ctx context.Context, by Signer, id essaim.SessionID, draw int, o essaim.Opening) (fault string, _ essaim.Tx, _ error) {
	var r marketv1.MsgOpenResponse
	tx, err := c.ask(ctx, by, &marketv1.MsgOpen{Submitter: by.Address().String(), Session: uint64(id), Draw: uint32(draw), Opening: opening(o)}, &r)
	return r.Fault, tx, err
}

func opening(o essaim.Opening) marketv1.Opening {
	out := marketv1.Opening{Task: o.Task, Receipt: o.Receipt, Amount: uint64(o.Amount), Index: o.Index}
	for _, s := range o.Siblings {
		out.Siblings = append(out.Siblings, s[:]...)
	}
	return out
}

// Draws lists what the beacon asks a coordinator to show, by session: the oldest thousand.
func (c *Client) Draws(ctx context.Context, coordinator essaim.NodeKey) ([]essaim.Draw, error) {
	var r marketv1.QueryDrawsResponse
	if err := c.call(ctx, "/essaim.market.v1.Query/Draws", &marketv1.QueryDrawsRequest{Coordinator: coordinator.String()}, &r); err != nil {
		return nil, err
	}
	var out []essaim.Draw
	for _, d := range r.Draws {
		out = append(out, essaim.Draw{Session: essaim.SessionID(d.Session), Index: int(d.Index), Point: essaim.Amount(d.Point), Due: d.Due})
	}
	return out, nil
}

// ClaimLapsed shows what the coordinator of a lapsed session has acknowledged to a miner.
// ack is that acknowledgement as signed, sig the miner's node key's signature of
// essaim.ClaimBytes, voucher the newest that the miner knows of the payer, or nil.
//
// Errors: CodeConflict if the session is not lapsed or as much is claimed already,
// CodeBadInput or CodeRefused for what is signed by others.
func (c *Client) ClaimLapsed(ctx context.Context, by Signer, ack, sig, voucher []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &marketv1.MsgClaimLapsed{Submitter: by.Address().String(), Ack: ack, Signature: sig, Voucher: voucher})
}

// Settled is what remains of a settled session.
type Settled struct {
	Session      essaim.SessionID `json:"session"`
	Root         essaim.SumRoot   `json:"root"`
	Height       int64            `json:"height"`
	Paid         essaim.Amount    `json:"paid"`     // so far
	Refunded     essaim.Amount    `json:"refunded"` // so far
	Tasks        uint64           `json:"tasks"`
	Receipts     essaim.Digest    `json:"receipts"` // the blob of the session's receipts; zero: nothing was paid
	Pending      essaim.Amount    `json:"pending"`  // waits until PendingUntil, or until the beacon is answered if that is later
	PendingUntil int64            `json:"pending_until"`
	Acknowledged essaim.Amount    `json:"acknowledged"`    // by the payer's newest voucher, of the root's sum
	Lines        []essaim.Line    `json:"lines,omitempty"` // as settled, sorted by essaim.Line.Compare; none when it can be contested no more
}

// Settlement returns what a settled session paid, and what waits of it. PendingUntil is
// the end of its challenge window, whether anything waits or not; 0 if it has none.
//
// Errors: CodeNotFound, also for a session that is not settled.
func (c *Client) Settlement(ctx context.Context, id essaim.SessionID) (Settled, error) {
	var r marketv1.QuerySettlementResponse
	if err := c.call(ctx, "/essaim.market.v1.Query/Settlement", &marketv1.QuerySettlementRequest{Session: uint64(id)}, &r); err != nil {
		return Settled{}, err
	}
	s := r.Settlement
	out := Settled{
		Session: essaim.SessionID(s.Session), Height: s.Height, Paid: essaim.Amount(s.Paid), Refunded: essaim.Amount(s.Refunded), Tasks: s.Tasks,
		Pending: essaim.Amount(s.Pending), PendingUntil: s.ChallengeUntil, Acknowledged: essaim.Amount(s.Acknowledged),
	}
	if copy(out.Root[:], s.Root) != len(out.Root) {
		return out, essaim.Errorf(essaim.CodeInternal, "", "settlement %s has a root of %d bytes", id, len(s.Root))
	}
	copy(out.Receipts[:], s.Receipts)
	for _, l := range r.Lines {
		if len(l.Miner) != len(essaim.NodeKey{}) || len(l.Model) != len(essaim.Digest{}) {
			return out, fmt.Errorf("settlement %s has a malformed line", id)
		}
		out.Lines = append(out.Lines, essaim.Line{Miner: essaim.NodeKey(l.Miner), Model: essaim.Digest(l.Model), Amount: essaim.Amount(l.Amount), Tasks: l.Tasks})
	}
	return out, nil
}

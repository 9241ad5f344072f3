package client

import (
	"context"
	"errors"

	"github.com/cosmos/cosmos-sdk/types/query"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
)

var verdictWords = map[disputev1.Verdict]string{
	disputev1.Verdict_VERDICT_MINER_WRONG:      "miner wrong",
	disputev1.Verdict_VERDICT_CHALLENGER_WRONG: "challenger wrong",
	disputev1.Verdict_VERDICT_UNDECIDED:        "undecided",
}

// OpenDispute shows a signed receipt, with its task, as wrong. The bond leaves the signer's account until the dispute is over.
//
// Errors: CodeConflict if the miner was found wrong about it before or its session is not settled yet, CodeExpired if that can no longer
// be contested, CodeBadInput if there is nothing to dispute.
func (c *Client) OpenDispute(ctx context.Context, by Signer, f essaim.ReceiptFile) (id uint64, _ essaim.Tx, _ error) {
	var r disputev1.MsgDisputeResponse
	tx, err := c.ask(ctx, by, &disputev1.MsgDispute{Challenger: by.Address().String(), Receipt: f.Receipt, Task: f.Task}, &r)
	return r.Dispute, tx, err
}

// MoveDispute makes a move: the challenger's by the challenger, the miner's by anybody, with the node key's signature
// of essaim.MoveBytes.
//
// Errors: CodeBadInput for a move that the rules do not allow, CodeExpired if the dispute is over.
func (c *Client) MoveDispute(ctx context.Context, by Signer, dispute uint64, move, signature []byte) (essaim.Tx, error) {
	return c.do(ctx, by, &disputev1.MsgMove{Submitter: by.Address().String(), Dispute: dispute, Move: move, Signature: signature})
}

// Disprove shows the proof that a receipt names, with the task that it answers and the input that the task names: the ledger
// checks it, and the dispute that is returned is decided. The bond leaves the signer's account only if the proof holds.
//
// Errors: CodeBadInput if these do not belong together, CodeConflict if the miner was found wrong before, else the ledger's.
func (c *Client) Disprove(ctx context.Context, by Signer, receipt, task, input, proof []byte) (d essaim.Dispute, tx essaim.Tx, err error) {
	var r disputev1.MsgDisproveResponse
	tx, err = c.ask(ctx, by, &disputev1.MsgDisprove{Challenger: by.Address().String(), Receipt: receipt, Task: task, Input: input, Proof: proof}, &r)
	if err != nil {
		return d, tx, err
	}
	d, err = c.Dispute(ctx, r.Dispute)
	return d, tx, err
}

// Dispute returns a dispute as it stands.
//
// Errors: CodeNotFound.
func (c *Client) Dispute(ctx context.Context, id uint64) (d essaim.Dispute, err error) {
	var r disputev1.QueryDisputeResponse
	if err := c.call(ctx, "/essaim.dispute.v1.Query/Dispute", &disputev1.QueryDisputeRequest{Id: id}, &r); err != nil {
		return d, err
	}
	return disputeOf(r.Dispute)
}

// recentDisputes is how many disputes back Disputes looks.
const recentDisputes = 1000

// Disputes returns the newest disputes, newest first; of everybody's a thousand are looked at. keep says which.
func (c *Client) Disputes(ctx context.Context, keep func(essaim.Dispute) bool) (out []essaim.Dispute, err error) {
	var r disputev1.QueryDisputesResponse
	q := &disputev1.QueryDisputesRequest{Pagination: &query.PageRequest{Limit: recentDisputes, Reverse: true}}
	if err := c.call(ctx, "/essaim.dispute.v1.Query/Disputes", q, &r); err != nil {
		return nil, err
	}
	for _, s := range r.Disputes {
		d, err := disputeOf(s)
		if err != nil {
			return nil, err
		}
		if keep(d) {
			out = append(out, d)
		}
	}
	return out, nil
}

// longest is more moves than any game has.
const longest = 64

// OpenDisputes returns those that are being played, newest first, however many others there are: it looks back as far as a
// game that is not over can have begun. keep says which.
func (c *Client) OpenDisputes(ctx context.Context, keep func(essaim.Dispute) bool) (out []essaim.Dispute, err error) {
	var rules disputev1.QueryParamsResponse
	if err := c.call(ctx, "/essaim.dispute.v1.Query/Params", &disputev1.QueryParamsRequest{}, &rules); err != nil {
		return nil, err
	}
	height, err := c.Height(ctx)
	if err != nil {
		return nil, err
	}
	oldest := height - longest*int64(rules.Params.MoveBlocks)
	for page := (&query.PageRequest{Limit: recentDisputes, Reverse: true}); ; {
		var r disputev1.QueryDisputesResponse
		if err := c.call(ctx, "/essaim.dispute.v1.Query/Disputes", &disputev1.QueryDisputesRequest{Pagination: page}, &r); err != nil {
			return nil, err
		}
		for _, s := range r.Disputes {
			if s.Opened < oldest {
				return out, nil
			}
			d, err := disputeOf(s)
			if err != nil {
				return nil, err
			}
			if d.Deadline != 0 && keep(d) {
				out = append(out, d)
			}
		}
		if r.Pagination == nil || len(r.Pagination.NextKey) == 0 {
			return out, nil
		}
		page = &query.PageRequest{Key: r.Pagination.NextKey, Limit: recentDisputes, Reverse: true}
	}
}

func disputeOf(s disputev1.Dispute) (d essaim.Dispute, err error) {
	d = essaim.Dispute{
		ID: s.Id, Session: essaim.SessionID(s.Session), Bond: essaim.Amount(s.Bond), Restitution: essaim.Amount(s.Restitution), Deadline: s.Deadline, Turn: s.Turn,
		Game: s.Game, Verdict: verdictWords[s.Verdict], Silent: s.Silent, Slash: s.Slash,
	}
	copy(d.Receipt[:], s.Receipt)
	var err1, err2, err3 error
	d.Miner, err1 = essaim.ParseNodeKey(s.Miner)
	d.Challenger, err2 = essaim.ParseAddress(s.Challenger)
	d.Payer, err3 = essaim.ParseAddress(s.Payer)
	return d, errors.Join(err1, err2, err3)
}

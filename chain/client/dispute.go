package client

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
)

// Dispute is a game about a receipt, as the ledger keeps it. docs/protocol/dispute.md has the rules; package
// quant/dispute plays.
type Dispute struct {
	ID          uint64         `json:"id"`
	Receipt     essaim.Digest  `json:"receipt"`
	Miner       essaim.NodeKey `json:"miner"`
	Challenger  essaim.Address `json:"challenger"`
	Payer       essaim.Address `json:"payer"`
	Bond        essaim.Amount  `json:"bond"`
	Restitution essaim.Amount  `json:"restitution"` // what the payer gets back at most, once the miner is found wrong
	Deadline    int64          `json:"deadline"`    // after this height the side whose turn it is has lost; 0: over
	Turn        uint64         `json:"turn"`        // moves made
	Game        []byte         `json:"game,omitempty"`
	Verdict     string         `json:"verdict,omitempty"` // "miner wrong", "challenger wrong", "undecided"; empty: it is being played
	Silent      bool           `json:"silent,omitempty"`  // it ended because a side did not move
	Slash       uint64         `json:"slash,omitempty"`
}

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

// Dispute returns a dispute as it stands.
//
// Errors: CodeNotFound.
func (c *Client) Dispute(ctx context.Context, id uint64) (d Dispute, err error) {
	var r disputev1.QueryDisputeResponse
	if err := c.call(ctx, "/essaim.dispute.v1.Query/Dispute", &disputev1.QueryDisputeRequest{Id: id}, &r); err != nil {
		return d, err
	}
	s := r.Dispute
	d = Dispute{
		ID: s.Id, Bond: essaim.Amount(s.Bond), Restitution: essaim.Amount(s.Restitution), Deadline: s.Deadline, Turn: s.Turn,
		Game: s.Game, Verdict: verdictWords[s.Verdict], Silent: s.Silent, Slash: s.Slash,
	}
	copy(d.Receipt[:], s.Receipt)
	if d.Miner, err = essaim.ParseNodeKey(s.Miner); err != nil {
		return d, err
	}
	if d.Challenger, err = essaim.ParseAddress(s.Challenger); err != nil {
		return d, err
	}
	d.Payer, err = essaim.ParseAddress(s.Payer)
	return d, err
}

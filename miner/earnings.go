package miner

import (
	"context"
	"time"

	"github.com/essaim/essaim"
)

// Earned is a receipt that this miner has signed, as its owner looks at it.
type Earned struct {
	Session     essaim.SessionID
	Coordinator essaim.NodeKey
	Model       essaim.Digest
	Price       essaim.Amount // gross: before royalty and fees
	At          time.Time     // when it was signed
	Acked       bool          // the coordinator has promised to settle it
	Refused     bool          // the coordinator does not count it
}

// Earned goes through all receipts, oldest first, until do fails.
func (b *Book) Earned(ctx context.Context, do func(Earned) error) error {
	rows, err := b.file.file.Query(ctx, `SELECT receipt, stored, ack IS NOT NULL, refusal IS NOT NULL FROM receipts ORDER BY stored, digest`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var signed []byte
		var stored int64
		var e Earned
		if err := rows.Scan(&signed, &stored, &e.Acked, &e.Refused); err != nil {
			return err
		}
		r, _, err := essaim.ReadReceipt(signed) // its own signature needs no check
		if err != nil {
			return err
		}
		e.Session, e.Coordinator, e.Model, e.Price, e.At = r.Session, r.Coordinator, r.Model, r.Price, time.UnixMilli(stored)
		if err := do(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

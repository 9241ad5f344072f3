package miner

import (
	"context"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// receiptFile keeps what the miner has earned: every receipt it ever signed, with
// the coordinator's answer. A receipt is on the disk before the coordinator sees it.
// It is safe for concurrent use.
type receiptFile struct {
	file *durable.File
	mu   sync.Mutex // held from reading a promise to writing it
}

const receiptSchema = `
CREATE TABLE IF NOT EXISTS receipts (
	digest      BLOB PRIMARY KEY,
	coordinator BLOB NOT NULL,
	receipt     BLOB NOT NULL,    -- COSE_Sign1 by this miner
	stored      INTEGER NOT NULL, -- Unix milliseconds
	ack         BLOB,             -- COSE_Sign1 by the coordinator
	refusal     TEXT              -- why it does not count
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS receipts_unacked ON receipts (coordinator, stored) WHERE ack IS NULL AND refusal IS NULL;
`

func openReceipts(path string) (*receiptFile, error) {
	f, err := durable.Open(path, receiptSchema+promiseSchema+voucherSchema)
	return &receiptFile{file: f}, err
}

func (f *receiptFile) close() error { return f.file.Close() }

// add stores a receipt that was signed for a coordinator.
func (f *receiptFile) add(coordinator essaim.NodeKey, digest essaim.Digest, signed []byte) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `INSERT INTO receipts (digest, coordinator, receipt, stored) VALUES (?, ?, ?, ?)`,
		Args:  []any{digest[:], coordinator[:], signed, time.Now().UnixMilli()},
	})
	return err
}

// refuse stores why a receipt does not count. An acknowledged one stays acknowledged.
func (f *receiptFile) refuse(digest essaim.Digest, reason string) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `UPDATE receipts SET refusal = ? WHERE digest = ? AND ack IS NULL`,
		Args:  []any{reason, digest[:]},
	})
	return err
}

// unacked lists the signed receipts that a coordinator owes an answer for, oldest
// first.
func (f *receiptFile) unacked(ctx context.Context, coordinator essaim.NodeKey) ([][]byte, error) {
	rows, err := f.file.Query(ctx, `SELECT receipt FROM receipts
		WHERE coordinator = ? AND ack IS NULL AND refusal IS NULL ORDER BY stored`, coordinator[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out [][]byte
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, rows.Err()
}

// countUnacked is how many receipts unacked would list.
func (f *receiptFile) countUnacked(ctx context.Context, coordinator essaim.NodeKey) (n int, err error) {
	err = f.file.QueryRow(ctx, `SELECT COUNT(*) FROM receipts
		WHERE coordinator = ? AND ack IS NULL AND refusal IS NULL`, coordinator[:]).Scan(&n)
	return n, err
}

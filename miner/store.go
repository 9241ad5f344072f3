package miner

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"time"

	_ "modernc.org/sqlite" // the "sqlite" driver

	"github.com/essaim/essaim"
)

// receiptFile keeps what the miner has earned: every receipt it ever signed, with
// the coordinator's answer. A receipt is on the disk before the coordinator sees it.
// It is safe for concurrent use.
type receiptFile struct{ db *sql.DB }

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
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; a second connection would only wait for it
	if _, err := db.Exec(receiptSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &receiptFile{db}, nil
}

func (f *receiptFile) close() error { return f.db.Close() }

// add stores a receipt that was signed for a coordinator.
func (f *receiptFile) add(ctx context.Context, coordinator essaim.NodeKey, digest essaim.Digest, signed []byte) error {
	_, err := f.db.ExecContext(ctx, `INSERT INTO receipts (digest, coordinator, receipt, stored) VALUES (?, ?, ?, ?)`,
		digest[:], coordinator[:], signed, time.Now().UnixMilli())
	return err
}

// ack stores an acknowledgement. first is false if there was one already.
func (f *receiptFile) ack(ctx context.Context, digest essaim.Digest, signed []byte) (first bool, err error) {
	res, err := f.db.ExecContext(ctx, `UPDATE receipts SET ack = ?, refusal = NULL WHERE digest = ? AND ack IS NULL`, signed, digest[:])
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// refuse stores why a receipt does not count. An acknowledged one stays acknowledged.
func (f *receiptFile) refuse(ctx context.Context, digest essaim.Digest, reason string) error {
	_, err := f.db.ExecContext(ctx, `UPDATE receipts SET refusal = ? WHERE digest = ? AND ack IS NULL`, reason, digest[:])
	return err
}

// unacked lists the signed receipts that a coordinator owes an answer for, oldest
// first.
func (f *receiptFile) unacked(ctx context.Context, coordinator essaim.NodeKey) ([][]byte, error) {
	rows, err := f.db.QueryContext(ctx, `SELECT receipt FROM receipts
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
	err = f.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM receipts
		WHERE coordinator = ? AND ack IS NULL AND refusal IS NULL`, coordinator[:]).Scan(&n)
	return n, err
}

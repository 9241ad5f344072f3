package challenger

import (
	"context"
	"fmt"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// A book keeps what is to be disputed and what is, in one SQLite file.
type book struct{ file *durable.File }

const schema = `
CREATE TABLE IF NOT EXISTS claims (
	receipt BLOB PRIMARY KEY, -- its digest
	file    BLOB NOT NULL,    -- task and receipt as they were signed
	input   BLOB NOT NULL,    -- sealed to this node
	dispute INTEGER NOT NULL, -- 0: not opened yet
	stored  INTEGER NOT NULL  -- Unix milliseconds
) WITHOUT ROWID;
`

// keepClaims is how long a claim may wait for its session: as long as a miner keeps what defends it.
const keepClaims = 60 * 24 * time.Hour

func openBook(path string) (*book, error) {
	f, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("challenger: open %s: %w", path, err)
	}
	b := &book{f}
	_, err = f.Write(durable.Stmt{Query: `DELETE FROM claims WHERE stored < ?`, Args: []any{time.Now().Add(-keepClaims).UnixMilli()}})
	return b, err
}

func (b *book) close() error { return b.file.Close() }

// put stores a claim, or which dispute it has become.
func (b *book) put(x claim) error {
	digest := x.receipt.Digest()
	_, err := b.file.Write(durable.Stmt{
		Query: `INSERT INTO claims (receipt, file, input, dispute, stored) VALUES (?, ?, ?, ?, ?) ON CONFLICT (receipt) DO UPDATE SET dispute = MAX(dispute, excluded.dispute)`,
		Args:  []any{digest[:], x.file.Encode(), x.input, int64(x.dispute), time.Now().UnixMilli()},
	})
	return err
}

func (b *book) forget(x claim) error {
	digest := x.receipt.Digest()
	_, err := b.file.Write(durable.Stmt{Query: `DELETE FROM claims WHERE receipt = ?`, Args: []any{digest[:]}})
	return err
}

// claims reads what was not over when the program ended, oldest first.
func (b *book) claims(ctx context.Context) (out []claim, err error) {
	rows, err := b.file.Query(ctx, `SELECT file, input, dispute FROM claims ORDER BY stored LIMIT ?`, maxWaiting)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x claim
		var file []byte
		if err := rows.Scan(&file, &x.input, &x.dispute); err != nil {
			return nil, err
		}
		if x.file, err = essaim.DecodeReceiptFile(file); err != nil {
			return nil, err
		}
		if x.receipt, err = essaim.OpenReceipt(x.file.Receipt); err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, rows.Err()
}

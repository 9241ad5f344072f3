package receiptlog

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// The amount is kept in big-endian bytes, which SQLite compares as the number they are.
const voucherSchema = `
CREATE TABLE IF NOT EXISTS vouchers (
	session INTEGER PRIMARY KEY,
	amount  BLOB NOT NULL, -- 8 bytes, big-endian
	voucher BLOB NOT NULL  -- COSE_Sign1 by the session's key
);
`

// Voucher is what a payer has acknowledged of a session. The zero value: nothing.
type Voucher struct {
	Session essaim.SessionID
	Amount  essaim.Amount
	Signed  []byte // COSE_Sign1 by the session's key
}

// put keeps the highest, in whatever order they are written.
func (v Voucher) put() durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO vouchers (session, amount, voucher) VALUES (?, ?, ?) ON CONFLICT (session) DO UPDATE SET
			amount = excluded.amount, voucher = excluded.voucher WHERE excluded.amount > vouchers.amount`,
		Args: []any{int64(v.Session), binary.BigEndian.AppendUint64(nil, uint64(v.Amount)), v.Signed},
	}
}

// PutVoucher stores a voucher, unless a higher one of the session is there.
func (l *Log) PutVoucher(v Voucher) error {
	_, err := l.write(v.put())
	return err
}

// Voucher is a session's highest voucher; the zero value if there is none.
func (l *Log) Voucher(ctx context.Context, id essaim.SessionID) (Voucher, error) {
	v := Voucher{Session: id}
	var amount []byte
	err := l.file.QueryRow(ctx, `SELECT amount, voucher FROM vouchers WHERE session = ?`, int64(id)).Scan(&amount, &v.Signed)
	if errors.Is(err, sql.ErrNoRows) {
		return v, nil
	}
	if err == nil {
		v.Amount = essaim.Amount(binary.BigEndian.Uint64(amount))
	}
	return v, err
}

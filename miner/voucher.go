package miner

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
	coordinator BLOB NOT NULL,
	session     INTEGER NOT NULL,
	amount      BLOB NOT NULL, -- 8 bytes, big-endian
	voucher     BLOB NOT NULL, -- COSE_Sign1 by the session's key
	PRIMARY KEY (coordinator, session)
) WITHOUT ROWID;
`

const (
	// maxNews bounds the vouchers that wait to be checked; the next one of a session says
	// what one that is dropped said.
	maxNews = 256

	// maxKnown bounds the sessions whose keys are remembered; beyond it they are asked for
	// again.
	maxKnown = 1 << 12
)

// news is a voucher as a coordinator has passed it on.
type news struct {
	from   essaim.NodeKey
	signed []byte
}

// hear takes vouchers that came with an answer, without holding the beat up.
func (m *Miner) hear(from essaim.NodeKey, vouchers [][]byte) {
	if m.cfg.Ledger == nil {
		return // nobody to ask whose key may speak for a session
	}
	for _, v := range vouchers {
		select {
		case m.news <- news{from, v}:
		default:
		}
	}
}

// keepVouchers checks and keeps vouchers until ctx ends.
func (m *Miner) keepVouchers(ctx context.Context) {
	known := map[essaim.SessionID]essaim.Session{}
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-m.news:
			if err := m.keepVoucher(ctx, n, known); err != nil && ctx.Err() == nil {
				m.log.Warn("voucher is not kept", "coordinator", n.from.Short(), "err", err)
			}
		}
		if len(known) > maxKnown {
			clear(known)
		}
	}
}

// keepVoucher believes a coordinator nothing: a false voucher with a high amount would
// push the true one out.
func (m *Miner) keepVoucher(ctx context.Context, n news, known map[essaim.SessionID]essaim.Session) error {
	v, signer, err := essaim.OpenVoucher(n.signed)
	if err != nil {
		return err
	}
	have, _, err := m.receipts.voucher(ctx, n.from, v.Session)
	if err != nil || v.Amount <= have {
		return err
	}
	s, ok := known[v.Session]
	if !ok || v.Amount > s.Deposit { // it may have been topped up
		ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
		defer cancel()
		if s, err = m.cfg.Ledger.Session(ctx, v.Session); err != nil {
			return err
		}
		known[v.Session] = s
	}
	if v.ChainID != m.cfg.ChainID || v.Coordinator != n.from || s.Coordinator != n.from || signer != s.SessionKey || v.Amount > s.Deposit {
		return essaim.Errorf(essaim.CodeRefused, "do not serve this coordinator", "the voucher over %d uaim by %s is not one of session %s", v.Amount, signer.Short(), v.Session)
	}
	return m.receipts.putVoucher(n.from, v, n.signed)
}

func (f *receiptFile) putVoucher(coordinator essaim.NodeKey, v essaim.Voucher, signed []byte) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `INSERT INTO vouchers (coordinator, session, amount, voucher) VALUES (?, ?, ?, ?) ON CONFLICT (coordinator, session) DO UPDATE SET
			amount = excluded.amount, voucher = excluded.voucher WHERE excluded.amount > amount`,
		Args: []any{coordinator[:], int64(v.Session), binary.BigEndian.AppendUint64(nil, uint64(v.Amount)), signed},
	})
	return err
}

// voucher is the highest that was kept of a session; nil: none.
func (f *receiptFile) voucher(ctx context.Context, coordinator essaim.NodeKey, s essaim.SessionID) (amount essaim.Amount, signed []byte, err error) {
	var b []byte
	err = f.file.QueryRow(ctx, `SELECT amount, voucher FROM vouchers WHERE coordinator = ? AND session = ?`, coordinator[:], int64(s)).Scan(&b, &signed)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil, nil
	}
	if err == nil {
		amount = essaim.Amount(binary.BigEndian.Uint64(b))
	}
	return amount, signed, err
}

// Voucher is the highest voucher of a session that its coordinator has passed on: what its
// payer has accepted in all, and the proof, COSE_Sign1. Nil: there is none.
func (b *Book) Voucher(ctx context.Context, coordinator essaim.NodeKey, s essaim.SessionID) (essaim.Amount, []byte, error) {
	return b.file.voucher(ctx, coordinator, s)
}

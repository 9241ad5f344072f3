package miner

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// What the receipt file keeps of coordinators: what each has promised to pay, and which
// ones are not served. Amounts and session numbers are unsigned 64-bit integers; they are
// kept as the signed integers with the same bits, and never computed with in SQL.
const promiseSchema = `
CREATE TABLE IF NOT EXISTS promises (
	coordinator BLOB NOT NULL,
	session     INTEGER NOT NULL,
	model       BLOB NOT NULL,
	acked       INTEGER NOT NULL, -- sum of the acknowledged receipts' prices
	total       INTEGER NOT NULL, -- the most that was promised in all
	ack         BLOB NOT NULL,    -- the acknowledgement that says so: COSE_Sign1
	deadline    INTEGER NOT NULL, -- height by which it is to be paid
	outcome     TEXT NOT NULL DEFAULT '', -- of Outcome
	PRIMARY KEY (coordinator, session, model)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS promises_undone ON promises (deadline) WHERE outcome IN ('', 'lapsed', 'unpaid');
CREATE TABLE IF NOT EXISTS blocked (
	coordinator BLOB PRIMARY KEY,
	reason      TEXT NOT NULL,
	since       INTEGER NOT NULL -- Unix milliseconds
) WITHOUT ROWID;
`

// Outcome is what became of a promise.
type Outcome string

// The outcomes of a promise.
const (
	OutcomeOpen    Outcome = ""        // the session is not over
	OutcomeLapsed  Outcome = "lapsed"  // nobody settled it in time; the ledger was shown the promise
	OutcomePaid    Outcome = "paid"    // the settlement pays what was promised
	OutcomeUnpaid  Outcome = "unpaid"  // it does not: it can be claimed on the ledger
	OutcomeClaimed Outcome = "claimed" // the ledger has upheld the claim
	OutcomeLate    Outcome = "late"    // the ledger hears no claim about it any more
)

// Promise is what a coordinator has promised this miner for one session and model.
type Promise struct {
	Coordinator essaim.NodeKey   `json:"coordinator"`
	Session     essaim.SessionID `json:"session"`
	Model       essaim.Digest    `json:"model"`
	Acked       essaim.Amount    `json:"acked"`    // sum of the acknowledged receipts' prices
	Total       essaim.Amount    `json:"total"`    // what the coordinator has signed
	Ack         []byte           `json:"ack"`      // COSE_Sign1: the signature
	Deadline    int64            `json:"deadline"` // height
	Outcome     Outcome          `json:"outcome"`
}

// Book is a miner's receipt file as its owner sees it, beside a running miner or
// without one.
type Book struct{ file *receiptFile }

// OpenBook opens a receipt file; it is made if it is not there. The caller closes it.
func OpenBook(path string) (*Book, error) {
	f, err := openReceipts(path)
	return &Book{f}, err
}

// Close frees the file.
func (b *Book) Close() error { return b.file.close() }

// Block makes the miner serve a coordinator no more, a running one within a tenth of a
// second; its promises stand.
func (b *Book) Block(k essaim.NodeKey, reason string) error { return b.file.block(k, reason) }

// Unblock takes Block back.
func (b *Book) Unblock(k essaim.NodeKey) error {
	_, err := b.file.file.Write(durable.Stmt{Query: `DELETE FROM blocked WHERE coordinator = ?`, Args: []any{k[:]}})
	return err
}

// Promises lists what coordinators have promised, those whose deadline is near first.
func (b *Book) Promises(ctx context.Context) ([]Promise, error) {
	return b.file.promises(ctx, `SELECT coordinator, session, model, acked, total, ack, deadline, outcome FROM promises ORDER BY deadline`)
}

// Note stores what became of a promise, unless more was promised since.
func (b *Book) Note(p Promise, o Outcome) error { return b.file.note(p, o) }

func (f *receiptFile) block(k essaim.NodeKey, reason string) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `INSERT INTO blocked (coordinator, reason, since) VALUES (?, ?, ?) ON CONFLICT (coordinator) DO UPDATE SET reason = excluded.reason`,
		Args:  []any{k[:], reason, time.Now().UnixMilli()},
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.served, k)
	return err
}

// blocked says why a coordinator is not served; ok is false if it is. What another program
// has set counts within servedAge.
func (f *receiptFile) blocked(ctx context.Context, k essaim.NodeKey) (reason string, ok bool, err error) {
	f.mu.Lock()
	known := f.served[k]
	f.mu.Unlock()
	if time.Since(known.at) < servedAge {
		return known.reason, known.blocked, nil
	}
	now := served{at: time.Now(), blocked: true}
	err = f.file.Glance(ctx, `SELECT reason FROM blocked WHERE coordinator = ?`, k[:]).Scan(&now.reason)
	if errors.Is(err, sql.ErrNoRows) {
		now.blocked, err = false, nil
	}
	if err != nil {
		return "", false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served[k] = now
	return now.reason, now.blocked, nil
}

// promise reads what a coordinator has promised; the zero value: nothing yet.
func (f *receiptFile) promise(ctx context.Context, k essaim.NodeKey, s essaim.SessionID, model essaim.Digest) (Promise, error) {
	list, err := f.promises(ctx, `SELECT coordinator, session, model, acked, total, ack, deadline, outcome FROM promises
		WHERE coordinator = ? AND session = ? AND model = ?`, k[:], int64(s), model[:])
	if err != nil || len(list) == 0 {
		return Promise{Coordinator: k, Session: s, Model: model}, err
	}
	return list[0], nil
}

// duePromises is how many promises are looked after at a time.
const duePromises = 100

// waiting lists promises that are neither paid nor claimed, those due first.
func (f *receiptFile) waiting(ctx context.Context, o Outcome) ([]Promise, error) {
	return f.promises(ctx, `SELECT coordinator, session, model, acked, total, ack, deadline, outcome FROM promises
		WHERE outcome = ? ORDER BY deadline LIMIT ?`, string(o), duePromises)
}

func (f *receiptFile) promises(ctx context.Context, query string, args ...any) ([]Promise, error) {
	rows, err := f.file.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Promise
	for rows.Next() {
		var p Promise
		var coordinator, model []byte
		var session, acked, total int64
		if err := rows.Scan(&coordinator, &session, &model, &acked, &total, &p.Ack, &p.Deadline, &p.Outcome); err != nil {
			return nil, err
		}
		copy(p.Coordinator[:], coordinator)
		copy(p.Model[:], model)
		p.Session, p.Acked, p.Total = essaim.SessionID(session), essaim.Amount(acked), essaim.Amount(total)
		out = append(out, p)
	}
	return out, rows.Err()
}

// note stores what became of a promise, unless more was promised since.
func (f *receiptFile) note(p Promise, o Outcome) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `UPDATE promises SET outcome = ? WHERE coordinator = ? AND session = ? AND model = ? AND ack = ?`,
		Args:  []any{string(o), p.Coordinator[:], int64(p.Session), p.Model[:], p.Ack},
	})
	return err
}

// promiseKey names a promise.
type promiseKey struct {
	coordinator essaim.NodeKey
	session     essaim.SessionID
	model       essaim.Digest
}

// name tells a promise from others.
func (k promiseKey) name() string {
	b := append(k.coordinator[:len(k.coordinator):len(k.coordinator)], k.model[:]...)
	return string(binary.BigEndian.AppendUint64(b, uint64(k.session)))
}

// recall is promise from memory, or from the file if it is not there. f.mu is held.
func (f *receiptFile) recall(ctx context.Context, k promiseKey) (Promise, error) {
	if p, ok := f.promised[k]; ok {
		return p, nil
	}
	p, err := f.promise(ctx, k.coordinator, k.session, k.model)
	if err != nil {
		return p, err
	}
	if len(f.promised) >= maxPromised {
		clear(f.promised)
	}
	f.promised[k] = p
	return p, nil
}

// has reports whether an acknowledgement is the newest of its kind, whose signature was
// checked when it came with another receipt.
func (f *receiptFile) has(from essaim.NodeKey, a essaim.Ack, signed []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Equal(f.promised[promiseKey{from, a.Session, a.Model}].Ack, signed)
}

// ack stores an acknowledgement of a receipt and what it promises in all. first is false if there was
// one already.
//
// Errors: CodeRefused if the coordinator has acknowledged more than it promises in all:
// the receipt stays unacknowledged.
func (f *receiptFile) ack(ctx context.Context, from essaim.NodeKey, r essaim.Receipt, receipt []byte, a essaim.Ack, signed []byte) (first bool, err error) {
	digest := r.Digest()
	first, wait, err := f.startAck(ctx, from, digest, r.Price, receipt, a, signed)
	if err != nil {
		return false, err
	}
	if err := wait(); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.opened(from, digest, nil)
		clear(f.promised) // the file alone knows now
		return false, err
	}
	return first, nil
}

// startAck is the part of ack that goes one by one: each promise says at least what those
// before it have acknowledged. The disk is waited for outside.
func (f *receiptFile) startAck(ctx context.Context, from essaim.NodeKey, digest essaim.Digest, price essaim.Amount, receipt []byte, a essaim.Ack, signed []byte) (first bool, wait func() error, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := promiseKey{from, a.Session, a.Model}
	p, err := f.recall(ctx, k)
	if err != nil {
		return false, nil, err
	}
	stored, first := f.open[from][digest]
	if !first { // refused before, or acknowledged
		if _, err := f.file.Write(); err != nil { // what was started is in the file now
			return false, nil, err
		}
		if err := f.file.QueryRow(ctx, `SELECT ack IS NULL FROM receipts WHERE digest = ?`, digest[:]).Scan(&first); err != nil {
			return false, nil, err
		}
	}
	if first {
		p.Acked += price
	}
	if a.Total > p.Total {
		p.Total, p.Ack, p.Deadline = a.Total, signed, a.Deadline
	}
	if p.Total < p.Acked {
		return false, nil, essaim.Errorf(essaim.CodeRefused, "do not serve this coordinator",
			"coordinator %s acknowledged %d uaim in session %s and promises %d in all", from.Short(), p.Acked, a.Session, p.Total)
	}
	f.promised[k] = p
	delete(f.open[from], digest)
	// The receipt is told once more: with its answer it gets into the rows at once, if it is not there yet.
	return first, f.file.AppendInstead(stored,
		durable.Stmt{
			Query: `INSERT INTO receipts (digest, coordinator, receipt, stored, ack) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (digest) DO UPDATE SET ack = excluded.ack, refusal = NULL WHERE receipts.ack IS NULL`,
			Args: []any{digest[:], from[:], receipt, time.Now().UnixMilli(), signed},
		},
		durable.Stmt{
			Query: `INSERT INTO promises (coordinator, session, model, acked, total, ack, deadline) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (coordinator, session, model) DO UPDATE SET
				acked = excluded.acked, total = excluded.total, ack = excluded.ack, deadline = excluded.deadline,
				outcome = CASE WHEN promises.ack = excluded.ack OR promises.outcome = 'unpaid' THEN promises.outcome ELSE '' END`, // more is to be paid
			Args:   []any{p.Coordinator[:], int64(p.Session), p.Model[:], int64(p.Acked), int64(p.Total), p.Ack, p.Deadline},
			Latest: k.name(),
		}).Wait, nil
}

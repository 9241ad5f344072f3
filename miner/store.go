package miner

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// receiptFile keeps what the miner has earned: every receipt it ever signed, with
// the coordinator's answer. A receipt is on the disk before the coordinator sees it.
// It is safe for concurrent use.
//
// What each task asks is answered from memory: which receipts wait for an answer, and what
// was promised. A running miner alone changes these rows; others beside it block
// coordinators and note what became of a promise.
type receiptFile struct {
	file *durable.File

	mu       sync.Mutex
	open     map[essaim.NodeKey]map[essaim.Digest]*durable.Appended // receipts without an answer, by coordinator; guarded by mu
	promised map[promiseKey]Promise                                 // as the file will have it, without outcomes; guarded by mu
	served   map[essaim.NodeKey]served                              // guarded by mu
}

// served is what the file said about serving a coordinator.
type served struct {
	reason  string
	blocked bool
	at      time.Time
}

// servedAge is how long it is believed: so long a block set by another program may take.
const servedAge = 100 * time.Millisecond

// maxPromised bounds the promises in memory; beyond it they are read again.
const maxPromised = 1 << 12

const receiptSchema = `
CREATE TABLE IF NOT EXISTS receipts (
	digest      BLOB PRIMARY KEY, -- with a rowid, so that new ones are neighbours
	coordinator BLOB NOT NULL,
	receipt     BLOB NOT NULL,    -- COSE_Sign1 by this miner
	stored      INTEGER NOT NULL, -- Unix milliseconds
	ack         BLOB,             -- COSE_Sign1 by the coordinator
	refusal     TEXT              -- why it does not count
);
DROP TABLE IF EXISTS results; -- of miners that kept what coordinators keep
CREATE INDEX IF NOT EXISTS receipts_unacked ON receipts (coordinator, stored) WHERE ack IS NULL AND refusal IS NULL;
`

func openReceipts(path string) (*receiptFile, error) {
	file, err := durable.Open(path, receiptSchema+promiseSchema+voucherSchema+defenceSchema)
	if err != nil {
		return nil, err
	}
	f := &receiptFile{
		file: file, open: map[essaim.NodeKey]map[essaim.Digest]*durable.Appended{}, promised: map[promiseKey]Promise{}, served: map[essaim.NodeKey]served{},
	}
	if err := f.loadOpen(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return f, nil
}

// loadOpen reads which receipts wait for an answer.
func (f *receiptFile) loadOpen() error {
	rows, err := f.file.Query(context.Background(), `SELECT coordinator, digest FROM receipts WHERE ack IS NULL AND refusal IS NULL`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k, d []byte
		if err := rows.Scan(&k, &d); err != nil {
			return err
		}
		f.opened(essaim.NodeKey(k), essaim.Digest(d), nil)
	}
	return rows.Err()
}

// opened notes that a receipt waits for an answer, and how it was stored; nil: it is in the rows. f.mu is held, or nobody
// has f yet.
func (f *receiptFile) opened(k essaim.NodeKey, d essaim.Digest, stored *durable.Appended) {
	if f.open[k] == nil {
		f.open[k] = map[essaim.Digest]*durable.Appended{}
	}
	f.open[k][d] = stored
}

func (f *receiptFile) close() error { return f.file.Close() }

// add stores a receipt that was signed for a coordinator.
func (f *receiptFile) add(coordinator essaim.NodeKey, digest essaim.Digest, signed []byte) error {
	f.mu.Lock()
	stored := f.file.Note(durable.Stmt{
		Query: `INSERT OR IGNORE INTO receipts (digest, coordinator, receipt, stored) VALUES (?, ?, ?, ?)`,
		Args:  []any{digest[:], coordinator[:], signed, time.Now().UnixMilli()},
	})
	f.opened(coordinator, digest, stored)
	f.mu.Unlock()
	err := stored.Wait()
	if err != nil {
		f.answered(coordinator, digest) // it is not sent
	}
	return err
}

// answered notes that a receipt waits no more.
func (f *receiptFile) answered(k essaim.NodeKey, d essaim.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open[k], d)
}

// refuse stores why a receipt does not count. An acknowledged one stays acknowledged.
func (f *receiptFile) refuse(from essaim.NodeKey, digest essaim.Digest, reason string) error {
	_, err := f.file.Write(durable.Stmt{
		Query: `UPDATE receipts SET refusal = ? WHERE digest = ? AND ack IS NULL`,
		Args:  []any{reason, digest[:]},
	})
	if err == nil {
		f.answered(from, digest)
	}
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
func (f *receiptFile) countUnacked(coordinator essaim.NodeKey) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open[coordinator])
}

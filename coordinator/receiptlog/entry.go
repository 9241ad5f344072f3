package receiptlog

import (
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// patience is how long a new task is not written down: one that is delivered by then is
// written once, with its receipt.
const patience = 250 * time.Millisecond

// Entry is a task on its way into the log. It ends with Accept or End. It is safe for
// concurrent use.
type Entry struct {
	log     *Log
	digest  essaim.Digest
	task    essaim.Task
	signed  []byte
	voucher *Voucher
	timer   *time.Timer

	mu      sync.Mutex
	written bool // as submitted; guarded by mu
	over    bool // nothing is to be written any more; guarded by mu
}

// Begin is for a task whose number is known to be free; it returns at once. The task is written down as submitted some
// milliseconds later, unless it is over by then: a crash before takes nothing that was
// promised to anybody. The voucher that came with it is stored at the latest with its end;
// nil: there is none.
func (l *Log) Begin(digest essaim.Digest, t essaim.Task, signed []byte, v *Voucher) *Entry {
	e := &Entry{log: l, digest: digest, task: t, signed: signed, voucher: v}
	e.timer = time.AfterFunc(patience, e.write)
	return e
}

// write writes the task down as submitted.
func (e *Entry) write() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.over {
		e.written = true
		e.log.file.AppendPatient(admission(e.digest, e.task, e.signed, e.voucher)...)
	}
}

// end reports whether the task was written down.
func (e *Entry) end() bool {
	e.timer.Stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
	return e.written
}

// Accept is Log.Accept. It does not wait for the rows, which cannot refuse it: nobody else has
// the number, or ends the task.
func (e *Entry) Accept(r essaim.Receipt, f essaim.ReceiptFile, sealed []byte, state essaim.TaskState) error {
	e.end()
	now := time.Now().UnixMilli()
	stmts := []durable.Stmt{
		{Query: `INSERT INTO tasks (session, seq, digest, model, task, state, attempts, admitted, miner, price, receipt, sealed, accepted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (session, seq) DO UPDATE SET state = excluded.state, attempts = excluded.attempts, miner = excluded.miner, price = excluded.price, task = excluded.task,
			receipt = excluded.receipt, sealed = excluded.sealed, accepted = excluded.accepted WHERE tasks.digest = excluded.digest AND tasks.receipt IS NULL`,
			Args: []any{int64(r.Session), int64(r.Seq), e.digest[:], r.Model[:], f.Task, string(state), int64(r.Attempt), now, r.Miner[:], int64(r.Price), f.Receipt, r.Sealed[:], now}},
		result(r, f, sealed),
	}
	if e.voucher != nil {
		stmts = append(stmts, e.voucher.put())
	}
	return e.log.file.Append(stmts...)()
}

// End is Log.End.
func (e *Entry) End(state essaim.TaskState, attempts uint64, why error) error {
	var stmts []durable.Stmt
	if !e.end() {
		stmts = admission(e.digest, e.task, e.signed, e.voucher)
	}
	_, err := e.log.write(append(stmts, end(e.digest, state, attempts, why))...)
	return err
}

// Package receiptlog is a coordinator's durable memory: tasks with their receipts, the
// settlements that were decided, and what was measured of miners. It is one SQLite file.
//
// What a method has stored is on the disk when it returns: a receipt is there before
// its miner is acknowledged, a settlement before it is sent. The package decides nothing:
// which receipt counts and what is settled when is the coordinator's matter. It holds
// neither inputs nor outputs, except small results sealed to who asked for them, and must never.
package receiptlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Log is an open log. It is safe for concurrent use.
type Log struct{ file durable.DB }

// Close frees the file.
func (l *Log) Close() error { return l.file.Close() }

func (l *Log) write(stmts ...durable.Stmt) (affected int64, err error) {
	return l.file.Write(stmts...)
}

// Amounts, session IDs and sequence numbers are unsigned 64-bit integers; they are
// kept as the signed integers with the same bits, and never computed with in SQL.
const logSchema = `
CREATE TABLE IF NOT EXISTS tasks (
	session  INTEGER NOT NULL,
	seq      INTEGER NOT NULL,
	digest   BLOB NOT NULL,
	model    BLOB NOT NULL,
	task     BLOB NOT NULL,    -- COSE_Sign1 by the session's key
	state    TEXT NOT NULL,    -- essaim.TaskState
	reason   TEXT NOT NULL DEFAULT '',
	code     TEXT NOT NULL DEFAULT '', -- essaim.Code of the reason
	attempts INTEGER NOT NULL DEFAULT 0,
	admitted INTEGER NOT NULL, -- Unix milliseconds
	miner    BLOB,             -- from here on: set with the receipt
	price    INTEGER,
	receipt  BLOB,             -- COSE_Sign1 by the miner
	sealed   BLOB,             -- digest of the sealed result
	accepted INTEGER,          -- Unix milliseconds
	PRIMARY KEY (session, seq) -- with a rowid: rows lie in the order in which they come, whole on a page; without one a quarter of a page is the most
);
CREATE INDEX IF NOT EXISTS tasks_digest ON tasks (digest);
CREATE INDEX IF NOT EXISTS tasks_payable ON tasks (session, miner, model, seq) WHERE state = 'delivered'; -- the order of a settlement
CREATE INDEX IF NOT EXISTS tasks_undelivered ON tasks (session) WHERE state = 'submitted';
CREATE TABLE IF NOT EXISTS results ( -- apart from the tasks, which are read in a row to be settled
	session INTEGER NOT NULL,
	seq     INTEGER NOT NULL,
	sum     BLOB NOT NULL, -- of task and receipt as they were when their signatures were checked
	result  BLOB,          -- sealed; NULL: it is kept elsewhere
	PRIMARY KEY (session, seq)
);
CREATE TABLE IF NOT EXISTS settlements (
	session    INTEGER PRIMARY KEY,
	settlement BLOB NOT NULL,    -- deterministic CBOR
	signature  BLOB NOT NULL,
	intended   INTEGER NOT NULL, -- Unix milliseconds
	tx         TEXT,             -- JSON; NULL until the ledger has it
	expired    INTEGER NOT NULL DEFAULT 0 -- 1: the ledger gave the deposit back instead
);
CREATE INDEX IF NOT EXISTS settlements_pending ON settlements (session) WHERE tx IS NULL AND expired = 0;
`

// Open opens or creates the log at path. The caller closes it.
func Open(path string) (*Log, error) {
	f, err := durable.Open(path, Schema)
	return &Log{f}, err
}

// Schema is of the tables of a log. Other tables may be beside them.
const Schema = logSchema + takenSchema + voucherSchema + minerSchema

// On is the log in a database that has been opened with Schema. Close closes it.
func On(db durable.DB) *Log { return &Log{db} }

// Admit stores a task as submitted. A task that ended without a delivery may be
// admitted again: it begins a new life. The voucher that came with it is stored, too; nil:
// there is none.
//
// Errors: CodeConflict if the sequence number belongs to another task of the
// session, or the task is there already.
func (l *Log) Admit(digest essaim.Digest, t essaim.Task, signed []byte, v *Voucher) error {
	return l.whenStored(l.file.Start(admission(digest, t, signed, v)...), digest, t)
}

// admission writes a task down as submitted.
func admission(digest essaim.Digest, t essaim.Task, signed []byte, v *Voucher) []durable.Stmt {
	stmts := []durable.Stmt{{Query: `INSERT INTO tasks (session, seq, digest, model, task, state, admitted) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (session, seq) DO UPDATE SET state = excluded.state, reason = '', code = '', attempts = 0, admitted = excluded.admitted
		WHERE tasks.digest = excluded.digest AND tasks.receipt IS NULL AND tasks.state IN (?, ?)`,
		Args: []any{int64(t.Session), int64(t.Seq), digest[:], t.Model[:], signed, string(essaim.TaskSubmitted), time.Now().UnixMilli(),
			string(essaim.TaskRefunded), string(essaim.TaskExpired)}}}
	if v != nil {
		stmts = append(stmts, v.put())
	}
	return stmts
}

// whenStored waits for an admission, and says why a task was not admitted.
func (l *Log) whenStored(stored func() (int64, error), digest essaim.Digest, t essaim.Task) error {
	n, err := stored()
	if err != nil || n > 0 {
		return err
	}
	return l.whyNot(digest, t)
}

// whyNot says why a task was not admitted.
func (l *Log) whyNot(digest essaim.Digest, t essaim.Task) error {
	switch _, err := l.Task(context.Background(), digest); {
	case err == nil:
		return essaim.Errorf(essaim.CodeConflict, "", "task %s is there already", digest.Short())
	case essaim.CodeOf(err) == essaim.CodeNotFound:
		return essaim.Errorf(essaim.CodeConflict, "number each task of a session differently", "session %s has another task with number %d", t.Session, t.Seq)
	default:
		return err
	}
}

// Newest is the highest number of a session's tasks; 0: it has none.
func (l *Log) Newest(ctx context.Context, id essaim.SessionID) (uint64, error) {
	var seq sql.NullInt64
	err := l.file.QueryRow(ctx, `SELECT MAX(seq) FROM tasks WHERE session = ?`, int64(id)).Scan(&seq)
	return uint64(seq.Int64), err
}

// Accept stores a receipt that stood the checks: from now on the task will be
// settled. f is the signed task and the receipt, whose signatures the caller has checked:
// they are not checked again when the session is settled. The sealed result is stored with
// it; nil: it is kept elsewhere.
func (l *Log) Accept(digest essaim.Digest, r essaim.Receipt, f essaim.ReceiptFile, sealed []byte, state essaim.TaskState) error {
	return l.accepted(digest, durable.Stmt{Query: `UPDATE tasks SET state = ?, attempts = ?, miner = ?, price = ?, task = ?, receipt = ?, sealed = ?, accepted = ?
		WHERE session = ? AND seq = ? AND digest = ? AND state = ?`,
		Args: []any{string(state), int64(r.Attempt), r.Miner[:], int64(r.Price), f.Task, f.Receipt, r.Sealed[:], time.Now().UnixMilli(),
			int64(r.Session), int64(r.Seq), digest[:], string(essaim.TaskSubmitted)}},
		result(r, f, sealed))
}

// result stores what came with a receipt that has just been stored, and not with another of the task.
func result(r essaim.Receipt, f essaim.ReceiptFile, sealed []byte) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO results (session, seq, sum, result) SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM tasks WHERE session = ? AND seq = ? AND receipt = ?) ON CONFLICT (session, seq) DO NOTHING`,
		Args:  []any{int64(r.Session), int64(r.Seq), sumOf(f), sealed, int64(r.Session), int64(r.Seq), f.Receipt},
	}
}

func (l *Log) accepted(digest essaim.Digest, stmts ...durable.Stmt) error {
	n, err := l.write(stmts...)
	if err == nil && n != 1 {
		err = fmt.Errorf("task %s is not waiting for a receipt", digest.Short())
	}
	return err
}

// End stores why a task was not delivered.
func (l *Log) End(digest essaim.Digest, state essaim.TaskState, attempts uint64, why error) error {
	_, err := l.write(end(digest, state, attempts, why))
	return err
}

func end(digest essaim.Digest, state essaim.TaskState, attempts uint64, why error) durable.Stmt {
	return durable.Stmt{Query: `UPDATE tasks SET state = ?, reason = ?, code = ?, attempts = ? WHERE digest = ? AND state = ?`,
		Args: []any{string(state), why.Error(), string(essaim.CodeOf(why)), int64(attempts), digest[:], string(essaim.TaskSubmitted)}}
}

// EndUndelivered ends the tasks that a program which is no more had under way.
func (l *Log) EndUndelivered(reason string) error {
	return l.endUndelivered(reason, `UPDATE tasks SET state = ?, reason = ?, code = ? WHERE state = 'submitted'`)
}

// EndUndeliveredOf is EndUndelivered of one session.
func (l *Log) EndUndeliveredOf(id essaim.SessionID, reason string) error {
	return l.endUndelivered(reason, `UPDATE tasks SET state = ?, reason = ?, code = ? WHERE state = 'submitted' AND session = ?`, int64(id))
}

func (l *Log) endUndelivered(reason, query string, args ...any) error {
	to, err := essaim.TaskSubmitted.Next(essaim.EventRefused)
	if err != nil {
		return err
	}
	_, err = l.write(durable.Stmt{Query: query, Args: append([]any{string(to), reason, string(essaim.CodeUnavailable)}, args...)})
	return err
}

// Task reads what is known of a task.
//
// Errors: CodeNotFound.
func (l *Log) Task(ctx context.Context, digest essaim.Digest) (essaim.TaskRecord, error) {
	r := essaim.TaskRecord{Digest: digest}
	var session, seq, attempts int64
	var price sql.NullInt64
	var miner []byte
	err := l.file.QueryRow(ctx, `SELECT session, seq, state, reason, miner, attempts, price, receipt FROM tasks WHERE digest = ?`, digest[:]).
		Scan(&session, &seq, &r.State, &r.Reason, &miner, &attempts, &price, &r.Receipt)
	if errors.Is(err, sql.ErrNoRows) {
		return r, essaim.Errorf(essaim.CodeNotFound, "", "no task %s here", digest.Short())
	}
	if err != nil {
		return r, fmt.Errorf("read task %s: %w", digest.Short(), err)
	}
	copy(r.Miner[:], miner)
	r.Session, r.Seq, r.Attempts, r.Price = essaim.SessionID(session), uint64(seq), uint64(attempts), essaim.Amount(price.Int64)
	return r, nil
}

// Result is the digest of a delivered task's sealed result, and the result itself; nil: it
// is kept elsewhere.
func (l *Log) Result(ctx context.Context, digest essaim.Digest) (d essaim.Digest, result []byte, err error) {
	var b []byte
	err = l.file.QueryRow(ctx, `SELECT sealed, result FROM tasks LEFT JOIN results USING (session, seq) WHERE digest = ? AND sealed IS NOT NULL`, digest[:]).
		Scan(&b, &result)
	copy(d[:], b)
	return d, result, err
}

// sumOf tells whether the disk gives back what was written.
func sumOf(f essaim.ReceiptFile) []byte {
	h := sha256.New()
	h.Write(f.Task)
	h.Write(f.Receipt)
	return h.Sum(nil)
}

// Leaves reads the signed tasks and receipts of a session's delivered, not yet settled
// tasks, one after the other in the order of a settlement. They are as Accept got them.
//
// Errors: CodeInternal for what the disk has changed.
func (l *Log) Leaves(ctx context.Context, id essaim.SessionID) iter.Seq2[essaim.ReceiptFile, error] {
	return l.leaves(ctx, id, `SELECT task, receipt, sum FROM tasks LEFT JOIN results USING (session, seq) WHERE session = ? AND state = 'delivered' ORDER BY miner, model, seq`)
}

// Counted is Leaves of a session whose settlement was decided: it has the settled ones, too.
func (l *Log) Counted(ctx context.Context, id essaim.SessionID) iter.Seq2[essaim.ReceiptFile, error] {
	return l.leaves(ctx, id, `SELECT task, receipt, sum FROM tasks LEFT JOIN results USING (session, seq) WHERE session = ? AND state IN ('delivered', 'settled') ORDER BY miner, model, seq`)
}

func (l *Log) leaves(ctx context.Context, id essaim.SessionID, query string) iter.Seq2[essaim.ReceiptFile, error] {
	return func(yield func(essaim.ReceiptFile, error) bool) {
		rows, err := l.file.Query(ctx, query, int64(id))
		if err != nil {
			yield(essaim.ReceiptFile{}, err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var f essaim.ReceiptFile
			var sum sql.RawBytes
			err := rows.Scan(&f.Task, &f.Receipt, &sum)
			switch {
			case err == nil && sum == nil: // written before there were sums
				_, _, _, err = essaim.ReadReceiptFile(f.Encode())
			case err == nil && !bytes.Equal(sum, sumOf(f)):
				err = essaim.Errorf(essaim.CodeInternal, "check the disk, and restore the log", "a receipt of session %s is damaged", id)
			}
			if err != nil || !yield(f, nil) {
				if err != nil {
					yield(f, err)
				}
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(essaim.ReceiptFile{}, err)
		}
	}
}

// Payee is one line of a settlement.
type Payee struct {
	Miner essaim.NodeKey
	Model essaim.Digest
}

// Earned sums all accepted receipts of a session up, settled or not, by who is paid.
func (l *Log) Earned(ctx context.Context, id essaim.SessionID) (map[Payee]essaim.Amount, error) {
	rows, err := l.file.Query(ctx, `SELECT miner, model, price FROM tasks WHERE session = ? AND receipt IS NOT NULL`, int64(id))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[Payee]essaim.Amount{}
	for rows.Next() {
		var miner, model sql.RawBytes
		var price int64
		if err := rows.Scan(&miner, &model, &price); err != nil {
			return nil, err
		}
		var p Payee
		copy(p.Miner[:], miner)
		copy(p.Model[:], model)
		out[p] += essaim.Amount(price)
	}
	return out, rows.Err()
}

// Captured is the sum of a session's delivered, not yet settled tasks, and their number.
func (l *Log) Captured(ctx context.Context, id essaim.SessionID) (sum essaim.Amount, count int, err error) {
	rows, err := l.file.Query(ctx, `SELECT price FROM tasks WHERE session = ? AND state = 'delivered'`, int64(id))
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var p int64
		if err := rows.Scan(&p); err != nil {
			return 0, 0, err
		}
		sum += essaim.Amount(p) // cannot overflow: each was reserved within a deposit
		count++
	}
	return sum, count, rows.Err()
}

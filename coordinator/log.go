package coordinator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/essaim/essaim"
)

// receiptLog is the coordinator's durable memory: tasks with their receipts, and
// settlements. It holds neither inputs nor outputs.
//
// All writes go through one goroutine, which puts those that wait into one
// transaction: a write is on the disk when write returns, and the disk is flushed
// once for many. Reads go beside it. It is safe for concurrent use.
type receiptLog struct {
	db     *sql.DB
	writes chan *write
	done   chan struct{} // closed when the writer has ended
}

// Amounts, session IDs and sequence numbers are unsigned 64-bit integers; they are
// kept as the signed integers with the same bits, and never computed with in SQL.
const logSchema = `
CREATE TABLE IF NOT EXISTS tasks (
	digest   BLOB PRIMARY KEY,
	session  INTEGER NOT NULL,
	seq      INTEGER NOT NULL,
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
	UNIQUE (session, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_unsettled ON tasks (session) WHERE state = 'delivered';
CREATE INDEX IF NOT EXISTS tasks_undelivered ON tasks (session) WHERE state = 'submitted';
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

func openLog(path string) (*receiptLog, error) {
	pragmas := url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", "file:"+path+"?"+pragmas.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(4) // the writer's and a few readers'
	if _, err := db.Exec(logSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	l := &receiptLog{db: db, writes: make(chan *write, maxBatch), done: make(chan struct{})}
	go l.writer()
	return l, nil
}

// close ends the writer after the writes that wait, and frees the file. No write may
// be under way or come later.
func (l *receiptLog) close() error {
	close(l.writes)
	<-l.done
	return l.db.Close()
}

// write is one change: statements that are done together or not at all.
type write struct {
	stmts    []stmt
	affected int64 // rows that the first statement changed
	err      error
	done     chan struct{}
}

type stmt struct {
	query string
	args  []any
}

// maxBatch bounds a transaction, so that the first write in it does not wait long.
const maxBatch = 256

// write makes statements durable. It does not know contexts: what was begun is
// finished.
func (l *receiptLog) write(stmts ...stmt) (affected int64, err error) {
	w := &write{stmts: stmts, done: make(chan struct{})}
	l.writes <- w
	<-w.done
	return w.affected, w.err
}

func (l *receiptLog) writer() {
	defer close(l.done)
	for first := range l.writes {
		batch := []*write{first}
	gather:
		for len(batch) < maxBatch {
			select {
			case w, ok := <-l.writes:
				if !ok {
					break gather
				}
				batch = append(batch, w)
			default:
				break gather
			}
		}
		if err := l.commit(batch); err != nil {
			for _, w := range batch {
				w.err = err
			}
		}
		for _, w := range batch {
			close(w.done)
		}
	}
}

// commit does a batch in one transaction. A write that fails leaves no trace and does
// not hurt the others.
func (l *receiptLog) commit(batch []*write) error {
	tx, err := l.db.Begin()
	if err != nil {
		return err
	}
	for _, w := range batch {
		if _, err := tx.Exec("SAVEPOINT w"); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		if w.err = w.do(tx); w.err != nil {
			if _, err := tx.Exec("ROLLBACK TO w"); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if _, err := tx.Exec("RELEASE w"); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (w *write) do(tx *sql.Tx) error {
	for i, s := range w.stmts {
		res, err := tx.Exec(s.query, s.args...)
		if err != nil {
			return err
		}
		if i == 0 {
			w.affected, err = res.RowsAffected()
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// admit stores a task as submitted. A task that ended without a delivery may be
// admitted again: it begins a new life.
//
// Errors: CodeConflict if the sequence number belongs to another task of the
// session, or the task is there already.
func (l *receiptLog) admit(digest essaim.Digest, t essaim.Task, signed []byte) error {
	n, err := l.write(stmt{`INSERT INTO tasks (digest, session, seq, task, state, admitted) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (digest) DO UPDATE SET state = excluded.state, reason = '', code = '', attempts = 0, admitted = excluded.admitted
		WHERE receipt IS NULL AND state IN (?, ?)`,
		[]any{digest[:], int64(t.Session), int64(t.Seq), signed, string(essaim.TaskSubmitted), time.Now().UnixMilli(),
			string(essaim.TaskRefunded), string(essaim.TaskExpired)}})
	var constraint *sqlite.Error
	if errors.As(err, &constraint) && constraint.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE {
		return essaim.Errorf(essaim.CodeConflict, "number each task of a session differently", "session %s has another task with number %d", t.Session, t.Seq)
	}
	if err == nil && n == 0 {
		return essaim.Errorf(essaim.CodeConflict, "", "task %s is there already", digest.Short())
	}
	return err
}

// accept stores a receipt that stood the checks: from now on the task will be
// settled.
func (l *receiptLog) accept(digest essaim.Digest, r essaim.Receipt, signed []byte, state essaim.TaskState) error {
	n, err := l.write(stmt{`UPDATE tasks SET state = ?, attempts = ?, miner = ?, price = ?, receipt = ?, sealed = ?, accepted = ?
		WHERE digest = ? AND state = ?`,
		[]any{string(state), int64(r.Attempt), r.Miner[:], int64(r.Price), signed, r.Sealed[:], time.Now().UnixMilli(),
			digest[:], string(essaim.TaskSubmitted)}})
	if err == nil && n != 1 {
		err = fmt.Errorf("task %s is not waiting for a receipt", digest.Short())
	}
	return err
}

// end stores why a task was not delivered.
func (l *receiptLog) end(digest essaim.Digest, state essaim.TaskState, attempts uint64, why error) error {
	_, err := l.write(stmt{`UPDATE tasks SET state = ?, reason = ?, code = ?, attempts = ? WHERE digest = ? AND state = ?`,
		[]any{string(state), why.Error(), string(essaim.CodeOf(why)), int64(attempts), digest[:], string(essaim.TaskSubmitted)}})
	return err
}

// endUndelivered ends the tasks that a program which is no more had under way.
func (l *receiptLog) endUndelivered(reason string) error {
	to, err := essaim.TaskSubmitted.Next(essaim.EventRefused)
	if err != nil {
		return err
	}
	_, err = l.write(stmt{`UPDATE tasks SET state = ?, reason = ?, code = ? WHERE state = 'submitted'`,
		[]any{string(to), reason, string(essaim.CodeUnavailable)}})
	return err
}

// task reads what is known of a task.
//
// Errors: CodeNotFound.
func (l *receiptLog) task(ctx context.Context, digest essaim.Digest) (essaim.TaskRecord, error) {
	r := essaim.TaskRecord{Digest: digest}
	var session, seq, attempts int64
	var price sql.NullInt64
	var miner []byte
	err := l.db.QueryRowContext(ctx, `SELECT session, seq, state, reason, miner, attempts, price, receipt FROM tasks WHERE digest = ?`, digest[:]).
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

// sealedOf is the digest of a delivered task's sealed result.
func (l *receiptLog) sealedOf(ctx context.Context, digest essaim.Digest) (d essaim.Digest, err error) {
	var b []byte
	err = l.db.QueryRowContext(ctx, `SELECT sealed FROM tasks WHERE digest = ? AND sealed IS NOT NULL`, digest[:]).Scan(&b)
	copy(d[:], b)
	return d, err
}

// receipts reads the signed receipts of a session's delivered, not yet settled
// tasks.
func (l *receiptLog) receipts(ctx context.Context, id essaim.SessionID) ([][]byte, error) {
	rows, err := l.db.QueryContext(ctx, `SELECT receipt FROM tasks WHERE session = ? AND state = 'delivered' ORDER BY seq`, int64(id))
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

// captured is the sum of a session's delivered, not yet settled tasks.
func (l *receiptLog) captured(ctx context.Context, id essaim.SessionID) (sum essaim.Amount, err error) {
	rows, err := l.db.QueryContext(ctx, `SELECT price FROM tasks WHERE session = ? AND state = 'delivered'`, int64(id))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var p int64
		if err := rows.Scan(&p); err != nil {
			return 0, err
		}
		sum += essaim.Amount(p) // cannot overflow: each was reserved within a deposit
	}
	return sum, rows.Err()
}

// Package once remembers which tasks were handed in for a request that is to be done once, however often it is sent
// (Idempotency-Key) and whatever happens to the program meanwhile. Without it a restart would have such a request done
// and paid again.
//
// There is a row for each task, written together with what makes the task known to the books of API keys
// (package apikey), so that it costs no flush of its own and a request that asks for nothing of this costs nothing. A request none of whose
// tasks was captured has no bearing and may be done again. What a row says is kept for a day (Kept).
//
// The package must not keep a prompt or a result, nor anything that a prompt could be guessed by: a request is known by a
// code that only who has the API key can make. Queries are in the words that SQLite and PostgreSQL share.
package once

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Kept is how long a request is remembered after its last task was handed in.
const Kept = 24 * time.Hour

// ErrGone says that a request was done and charged, and that its result is not to be had any more.
var ErrGone = errors.New("the result is not kept")

// Request is one that is to be done once.
type Request struct {
	Key   string          // ID of the API key
	ID    string          // what its user calls the request
	Asked essaim.Digest   // code of path and body, under a secret of the user's
	Done  []essaim.Digest // receipt files of what an earlier sending of it was charged for, in order; nil: do it
}

type requestKey struct{}

// With makes what is done with a context part of a request.
func With(ctx context.Context, r *Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// Of is the request that a context is part of; nil: of none that is to be done once.
func Of(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// Schema has the rows, in the words of SQLite. It is repeatable.
const Schema = `
CREATE TABLE IF NOT EXISTS once (
	task    BLOB PRIMARY KEY,
	apikey  TEXT NOT NULL,    -- ID of the key
	request TEXT NOT NULL,    -- its Idempotency-Key
	asked   BLOB NOT NULL,    -- Request.Asked
	part    INTEGER NOT NULL, -- which of the request's tasks it is, from 0
	at      INTEGER NOT NULL, -- Unix milliseconds
	receipt BLOB              -- digest of the receipt file, if the result is kept; else NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS once_request ON once (apikey, request);
CREATE INDEX IF NOT EXISTS once_at ON once (at);
CREATE TABLE IF NOT EXISTS once_claims ( -- of instances that share a database
	apikey   TEXT NOT NULL,
	request  TEXT NOT NULL,
	instance TEXT NOT NULL, -- that has the request under way
	PRIMARY KEY (apikey, request)
) WITHOUT ROWID;
`

// Claim is the statement by which one of several instances that share a database takes a request under way; it changes no row if another one
// has it that may still write (the table instances has those). Free ends that.
func (r *Request) Claim(instance string) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO once_claims (apikey, request, instance) VALUES (?, ?, ?)
			ON CONFLICT (apikey, request) DO UPDATE SET instance = excluded.instance
			WHERE NOT EXISTS (SELECT 1 FROM instances AS i WHERE i.id = once_claims.instance)`,
		Args: []any{r.Key, r.ID, instance},
	}
}

// Free is the statement that ends a claim.
func (r *Request) Free(instance string) durable.Stmt {
	return durable.Stmt{Query: `DELETE FROM once_claims WHERE apikey = ? AND request = ? AND instance = ?`, Args: []any{r.Key, r.ID, instance}}
}

// Named is the statement that notes a task before it is handed in.
func (r *Request) Named(task essaim.Digest, part int) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO once (task, apikey, request, asked, part, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (task) DO NOTHING`,
		Args:  []any{task[:], r.Key, r.ID, r.Asked[:], int64(part), time.Now().UnixMilli()},
	}
}

// Captured is the statement that notes where the result of a task is kept; zero: nowhere. It comes to the same whether the rows have
// what Named has noted or not.
func (r *Request) Captured(task essaim.Digest, part int, receipt essaim.Digest) durable.Stmt {
	var kept any
	if !receipt.IsZero() {
		kept = receipt[:]
	}
	return durable.Stmt{
		Query: `INSERT INTO once (task, apikey, request, asked, part, at, receipt) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (task) DO UPDATE SET receipt = excluded.receipt`,
		Args: []any{task[:], r.Key, r.ID, r.Asked[:], int64(part), time.Now().UnixMilli(), kept},
	}
}

// Forget is the statement that drops what is too old.
func Forget(now time.Time) durable.Stmt {
	return durable.Stmt{Query: `DELETE FROM once WHERE at < ?`, Args: []any{now.Add(-Kept).UnixMilli()}}
}

// Task is one that was handed in for a request.
type Task struct {
	Digest   essaim.Digest
	Asked    essaim.Digest // by the request that it was handed in for
	Receipt  essaim.Digest // of the receipt file; zero: the result is not kept
	Captured bool          // the key has paid it
	Doubted  bool          // it is not known yet what became of it
}

// Rows is what Find reads: the books of package apikey, with Schema.
type Rows interface {
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Find lists what was handed in for a request with a name, in the order of its parts.
func Find(ctx context.Context, from Rows, key, id string, now time.Time) (out []Task, err error) {
	rows, err := from.Query(ctx, `SELECT o.task, o.asked, o.receipt,
			EXISTS (SELECT 1 FROM entries AS e WHERE e.task = o.task AND e.kind = 'capture'),
			EXISTS (SELECT 1 FROM tasks AS t WHERE t.task = o.task)
		FROM once AS o WHERE o.apikey = ? AND o.request = ? AND o.at >= ? ORDER BY o.part, o.at, o.task`, key, id, now.Add(-Kept).UnixMilli())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t Task
		var task, asked, receipt []byte
		if err := rows.Scan(&task, &asked, &receipt, &t.Captured, &t.Doubted); err != nil {
			return nil, err
		}
		copy(t.Digest[:], task)
		copy(t.Asked[:], asked)
		copy(t.Receipt[:], receipt)
		out = append(out, t)
	}
	return out, rows.Err()
}

// Decide says whether a request may be done, from what was handed in for it: Done is what is to be answered instead.
//
// Errors: CodeConflict if its name belongs to another request, or with ErrGone if it was done and its result is not kept;
// CodeUnavailable as long as it is not known what became of a task.
func (r *Request) Decide(have []Task) error {
	r.Done = nil
	var lost *Task
	for i, t := range have {
		switch {
		case t.Asked != r.Asked:
			return ErrOther
		case t.Doubted:
			return essaim.Errorf(essaim.CodeUnavailable, "come again in a moment", "task %s of this request is not over", t.Digest)
		case t.Captured && t.Receipt.IsZero():
			lost = &have[i]
		case t.Captured:
			r.Done = append(r.Done, t.Receipt)
		}
	}
	if lost != nil && len(r.Done) == 0 {
		return Gone(lost.Digest)
	}
	return nil
}

// ErrOther is for a request whose name is another's.
var ErrOther = &essaim.Error{Code: essaim.CodeConflict, Msg: "this Idempotency-Key belongs to another request", Hint: "choose a new key for a new request"}

// Gone is the error of a request whose result is not kept.
//
// Errors: CodeConflict with ErrGone, always.
func Gone(task essaim.Digest) error {
	return essaim.Errorf(essaim.CodeConflict, "to have it done and charged again, choose a new Idempotency-Key", "this request was done and charged as task %s, and %w", task, ErrGone)
}

package receiptlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Intent is a settlement that was decided: it is sent, and sent again after a crash,
// exactly as it is here.
type Intent struct {
	Settlement essaim.Settlement
	Signature  []byte
	Tx         *essaim.Tx // nil: the ledger has not confirmed it
	Expired    bool       // the ledger gave the deposit back instead
}

// Settled is what a payer is told; the ledger has confirmed it.
func (i *Intent) Settled() essaim.Settled {
	return essaim.Settled{Session: i.Settlement.Session, Root: i.Settlement.Root, Tx: *i.Tx}
}

// Intend stores a settlement before it is sent.
func (l *Log) Intend(i Intent) error {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return err
	}
	body, err := enc.Marshal(i.Settlement)
	if err != nil {
		return fmt.Errorf("encode settlement: %w", err)
	}
	_, err = l.write(durable.Stmt{Query: `INSERT INTO settlements (session, settlement, signature, intended) VALUES (?, ?, ?, ?)`,
		Args: []any{int64(i.Settlement.Session), body, i.Signature, time.Now().UnixMilli()}})
	return err
}

// Intent reads what was decided for a session; nil: nothing yet.
func (l *Log) Intent(ctx context.Context, id essaim.SessionID) (*Intent, error) {
	var i Intent
	var body []byte
	var tx sql.NullString
	err := l.file.QueryRow(ctx, `SELECT settlement, signature, tx, expired FROM settlements WHERE session = ?`, int64(id)).
		Scan(&body, &i.Signature, &tx, &i.Expired)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settlement of session %s: %w", id, err)
	}
	if err := cbor.Unmarshal(body, &i.Settlement); err != nil {
		return nil, fmt.Errorf("decode settlement of session %s: %w", id, err)
	}
	if tx.Valid {
		i.Tx = new(essaim.Tx)
		if err := json.Unmarshal([]byte(tx.String), i.Tx); err != nil {
			return nil, fmt.Errorf("decode transaction of session %s: %w", id, err)
		}
	}
	return &i, nil
}

// reasonExpired is shown to users.
const reasonExpired = "the session expired before it was settled"

// takenSchema: sessions that were taken up and are not over. In one without a delivered
// task nothing else in the log asks for a settlement.
const takenSchema = `
CREATE TABLE IF NOT EXISTS taken (session INTEGER PRIMARY KEY);
`

// TakeUp notes an open session, so that a later run ends it if this one does not.
func (l *Log) TakeUp(id essaim.SessionID) error {
	_, err := l.write(durable.Stmt{Query: `INSERT INTO taken (session) VALUES (?) ON CONFLICT DO NOTHING`, Args: []any{int64(id)}})
	return err
}

// LetGo forgets a session that is over with nothing to be paid.
func (l *Log) LetGo(id essaim.SessionID) error {
	_, err := l.write(letGo(id))
	return err
}

func letGo(id essaim.SessionID) durable.Stmt {
	return durable.Stmt{Query: `DELETE FROM taken WHERE session = ?`, Args: []any{int64(id)}}
}

// Settled marks a session's tasks as paid by tx.
func (l *Log) Settled(id essaim.SessionID, tx essaim.Tx) error {
	body, err := json.Marshal(tx)
	if err != nil {
		return err
	}
	return l.finish(id, essaim.EventSettled, "", durable.Stmt{Query: `UPDATE settlements SET tx = ? WHERE session = ?`, Args: []any{string(body), int64(id)}})
}

// Expired marks a session's tasks as not paid: the ledger gave the deposit back.
func (l *Log) Expired(id essaim.SessionID) error {
	return l.finish(id, essaim.EventSessionExpired, reasonExpired, durable.Stmt{Query: `UPDATE settlements SET expired = 1 WHERE session = ?`, Args: []any{int64(id)}})
}

func (l *Log) finish(id essaim.SessionID, e essaim.Event, reason string, also durable.Stmt) error {
	to, err := essaim.TaskDelivered.Next(e)
	if err != nil {
		return err
	}
	for { // in pieces, so that other writes need not wait for a million rows
		n, err := l.write(durable.Stmt{Query: `UPDATE tasks SET state = ?, reason = ? WHERE session = ? AND seq IN (
			SELECT seq FROM tasks WHERE session = ? AND state = 'delivered' LIMIT ?)`,
			Args: []any{string(to), reason, int64(id), int64(id), finishRows}})
		if err != nil {
			return err
		}
		if n < finishRows {
			break
		}
	}
	_, err = l.write(also, letGo(id)) // last: until then the session is unsettled, and this is done again
	return err
}

const finishRows = 2000

// Forget drops the sealed results of sessions that are over and whose settlement was
// decided before a time: whoever wanted one has it, or had that long to ask. The receipts stay.
// It returns how many it has dropped, and is done when that is 0.
func (l *Log) Forget(before time.Time) (dropped int64, err error) {
	return l.write(durable.Stmt{Query: `DELETE FROM results WHERE (session, seq) IN (
		SELECT session, seq FROM results WHERE session IN (
			SELECT session FROM settlements WHERE intended < ? AND (tx IS NOT NULL OR expired = 1)) LIMIT ?)`,
		Args: []any{before.UnixMilli(), finishRows}})
}

// Unsettled lists the sessions that were taken up, that have delivered tasks or a
// settlement, and that the ledger has not ended yet.
func (l *Log) Unsettled(ctx context.Context) ([]essaim.SessionID, error) {
	rows, err := l.file.Query(ctx, `WITH RECURSIVE due (id) AS ( -- one look into the index for each session, however many tasks it has
			SELECT min(session) FROM tasks WHERE state = 'delivered'
			UNION ALL SELECT (SELECT min(session) FROM tasks WHERE state = 'delivered' AND session > id) FROM due WHERE id IS NOT NULL)
		SELECT id FROM due WHERE id IS NOT NULL
		UNION SELECT session FROM settlements WHERE tx IS NULL AND expired = 0
		UNION SELECT session FROM taken`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []essaim.SessionID
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, essaim.SessionID(id))
	}
	return out, rows.Err()
}

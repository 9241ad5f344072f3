package coordinator

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

// intent is a settlement that was decided: it is sent, and sent again after a crash,
// exactly as it is here.
type intent struct {
	settlement essaim.Settlement
	signature  []byte
	tx         *essaim.Tx // nil: the ledger has not confirmed it
	expired    bool       // the ledger gave the deposit back instead
}

func (i *intent) settled() essaim.Settled {
	return essaim.Settled{Session: i.settlement.Session, Root: i.settlement.Root, Tx: *i.tx}
}

// intend stores a settlement before it is sent.
func (l *receiptLog) intend(i intent) error {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return err
	}
	body, err := enc.Marshal(i.settlement)
	if err != nil {
		return fmt.Errorf("encode settlement: %w", err)
	}
	_, err = l.write(durable.Stmt{Query: `INSERT INTO settlements (session, settlement, signature, intended) VALUES (?, ?, ?, ?)`,
		Args: []any{int64(i.settlement.Session), body, i.signature, time.Now().UnixMilli()}})
	return err
}

// intent reads what was decided for a session; nil: nothing yet.
func (l *receiptLog) intent(ctx context.Context, id essaim.SessionID) (*intent, error) {
	var i intent
	var body []byte
	var tx sql.NullString
	err := l.file.QueryRow(ctx, `SELECT settlement, signature, tx, expired FROM settlements WHERE session = ?`, int64(id)).
		Scan(&body, &i.signature, &tx, &i.expired)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read settlement of session %s: %w", id, err)
	}
	if err := cbor.Unmarshal(body, &i.settlement); err != nil {
		return nil, fmt.Errorf("decode settlement of session %s: %w", id, err)
	}
	if tx.Valid {
		i.tx = new(essaim.Tx)
		if err := json.Unmarshal([]byte(tx.String), i.tx); err != nil {
			return nil, fmt.Errorf("decode transaction of session %s: %w", id, err)
		}
	}
	return &i, nil
}

// settled marks a session's tasks as paid by tx.
func (l *receiptLog) settled(id essaim.SessionID, tx essaim.Tx) error {
	body, err := json.Marshal(tx)
	if err != nil {
		return err
	}
	return l.finish(id, essaim.EventSettled, "", durable.Stmt{Query: `UPDATE settlements SET tx = ? WHERE session = ?`, Args: []any{string(body), int64(id)}})
}

// expired marks a session's tasks as not paid: the ledger gave the deposit back.
func (l *receiptLog) expired(id essaim.SessionID) error {
	return l.finish(id, essaim.EventSessionExpired, reasonExpired, durable.Stmt{Query: `UPDATE settlements SET expired = 1 WHERE session = ?`, Args: []any{int64(id)}})
}

func (l *receiptLog) finish(id essaim.SessionID, e essaim.Event, reason string, also durable.Stmt) error {
	to, err := essaim.TaskDelivered.Next(e)
	if err != nil {
		return err
	}
	_, err = l.write(durable.Stmt{Query: `UPDATE tasks SET state = ?, reason = ? WHERE session = ? AND state = ?`,
		Args: []any{string(to), reason, int64(id), string(essaim.TaskDelivered)}}, also)
	return err
}

// unsettled lists the sessions with delivered tasks, or with a settlement, that the
// ledger has not paid yet.
func (l *receiptLog) unsettled(ctx context.Context) ([]essaim.SessionID, error) {
	rows, err := l.file.Query(ctx, `SELECT session FROM tasks WHERE state = 'delivered'
		UNION SELECT session FROM settlements WHERE tx IS NULL AND expired = 0`)
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

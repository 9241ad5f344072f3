package receiptlog

import (
	"context"
	"encoding/json"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/quality"
	"github.com/essaim/essaim/internal/durable"
)

// What the log keeps of miners. Quality is a measure and not a promise: losing the last
// half minute of it costs nothing, so it is written seldom.
const minerSchema = `
CREATE TABLE IF NOT EXISTS quality (
	miner   BLOB PRIMARY KEY,
	good    REAL NOT NULL,
	every   REAL NOT NULL,
	updated INTEGER NOT NULL -- Unix milliseconds
) WITHOUT ROWID;
`

// qualityAge is how long the measure of a miner that has not come back is kept.
const qualityAge = 30 * 24 * time.Hour

// PutQuality stores what was measured, and forgets miners that were not seen for long.
func (l *Log) PutQuality(of map[essaim.NodeKey]quality.Measure, now time.Time) error {
	stmts := []durable.Stmt{{Query: `DELETE FROM quality WHERE updated < ?`, Args: []any{now.Add(-qualityAge).UnixMilli()}}}
	for k, q := range of {
		stmts = append(stmts, durable.Stmt{
			Query: `INSERT INTO quality (miner, good, every, updated) VALUES (?, ?, ?, ?)
				ON CONFLICT (miner) DO UPDATE SET good = excluded.good, every = excluded.every, updated = excluded.updated`,
			Args: []any{k[:], q.Good, q.All, now.UnixMilli()},
		})
	}
	_, err := l.write(stmts...)
	return err
}

// Quality is what PutQuality has stored.
func (l *Log) Quality(ctx context.Context) (map[essaim.NodeKey]quality.Measure, error) {
	rows, err := l.file.Query(ctx, `SELECT miner, good, every FROM quality`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[essaim.NodeKey]quality.Measure{}
	for rows.Next() {
		var key []byte
		var q quality.Measure
		if err := rows.Scan(&key, &q.Good, &q.All); err != nil {
			return nil, err
		}
		var k essaim.NodeKey
		copy(k[:], key)
		out[k] = q
	}
	return out, rows.Err()
}

// Debt is what a session owes a miner for delivered tasks that are not settled.
type Debt struct {
	Session essaim.SessionID
	Miner   essaim.NodeKey
	Amount  essaim.Amount
}

// Owed lists the delivered, not yet settled tasks of all sessions, one by one.
func (l *Log) Owed(ctx context.Context) ([]Debt, error) {
	return l.owed(ctx, `SELECT session, miner, price FROM tasks WHERE state = 'delivered'`)
}

// OwedBy is Owed of one session.
func (l *Log) OwedBy(ctx context.Context, id essaim.SessionID) ([]Debt, error) {
	return l.owed(ctx, `SELECT session, miner, price FROM tasks WHERE state = 'delivered' AND session = ?`, int64(id))
}

func (l *Log) owed(ctx context.Context, query string, args ...any) ([]Debt, error) {
	rows, err := l.file.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Debt
	for rows.Next() {
		var session, price int64
		var key []byte
		if err := rows.Scan(&session, &key, &price); err != nil {
			return nil, err
		}
		d := Debt{Session: essaim.SessionID(session), Amount: essaim.Amount(price)}
		copy(d.Miner[:], key)
		out = append(out, d)
	}
	return out, rows.Err()
}

// lastSettledMax bounds how many settlements are looked at for the audit window.
const lastSettledMax = 1000

// LastSettled reads the latest settlements that the ledger has confirmed.
func (l *Log) LastSettled(ctx context.Context) ([]Intent, error) {
	rows, err := l.file.Query(ctx, `SELECT settlement, tx FROM settlements WHERE tx IS NOT NULL ORDER BY session DESC LIMIT ?`, lastSettledMax)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Intent
	for rows.Next() {
		var body []byte
		var tx string
		i := Intent{Tx: new(essaim.Tx)}
		if err := rows.Scan(&body, &tx); err != nil {
			return nil, err
		}
		if err := cbor.Unmarshal(body, &i.Settlement); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(tx), i.Tx); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

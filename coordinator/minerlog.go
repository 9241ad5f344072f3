package coordinator

import (
	"context"
	"encoding/json"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
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

func (l *receiptLog) putQuality(of map[essaim.NodeKey]quality, now time.Time) error {
	stmts := []durable.Stmt{{Query: `DELETE FROM quality WHERE updated < ?`, Args: []any{now.Add(-qualityAge).UnixMilli()}}}
	for k, q := range of {
		stmts = append(stmts, durable.Stmt{
			Query: `INSERT INTO quality (miner, good, every, updated) VALUES (?, ?, ?, ?)
				ON CONFLICT (miner) DO UPDATE SET good = excluded.good, every = excluded.every, updated = excluded.updated`,
			Args: []any{k[:], q.good, q.all, now.UnixMilli()},
		})
	}
	_, err := l.write(stmts...)
	return err
}

func (l *receiptLog) quality(ctx context.Context) (map[essaim.NodeKey]*quality, error) {
	rows, err := l.file.Query(ctx, `SELECT miner, good, every FROM quality`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[essaim.NodeKey]*quality{}
	for rows.Next() {
		var key []byte
		q := new(quality)
		if err := rows.Scan(&key, &q.good, &q.all); err != nil {
			return nil, err
		}
		var k essaim.NodeKey
		copy(k[:], key)
		out[k] = q
	}
	return out, rows.Err()
}

// debt is what a session owes a miner for delivered tasks that are not settled.
type debt struct {
	session essaim.SessionID
	miner   essaim.NodeKey
	amount  essaim.Amount
}

// owed lists the delivered, not yet settled tasks of all sessions, one by one.
func (l *receiptLog) owed(ctx context.Context) ([]debt, error) {
	rows, err := l.file.Query(ctx, `SELECT session, miner, price FROM tasks WHERE state = 'delivered'`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []debt
	for rows.Next() {
		var session, price int64
		var key []byte
		if err := rows.Scan(&session, &key, &price); err != nil {
			return nil, err
		}
		d := debt{session: essaim.SessionID(session), amount: essaim.Amount(price)}
		copy(d.miner[:], key)
		out = append(out, d)
	}
	return out, rows.Err()
}

// lastSettledMax bounds how many settlements are looked at for the audit window.
const lastSettledMax = 1000

// lastSettled reads the latest settlements that the ledger has confirmed.
func (l *receiptLog) lastSettled(ctx context.Context) ([]intent, error) {
	rows, err := l.file.Query(ctx, `SELECT settlement, tx FROM settlements WHERE tx IS NOT NULL ORDER BY session DESC LIMIT ?`, lastSettledMax)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []intent
	for rows.Next() {
		var body []byte
		var tx string
		i := intent{tx: new(essaim.Tx)}
		if err := rows.Scan(&body, &tx); err != nil {
			return nil, err
		}
		if err := cbor.Unmarshal(body, &i.settlement); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(tx), i.tx); err != nil {
			return nil, err
		}
		out = append(out, i)
	}
	return out, rows.Err()
}

package receiptlog

import (
	"context"

	"github.com/essaim/essaim"
)

// Priced is a task whose receipt counts, and what it costs.
type Priced struct {
	Task  essaim.Digest
	Price essaim.Amount
}

// Receipts lists a session's receipts that were or will be settled, for whoever keeps
// books of the session, beside a coordinator that goes on.
func (l *Log) Receipts(ctx context.Context, id essaim.SessionID) ([]Priced, error) {
	rows, err := l.file.Query(ctx, `SELECT digest, price FROM tasks WHERE session = ? AND state IN (?, ?)`,
		int64(id), string(essaim.TaskDelivered), string(essaim.TaskSettled))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Priced
	for rows.Next() {
		var p Priced
		var task []byte
		var price int64
		if err := rows.Scan(&task, &price); err != nil {
			return nil, err
		}
		copy(p.Task[:], task)
		p.Price = essaim.Amount(price)
		out = append(out, p)
	}
	return out, rows.Err()
}

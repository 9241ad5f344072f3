package web

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// FaucetSchema is the table of a faucet that several instances of a coordinator have, in a PostgreSQL database that they share, in the words of
// SQLite. A row is dropped when its account may be given again.
const FaucetSchema = `
CREATE TABLE IF NOT EXISTS gifts (
	account BLOB PRIMARY KEY,
	host    TEXT NOT NULL,   -- the network address that it was asked from
	at      INTEGER NOT NULL -- Unix milliseconds, of the server's clock
);
CREATE INDEX IF NOT EXISTS gifts_host ON gifts (host, at);
`

// FaucetTurn is the expression that each transaction on that table evaluates first: it waits until no other one is under way.
const FaucetTurn = `pg_advisory_xact_lock(7522260)`

// rightNow is the server's clock: those of two instances are never compared.
const rightNow = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT`

// FaucetRows are the rows, in the order of FaucetSchema's columns, that the list in a file comes to: from which network address is not in it. A missing file
// has none.
func FaucetRows(file string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		f := &Faucet{cfg: FaucetConfig{File: file}, given: map[essaim.Address]time.Time{}}
		if err := f.read(); err != nil {
			yield(nil, err)
			return
		}
		for to, at := range f.given {
			if !yield([]any{to[:], "", at.UnixMilli()}, nil) {
				return
			}
		}
	}
}

// giveByRows is Give where rows say who was given what. A gift is in them before it is made: an instance that dies in between has its account wait
// for nothing, and none is given twice.
func (f *Faucet) giveByRows(ctx context.Context, to essaim.Address, host string) (essaim.Tx, error) {
	pause := f.cfg.Pause.Milliseconds()
	n, err := f.cfg.Rows.Write(
		durable.Stmt{
			Query: `INSERT INTO gifts AS g (account, host, at) SELECT ?, ?, ` + rightNow + ` WHERE (SELECT COUNT(*) FROM gifts WHERE host = ? AND at > ` + rightNow + ` - ?) < ?
				ON CONFLICT (account) DO UPDATE SET host = excluded.host, at = excluded.at WHERE g.at <= excluded.at - ?`,
			Args: []any{to[:], host, host, pause, int64(f.cfg.Most), pause},
		},
		durable.Stmt{Query: `DELETE FROM gifts WHERE at <= ` + rightNow + ` - ?`, Args: []any{pause}},
	)
	if err != nil {
		return essaim.Tx{}, essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the faucet's list: %w", err)
	}
	if n == 0 {
		return essaim.Tx{}, f.whyNot(ctx, to, host)
	}
	tx, err := f.cfg.Give(ctx, to, f.cfg.Amount)
	if err != nil { // nobody else has touched the row, which is younger than a pause
		_, undone := f.cfg.Rows.Write(durable.Stmt{Query: `DELETE FROM gifts WHERE account = ? AND host = ?`, Args: []any{to[:], host}})
		return tx, errors.Join(err, undone)
	}
	return tx, nil
}

// whyNot says why rows have refused a gift.
func (f *Faucet) whyNot(ctx context.Context, to essaim.Address, host string) error {
	var left int64
	err := f.cfg.Rows.QueryRow(ctx, `SELECT at + ? - `+rightNow+` FROM gifts WHERE account = ?`, f.cfg.Pause.Milliseconds(), to[:]).Scan(&left)
	if err == nil {
		return essaim.Errorf(essaim.CodeConflict, "come back in "+wait(time.Duration(left)*time.Millisecond), "%s has been given coins already", to)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the faucet's list: %w", err)
	}
	var first sql.NullInt64
	if err := f.cfg.Rows.QueryRow(ctx, `SELECT MIN(at) + ? - `+rightNow+` FROM gifts WHERE host = ?`, f.cfg.Pause.Milliseconds(), host).Scan(&first); err != nil {
		return essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "the faucet's list: %w", err)
	}
	return essaim.Errorf(essaim.CodeConflict, "come back in "+wait(time.Duration(first.Int64)*time.Millisecond), "from your network %d accounts have been given coins already", f.cfg.Most)
}

package apikey

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Kind says what an entry is. Kinds are a closed list.
type Kind string

// The kinds of entries, and the accounts between which they move money.
const (
	Deposit  Kind = "deposit"  // deposits/KEY → key/KEY
	Withdraw Kind = "withdraw" // key/KEY → deposits/KEY
	Reserve  Kind = "reserve"  // key/KEY → reserved/KEY/REF
	Capture  Kind = "capture"  // reserved/KEY/REF or, of a task that was over at once, key/KEY → session/N: the price of a receipt
	Release  Kind = "release"  // reserved/KEY/REF → key/KEY: what was not captured
	Cover    Kind = "cover"    // house → session/N: a receipt that no user pays for
)

// Entry moves an amount from one account to another. A kind and a reference are there
// once, so that doing something again does not do it twice.
type Entry struct {
	ID     uint64         `json:"id"` // from 1, without gaps
	At     time.Time      `json:"at"`
	Kind   Kind           `json:"kind"`
	From   string         `json:"from"`
	To     string         `json:"to"`
	Amount essaim.Amount  `json:"amount"`
	Ref    string         `json:"ref"`
	Task   *essaim.Digest `json:"task,omitempty"` // of Capture and Cover: whose receipt it is
}

// The balances are kept by the database itself as entries come in, and an entry that
// would take more than is there does not come in.
const entrySchema = `
CREATE TABLE IF NOT EXISTS entries (
	id     INTEGER PRIMARY KEY,
	at     INTEGER NOT NULL, -- Unix milliseconds
	kind   TEXT NOT NULL,    -- of Kind
	source TEXT NOT NULL,    -- the account that loses the amount
	target TEXT NOT NULL,    -- the one that gains it
	amount INTEGER NOT NULL CHECK (amount >= 0),
	ref    TEXT NOT NULL,
	task   BLOB UNIQUE,      -- digest; of capture and cover
	UNIQUE (kind, ref)
) STRICT;
CREATE TABLE IF NOT EXISTS balances (
	account TEXT PRIMARY KEY,
	amount  INTEGER NOT NULL,
	CHECK (amount >= 0 OR account = 'house' OR account GLOB 'deposits/*')
) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS entries_move AFTER INSERT ON entries BEGIN
	INSERT OR IGNORE INTO balances (account, amount) VALUES (NEW.source, 0), (NEW.target, 0);
	UPDATE balances SET amount = amount - NEW.amount WHERE account = NEW.source;
	UPDATE balances SET amount = amount + NEW.amount WHERE account = NEW.target;
	DELETE FROM balances WHERE account IN (NEW.source, NEW.target) AND amount = 0 AND account GLOB 'reserved/*';
END;
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;
CREATE TRIGGER IF NOT EXISTS entries_fixed BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;
`

const house = "house"

func depositsOf(key string) string         { return "deposits/" + key }
func balanceOf(key string) string          { return "key/" + key }
func reservedOf(key, ref string) string    { return "reserved/" + key + "/" + ref }
func sessionOf(id essaim.SessionID) string { return "session/" + id.String() }

// entry is the statement that appends one.
func entry(k Kind, from, to string, amount essaim.Amount, ref string) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO entries (at, kind, source, target, amount, ref) VALUES (?, ?, ?, ?, ?, ?)`,
		Args:  []any{time.Now().UnixMilli(), string(k), from, to, int64(amount), ref},
	}
}

// priced is the statement that appends an entry for a receipt.
func priced(k Kind, from string, session essaim.SessionID, price essaim.Amount, ref string, task essaim.Digest) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO entries (at, kind, source, target, amount, ref, task) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		Args:  []any{time.Now().UnixMilli(), string(k), from, sessionOf(session), int64(price), ref, task[:]},
	}
}

// release is the statement that gives a key back what is still reserved, if anything is.
func release(key, ref string) durable.Stmt {
	return durable.Stmt{
		Query: `INSERT INTO entries (at, kind, source, target, amount, ref)
			SELECT ?, ?, account, ?, amount, ? FROM balances WHERE account = ?`,
		Args: []any{time.Now().UnixMilli(), string(Release), balanceOf(key), ref, reservedOf(key, ref)},
	}
}

func checkAmount(a essaim.Amount) error {
	if a > math.MaxInt64/2 {
		return essaim.Errorf(essaim.CodeBadInput, "choose a smaller amount", "an amount of %s is too large", a)
	}
	return nil
}

// Deposit adds to what a key may spend. A reference, such as the transaction that paid
// it, is entered once: with one that is there already nothing happens, and again is true.
// Without a reference each call is a deposit.
//
// Errors: CodeNotFound for an unknown key, CodeBadInput for an amount of 0, CodeConflict
// for a reference that stands for something else.
func (s *Store) Deposit(ctx context.Context, id string, amount essaim.Amount, ref string) (k Key, again bool, err error) {
	return s.move(ctx, Deposit, depositsOf(id), balanceOf(id), id, amount, ref)
}

// Withdraw takes back from a key what it has not spent or reserved, as Deposit adds.
//
// Errors: as Deposit's; CodeInsufficient if the key has less.
func (s *Store) Withdraw(ctx context.Context, id string, amount essaim.Amount, ref string) (k Key, again bool, err error) {
	return s.move(ctx, Withdraw, balanceOf(id), depositsOf(id), id, amount, ref)
}

func (s *Store) move(ctx context.Context, kind Kind, from, to, id string, amount essaim.Amount, ref string) (k Key, again bool, err error) {
	if k, err = s.Key(ctx, id); err != nil {
		return k, false, err
	}
	if amount == 0 {
		return k, false, essaim.Errorf(essaim.CodeBadInput, "name an amount", "there is nothing to %s", kind)
	}
	if err := checkAmount(amount); err != nil {
		return k, false, err
	}
	if ref == "" {
		ref = rand.Text()
	}
	ref = "owner/" + ref
	defer s.forgetKey(id)
	s.mu.Lock() // no purse is read or emptied meanwhile
	delete(s.purses, id)
	poor := false
	if held := s.held[id]; kind == Withdraw && held > 0 {
		k, err = s.read(ctx, id)
		poor = err == nil && (k.Balance < held || k.Balance-held < amount)
	}
	if err == nil && !poor {
		_, err = s.file.Write(entry(kind, from, to, amount, ref))
	}
	s.mu.Unlock()
	switch {
	case poor:
		return k, false, essaim.Errorf(essaim.CodeInsufficient, "withdraw less", "key %s has %s, of which requests under way have reserved something", id, k.Balance)
	case durable.IsDuplicate(err):
		var same bool
		if err := s.file.QueryRow(ctx, `SELECT target = ? AND source = ? AND amount = ? FROM entries WHERE kind = ? AND ref = ?`,
			to, from, int64(amount), string(kind), ref).Scan(&same); err != nil {
			return k, false, fault("look up an entry", err)
		}
		if !same {
			return k, false, essaim.Errorf(essaim.CodeConflict, "give each payment a reference of its own", "the reference stands for another %s", kind)
		}
		again = true
	case durable.IsRefused(err):
		return k, false, essaim.Errorf(essaim.CodeInsufficient, "withdraw less", "key %s has %s", id, k.Balance)
	case err != nil:
		return k, false, fault("enter a "+string(kind), err)
	}
	k, err = s.Key(ctx, id)
	return k, again, err
}

// Entries lists the entries, oldest first; those of one key, unless id is empty.
func (s *Store) Entries(ctx context.Context, id string) ([]Entry, error) {
	if err := s.catchUp(); err != nil {
		return nil, err
	}
	query, args := `SELECT id, at, kind, source, target, amount, ref, task FROM entries`, []any(nil)
	if id != "" {
		query += ` WHERE source IN (?, ?) OR target = ? OR (source > ? AND source < ?)`
		args = []any{depositsOf(id), balanceOf(id), balanceOf(id), reservedOf(id, ""), "reserved/" + id + "0"}
	}
	rows, err := s.file.Query(ctx, query+` ORDER BY id`, args...)
	if err != nil {
		return nil, fault("read the entries", err)
	}
	defer rows.Close()
	var out []Entry
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, fault("read the entries", err)
		}
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fault("read the entries", err)
	}
	return out, nil
}

func scanEntry(row interface{ Scan(...any) error }) (e Entry, err error) {
	var id, at, amount int64
	var task []byte
	if err := row.Scan(&id, &at, &e.Kind, &e.From, &e.To, &amount, &e.Ref, &task); err != nil {
		return e, err
	}
	e.ID, e.At, e.Amount = uint64(id), time.UnixMilli(at).UTC(), essaim.Amount(amount)
	if task != nil {
		e.Task = new(essaim.Digest)
		if copy(e.Task[:], task) != len(e.Task) || len(task) != len(e.Task) {
			return e, fmt.Errorf("entry %d: a task of %d bytes", id, len(task))
		}
	}
	return e, nil
}

// isCaptured reports whether a task's receipt is in the books.
func (s *Store) isCaptured(ctx context.Context, task essaim.Digest) (bool, error) {
	var one int
	err := s.file.QueryRow(ctx, `SELECT 1 FROM entries WHERE task = ?`, task[:]).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

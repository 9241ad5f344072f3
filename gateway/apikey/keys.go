// Package apikey keeps a coordinator's API keys and the books of what they spend.
//
// The books are double entry: every movement of money is an entry that takes an amount
// from one account and adds it to another. Entries are only ever appended; the balances
// are what the entries come to, and Check proves it by adding them up again.
//
//	deposits/KEY       what was paid in for a key, as a negative number
//	key/KEY            what a key may still spend
//	reserved/KEY/REF   what a request under way may cost at most
//	session/N          what went to session N, by which the coordinator pays the miners
//	house              what the operator has borne itself, as a negative number
//
// A request reserves its maximum price, captures what the receipt says, and releases the
// rest. What a crash has left reserved is decided later by what the coordinator's log says
// of the task (Undecided).
//
// What is durable when: the reservation and the task's name, together, before the task is
// handed in (Name); the capture some milliseconds after its answer (Capture), since until then
// reservation, name and the coordinator's durable receipt say the same. Everything else is
// on the disk when its method returns. Writes are done in the order in which they were
// begun, and readers of the books in this process see all that was entered before.
//
// The file is its operator's, who could write another one; what proves an expense to
// others is the receipt, and the session on the chain (Reconcile). The package must ask
// neither: what they say is given to it. It keeps no prompt.
package apikey

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"hash/crc32"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/internal/durable"
)

// An API key reads sk-essaim-ID-SECRETCRC: ID is 10 characters, SECRET 43 (256 bits)
// and CRC 6, all base62. CRC is the CRC-32 of what is before it, so that a mistyped
// key is told from a wrong one, and leaked ones can be searched for.
const (
	keyPrefix    = "sk-essaim-"
	keyIDLen     = 10
	keySecretLen = 43
	keyCRCLen    = 6
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Key is what is known of an API key; the secret is not. Limit = Balance + Reserved +
// Spent, always.
type Key struct {
	ID       string        `json:"id"`
	Name     string        `json:"name"`
	Limit    essaim.Amount `json:"limit"`    // deposited for it in all, less what was withdrawn
	Balance  essaim.Amount `json:"balance"`  // may be spent
	Reserved essaim.Amount `json:"reserved"` // by requests under way
	Spent    essaim.Amount `json:"spent"`
	Created  time.Time     `json:"created"`
	Revoked  bool          `json:"revoked"`
	Limits   Limits        `json:"limits"`

	Guest string `json:"-"` // whom the key is used for that does not have it; "": who has it
}

// Store is the keys and the books. In a file (SQLite) several processes may list, create, deposit and revoke; only one, the gateway,
// may reserve and decide. On a server (PostgreSQL) all instances of a coordinator may: shared.go. A Store is safe for concurrent use.
type Store struct {
	file   durable.DB
	log    *durable.File // the same, if it is a file
	serves bool          // it may append: see ahead.go
	shared bool          // with other instances: see shared.go
	me     string        // of them

	turn sync.Mutex // of requests of keys with a limit a day: one reserves after the other

	entered, caught atomic.Uint64 // writes that nobody waited for, and how many are surely in the file

	mu     sync.Mutex
	recent map[string][]time.Time // requests of the last minute, by ID of keys with a limit
	busy   map[string]int         // requests under way, by key ID
	live   map[string]struct{}    // accounts of reservations that a request of this process holds
	seen   map[string]seenKey     // keys as they were read lately, by ID
	takes  time.Duration          // what requests take lately
	purses map[string]*purse      // what keys have left, by ID; only of a store that serves

	held map[string]essaim.Amount // what is reserved in memory alone, by key; only of a store that serves
}

const keySchema = `
CREATE TABLE IF NOT EXISTS apikeys (
	id      TEXT PRIMARY KEY,
	hash    BLOB NOT NULL, -- SHA-256 of the secret, which suffices for 256 random bits
	name    TEXT NOT NULL,
	created INTEGER NOT NULL,
	revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
`

// Open opens the file, which it makes if need be. The caller closes the Store.
//
// Errors: CodeInternal.
func Open(path string) (*Store, error) { return open(path, durable.Open) }

// OpenServing is Open for the gateway: requests cost it less, if no other has the file open so.
func OpenServing(path string) (*Store, error) { return open(path, durable.OpenFirst) }

func open(path string, how func(path, schema string) (*durable.File, error)) (*Store, error) {
	// It holds the keys of open sessions, so nobody else may read it.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault("open "+path, err)
	}
	if err := f.Close(); err != nil {
		return nil, fault("open "+path, err)
	}
	file, err := how(path, keySchema+entrySchema+sessionSchema+limitSchema+daySchema+once.Schema)
	if err != nil {
		return nil, fault("open "+path, err)
	}
	return newStore(file, file, false, ""), nil
}

func newStore(rows durable.DB, file *durable.File, shared bool, me string) *Store {
	return &Store{
		file: rows, log: file, serves: file != nil && file.First(), shared: shared, me: me,
		purses: map[string]*purse{}, held: map[string]essaim.Amount{}, recent: map[string][]time.Time{}, busy: map[string]int{},
		live: map[string]struct{}{}, seen: map[string]seenKey{},
	}
}

// Close frees the file.
func (s *Store) Close() error { return s.file.Close() }

// Create makes a key with a first deposit. The secret is shown this once.
//
// Errors: CodeBadInput for a deposit that cannot be entered.
func (s *Store) Create(ctx context.Context, name string, deposit essaim.Amount) (secret string, k Key, err error) {
	if err := checkAmount(deposit); err != nil {
		return "", k, err
	}
	id := randomBase62(keyIDLen)
	secret = keyPrefix + id + "-" + randomBase62(keySecretLen)
	secret += checksum(secret)
	hash := sha256.Sum256([]byte(secret))
	stmts := []durable.Stmt{{
		Query: `INSERT INTO apikeys (id, hash, name, created) VALUES (?, ?, ?, ?)`,
		Args:  []any{id, hash[:], name, time.Now().Unix()},
	}}
	if deposit > 0 {
		stmts = append(stmts, entry(Deposit, depositsOf(id), balanceOf(id), deposit, "opening/"+id))
	}
	if _, err = s.file.Write(stmts...); err != nil {
		return "", Key{}, fault("store a key", err)
	}
	k, err = s.Key(ctx, id)
	return secret, k, err
}

// List returns all keys, oldest first.
func (s *Store) List(ctx context.Context) ([]Key, error) {
	if err := s.catchUp(); err != nil {
		return nil, err
	}
	rows, err := s.file.Query(ctx, selectKey+` ORDER BY created, id`)
	if err != nil {
		return nil, fault("list the keys", err)
	}
	defer rows.Close()
	var out []Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, fault("list the keys", err)
		}
		out = append(out, s.withHeld(k))
	}
	if err := rows.Err(); err != nil {
		return nil, fault("list the keys", err)
	}
	return out, nil
}

// Revoke makes a key useless from now on. Requests under way are finished.
//
// Errors: CodeNotFound.
func (s *Store) Revoke(ctx context.Context, id string) error {
	defer s.forgetKey(id)
	changed, err := s.file.Write(durable.Stmt{Query: `UPDATE apikeys SET revoked = 1 WHERE id = ?`, Args: []any{id}})
	if err != nil {
		return fault("revoke a key", err)
	}
	if changed == 0 {
		return essaim.Errorf(essaim.CodeNotFound, "list the keys to see their IDs", "no key has the ID %.20q", id)
	}
	return nil
}

// Find returns the key that a secret belongs to. What it has spent and reserved may be half a
// second old, and what another process has changed of it a tenth.
//
// Errors: CodeRefused if there is none or it was revoked.
func (s *Store) Find(ctx context.Context, secret string) (Key, error) {
	refuse := func(why string) (Key, error) {
		return Key{}, essaim.Errorf(essaim.CodeRefused, "ask the gateway's operator for a key", "%s", why)
	}
	id, ok := parseKey(secret)
	if !ok {
		return refuse("the API key is mistyped or not of this network")
	}
	have, err := s.lately(ctx, id)
	if err != nil && essaim.CodeOf(err) != essaim.CodeNotFound {
		return Key{}, err
	}
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(have.hash, sum[:]) != 1 {
		return refuse("the API key is not known here")
	}
	return have.Key, have.usable(time.Now())
}

// Usable returns a key by its ID, for who may use it without its secret.
//
// Errors: CodeRefused if there is none, or it was revoked or has expired.
func (s *Store) Usable(ctx context.Context, id string) (Key, error) {
	k, err := s.read(ctx, id)
	if essaim.CodeOf(err) == essaim.CodeNotFound {
		return k, essaim.Errorf(essaim.CodeRefused, "ask the gateway's operator for a key", "the key that pays for requests without one is not known here")
	}
	if err != nil {
		return k, err
	}
	return k, k.usable(time.Now())
}

// selectKey reads keys with what the books say of them.
const selectKey = `SELECT id, name, created, revoked,
	-COALESCE((SELECT amount FROM balances WHERE account = 'deposits/' || k.id), 0),
	COALESCE((SELECT amount FROM balances WHERE account = 'key/' || k.id), 0),
	COALESCE((SELECT CAST(SUM(amount) AS BIGINT) FROM balances WHERE account > 'reserved/' || k.id || '/' AND account < 'reserved/' || k.id || '0'), 0),
	COALESCE(l.expires, 0), COALESCE(l.per_minute, 0), COALESCE(l.per_day, 0)
	FROM apikeys AS k LEFT JOIN limits AS l ON l.key = k.id`

// Key returns a key by its ID.
//
// Errors: CodeNotFound.
func (s *Store) Key(ctx context.Context, id string) (Key, error) {
	if err := s.catchUp(); err != nil {
		return Key{}, err
	}
	k, err := s.read(ctx, id)
	return s.withHeld(k), err
}

// read is Key without what is on its way into the file.
func (s *Store) read(ctx context.Context, id string) (Key, error) {
	return keyOf(s.file.QueryRow(ctx, selectKey+` WHERE id = ?`, id), id)
}

func keyOf(row *sql.Row, id string) (Key, error) {
	k, err := scanKey(row)
	if errors.Is(err, sql.ErrNoRows) {
		return k, essaim.Errorf(essaim.CodeNotFound, "list the keys to see their IDs", "no key has the ID %.20q", id)
	}
	if err != nil {
		return k, fault("look up a key", err)
	}
	return k, nil
}

func scanKey(row interface{ Scan(...any) error }) (k Key, err error) {
	var limit, balance, reserved, created, expires, perDay int64
	err = row.Scan(&k.ID, &k.Name, &created, &k.Revoked, &limit, &balance, &reserved, &expires, &k.Limits.PerMinute, &perDay)
	k.Created, k.Limit = time.Unix(created, 0).UTC(), essaim.Amount(limit)
	k.Balance, k.Reserved, k.Spent = essaim.Amount(balance), essaim.Amount(reserved), essaim.Amount(limit-balance-reserved)
	if k.Limits.PerDay = essaim.Amount(perDay); expires != 0 {
		k.Limits.Expires = time.Unix(expires, 0).UTC()
	}
	return k, err
}

func parseKey(secret string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok || len(rest) != keyIDLen+1+keySecretLen+keyCRCLen || rest[keyIDLen] != '-' {
		return "", false
	}
	cut := len(secret) - keyCRCLen
	return rest[:keyIDLen], secret[cut:] == checksum(secret[:cut])
}

func checksum(s string) string {
	sum := crc32.ChecksumIEEE([]byte(s))
	var out [keyCRCLen]byte
	for i := range out {
		out[len(out)-1-i] = base62[sum%62]
		sum /= 62
	}
	return string(out[:])
}

// randomBase62 returns n characters, each equally likely.
func randomBase62(n int) string {
	out := make([]byte, 0, n)
	var b [1]byte
	for len(out) < n {
		rand.Read(b[:])                 // never fails, see crypto/rand
		if b[0] < 4*byte(len(base62)) { // 248 of 256: the rest would favour some
			out = append(out, base62[b[0]%byte(len(base62))])
		}
	}
	return string(out)
}

func fault(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // the caller has given up, the file is well
	}
	if errors.Is(err, durable.ErrLost) {
		return essaim.Errorf(essaim.CodeUnavailable, "try again in a moment", "API keys: %s: this instance of the coordinator may not any more: %w", what, err)
	}
	return essaim.Errorf(essaim.CodeInternal, "check the disk and permissions of the key file, or the database", "API keys: %s: %w", what, err)
}

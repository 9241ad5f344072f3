package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
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

	// maxBusy bounds the requests of one key under way.
	maxBusy = 16
)

// errBusy says that a key has too many requests under way.
var errBusy = errors.New("too many requests under way")

// Key is what is known of an API key; the secret is not.
type Key struct {
	ID      string        `json:"id"`
	Name    string        `json:"name"`
	Limit   essaim.Amount `json:"limit"` // what may be spent in all
	Spent   essaim.Amount `json:"spent"`
	Created time.Time     `json:"created"`
	Revoked bool          `json:"revoked"`
}

// KeyStore keeps API keys in an SQLite file: their SHA-256, which suffices for 256
// random bits, their limits and what was spent. Money is reserved in memory before a
// picture is drawn and captured in the file before it is handed out, so that
// concurrent requests cannot overspend and a crash loses reservations, never
// expenses. Several processes may list, create and revoke; only one, the gateway,
// may reserve. A KeyStore is safe for concurrent use.
type KeyStore struct {
	file *durable.File

	mu   sync.Mutex
	held map[string]held // by key ID
}

type held struct {
	amount essaim.Amount
	count  int
}

const schema = `CREATE TABLE IF NOT EXISTS keys (
	id      TEXT PRIMARY KEY,
	hash    BLOB NOT NULL,
	name    TEXT NOT NULL,
	lim     INTEGER NOT NULL CHECK (lim >= 0),
	spent   INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
	created INTEGER NOT NULL,
	revoked INTEGER NOT NULL DEFAULT 0
) STRICT`

// OpenKeys opens the file, which it makes if need be.
//
// Errors: CodeInternal.
func OpenKeys(path string) (*KeyStore, error) {
	file, err := durable.Open(path, schema)
	if err != nil {
		return nil, keyFault("open "+path, err)
	}
	return &KeyStore{file: file, held: make(map[string]held)}, nil
}

// Close closes the file.
func (s *KeyStore) Close() error { return s.file.Close() }

// Create makes a key that may spend limit in all. The secret is shown this once.
//
// Errors: CodeBadInput for a limit that cannot be stored.
func (s *KeyStore) Create(ctx context.Context, name string, limit essaim.Amount) (secret string, k Key, err error) {
	if limit > math.MaxInt64 {
		return "", k, essaim.Errorf(essaim.CodeBadInput, "choose a smaller limit", "a limit of %s is too large", limit)
	}
	k = Key{ID: randomBase62(keyIDLen), Name: name, Limit: limit, Created: time.Now().UTC().Truncate(time.Second)}
	secret = keyPrefix + k.ID + "-" + randomBase62(keySecretLen)
	secret += checksum(secret)
	hash := sha256.Sum256([]byte(secret))
	_, err = s.file.Write(durable.Stmt{
		Query: `INSERT INTO keys (id, hash, name, lim, created) VALUES (?, ?, ?, ?, ?)`,
		Args:  []any{k.ID, hash[:], k.Name, int64(k.Limit), k.Created.Unix()},
	})
	if err != nil {
		return "", Key{}, keyFault("store a key", err)
	}
	return secret, k, nil
}

// List returns all keys, oldest first.
func (s *KeyStore) List(ctx context.Context) ([]Key, error) {
	rows, err := s.file.Query(ctx, `SELECT id, name, lim, spent, created, revoked FROM keys ORDER BY created, id`)
	if err != nil {
		return nil, keyFault("list the keys", err)
	}
	defer rows.Close()
	var out []Key
	for rows.Next() {
		k, err := scanKey(rows)
		if err != nil {
			return nil, keyFault("list the keys", err)
		}
		out = append(out, k)
	}
	if err := rows.Err(); err != nil {
		return nil, keyFault("list the keys", err)
	}
	return out, nil
}

// Revoke makes a key useless from now on. Requests under way are finished.
//
// Errors: CodeNotFound.
func (s *KeyStore) Revoke(ctx context.Context, id string) error {
	changed, err := s.file.Write(durable.Stmt{Query: `UPDATE keys SET revoked = 1 WHERE id = ?`, Args: []any{id}})
	if err != nil {
		return keyFault("revoke a key", err)
	}
	if changed == 0 {
		return essaim.Errorf(essaim.CodeNotFound, "list the keys to see their IDs", "no key has the ID %.20q", id)
	}
	return nil
}

// Find returns the key that a secret belongs to.
//
// Errors: CodeRefused if there is none or it was revoked.
func (s *KeyStore) Find(ctx context.Context, secret string) (Key, error) {
	refuse := func(why string) (Key, error) {
		return Key{}, essaim.Errorf(essaim.CodeRefused, "ask the gateway's operator for a key", "%s", why)
	}
	id, ok := parseKey(secret)
	if !ok {
		return refuse("the API key is mistyped or not of this network")
	}
	var hash []byte
	err := s.file.QueryRow(ctx, `SELECT hash FROM keys WHERE id = ?`, id).Scan(&hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Key{}, keyFault("look up a key", err)
	}
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(hash, sum[:]) != 1 {
		return refuse("the API key is not known here")
	}
	k, err := s.get(ctx, id)
	if err != nil {
		return Key{}, err
	}
	if k.Revoked {
		return refuse("the API key was revoked")
	}
	return k, nil
}

// Reservation is money of a key that a request under way may spend. It must end in
// Settle.
type Reservation struct {
	s      *KeyStore
	id     string
	amount essaim.Amount
	once   sync.Once
}

// Reserve sets amount aside, or refuses if the key's limit does not allow it.
//
// Errors: CodeInsufficient, CodeUnavailable if the key has too many requests under
// way, CodeRefused if it was revoked.
func (s *KeyStore) Reserve(ctx context.Context, id string, amount essaim.Amount) (*Reservation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.get(ctx, id)
	if err != nil {
		return nil, err
	}
	h := s.held[id]
	left, ok := k.Limit.Sub(k.Spent)
	if ok {
		left, ok = left.Sub(h.amount)
	}
	switch {
	case k.Revoked:
		return nil, essaim.Errorf(essaim.CodeRefused, "ask the gateway's operator for a key", "the API key was revoked")
	case h.count >= maxBusy:
		return nil, essaim.Errorf(essaim.CodeUnavailable, "wait for some to finish", "%d requests of this key: %w", h.count, errBusy)
	case !ok || amount > left:
		return nil, essaim.Errorf(essaim.CodeInsufficient, "ask the gateway's operator for a higher limit", "the request may cost %s, the key has spent or reserved %s of %s", amount, k.Spent+h.amount, k.Limit)
	}
	s.held[id] = held{amount: h.amount + amount, count: h.count + 1}
	return &Reservation{s: s, id: id, amount: amount}, nil
}

// Settle adds spent, at most what was reserved, to the key's expenses, durably, and
// gives the rest back. Only the first call counts.
func (r *Reservation) Settle(ctx context.Context, spent essaim.Amount) (err error) {
	r.once.Do(func() {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		spent = min(spent, r.amount)
		if spent > 0 {
			_, err = r.s.file.Write(durable.Stmt{Query: `UPDATE keys SET spent = spent + ? WHERE id = ?`, Args: []any{int64(spent), r.id}})
		}
		if err != nil {
			err = keyFault("enter an expense", err)
			return // the money stays reserved: the key must not spend it twice
		}
		h := r.s.held[r.id]
		h.amount, h.count = h.amount-r.amount, h.count-1
		if h.count == 0 {
			delete(r.s.held, r.id)
			return
		}
		r.s.held[r.id] = h
	})
	return err
}

func (s *KeyStore) get(ctx context.Context, id string) (Key, error) {
	row := s.file.QueryRow(ctx, `SELECT id, name, lim, spent, created, revoked FROM keys WHERE id = ?`, id)
	k, err := scanKey(row)
	if errors.Is(err, sql.ErrNoRows) {
		return k, essaim.Errorf(essaim.CodeNotFound, "list the keys to see their IDs", "no key has the ID %.20q", id)
	}
	if err != nil {
		return k, keyFault("look up a key", err)
	}
	return k, nil
}

func scanKey(row interface{ Scan(...any) error }) (k Key, err error) {
	var limit, spent, created int64
	err = row.Scan(&k.ID, &k.Name, &limit, &spent, &created, &k.Revoked)
	k.Limit, k.Spent, k.Created = essaim.Amount(limit), essaim.Amount(spent), time.Unix(created, 0).UTC()
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

func keyFault(what string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err // the caller has given up, the file is well
	}
	return essaim.Errorf(essaim.CodeInternal, "check the key file's disk and permissions", "API keys: %s: %w", what, fmt.Errorf("sqlite: %w", err))
}

// Package book is what a bot remembers: who it has met and the keys it keeps for them, what it
// has been told and has not answered yet, the payments that it makes, tips that wait for
// somebody, and pictures. It stands apart from the bot so that what must survive a crash is in
// one place, and no command has a say in how.
//
// Keys, messages and prompts are encrypted under a secret that lies elsewhere (Secret): who
// copies the file alone gets none of them. The package must not speak to a ledger or to a
// platform, and decides nothing: it keeps the order of things.
//
// A Book is safe for concurrent use. Each change is on the disk when its method returns.
package book

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// schema: times are Unix seconds, amounts uaim, bodies and keys encrypted.
const schema = `
CREATE TABLE IF NOT EXISTS people (
	id INTEGER PRIMARY KEY, platform TEXT NOT NULL, user TEXT NOT NULL, name TEXT NOT NULL, lang TEXT NOT NULL,
	first INTEGER NOT NULL, address TEXT NOT NULL, key BLOB NOT NULL, linked TEXT NOT NULL DEFAULT '', UNIQUE (platform, user));
CREATE INDEX IF NOT EXISTS people_by_name ON people (platform, name) WHERE name <> '';
CREATE UNIQUE INDEX IF NOT EXISTS people_by_address ON people (address);
CREATE TABLE IF NOT EXISTS inbox (
	platform TEXT NOT NULL, id TEXT NOT NULL, person TEXT NOT NULL, body BLOB, state TEXT NOT NULL, at INTEGER NOT NULL,
	PRIMARY KEY (platform, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS inbox_waiting ON inbox (at) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS moves (
	key TEXT PRIMARY KEY, payer INTEGER NOT NULL, payee TEXT NOT NULL, amount INTEGER NOT NULL CHECK (amount > 0), about TEXT NOT NULL,
	state TEXT NOT NULL, raw BLOB, hash TEXT NOT NULL DEFAULT '', until INTEGER NOT NULL DEFAULT 0, why TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS moves_open ON moves (at) WHERE state IN ('wanted', 'signed');
CREATE TABLE IF NOT EXISTS held (
	id INTEGER PRIMARY KEY, paid TEXT NOT NULL UNIQUE, giver INTEGER NOT NULL, platform TEXT NOT NULL, name TEXT NOT NULL,
	amount INTEGER NOT NULL, expires INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS gifts (
	key TEXT PRIMARY KEY, person INTEGER NOT NULL, chat TEXT NOT NULL, amount INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS gifts_by_time ON gifts (at);
CREATE TABLE IF NOT EXISTS draws (
	id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, person INTEGER NOT NULL, payer INTEGER NOT NULL, chat TEXT NOT NULL, prompt BLOB NOT NULL,
	seed INTEGER NOT NULL, state TEXT NOT NULL, task TEXT NOT NULL DEFAULT '', price INTEGER NOT NULL DEFAULT 0, receipt BLOB, picture BLOB,
	proven INTEGER NOT NULL DEFAULT 0, progress TEXT NOT NULL DEFAULT '', at INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS draws_by_person ON draws (person, id);
CREATE TABLE IF NOT EXISTS sessions (person INTEGER PRIMARY KEY, session INTEGER NOT NULL, saved BLOB NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS openings (key TEXT PRIMARY KEY, person INTEGER NOT NULL, seed BLOB NOT NULL, at INTEGER NOT NULL);
`

// Book is the open file. Make it with Open.
type Book struct {
	file *durable.File
	lock *os.File // as long as it is open, nobody else has the book
	aead cipher.AEAD
	link [sha256.Size]byte

	// Fault is called before and after each change; an error stands for the end of the
	// process at that moment. Nil: none. It is for tests.
	Fault func() error

	// Now is the clock; nil: the machine's.
	Now func() time.Time
}

// SecretSize is how many bytes a secret has.
const SecretSize = 32

// Secret reads what a bot's keys are encrypted under from a file (64 hex digits, mode 0600), which
// is made if it is not there. A file that others can read is refused. Whoever loses it has lost
// the accounts; it belongs into a backup, and not into the same as the book.
//
// Errors: CodeBadInput, CodeRefused.
func Secret(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		var b [SecretSize]byte
		rand.Read(b[:])
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, err
		}
		_, err = f.WriteString(hex.EncodeToString(b[:]) + "\n")
		return b[:], errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "the bot's secret: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, essaim.Errorf(essaim.CodeRefused, "chmod 600 "+name, "the bot's secret %s can be read by others", name)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(b) != SecretSize {
		return nil, essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "the bot's secret %s is not %d hex digits", name, 2*SecretSize)
	}
	return b, nil
}

// Open opens or makes a book. The caller closes it.
//
// Errors: CodeRefused if the secret is not the book's, CodeConflict if another program has it.
func Open(name string, secret []byte) (*Book, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "the bot's secret: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	lock, err := alone(name)
	if err != nil {
		return nil, err
	}
	file, err := durable.Open(name, schema)
	if err != nil {
		return nil, errors.Join(essaim.Errorf(essaim.CodeBadInput, "restore it from a backup", "the bot's book %s: %w", name, err), lock.Close())
	}
	b := &Book{file: file, lock: lock, aead: aead, link: sha256.Sum256(append([]byte("link codes of "), secret...))}
	if err := b.tryKey(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// tryKey decrypts one key, so that a wrong secret is noticed before somebody is told so.
func (b *Book) tryKey() error {
	var id int64
	var key []byte
	err := b.file.QueryRow(context.Background(), "SELECT id, key FROM people WHERE length(key) > 0 LIMIT 1").Scan(&id, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = b.open(key, "key")
	}
	return err
}

// LinkKey authenticates the codes that people sign to link an account: it follows from the secret.
func (b *Book) LinkKey() []byte { return b.link[:] }

// Close closes the file.
func (b *Book) Close() error { return errors.Join(b.file.Close(), b.lock.Close()) }

// seal encrypts; what says which column it is for, so that one cannot be put in another's place.
func (b *Book) seal(plain []byte, what string) []byte {
	return b.aead.Seal(nil, nil, plain, []byte(what))
}

func (b *Book) open(sealed []byte, what string) ([]byte, error) {
	plain, err := b.aead.Open(nil, nil, sealed, []byte(what))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeRefused, "use the secret that the book was begun with", "the bot's book cannot be decrypted")
	}
	return plain, nil
}

func (b *Book) write(stmts ...durable.Stmt) (int64, error) {
	if b.Fault != nil {
		if err := b.Fault(); err != nil {
			return 0, err
		}
	}
	n, err := b.file.Write(stmts...)
	if b.Fault != nil && err == nil {
		err = b.Fault()
	}
	return n, err
}

func (b *Book) do(query string, args ...any) error {
	_, err := b.write(durable.Stmt{Query: query, Args: args})
	return err
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, b *Book, scan func(func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	r, err := b.file.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []T
	for r.Next() {
		x, err := scan(r.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, r.Err()
}

// one reads the first row; CodeNotFound if there is none.
func one[T any](ctx context.Context, b *Book, scan func(func(...any) error) (T, error), query string, args ...any) (T, error) {
	all, err := rows(ctx, b, scan, query, args...)
	if err == nil && len(all) == 0 {
		err = essaim.Errorf(essaim.CodeNotFound, "", "the bot's book has no such entry")
	}
	if err != nil {
		var none T
		return none, err
	}
	return all[0], nil
}

func (b *Book) now() time.Time {
	if b.Now == nil {
		return time.Now()
	}
	return b.Now()
}

func (b *Book) stamp() int64 { return b.now().Unix() }

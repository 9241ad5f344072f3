package book

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// Move is a payment that the bot makes. Its key says what it is for, such as the letter that
// asked for it, so that it is made once however often it is asked for:
//
//	wanted ──sign──▶ signed ──▶ done
//	   ▲               │└─────▶ failed   the ledger said no, nothing moved
//	   └───────────────┘ it can never come any more, nothing moved
//
// A signed transaction is kept before it is sent. Sending it again does nothing new.
type Move struct {
	Key    string
	Payer  int64 // who pays, by the book's number
	To     essaim.Address
	Amount essaim.Amount
	About  string // for people: "tip", "faucet", ...
	State  string
	Raw    []byte // the signed transaction
	Hash   string
	Until  int64  // the last height at which it may be included
	Why    string // it failed
	At     time.Time
}

// The states of a move.
const (
	Wanted = "wanted"
	Signed = "signed"
	Done   = "done"
	Failed = "failed"
)

const moveColumns = "key, payer, payee, amount, about, state, raw, hash, until, why, at"

func scanMove(scan func(...any) error) (m Move, err error) {
	var to string
	var amount, at int64
	if err = scan(&m.Key, &m.Payer, &to, &amount, &m.About, &m.State, &m.Raw, &m.Hash, &m.Until, &m.Why, &at); err != nil {
		return m, err
	}
	m.Amount, m.At = essaim.Amount(amount), time.Unix(at, 0)
	m.To, err = essaim.ParseAddress(to)
	return m, err
}

func (b *Book) want(m Move) durable.Stmt {
	return durable.Stmt{
		Query: "INSERT INTO moves (key, payer, payee, amount, about, state, at) VALUES (?, ?, ?, ?, ?, 'wanted', ?)",
		Args:  []any{m.Key, m.Payer, m.To.String(), int64(m.Amount), m.About, b.stamp()},
	}
}

// Want notes a payment; one of that key stays as it is. It returns what is noted.
func (b *Book) Want(ctx context.Context, m Move, also ...durable.Stmt) (Move, error) {
	if _, err := b.write(append([]durable.Stmt{b.want(m)}, also...)...); err != nil && !durable.IsDuplicate(err) {
		return Move{}, err
	}
	return b.Move(ctx, m.Key)
}

// WantHeld notes a payment into the pot, for somebody who is not there yet.
func (b *Book) WantHeld(ctx context.Context, m Move, platform, name string, expires time.Time) (Move, error) {
	return b.Want(ctx, m, durable.Stmt{
		Query: "INSERT INTO held (paid, giver, platform, name, amount, expires) VALUES (?, ?, ?, ?, ?, ?)",
		Args:  []any{m.Key, m.Payer, platform, name, int64(m.Amount), expires.Unix()},
	})
}

// WantGift notes a payment of the faucet.
func (b *Book) WantGift(ctx context.Context, m Move, person int64, chat string) (Move, error) {
	return b.Want(ctx, m, durable.Stmt{
		Query: "INSERT INTO gifts (key, person, chat, amount, at) VALUES (?, ?, ?, ?, ?)",
		Args:  []any{m.Key, person, chat, int64(m.Amount), b.stamp()},
	})
}

// Move finds a payment.
//
// Errors: CodeNotFound.
func (b *Book) Move(ctx context.Context, key string) (Move, error) {
	return one(ctx, b, scanMove, "SELECT "+moveColumns+" FROM moves WHERE key = ?", key)
}

// Sign notes the transaction of a payment, before it is sent.
func (b *Book) Sign(key string, raw []byte, hash string, until int64) error {
	return b.do("UPDATE moves SET state = 'signed', raw = ?, hash = ?, until = ? WHERE key = ? AND state = 'wanted'", raw, hash, until, key)
}

// Unsign says that the transaction can never come.
func (b *Book) Unsign(key string) error {
	return b.do("UPDATE moves SET state = 'wanted', raw = NULL, hash = '', until = 0 WHERE key = ? AND state = 'signed'", key)
}

// End says what became of a payment; why is empty if it was made.
func (b *Book) End(key, why string) error {
	state := Done
	if why != "" {
		state = Failed
	}
	return b.do("UPDATE moves SET state = ?, why = ?, raw = NULL, at = ? WHERE key = ? AND state IN ('wanted', 'signed')", state, why, b.stamp(), key)
}

// Open lists the payments that have not come to an end.
func (b *Book) Open(ctx context.Context) ([]Move, error) {
	return rows(ctx, b, scanMove, "SELECT "+moveColumns+" FROM moves WHERE state IN ('wanted', 'signed') ORDER BY at, key")
}

// Moves lists the last payments that somebody has made or got, newest first.
func (b *Book) Moves(ctx context.Context, p Person, most int) ([]Move, error) {
	return rows(ctx, b, scanMove, "SELECT "+moveColumns+" FROM moves WHERE (payer = ? OR payee = ?) AND state = 'done' ORDER BY at DESC, key DESC LIMIT ?", p.ID, p.Address.String(), most)
}

// Gave is what the faucet has given, or is giving, since a moment.
type Gave struct {
	Last      time.Time     // to this person; zero: never since
	Chat      int           // gifts in this chat
	Newcomers int           // to people who had never had one
	Amount    essaim.Amount // in all
}

// notFailed: a gift that did not come counts for nothing.
const notFailed = " AND key NOT IN (SELECT key FROM moves WHERE state = 'failed')"

// Gifts sums up what the faucet gives, except of the gift with one key.
func (b *Book) Gifts(ctx context.Context, since time.Time, person int64, chat, except string) (g Gave, err error) {
	var last, amount int64
	err = b.file.QueryRow(ctx, `SELECT coalesce(max(CASE WHEN person = ?1 THEN at END), 0), coalesce(sum(chat = ?2 AND chat <> ''), 0), coalesce(sum(amount), 0),
		coalesce(sum(NOT EXISTS (SELECT 1 FROM gifts o WHERE o.person = gifts.person AND o.at < gifts.at)), 0)
		FROM gifts WHERE at > ?3 AND key <> ?4`+notFailed, person, chat, since.Unix(), except).Scan(&last, &g.Chat, &amount, &g.Newcomers)
	if last != 0 {
		g.Last = time.Unix(last, 0)
	}
	g.Amount = essaim.Amount(amount)
	return g, err
}

// HadGift tells whether somebody has had a gift ever.
func (b *Book) HadGift(ctx context.Context, person int64) (had bool, err error) {
	err = b.file.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM gifts WHERE person = ?"+notFailed+")", person).Scan(&had)
	return had, err
}

// Held is a tip in the pot.
type Held struct {
	ID       int64
	Giver    int64
	Platform string
	Name     string // who it is for
	Amount   essaim.Amount
	Expires  time.Time
}

// OutKey is the key of the one payment that takes a tip out of the pot again, to whomever.
func (h Held) OutKey() string { return "held:" + h.key() }

func (h Held) key() string { return decimal(h.ID) }

const inPot = ` FROM held JOIN moves ON moves.key = held.paid AND moves.state = 'done'
	WHERE NOT EXISTS (SELECT 1 FROM moves o WHERE o.key = 'held:' || held.id)`

func scanHeld(scan func(...any) error) (h Held, err error) {
	var amount, expires int64
	err = scan(&h.ID, &h.Giver, &h.Platform, &h.Name, &amount, &expires)
	h.Amount, h.Expires = essaim.Amount(amount), time.Unix(expires, 0)
	return h, err
}

const heldColumns = "SELECT held.id, held.giver, held.platform, held.name, held.amount, held.expires"

// HeldFor lists the tips in the pot for a name or another, oldest first. Nothing is held for "".
func (b *Book) HeldFor(ctx context.Context, platform, name, other string) ([]Held, error) {
	return rows(ctx, b, scanHeld, heldColumns+inPot+" AND held.platform = ? AND held.name <> '' AND held.name IN (?, ?) ORDER BY held.id", platform, name, other)
}

// HeldUntil lists the tips in the pot whose time is over.
func (b *Book) HeldUntil(ctx context.Context, now time.Time) ([]Held, error) {
	return rows(ctx, b, scanHeld, heldColumns+inPot+" AND held.expires <= ? ORDER BY held.id", now.Unix())
}

// HeldBy is what somebody's tips in the pot come to.
func (b *Book) HeldBy(ctx context.Context, p Person) (essaim.Amount, error) {
	var sum int64
	err := b.file.QueryRow(ctx, "SELECT coalesce(sum(held.amount), 0)"+inPot+" AND held.giver = ?", p.ID).Scan(&sum)
	return essaim.Amount(sum), err
}

package book

import (
	"context"
	"crypto/ed25519"
	"strconv"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// Draw is a picture that somebody has asked for.
//
//	wanted ──▶ signed ──▶ done
//	   ▲          │└────▶ failed   without a charge
//	   └──────────┘ after a crash, once it is known that nothing was charged
//	              └─────▶ lost     after a crash: charged, and nobody can open it any more; it is drawn again on the house
type Draw struct {
	ID       int64
	Key      string // of the letter that asked for it
	Person   int64
	Payer    int64  // the person, or the house
	Chat     string // where it was asked for
	Prompt   string
	Seed     uint64
	State    string
	Task     string // digest of the signed task, in hex
	Price    essaim.Amount
	Receipt  []byte // the receipt file
	Picture  []byte // nil: not kept any more
	Proven   bool   // its proof was checked before it was accepted
	Progress string // the message that tells how far it is
	At       time.Time
}

// Lost is the state of a picture that was charged and has to be drawn again.
const Lost = "lost"

const drawColumns = "id, key, person, payer, chat, prompt, seed, state, task, price, receipt, picture, proven, progress, at"

func (b *Book) scanDraw(scan func(...any) error) (d Draw, err error) {
	var sealed []byte
	var seed, price, at int64
	if err = scan(&d.ID, &d.Key, &d.Person, &d.Payer, &d.Chat, &sealed, &seed, &d.State, &d.Task, &price, &d.Receipt, &d.Picture, &d.Proven, &d.Progress, &at); err != nil {
		return d, err
	}
	prompt, err := b.open(sealed, "prompt")
	d.Prompt, d.Seed, d.Price, d.At = string(prompt), uint64(seed), essaim.Amount(price), time.Unix(at, 0)
	return d, err
}

// WantDraw notes a picture; one of that key stays as it is. It returns what is noted.
func (b *Book) WantDraw(ctx context.Context, d Draw) (Draw, error) {
	err := b.do("INSERT INTO draws (key, person, payer, chat, prompt, seed, state, at) VALUES (?, ?, ?, ?, ?, ?, 'wanted', ?)",
		d.Key, d.Person, d.Payer, d.Chat, b.seal([]byte(d.Prompt), "prompt"), int64(d.Seed), b.stamp())
	if err != nil && !durable.IsDuplicate(err) {
		return d, err
	}
	return one(ctx, b, b.scanDraw, "SELECT "+drawColumns+" FROM draws WHERE key = ?", d.Key)
}

// Draw finds a picture by its number.
//
// Errors: CodeNotFound.
func (b *Book) Draw(ctx context.Context, id int64) (Draw, error) {
	return one(ctx, b, b.scanDraw, "SELECT "+drawColumns+" FROM draws WHERE id = ?", id)
}

// Draws lists somebody's last pictures, newest first.
func (b *Book) Draws(ctx context.Context, p Person, most int) ([]Draw, error) {
	return rows(ctx, b, b.scanDraw, "SELECT "+drawColumns+" FROM draws WHERE person = ? AND state = 'done' ORDER BY id DESC LIMIT ?", p.ID, most)
}

// Shown keeps which message tells how far a picture is.
func (b *Book) Shown(id int64, message string) error {
	return b.do("UPDATE draws SET progress = ? WHERE id = ?", message, id)
}

// SignDraw notes the task of a picture before it is handed in, with the session that pays.
func (b *Book) SignDraw(d Draw, task essaim.Digest, payer Person, id essaim.SessionID, session []byte) error {
	_, err := b.write(
		durable.Stmt{Query: "UPDATE draws SET state = 'signed', task = ?, payer = ? WHERE id = ?", Args: []any{task.String(), payer.ID, d.ID}},
		b.keep(payer, id, session))
	return err
}

// AgainDraw says that a picture must be drawn again: paid by its payer if nothing was charged,
// else, with what was charged, on the house.
func (b *Book) AgainDraw(d Draw, charged essaim.Amount) error {
	if charged == 0 {
		return b.do("UPDATE draws SET state = 'wanted', task = '' WHERE id = ?", d.ID)
	}
	return b.do("UPDATE draws SET state = 'lost', task = '', price = ? WHERE id = ?", int64(charged), d.ID)
}

// EndDraw notes a picture, and the session that has paid for it. A picture on the house costs
// what was charged before.
func (b *Book) EndDraw(d Draw, payer Person, id essaim.SessionID, session []byte) error {
	_, err := b.write(
		durable.Stmt{
			Query: "UPDATE draws SET state = 'done', price = CASE WHEN person = payer THEN ? ELSE price END, receipt = ?, picture = ?, proven = ? WHERE id = ?",
			Args:  []any{int64(d.Price), d.Receipt, d.Picture, d.Proven, d.ID},
		}, b.keep(payer, id, session))
	return err
}

// FailDraw says that there will be no picture.
func (b *Book) FailDraw(d Draw) error {
	return b.do("UPDATE draws SET state = 'failed' WHERE id = ?", d.ID)
}

func (b *Book) keep(p Person, id essaim.SessionID, session []byte) durable.Stmt {
	return durable.Stmt{
		Query: "INSERT INTO sessions (person, session, saved, used) VALUES (?, ?, ?, ?) ON CONFLICT (person) DO UPDATE SET session = excluded.session, saved = excluded.saved, used = excluded.used",
		Args:  []any{p.ID, int64(id), b.seal(session, "session"), b.stamp()},
	}
}

// Keep notes the session that pays for somebody's pictures: one at a time. key is its key.
func (b *Book) Keep(p Person, id essaim.SessionID, key essaim.NodeKey, session []byte) error {
	_, err := b.write(b.keep(p, id, session), opened(key))
	return err
}

// Opening is a session that is being opened: its key is kept first, so that no crash loses the
// deposit.
type Opening struct {
	Person int64
	Key    ed25519.PrivateKey
	At     time.Time
}

// Begin notes the key of a session before it is opened.
func (b *Book) Begin(p Person, key ed25519.PrivateKey) error {
	return b.do("INSERT INTO openings (key, person, seed, at) VALUES (?, ?, ?, ?)", essaim.NodeKeyOf(key).String(), p.ID, b.seal(key.Seed(), "session"), b.stamp())
}

// Openings lists the keys of which it is not known whether they have a session.
func (b *Book) Openings(ctx context.Context) ([]Opening, error) {
	return rows(ctx, b, func(scan func(...any) error) (o Opening, err error) {
		var sealed []byte
		var at int64
		if err = scan(&o.Person, &sealed, &at); err != nil {
			return o, err
		}
		seed, err := b.open(sealed, "session")
		if err == nil {
			o.Key, o.At = ed25519.NewKeyFromSeed(seed), time.Unix(at, 0)
		}
		return o, err
	}, "SELECT person, seed, at FROM openings ORDER BY at")
}

func opened(key essaim.NodeKey) durable.Stmt {
	return durable.Stmt{Query: "DELETE FROM openings WHERE key = ?", Args: []any{key.String()}}
}

// Opened forgets a key: its session is kept, over, or never came.
func (b *Book) Opened(key essaim.NodeKey) error {
	_, err := b.write(opened(key))
	return err
}

// Session is what Keep has kept; nil: nothing.
func (b *Book) Session(ctx context.Context, p Person) (essaim.SessionID, []byte, error) {
	var id int64
	saved, err := one(ctx, b, func(scan func(...any) error) (saved []byte, err error) {
		if err = scan(&id, &saved); err == nil {
			saved, err = b.open(saved, "session")
		}
		return saved, err
	}, "SELECT session, saved FROM sessions WHERE person = ?", p.ID)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		return 0, nil, nil
	}
	return essaim.SessionID(id), saved, err
}

// Forget drops a session that is over; another one stays.
func (b *Book) Forget(p Person, id essaim.SessionID) error {
	return b.do("DELETE FROM sessions WHERE person = ? AND session = ?", p.ID, int64(id))
}

// Idle lists who has a session that nobody has used since a moment.
func (b *Book) Idle(ctx context.Context, since time.Time) ([]Person, error) {
	return rows(ctx, b, scanPerson, "SELECT "+personColumns+" FROM people WHERE id IN (SELECT person FROM sessions WHERE used < ?) ORDER BY id", since.Unix())
}

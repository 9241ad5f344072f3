package book

import (
	"context"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/wallet"
)

// Person is somebody whom the bot has met, or one of the bot's own accounts.
type Person struct {
	ID       int64
	Platform string
	User     string // the platform's number of the account, which never changes
	Name     string // the platform's name for it, in lower case, without @; "": none. It may change hands
	Lang     string // "fr" or "en"
	First    time.Time
	Address  essaim.Address
	Linked   essaim.Address // an account of their own that has proven itself; zero: none
	key      []byte
}

// Own is the platform of the bot's own accounts.
const Own = ""

// The bot's own accounts.
const (
	Pot   = "pot"   // holds tips for people who are not there yet
	House = "house" // pays the faucet, and what a crash has spoilt
)

const personColumns = "id, platform, user, name, lang, first, address, key, linked"

func scanPerson(scan func(...any) error) (p Person, err error) {
	var first int64
	var address, linked string
	if err = scan(&p.ID, &p.Platform, &p.User, &p.Name, &p.Lang, &first, &address, &p.key, &linked); err != nil {
		return p, err
	}
	p.First = time.Unix(first, 0)
	if linked != "" {
		if p.Linked, err = essaim.ParseAddress(linked); err != nil {
			return p, err
		}
	}
	p.Address, err = essaim.ParseAddress(address)
	return p, err
}

// Person finds somebody by their number on a platform.
//
// Errors: CodeNotFound.
func (b *Book) Person(ctx context.Context, platform, user string) (Person, error) {
	return one(ctx, b, scanPerson, "SELECT "+personColumns+" FROM people WHERE platform = ? AND user = ?", platform, user)
}

// Named finds who has a name on a platform now.
//
// Errors: CodeNotFound.
func (b *Book) Named(ctx context.Context, platform, name string) (Person, error) {
	return one(ctx, b, scanPerson, "SELECT "+personColumns+" FROM people WHERE platform = ? AND name = ?", platform, strings.ToLower(name))
}

// Owner finds whose an account of the book is.
//
// Errors: CodeNotFound.
func (b *Book) Owner(ctx context.Context, a essaim.Address) (Person, error) {
	return one(ctx, b, scanPerson, "SELECT "+personColumns+" FROM people WHERE address = ?", a.String())
}

// ByID finds somebody by the book's own number.
//
// Errors: CodeNotFound.
func (b *Book) ByID(ctx context.Context, id int64) (Person, error) {
	return one(ctx, b, scanPerson, "SELECT "+personColumns+" FROM people WHERE id = ?", id)
}

// Meet finds somebody or begins an account for them. fresh says that they are new. A name
// that somebody else had is theirs from now on: platforms give names away again.
func (b *Book) Meet(ctx context.Context, platform, user, name, lang string) (p Person, fresh bool, err error) {
	name = strings.ToLower(name)
	p, err = b.Person(ctx, platform, user)
	switch {
	case err == nil && p.Name == name:
		return p, false, nil
	case err == nil:
		p.Name = name
		return p, false, b.rename(p)
	case essaim.CodeOf(err) != essaim.CodeNotFound:
		return p, false, err
	}
	a, err := wallet.GenerateAccount()
	if err != nil {
		return p, false, err
	}
	_, err = b.write(durable.Stmt{
		Query: "INSERT INTO people (platform, user, name, lang, first, address, key) VALUES (?, ?, '', ?, ?, ?, ?)",
		Args:  []any{platform, user, lang, b.stamp(), a.Address().String(), b.seal(a.PrivateKey(), "key")},
	})
	if err != nil && !durable.IsDuplicate(err) {
		return p, false, err
	}
	fresh = err == nil
	if p, err = b.Person(ctx, platform, user); err == nil && name != "" {
		p.Name = name
		err = b.rename(p)
	}
	return p, fresh, err
}

func (b *Book) rename(p Person) error {
	_, err := b.write(
		durable.Stmt{Query: "UPDATE people SET name = '' WHERE platform = ? AND name = ? AND id <> ?", Args: []any{p.Platform, p.Name, p.ID}},
		durable.Stmt{Query: "UPDATE people SET name = ? WHERE id = ?", Args: []any{p.Name, p.ID}},
	)
	return err
}

// Account decrypts somebody's key.
func (b *Book) Account(p Person) (*wallet.Account, error) {
	key, err := b.open(p.key, "key")
	if err != nil {
		return nil, err
	}
	a, err := wallet.NewAccount(key)
	if err == nil && a.Address() != p.Address {
		err = essaim.Errorf(essaim.CodeRefused, "restore the book from a backup", "the key of person %d is another account's", p.ID)
	}
	return a, err
}

// SetLang keeps the language that somebody reads.
func (b *Book) SetLang(p Person, lang string) error {
	return b.do("UPDATE people SET lang = ? WHERE id = ?", lang, p.ID)
}

// Link keeps an account that somebody has proven to be theirs; zero forgets it.
func (b *Book) Link(p Person, a essaim.Address) error {
	text := ""
	if !a.IsZero() {
		text = a.String()
	}
	return b.do("UPDATE people SET linked = ? WHERE id = ?", text, p.ID)
}

// Renew gives somebody another account and forgets the key of the one before: they have it now.
func (b *Book) Renew(p Person) error {
	a, err := wallet.GenerateAccount()
	if err != nil {
		return err
	}
	return b.do("UPDATE people SET address = ?, key = ? WHERE id = ? AND address = ?", a.Address().String(), b.seal(a.PrivateKey(), "key"), p.ID, p.Address.String())
}

// People counts those whom the bot has met.
func (b *Book) People(ctx context.Context) (n int, err error) {
	err = b.file.QueryRow(ctx, "SELECT count(*) FROM people WHERE platform <> ''").Scan(&n)
	return n, err
}

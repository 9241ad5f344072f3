package book

import (
	"context"
	"errors"
	"time"

	"github.com/essaim/essaim/internal/durable"
)

// Letter is something that the bot was told.
type Letter struct {
	Platform string
	ID       string // the platform's, unique there
	Person   string // the platform's number of who has said it
	Body     []byte
}

// keptFor is how long it is remembered that a letter was answered: longer than a platform
// delivers it again.
const keptFor = 7 * 24 * time.Hour

// Receive keeps a letter; known says that it was kept before, answered or not. A letter that
// is dropped is remembered only.
func (b *Book) Receive(l Letter, dropped bool) (known bool, err error) {
	state, body := "waiting", b.seal(l.Body, "letter")
	if dropped {
		state, body = "done", nil
	}
	err = b.do("INSERT INTO inbox (platform, id, person, body, state, at) VALUES (?, ?, ?, ?, ?, ?)", l.Platform, l.ID, l.Person, body, state, b.stamp())
	if durable.IsDuplicate(err) {
		return true, nil
	}
	return false, err
}

// Answered says that a letter needs no more work, and forgets what was in it.
func (b *Book) Answered(l Letter) error {
	return b.do("UPDATE inbox SET state = 'done', body = NULL WHERE platform = ? AND id = ?", l.Platform, l.ID)
}

// Waiting lists the letters without an answer, oldest first.
func (b *Book) Waiting(ctx context.Context, platform string) ([]Letter, error) {
	return rows(ctx, b, func(scan func(...any) error) (l Letter, err error) {
		var sealed []byte
		if err = scan(&l.Platform, &l.ID, &l.Person, &sealed); err == nil {
			l.Body, err = b.open(sealed, "letter")
		}
		return l, err
	}, "SELECT platform, id, person, body FROM inbox WHERE state = 'waiting' AND platform = ? ORDER BY at, length(id), id", platform)
}

// Waits tells whether a letter has no answer yet.
func (b *Book) Waits(ctx context.Context, l Letter) (waits bool, err error) {
	err = b.file.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM inbox WHERE platform = ? AND id = ? AND state = 'waiting')", l.Platform, l.ID).Scan(&waits)
	return waits, err
}

// Pending counts the letters of a letter's person that wait for an answer, without it.
func (b *Book) Pending(ctx context.Context, l Letter) (n int, err error) {
	err = b.file.QueryRow(ctx, "SELECT count(*) FROM inbox WHERE state = 'waiting' AND platform = ? AND person = ? AND id <> ?", l.Platform, l.Person, l.ID).Scan(&n)
	return n, err
}

// Prune forgets letters that were answered long ago, and old pictures: their receipts stay.
func (b *Book) Prune(picturesKept time.Duration) error {
	return errors.Join(
		b.do("DELETE FROM inbox WHERE state = 'done' AND at < ?", b.now().Add(-keptFor).Unix()),
		b.do("UPDATE draws SET picture = NULL WHERE picture IS NOT NULL AND at < ?", b.now().Add(-picturesKept).Unix()))
}

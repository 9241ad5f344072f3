package bot

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/essaim/essaim"
)

// shownFor is how long a key stands in a chat.
const shownFor = time.Minute

// export hands over the key, in private, with all money on the account.
func (l *letter) export(ctx context.Context, _ string) error {
	if !l.Private {
		return l.say(ctx, inPrivate)
	}
	account, err := l.cfg.Book.Account(l.who)
	if err != nil {
		return err
	}
	unlock := l.locks.lock(l.who.Address)
	err = l.closeSession(ctx, l.who)
	unlock()
	if err != nil {
		l.log.Info("a session stays open at an export", "err", err) // what is left of it comes to the account later
	}
	message, err := l.cfg.Platform.Say(ctx, Note{
		Chat: l.Chat, Way: l.Way, Text: l.words(exported, l.who.Address.Hex(), "0x"+hex.EncodeToString(account.PrivateKey())),
		Buttons: []Button{{l.words(forget), "forget:" + l.who.Address.Hex()[2:10]}},
	})
	if err != nil {
		return err
	}
	l.later(shownFor, func(ctx context.Context) { _ = l.cfg.Platform.Delete(ctx, l.Chat, message) }) // the person can, too
	return nil
}

// later does something while the bot runs; when it stops, at once.
func (b *Bot) later(after time.Duration, do func(context.Context)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ctx := b.serving
	if ctx == nil {
		return
	}
	b.workers.Go(func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		do(ctx)
	})
}

// forgetKey drops a key that its owner has, and begins another account. which is the beginning of
// its address: an old button forgets no newer key.
func (l *letter) forgetKey(ctx context.Context, which string) error {
	old := l.who.Address
	if !l.Private || which != old.Hex()[2:10] {
		return l.cfg.Platform.Press(ctx, l.Press, "")
	}
	defer l.locks.lock(old)()
	open, err := l.cfg.Book.Open(ctx)
	for _, m := range open {
		if m.Payer == l.who.ID {
			err = errors.Join(err, errLater)
		}
	}
	if err == nil {
		err = l.closeSession(ctx, l.who)
	}
	if err == nil {
		err = l.cfg.Book.Renew(l.who)
	}
	if err != nil {
		return err
	}
	if l.who, err = l.cfg.Book.ByID(ctx, l.who.ID); err != nil {
		return err
	}
	if err := l.cfg.Platform.Press(ctx, l.Press, ""); err != nil && essaim.CodeOf(err) != essaim.CodeRefused {
		return err
	}
	return l.say(ctx, forgotten, old.Hex(), l.who.Address.String())
}

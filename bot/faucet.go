package bot

import (
	"cmp"
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
)

// giveCoins gives the free coins of a day. Nobody can tell a person from a crowd of accounts for
// certain, so there are five limits, and the last bounds what a crowd can take at all: of the
// person, of how old their account on the platform is, of a group, of first gifts, and of a day.
func (l *letter) giveCoins(ctx context.Context, _ string) error {
	m, err := l.gift(ctx)
	if err != nil || m == nil {
		return err
	}
	done, err := l.finish(ctx, *m)
	switch {
	case err != nil:
		return err
	case done.State == book.Failed:
		l.log.Warn("the faucet cannot pay: fill its account", "account", l.House(), "why", done.Why)
		return l.say(ctx, giftEmpty)
	}
	return l.say(ctx, gift, done.Amount)
}

// gift notes a gift if there may be one; nil: there is none, and that was said.
func (l *letter) gift(ctx context.Context) (*book.Move, error) {
	l.faucet.Lock()
	defer l.faucet.Unlock()
	m, err := l.cfg.Book.Move(ctx, l.key)
	if err == nil {
		return &m, nil // a crash was in between
	}
	if essaim.CodeOf(err) != essaim.CodeNotFound {
		return nil, err
	}
	why, args, err := l.noGift(ctx)
	if err != nil {
		return nil, err
	}
	if why != nil {
		return nil, l.say(ctx, *why, args...)
	}
	m, err = l.cfg.Book.WantGift(ctx, book.Move{Key: l.key, Payer: l.own[book.House].ID, To: l.who.Address, Amount: l.cfg.Limits.Faucet, About: aboutFaucet}, l.who.ID, l.group())
	return &m, err
}

// group is where gifts to a group count; "": this is none.
func (l *letter) group() string {
	if l.Private {
		return ""
	}
	return cmp.Or(l.Group, l.Chat)
}

// noGift says why there is none; nil: there is one.
func (l *letter) noGift(ctx context.Context) (*text, []any, error) {
	limits, now := l.cfg.Limits, l.cfg.Now()
	if young := l.From.Created.Add(limits.Age).Sub(now); !l.From.Created.IsZero() && young > 0 {
		return &giftYoung, []any{l.wait(young)}, nil
	}
	group := l.group()
	mine, err := l.cfg.Book.Gifts(ctx, now.Add(-limits.Pause), l.who.ID, "", l.key)
	if err != nil {
		return nil, nil, err
	}
	day, err := l.cfg.Book.Gifts(ctx, now.Add(-24*time.Hour), l.who.ID, group, l.key)
	if err != nil {
		return nil, nil, err
	}
	had, err := l.cfg.Book.HadGift(ctx, l.who.ID)
	if err != nil {
		return nil, nil, err
	}
	room, err := l.room(ctx, l.who, limits.Faucet)
	switch {
	case err != nil:
		return nil, nil, err
	case !mine.Last.IsZero():
		return &giftSoon, []any{l.wait(limits.Pause - now.Sub(mine.Last))}, nil
	case !room:
		return &giftFull, []any{limits.Cap}, nil
	case group != "" && day.Chat >= limits.PerChat:
		return &giftChat, nil, nil
	case day.Amount+limits.Faucet > limits.Daily || !had && day.Newcomers >= limits.Newcomers:
		return &giftEmpty, nil, nil
	}
	return nil, nil, nil
}

package bot

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client"
)

// errLater says that nobody knows yet what becomes of a payment, or that the ledger is away.
var errLater = errors.New("bot: the ledger does not answer")

// finish brings a payment to its end and returns it. It may be called any number of times.
//
// Errors: errLater.
func (b *Bot) finish(ctx context.Context, m book.Move) (book.Move, error) {
	payer, err := b.cfg.Book.ByID(ctx, m.Payer)
	if err != nil {
		return m, err
	}
	defer b.locks.lock(payer.Address)()
	if m, err = b.cfg.Book.Move(ctx, m.Key); err != nil {
		return m, err
	}
	for m.State == book.Wanted || m.State == book.Signed {
		again := m.State == book.Signed
		p := Prepared{Raw: m.Raw, Hash: m.Hash, Until: m.Until}
		if !again {
			if p, err = b.sign(ctx, payer, m); err != nil {
				return m, b.refuse(&m, err)
			}
		}
		err := b.cfg.Ledger.Deliver(ctx, p, again)
		switch code := essaim.CodeOf(err); {
		case err == nil:
			m.State = book.Done
			return m, b.cfg.Book.End(m.Key, "")
		case ctx.Err() != nil || code == essaim.CodeUnavailable || code == essaim.CodeInternal:
			return m, errors.Join(errLater, err)
		case code == essaim.CodeExpired || code == essaim.CodeConflict: // it never comes: another, with another number
			if err := b.cfg.Book.Unsign(m.Key); err != nil {
				return m, err
			}
			m.State = book.Wanted
		default:
			return m, b.refuse(&m, err)
		}
	}
	return m, nil
}

func (b *Bot) sign(ctx context.Context, payer book.Person, m book.Move) (Prepared, error) {
	have, err := b.cfg.Ledger.Balance(ctx, payer.Address)
	if err != nil {
		return Prepared{}, err
	}
	if have < m.Amount {
		if err := b.adopt(ctx, payer, 0); err != nil {
			return Prepared{}, err
		}
		if err := b.closeSession(ctx, payer); err != nil {
			return Prepared{}, err
		}
		if have, err = b.cfg.Ledger.Balance(ctx, payer.Address); err != nil {
			return Prepared{}, err
		}
	}
	if have < m.Amount {
		return Prepared{}, essaim.Errorf(essaim.CodeInsufficient, "", "the account has %s", have)
	}
	account, err := b.cfg.Book.Account(payer)
	if err != nil {
		return Prepared{}, err
	}
	p, err := b.cfg.Ledger.Prepare(ctx, account, m.To, m.Amount)
	if err != nil {
		return p, err
	}
	return p, b.cfg.Book.Sign(m.Key, p.Raw, p.Hash, p.Until)
}

// refuse ends a payment that the ledger will not make, if that is what the error says.
func (b *Bot) refuse(m *book.Move, err error) error {
	switch essaim.CodeOf(err) {
	case essaim.CodeInsufficient, essaim.CodeRefused, essaim.CodeBadInput, essaim.CodeNotFound:
		m.State, m.Why = book.Failed, err.Error()
		return b.cfg.Book.End(m.Key, m.Why)
	}
	return errors.Join(errLater, err)
}

// finishMoves finishes what a crash, or a ledger that was away, has left.
func (b *Bot) finishMoves(ctx context.Context) error {
	open, err := b.cfg.Book.Open(ctx)
	for _, m := range open {
		_, one := b.finish(ctx, m)
		err = errors.Join(err, one)
	}
	return err
}

// returnHeld gives tips back that nobody has come for.
func (b *Bot) returnHeld(ctx context.Context) error {
	list, err := b.cfg.Book.HeldUntil(ctx, b.cfg.Now())
	if err != nil {
		return err
	}
	for _, h := range list {
		giver, one := b.cfg.Book.ByID(ctx, h.Giver)
		if one == nil {
			one = b.payOut(ctx, h, giver.Address, aboutReturn)
		}
		err = errors.Join(err, one)
	}
	return err
}

// payOut pays a tip out of the pot, once, to whoever is named first.
func (b *Bot) payOut(ctx context.Context, h book.Held, to essaim.Address, about string) error {
	m, err := b.cfg.Book.Want(ctx, book.Move{Key: h.OutKey(), Payer: b.own[book.Pot].ID, To: to, Amount: h.Amount, About: about})
	if err != nil {
		return err
	}
	m, err = b.finish(ctx, m)
	if err == nil && m.State == book.Failed {
		b.log.Error("a tip cannot be paid out of the pot", "held", h.ID, "uaim", uint64(h.Amount), "why", m.Why)
	}
	return err
}

// funds is what somebody has: on the ledger, and in the session that pays for pictures.
func (b *Bot) funds(ctx context.Context, p book.Person) (free, escrow essaim.Amount, err error) {
	if free, err = b.cfg.Ledger.Balance(ctx, p.Address); err != nil {
		return 0, 0, errors.Join(errLater, err)
	}
	s, err := b.session(ctx, p)
	if err != nil || s == nil {
		return free, 0, err
	}
	return free, s.Left(), nil
}

// session continues somebody's session; nil if there is none.
func (b *Bot) session(ctx context.Context, p book.Person) (*client.Session, error) {
	id, saved, err := b.cfg.Book.Session(ctx, p)
	if err != nil || saved == nil {
		return nil, err
	}
	cfg, err := b.payer(p)
	if err != nil {
		return nil, err
	}
	s, err := client.Restore(ctx, cfg, saved)
	switch essaim.CodeOf(err) {
	case essaim.CodeConflict, essaim.CodeNotFound, essaim.CodeRefused: // it is over, or of a ledger that was begun anew
		if err != nil {
			return nil, b.cfg.Book.Forget(p, id)
		}
	}
	if err != nil {
		return nil, errors.Join(errLater, err)
	}
	return s, nil
}

func (b *Bot) payer(p book.Person) (client.Config, error) {
	account, err := b.cfg.Book.Account(p)
	cfg := b.cfg.Client
	if err == nil {
		cfg.Ledger = b.cfg.Ledger.Payer(account)
	}
	return cfg, err
}

// closeSession settles somebody's session, so that the rest of its money is free. The account's
// lock is held, or nobody else uses it.
func (b *Bot) closeSession(ctx context.Context, p book.Person) error {
	s, err := b.session(ctx, p)
	if err != nil || s == nil {
		return err
	}
	if _, err := s.Close(ctx); err != nil {
		return errors.Join(errLater, err) // if it is over all the same, the next look says so
	}
	return b.cfg.Book.Forget(p, s.Record().ID)
}

// closeIdle settles sessions that nobody uses.
func (b *Bot) closeIdle(ctx context.Context) error {
	idle, err := b.cfg.Book.Idle(ctx, b.cfg.Now().Add(-b.cfg.Limits.Idle))
	for _, p := range idle {
		if unlock := b.locks.try(p.Address); unlock != nil {
			err = errors.Join(err, b.closeSession(ctx, p))
			unlock()
		}
	}
	return err
}

const (
	adoptAfter  = time.Minute // after which the opening of a session has ended, one way or the other, unless the bot was stopped
	adoptWithin = time.Hour   // in which a transaction comes, or never
)

// adoptAll takes up sessions that the bot was stopped over before it could keep them.
func (b *Bot) adoptAll(ctx context.Context, after time.Duration) error {
	list, err := b.cfg.Book.Openings(ctx)
	for _, o := range list {
		p, one := b.cfg.Book.ByID(ctx, o.Person)
		if one == nil {
			if unlock := b.locks.try(p.Address); unlock != nil {
				one = b.adopt(ctx, p, after)
				unlock()
			}
		}
		err = errors.Join(err, one)
	}
	return err
}

// adopt takes up somebody's sessions that were opened and not kept. The account's lock is held.
func (b *Bot) adopt(ctx context.Context, p book.Person, after time.Duration) error {
	list, err := b.cfg.Book.Openings(ctx)
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(o book.Opening) bool { return o.Person != p.ID || b.cfg.Now().Sub(o.At) < after })
	if len(list) == 0 {
		return nil
	}
	sessions, err := b.cfg.Ledger.Sessions(ctx, p.Address)
	if err != nil {
		return errors.Join(errLater, err)
	}
	for _, o := range list {
		key := essaim.NodeKeyOf(o.Key)
		i := slices.IndexFunc(sessions, func(s essaim.Session) bool { return s.SessionKey == key })
		switch {
		case i >= 0 && sessions[i].State == essaim.SessionOpen:
			err = b.take(ctx, p, sessions[i].ID, o)
		case i >= 0 || b.cfg.Now().Sub(o.At) > adoptWithin:
			err = b.cfg.Book.Opened(key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take uses a session, or settles it if there is another.
func (b *Bot) take(ctx context.Context, p book.Person, id essaim.SessionID, o book.Opening) error {
	cfg, err := b.payer(p)
	if err != nil {
		return err
	}
	s, err := client.Adopt(ctx, cfg, id, o.Key)
	if err != nil {
		return errors.Join(errLater, err)
	}
	other, err := b.session(ctx, p)
	if err != nil {
		return err
	}
	if other == nil {
		return b.cfg.Book.Keep(p, id, essaim.NodeKeyOf(o.Key), s.Save())
	}
	if other.Record().ID != id {
		if _, err := s.Close(ctx); err != nil {
			return errors.Join(errLater, err)
		}
	}
	return b.cfg.Book.Opened(essaim.NodeKeyOf(o.Key))
}

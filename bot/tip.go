package bot

import (
	"context"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
)

// What payments are about, in the book.
const (
	aboutTip    = "tip"
	aboutFaucet = "faucet"
	aboutClaim  = "claim"
	aboutReturn = "return"
)

// payee is who gets a tip.
type payee struct {
	text   string // for people
	to     essaim.Address
	person *book.Person // nil: an address
	held   string       // a name that nobody has yet, or whose number has not come yet; "": none
}

func (l *letter) tip(ctx context.Context, args string) error {
	if m, err := l.cfg.Book.Move(ctx, l.key); err == nil {
		return l.paid(ctx, m, l.names(ctx, m)) // a crash was in between
	}
	words := strings.Fields(args)
	sum := len(words) == 2 && words[0][0] >= '0' && words[0][0] <= '9' && !strings.HasPrefix(words[0], "0x") // such as 0.5 AIM
	if l.To != nil && (sum || len(words) == 1) {
		return l.tipTo(ctx, l.replied, strings.Join(words, ""))
	}
	if len(words) < 2 || len(words) > 3 {
		if l.cfg.Forms {
			return l.say(ctx, tipHowForms)
		}
		return l.say(ctx, tipHow)
	}
	return l.tipTo(ctx, func(ctx context.Context) (payee, error) { return l.payee(ctx, words[0]) }, strings.Join(words[1:], ""))
}

func (l *letter) tipTo(ctx context.Context, whom func(context.Context) (payee, error), sum string) error {
	amount, err := essaim.ParseAmount(strings.Replace(sum, ",", ".", 1))
	if err != nil || amount == 0 || amount > essaim.Amount(1)<<62 {
		return l.say(ctx, tipAmount, clip(sum, 30))
	}
	to, err := whom(ctx)
	switch {
	case essaim.CodeOf(err) == essaim.CodeNotFound && err != nil:
		return l.say(ctx, tipWho, clip(to.text, 60))
	case err != nil:
		return err
	case to.to == l.who.Address || to.person != nil && to.person.ID == l.who.ID || to.held != "" && to.held == l.who.Name:
		return l.say(ctx, tipSelf)
	}
	free, escrow, err := l.funds(ctx, l.who)
	if err != nil {
		return err
	}
	if free+escrow < amount {
		return l.say(ctx, tipOver, free+escrow, amount)
	}
	m := book.Move{Key: l.key, Payer: l.who.ID, To: to.to, Amount: amount, About: aboutTip}
	switch {
	case to.held != "":
		m.To = l.own[book.Pot].Address
		m, err = l.cfg.Book.WantHeld(ctx, m, l.cfg.Name, to.held, l.cfg.Now().Add(l.cfg.Limits.Hold))
	case to.person != nil:
		room, one := l.room(ctx, *to.person, amount)
		if one != nil {
			return one
		}
		if !room && to.person.Linked.IsZero() {
			return l.say(ctx, tipFull, to.text, l.cfg.Limits.Cap)
		}
		if !room {
			m.To = to.person.Linked
		}
		m, err = l.cfg.Book.Want(ctx, m)
	default:
		m, err = l.cfg.Book.Want(ctx, m)
	}
	if err != nil {
		return err
	}
	return l.paid(ctx, m, to)
}

// paid finishes a tip and says so.
func (l *letter) paid(ctx context.Context, m book.Move, to payee) error {
	m, err := l.finish(ctx, m)
	switch {
	case err != nil:
		return err
	case m.State == book.Failed:
		return l.say(ctx, failed, m.Why)
	case m.To == l.own[book.Pot].Address:
		return l.say(ctx, tipHeld, m.Amount, to.text, l.cfg.Now().Add(l.cfg.Limits.Hold).UTC().Format("2006-01-02"))
	}
	return l.say(ctx, tipDone, m.Amount, to.text)
}

// names says again whom a tip was for, as it was written.
func (l *letter) names(ctx context.Context, m book.Move) payee {
	words := strings.Fields(l.Text)
	if l.To != nil && len(words) < 3 {
		p, err := l.replied(ctx)
		if err == nil {
			return p
		}
	}
	if len(words) > 1 {
		return payee{text: clip(words[1], 60), to: m.To}
	}
	return payee{text: m.To.String(), to: m.To}
}

// room tells whether somebody's account may get an amount.
func (l *letter) room(ctx context.Context, p book.Person, amount essaim.Amount) (bool, error) {
	free, escrow, err := l.funds(ctx, p)
	sum, ok := (free + escrow).Add(amount)
	return ok && sum <= l.cfg.Limits.Cap, err
}

// replied is whom the platform has named: who has written the message that is answered.
func (l *letter) replied(ctx context.Context) (payee, error) {
	text := "@" + strings.ToLower(l.To.Name)
	if l.To.Name == "" {
		text = l.words(somebody)
	}
	p, err := l.cfg.Book.Person(ctx, l.cfg.Name, l.To.ID)
	if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
		return payee{text: text, held: numbered(l.To.ID)}, nil
	}
	return payee{text: text, to: p.Address, person: &p}, err
}

// numbered stands in the book for a name, where a platform has told somebody's number. No name
// looks so.
func numbered(user string) string { return "id:" + user }

// payee reads whom a person has written.
//
// Errors: CodeNotFound.
func (l *letter) payee(ctx context.Context, s string) (payee, error) {
	nobody := essaim.Errorf(essaim.CodeNotFound, "", "nobody is called %q", s)
	if name, ok := strings.CutPrefix(strings.ToLower(s), "aim:"); ok {
		a, err := l.cfg.Ledger.Resolve(ctx, strings.TrimPrefix(name, "@"))
		if err != nil {
			return payee{text: s}, err
		}
		return l.at(ctx, s, a)
	}
	if name, ok := strings.CutPrefix(s, "@"); ok {
		name = strings.ToLower(name)
		if !isUserName(name) {
			return payee{text: s}, nobody
		}
		p, err := l.cfg.Book.Named(ctx, l.cfg.Name, name)
		if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
			return payee{text: "@" + name, held: name}, nil
		}
		return payee{text: "@" + name, to: p.Address, person: &p}, err
	}
	a, err := essaim.ParseAddress(s)
	if err != nil || a.IsZero() {
		return payee{text: s}, nobody
	}
	return l.at(ctx, clip(s, 60), a)
}

// at is who has an account: somebody here, or anybody.
func (l *letter) at(ctx context.Context, text string, a essaim.Address) (payee, error) {
	p, err := l.cfg.Book.Owner(ctx, a)
	switch {
	case a == l.Pot():
		return payee{text: text}, essaim.Errorf(essaim.CodeNotFound, "", "nobody owns the pot")
	case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound, err == nil && p.Platform == book.Own:
		return payee{text: text, to: a}, nil
	}
	return payee{text: text, to: a, person: &p}, err
}

// isUserName tells whether a platform could call somebody so.
func isUserName(s string) bool {
	ok := len(s) >= 2 && len(s) <= 32
	for _, r := range s {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.')
	}
	return ok
}

// claim pays out what waits for somebody, as far as their account has room.
func (l *letter) claim(ctx context.Context) error {
	list, err := l.cfg.Book.HeldFor(ctx, l.cfg.Name, l.who.Name, numbered(l.who.User))
	for _, h := range list {
		if err != nil {
			return err
		}
		room, one := l.room(ctx, l.who, h.Amount)
		switch {
		case one != nil:
			return one
		case !room && l.who.Linked.IsZero():
			if strings.HasPrefix(l.Text, "/balance") {
				return l.tell(ctx, Note{Text: l.words(tipWaits, h.Amount)})
			}
			return nil
		}
		to := l.who.Address
		if !room {
			to = l.who.Linked
		}
		if err = l.payOut(ctx, h, to, aboutClaim); err == nil {
			err = l.tell(ctx, Note{Text: l.words(tipGot, h.Amount)})
		}
	}
	return err
}

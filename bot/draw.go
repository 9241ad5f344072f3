package bot

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client"
)

const (
	// deposits is how many pictures a session is opened for: two transactions pay for all of them.
	deposits = 10

	// drawTime is how long a picture may take.
	drawTime = 3 * time.Minute

	// editPause is the least time between two changes of a message that tells how far a picture is:
	// platforms bear few.
	editPause = 1500 * time.Millisecond
)

func (l *letter) imagine(ctx context.Context, prompt string) error {
	prompt = strings.Join(strings.Fields(prompt), " ")
	if prompt == "" {
		return l.say(ctx, imagineHow)
	}
	if err := essaim.CheckPrompt(prompt); err != nil {
		return l.say(ctx, failed, err.Error())
	}
	return l.draw(ctx, prompt, newSeed(l.key))
}

// newSeed is a seed of a letter: the same if it is answered again, and short enough to retype.
func newSeed(key string) uint64 {
	d := essaim.DigestOf([]byte("seed of " + key))
	return uint64(d[0])<<24 | uint64(d[1])<<16 | uint64(d[2])<<8 | uint64(d[3])
}

// draw draws a picture and shows it. It may be called again after a crash, at any point.
func (l *letter) draw(ctx context.Context, prompt string, seed uint64) error {
	d, err := l.cfg.Book.WantDraw(ctx, book.Draw{Key: l.key, Person: l.who.ID, Payer: l.who.ID, Chat: l.Chat, Prompt: prompt, Seed: seed})
	if err != nil {
		return err
	}
	if d.State == book.Signed {
		if d, err = l.clear(ctx, d); err != nil {
			return err
		}
	}
	switch d.State {
	case book.Wanted, book.Lost:
		if d, err = l.paint(ctx, d); err != nil || d.State == book.Failed {
			return err
		}
	case book.Failed: // a crash was between the end and the word about it
		return l.say(ctx, notDrawn, l.words(restarted))
	}
	return l.show(ctx, d)
}

// clear finds out what has become of a picture that was under way when the bot was stopped. What
// was sealed to the bot's memory nobody can open any more.
func (l *letter) clear(ctx context.Context, d book.Draw) (book.Draw, error) {
	task, err := essaim.ParseDigest(d.Task)
	if err != nil {
		return d, err
	}
	payer, err := l.cfg.Book.ByID(ctx, d.Payer)
	if err != nil {
		return d, err
	}
	s, err := l.session(ctx, payer)
	if err != nil {
		return d, err
	}
	if s != nil {
		err = s.Cancel(ctx, task)
		if err == nil { // nobody has drawn it, and nobody will
			return l.undone(ctx, d, 0)
		}
		if code := essaim.CodeOf(err); code != essaim.CodeNotFound && code != essaim.CodeConflict {
			return d, errors.Join(errLater, err)
		}
	}
	r, err := l.cfg.Client.Coordinator.Task(ctx, task)
	switch {
	case err != nil && essaim.CodeOf(err) == essaim.CodeNotFound:
		return l.undone(ctx, d, 0)
	case err != nil:
		return d, errors.Join(errLater, err)
	case r.State == essaim.TaskDelivered || r.State == essaim.TaskSettled:
		return l.undone(ctx, d, r.Price)
	case r.State == essaim.TaskRefunded || r.State == essaim.TaskExpired:
		return l.undone(ctx, d, 0)
	}
	return d, errLater // it is being drawn
}

func (l *letter) undone(ctx context.Context, d book.Draw, charged essaim.Amount) (book.Draw, error) {
	if d.Payer != d.Person {
		charged = d.Price // by the first attempt; this one was on the house
	}
	if err := l.cfg.Book.AgainDraw(d, charged); err != nil {
		return d, err
	}
	return l.cfg.Book.Draw(ctx, d.ID)
}

// paint has a picture drawn.
func (l *letter) paint(ctx context.Context, d book.Draw) (book.Draw, error) {
	payer := l.who
	if d.State == book.Lost {
		payer = l.own[book.House]
	}
	report, stop := l.progress(ctx, &d)
	unlock := l.locks.lock(payer.Address)
	p, err := l.ask(ctx, d, payer, report)
	unlock()
	stop()
	if err != nil {
		return l.unpainted(ctx, d, err)
	}
	d.State, d.Receipt, d.Picture, d.Proven = book.Done, p.ReceiptFile, p.Data, p.Proof != nil
	if payer.ID == l.who.ID {
		d.Price = p.Receipt.Price
	}
	d.Payer = payer.ID
	return d, nil
}

// stubborn is how long something is tried again that fails as only a faulty program does.
const stubborn = 10 * time.Minute

// unpainted says why there is no picture. If it was charged all the same it is drawn again, on
// the house.
func (l *letter) unpainted(ctx context.Context, d book.Draw, err error) (book.Draw, error) {
	if ctx.Err() != nil || errors.Is(err, errLater) || essaim.CodeOf(err) == essaim.CodeInternal && !errors.As(err, new(poor)) && l.cfg.Now().Sub(d.At) < stubborn {
		return d, errors.Join(errLater, err)
	}
	now, readErr := l.cfg.Book.Draw(ctx, d.ID)
	if readErr == nil && now.State == book.Signed {
		now, readErr = l.clear(ctx, now)
	}
	if readErr != nil {
		return d, readErr
	}
	now.Progress = d.Progress
	switch {
	case now.State == book.Lost && d.State != book.Lost:
		return l.paint(ctx, now)
	case now.State == book.Lost:
		return l.fail(ctx, now, l.words(notRedrawn, now.Price, err.Error()))
	case errors.As(err, new(poor)):
		return l.fail(ctx, now, l.words(tooPoor, errAs[poor](err).most, errAs[poor](err).have))
	}
	return l.fail(ctx, now, l.words(notDrawn, err.Error()))
}

func errAs[T error](err error) (t T) {
	errors.As(err, &t)
	return t
}

// fail ends a picture without one.
func (l *letter) fail(ctx context.Context, d book.Draw, why string) (book.Draw, error) {
	if err := l.cfg.Book.FailDraw(d); err != nil {
		return d, err
	}
	d.State = book.Failed
	if d.Progress != "" {
		if err := l.cfg.Platform.Edit(ctx, l.Chat, d.Progress, why); err == nil || essaim.CodeOf(err) != essaim.CodeRefused {
			return d, err
		}
	}
	return d, l.tell(ctx, Note{Text: why})
}

// poor says that somebody cannot pay a picture.
type poor struct{ have, most essaim.Amount }

func (p poor) Error() string {
	return "a picture costs " + p.most.String() + ", the account has " + p.have.String()
}

// ask draws in the payer's session. The book knows of the task before anybody else does, and of
// the picture before anybody sees it.
func (l *letter) ask(ctx context.Context, d book.Draw, payer book.Person, report func(essaim.Progress)) (*client.Picture, error) {
	m, quote, err := l.quote(ctx)
	if err != nil {
		return nil, err
	}
	for fresh := false; ; fresh = true {
		s, err := l.openSession(ctx, payer, quote.MaxPrice, fresh)
		if err != nil {
			return nil, err
		}
		r := client.Request{Model: m.Digest, Prompt: d.Prompt, Seed: d.Seed, MaxPrice: quote.MaxPrice, Deadline: time.Now().Add(drawTime)}
		if m.Meter != essaim.MeterTask {
			r.Units = client.Most(m, 0, 0, 0)
		}
		r.Signed = func(task essaim.Digest) error { return l.cfg.Book.SignDraw(d, task, payer, s.Record().ID, s.Save()) }
		p, err := s.Draw(ctx, r, report)
		if err == nil {
			d.Price, d.Receipt, d.Picture, d.Proven = p.Receipt.Price, p.ReceiptFile, p.Data, p.Proof != nil
			return p, l.cfg.Book.EndDraw(d, payer, s.Record().ID, s.Save())
		}
		if ctx.Err() != nil {
			return nil, err // the next start finds out
		}
		over := essaim.CodeOf(err) == essaim.CodeConflict || essaim.CodeOf(err) == essaim.CodeInsufficient
		if fresh || !over {
			return nil, err
		}
	}
}

// openSession continues the payer's session if it can pay a picture, or opens another.
func (l *letter) openSession(ctx context.Context, payer book.Person, most essaim.Amount, fresh bool) (*client.Session, error) {
	if err := l.adopt(ctx, payer, 0); err != nil {
		return nil, err
	}
	s, err := l.session(ctx, payer)
	if err != nil {
		return nil, err
	}
	if s != nil && !fresh && s.Left() >= most {
		return s, nil
	}
	if s != nil {
		if err := l.closeSession(ctx, payer); err != nil {
			return nil, err
		}
	}
	have, err := l.cfg.Ledger.Balance(ctx, payer.Address)
	if err != nil {
		return nil, errors.Join(errLater, err)
	}
	info, err := l.cfg.Client.Coordinator.Info(ctx)
	if err != nil {
		return nil, err
	}
	least := max(most, info.MinDeposit)
	if have < least {
		return nil, poor{have, least}
	}
	cfg, err := l.Bot.payer(payer)
	if err != nil {
		return nil, err
	}
	if _, cfg.Key, err = ed25519.GenerateKey(nil); err == nil {
		err = l.cfg.Book.Begin(payer, cfg.Key)
	}
	if err != nil {
		return nil, err
	}
	if s, err = client.Open(ctx, cfg, min(have, max(deposits*most, info.MinDeposit))); err != nil {
		return nil, err
	}
	return s, l.cfg.Book.Keep(payer, s.Record().ID, s.Record().SessionKey, s.Save())
}

// quote chooses a model and asks what it costs.
func (b *Bot) quote(ctx context.Context) (m essaim.ModelInfo, q essaim.Quote, err error) {
	info, err := b.cfg.Client.Coordinator.Info(ctx)
	if err != nil {
		return m, q, err
	}
	for _, m = range info.Models {
		if m.Kind != essaim.KindImage {
			continue
		}
		ask := essaim.QuoteRequest{Kind: m.Kind, Model: m.Digest, Count: 1}
		if m.Meter != essaim.MeterTask {
			ask.Units = client.Most(m, 0, 0, 0)
		}
		q, err = b.cfg.Client.Coordinator.Quote(ctx, ask)
		return m, q, err
	}
	return m, q, essaim.Errorf(essaim.CodeUnavailable, "", "nobody draws now")
}

// progress begins a message that tells how far a picture is, and keeps it up to date until stop.
// That it cannot be told stops nothing, and what comes too fast is left out.
func (l *letter) progress(ctx context.Context, d *book.Draw) (report func(essaim.Progress), stop func()) {
	short := clip(d.Prompt, 200)
	if d.Progress == "" {
		n := Note{Chat: l.Chat, Way: l.Way, Text: l.words(drawing, short)}
		if !l.Private {
			n.Reply = l.Message
		}
		message, err := l.cfg.Platform.Say(ctx, n)
		if err == nil {
			err = l.cfg.Book.Shown(d.ID, message)
		}
		if err != nil {
			l.log.Info("progress cannot be told", "draw", d.ID, "err", err)
			return nil, func() {}
		}
		d.Progress = message
	}
	message, texts, done := d.Progress, make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		for t := range texts {
			_ = l.cfg.Platform.Edit(ctx, l.Chat, message, t) // the picture tells it all
		}
	}()
	var last time.Time
	report = func(p essaim.Progress) {
		if p.Steps == 0 || time.Since(last) < editPause {
			return
		}
		select {
		case texts <- l.words(drawingAt, short, bar(p.Step, p.Steps), p.Step, p.Steps):
			last = time.Now()
		default:
		}
	}
	return report, func() { close(texts); <-done }
}

func bar(done, all int) string {
	const wide = 10
	n := min(max(done, 0)*wide/max(all, 1), wide)
	return strings.Repeat("▓", n) + strings.Repeat("░", wide-n)
}

// show sends a picture, and takes back the message that told of it.
func (l *letter) show(ctx context.Context, d book.Draw) error {
	about := l.words(caption, clip(d.Prompt, 300), l.words(text{"%s", "%s"}, d.Price), d.Seed, d.ID)
	if d.Proven {
		about += "\n" + l.words(proven)
	}
	if d.Payer != d.Person {
		about += "\n" + l.words(onTheHouse)
	}
	id := ":" + number(d.ID)
	err := l.tell(ctx, Note{Text: about, Picture: d.Picture, Name: "essaim-" + number(d.ID) + ".png", Buttons: []Button{
		{l.words(again), "again" + id}, {l.words(vary), "vary" + id}, {l.words(certify), "cert" + id},
	}})
	if err != nil || d.Progress == "" {
		return err
	}
	if err := l.cfg.Platform.Delete(ctx, l.Chat, d.Progress); err != nil {
		l.log.Info("a message stays", "draw", d.ID, "err", err)
	}
	return nil
}

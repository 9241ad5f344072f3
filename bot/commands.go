package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot/book"
)

// letter is an event that is being answered.
type letter struct {
	*Bot
	Event
	key string // of everything that it causes
	who book.Person
}

// commands are what people may say, in the order of /help.
var commands = []struct {
	name string
	run  func(*letter, context.Context, string) error
}{
	{"start", (*letter).start}, {"imagine", (*letter).imagine}, {"faucet", (*letter).giveCoins}, {"balance", (*letter).balance}, {"tip", (*letter).tip},
	{"history", (*letter).history}, {"price", (*letter).price}, {"verify", (*letter).verify}, {"lang", (*letter).setLang}, {"export", (*letter).export},
	{"link", (*letter).link}, {"help", (*letter).help},
}

// meant tells whether an event is for the bot. In a group that is commands only.
func (b *Bot) meant(e Event) bool {
	return strings.TrimSpace(e.Text) != "" && (e.Private || strings.HasPrefix(e.Text, "/"))
}

// answer answers a letter and notes that. An error leaves it for later.
func (b *Bot) answer(ctx context.Context, l book.Letter) error {
	waits, err := b.cfg.Book.Waits(ctx, l)
	if err != nil || !waits { // a round read the book before it was answered
		return err
	}
	var e Event
	if err := json.Unmarshal(l.Body, &e); err != nil {
		return errors.Join(err, b.cfg.Book.Answered(l)) // our own file: it never becomes readable
	}
	who, _, err := b.cfg.Book.Meet(ctx, b.cfg.Name, e.From.ID, e.From.Name, langOf(e.From.Lang))
	if err != nil {
		return err
	}
	x := &letter{Bot: b, Event: e, key: b.cfg.Name + ":" + e.ID, who: who}
	if err := x.claim(ctx); err != nil {
		return err
	}
	err = x.dispatch(ctx)
	switch {
	case errors.Is(err, errLater) || ctx.Err() != nil:
		return errors.Join(err, ctx.Err())
	case err != nil && essaim.CodeOf(err) == essaim.CodeRefused:
		b.log.Info("nobody hears the answer", "letter", l.ID, "err", err)
	case err != nil:
		return err
	}
	return b.cfg.Book.Answered(l)
}

func (l *letter) dispatch(ctx context.Context) error {
	if l.Button != "" {
		return l.pressed(ctx)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(l.Text), " ")
	name, ours := strings.CutPrefix(strings.ToLower(word), "/")
	if i := strings.IndexAny(word, "\n\t"); i > 0 {
		name, rest = strings.TrimPrefix(strings.ToLower(word[:i]), "/"), word[i:]+" "+rest
	}
	for _, c := range commands {
		if ours && c.name == name {
			return c.run(l, ctx, strings.TrimSpace(rest))
		}
	}
	if isProof(l.Text) && l.Private {
		return l.linked(ctx, strings.TrimSpace(l.Text))
	}
	if !l.Private {
		return nil // another bot's
	}
	return l.say(ctx, unknown, clip(word, 40))
}

// say answers in the language of who has asked.
func (l *letter) say(ctx context.Context, t text, args ...any) error {
	return l.tell(ctx, Note{Text: l.words(t, args...)})
}

func (l *letter) words(t text, args ...any) string { return say(l.who.Lang, t, args...) }

func (l *letter) tell(ctx context.Context, n Note) error {
	n.Chat, n.Way = l.Chat, l.Way
	if !l.Private {
		n.Reply = l.Message
	}
	_, err := l.cfg.Platform.Say(ctx, n)
	return err
}

// clip cuts what a person has written.
func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

func (l *letter) start(ctx context.Context, _ string) error {
	return l.say(ctx, welcome, l.who.Address.String(), l.cfg.Limits.Cap)
}

func (l *letter) help(ctx context.Context, _ string) error {
	how := tipLine
	if l.cfg.Forms {
		how = tipLineForms
	}
	return l.say(ctx, help, l.words(how))
}

func (l *letter) setLang(ctx context.Context, want string) error {
	switch want = strings.ToLower(want); want {
	case english, french:
	default:
		return l.say(ctx, langHow)
	}
	if err := l.cfg.Book.SetLang(l.who, want); err != nil {
		return err
	}
	l.who.Lang = want
	return l.say(ctx, langSet)
}

func (l *letter) balance(ctx context.Context, _ string) error {
	free, escrow, err := l.funds(ctx, l.who)
	if err != nil {
		return err
	}
	held, err := l.cfg.Book.HeldBy(ctx, l.who)
	if err != nil {
		return err
	}
	out := []string{l.words(balanceIs, free+escrow)}
	if escrow > 0 {
		out = append(out, l.words(balanceParts, escrow))
	}
	if held > 0 {
		out = append(out, l.words(balanceHeld, held))
	}
	if free+escrow > l.cfg.Limits.Cap {
		out = append(out, l.words(balanceCap, l.cfg.Limits.Cap))
	}
	if l.Private {
		out = append(out, l.who.Address.String(), l.who.Address.Hex())
	}
	return l.tell(ctx, Note{Text: strings.Join(out, "\n")})
}

func (l *letter) price(ctx context.Context, _ string) error {
	m, quote, err := l.quote(ctx)
	if err != nil {
		return l.say(ctx, cannotNow)
	}
	return l.say(ctx, priceIs, quote.MaxPrice, m.Name, m.Miners)
}

// shownAtOnce is how many pictures and payments /history lists.
const shownAtOnce = 5

func (l *letter) history(ctx context.Context, _ string) error {
	draws, err := l.cfg.Book.Draws(ctx, l.who, shownAtOnce)
	if err != nil {
		return err
	}
	moves, err := l.cfg.Book.Moves(ctx, l.who, shownAtOnce)
	if err != nil {
		return err
	}
	var out []string
	if len(draws) > 0 {
		out = append(out, l.words(drawsHead))
	}
	for _, d := range draws {
		if !l.Private && d.Chat != l.Chat {
			d.Prompt = "…" // said elsewhere
		}
		out = append(out, fmt.Sprintf("%d  %s  %s", d.ID, l.words(text{"%s", "%s"}, d.Price), clip(d.Prompt, 40)))
	}
	if len(moves) > 0 {
		out = append(out, l.words(movesHead))
	}
	for _, m := range moves {
		sign := "+"
		if m.Payer == l.who.ID {
			sign = "−"
		}
		out = append(out, fmt.Sprintf("%s  %s%s  %s", m.At.UTC().Format("2006-01-02"), sign, l.words(text{"%s", "%s"}, m.Amount), l.words(aboutText[m.About])))
	}
	if len(out) == 0 {
		return l.say(ctx, nothingHere)
	}
	return l.tell(ctx, Note{Text: strings.Join(out, "\n")})
}

// pressed answers a button.
func (l *letter) pressed(ctx context.Context) error {
	what, number, _ := strings.Cut(l.Button, ":")
	if what == "forget" {
		return l.forgetKey(ctx, number)
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return l.cfg.Platform.Press(ctx, l.Press, "")
	}
	d, err := l.cfg.Book.Draw(ctx, id)
	if err != nil && essaim.CodeOf(err) != essaim.CodeNotFound {
		return err
	}
	if err != nil || d.State != book.Done || d.Chat != l.Chat && d.Person != l.who.ID {
		return l.cfg.Platform.Press(ctx, l.Press, l.words(notYours))
	}
	if err := l.cfg.Platform.Press(ctx, l.Press, ""); err != nil && essaim.CodeOf(err) != essaim.CodeRefused {
		return err
	}
	switch what {
	case "again":
		return l.draw(ctx, d.Prompt, newSeed(l.key))
	case "vary":
		return l.draw(ctx, d.Prompt, d.Seed+1)
	case "cert":
		return l.certify(ctx, d)
	}
	return nil
}

// wait says how long something takes, for people.
func (l *letter) wait(d time.Duration) string {
	if d >= time.Hour {
		return l.words(hoursLater, int((d+time.Hour-1)/time.Hour))
	}
	return l.words(minutes, int(d/time.Minute)+1)
}

package bot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bot"
	"github.com/essaim/essaim/bot/book"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/wallet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// people who talk.
func user(name string) bot.User { return bot.User{ID: "id-" + name, Name: name, Lang: "en"} }

var events int

// event is something new that somebody says in private.
func event(who, text string) bot.Event {
	events++
	return bot.Event{ID: fmt.Sprint(events), From: user(who), Chat: "chat-" + who, Private: true, Message: "m" + fmt.Sprint(events), Text: text}
}

// ask says something and waits for the answer: the last note, which must hold the words.
func (r *rig) ask(e bot.Event, want ...string) bot.Note {
	r.t.Helper()
	r.mu.Lock()
	before := len(r.said)
	r.mu.Unlock()
	if err := r.bot.Accept(r.t.Context(), e); err != nil {
		r.t.Fatal(err)
	}
	var got bot.Note
	r.wait(fmt.Sprintf("an answer with %q to %q", want, e.Text), func() bool {
		for _, n := range r.said[before:] {
			ok := true
			for _, w := range want {
				ok = ok && strings.Contains(n.Text, w)
			}
			if ok {
				got = n
				return true
			}
		}
		return false
	})
	return got
}

func (r *rig) who(name string) book.Person {
	r.t.Helper()
	p, err := r.book.Person(r.t.Context(), "test", "id-"+name)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func TestCommands(t *testing.T) {
	r := newRig(t)
	r.ask(event("ada", "/start"), "Welcome", "essaim1")
	r.ask(event("ada", "hello"), "I do not know hello")
	r.ask(event("ada", "/nonsense"), "I do not know /nonsense")
	r.ask(event("ada", "/help"), "/imagine a red apple")
	r.ask(event("ada", "/balance"), "You have 0 AIM")
	r.ask(event("ada", "/history"), "Nothing yet")
	r.ask(event("ada", "/verify"), "no picture of yours")
	r.ask(event("ada", "/imagine"), "Say what to draw")
	r.ask(event("ada", "/imagine a red apple"), "/faucet gives")
	r.ask(event("ada", "/price"), "at most 0.0025 AIM")
	r.ask(event("ada", "/faucet"), "Here is 0.1 AIM")
	r.ask(event("ada", "/faucet"), "again in 24 h")
	p := r.ask(event("ada", "/imagine a  red\tapple"), "“a red apple”", "0.0025 AIM", "picture 2")
	want, _ := clienttest.Draw("a red apple", seedOf(t, p.Text))
	if string(p.Picture) != string(want) || len(p.Buttons) != 3 {
		t.Errorf("picture of %d bytes, want %d; buttons %v", len(p.Picture), len(want), p.Buttons)
	}
	press := func(data string, want ...string) bot.Note {
		e := event("ada", "")
		e.Button, e.Press = data, "press"
		return r.ask(e, want...)
	}
	again := press(p.Buttons[0].Data, "“a red apple”", "picture 3")
	if string(again.Picture) == string(p.Picture) {
		t.Error("again is the same picture")
	}
	press(p.Buttons[1].Data, fmt.Sprintf("seed %d", seedOf(t, p.Text)+1), "picture 4")
	c := press(p.Buttons[2].Data, "Picture 2, checked", "ok  miner")
	if _, _, _, err := essaim.ReadReceiptFile(c.File); err != nil {
		t.Error(err)
	}
	r.ask(event("ada", "/verify 3"), "Picture 3, checked")
	r.ask(event("bob", "/verify 3"), "do not find")
	r.ask(event("ada", "/verify x"), "do not find")
	r.ask(event("ada", "/history"), "a red apple", "Payments", "+0.1 AIM  faucet")
	r.ask(event("ada", "/balance"), "You have 0.0925 AIM", "in escrow")
	r.ask(event("ada", "/lang fr"), "français")
	r.ask(event("ada", "/balance"), "Vous avez 0,0925 AIM")
	r.ask(event("ada", "/lang xx"), "/lang en")
	if got := r.Everything(); got != funds {
		t.Errorf("there are %s, were %s", got, funds)
	}
}

func seedOf(t *testing.T, text string) (seed uint64) {
	t.Helper()
	_, rest, _ := strings.Cut(text, "seed ")
	if _, err := fmt.Sscanf(rest, "%d", &seed); err != nil {
		t.Fatal(text, err)
	}
	return seed
}

func TestTips(t *testing.T) {
	r := newRig(t)
	r.ask(event("ada", "/faucet"), "Here is")
	r.ask(event("bob", "/start"), "Welcome")
	for text, want := range map[string]string{
		"/tip":                           "Write /tip",
		"/tip @bob":                      "Write /tip",
		"/tip @bob x":                    "is no amount",
		"/tip @bob -1":                   "is no amount",
		"/tip @bob 0":                    "is no amount",
		"/tip @bob 0.0000001":            "is no amount",
		"/tip @bob 1e3":                  "is no amount",
		"/tip @bob 99999999999999999999": "is no amount",
		"/tip @ada 0.01":                 "That is yourself",
		"/tip @b/../b 0.01":              "nobody I know",
		"/tip bob 0.01":                  "nobody I know",
		"/tip 0x12 0.01":                 "nobody I know",
		"/tip aim:nobody 0.01":           "nobody I know",
		"/tip 0x0000000000000000000000000000000000000000 0.01": "nobody I know",
		"/tip @bob 5": "You have 0.1 AIM, that is less than 5 AIM",
	} {
		r.ask(event("ada", text), want)
	}
	r.ask(event("ada", "/tip @Bob 0,01"), "0.01 AIM for @bob")
	r.ask(event("ada", "/tip "+outside.Hex()+" 0.01 AIM"), "0.01 AIM for 0x")
	r.ask(event("ada", "/tip aim:@outside 1000uaim"), "0.001 AIM for aim:")
	reply := event("ada", "/tip 0.02")
	cleo := user("cleo")
	reply.To = &cleo
	r.ask(reply, "0.02 AIM for @cleo", "has not written")
	r.ask(event("cleo", "/balance"), "A tip of 0.02 AIM was waiting")
	nameless := event("ada", "/tip 0,001")
	nameless.To = &bot.User{ID: "id-fred"}
	r.ask(nameless, "0.001 AIM for them", "has not written")
	nameless.ID, nameless.Text = "to an address all the same", "/tip aim:outside 0.001"
	r.ask(nameless, "0.001 AIM for aim:outside")
	r.ask(event("ada", "/tip @dora 0.03"), "0.03 AIM for @dora", "has not written", "2026-12-07")
	r.ask(event("ada", "/tip @erik 0.004"), "for @erik")
	r.ask(event("ada", "/balance"), "You have 0.023 AIM", "0.035 AIM of your tips wait")
	r.ask(event("dora", "/balance"), "A tip of 0.03 AIM was waiting")
	r.ask(event("dora", "/balance"), "You have 0.03 AIM")
	for a, want := range map[essaim.Address]essaim.Amount{r.who("bob").Address: 10_000, r.who("cleo").Address: 20_000, outside: 12_000, r.bot.Pot(): 5_000} {
		if got := r.Has(a); got != want {
			t.Errorf("%s has %s, want %s", a, got, want)
		}
	}
	r.Pass(15 * 24 * time.Hour)
	r.restart() // the first round returns what nobody came for
	r.wait("the tip comes back", func() bool { return r.Has(r.bot.Pot()) == 0 })
	r.ask(event("erik", "/balance"), "You have 0 AIM")
	r.ask(event("fred", "/balance"), "You have 0 AIM")
	r.ask(event("ada", "/balance"), "You have 0.028 AIM")
	if got := r.Everything(); got != funds {
		t.Errorf("there are %s, were %s", got, funds)
	}
}

// TestNameChangesHands: a tip goes to who has the name now, and what waits for a name is for
// whoever comes with it.
func TestNameChangesHands(t *testing.T) {
	r := newRig(t)
	r.ask(event("ada", "/faucet"), "Here is")
	r.ask(event("bob", "/start"), "Welcome")
	e := event("bob", "/balance")
	e.From.ID = "id-thief" // another account, which has taken the name
	r.ask(e, "You have 0")
	r.ask(event("ada", "/tip @bob 0.01"), "0.01 AIM for @bob")
	if got := r.Has(r.who("bob").Address); got != 0 {
		t.Errorf("who had the name has %s", got)
	}
	if got := r.Has(r.who("thief").Address); got != 10_000 {
		t.Errorf("who has the name has %s", got)
	}
}

func TestFaucetLimits(t *testing.T) {
	r := newRig(t)
	r.lim = bot.Limits{Newcomers: 3, PerChat: 2, Daily: essaim.AIM / 2, Cap: essaim.AIM / 4}
	r.restart()
	young := event("kid", "/faucet")
	young.From.Created = r.Now().Add(-time.Hour)
	r.ask(young, "too new", "in 167 h")
	group := func(who string) bot.Event {
		e := event(who, "/faucet")
		e.Chat, e.Private = "group", false
		return e
	}
	r.ask(group("a"), "Here is")
	r.ask(group("b"), "Here is")
	r.ask(group("c"), "This group has had")
	r.ask(event("c", "/faucet"), "Here is")
	r.ask(event("d", "/faucet"), "empty for today") // the fourth newcomer
	r.Pass(24 * time.Hour)
	r.ask(event("d", "/faucet"), "Here is")
	r.ask(event("a", "/faucet"), "Here is")
	r.ask(event("b", "/faucet"), "Here is")
	r.ask(event("c", "/faucet"), "Here is")
	r.ask(event("e", "/faucet"), "Here is") // the second newcomer, and half an AIM
	r.ask(event("f", "/faucet"), "empty for today")
	r.Pass(25 * time.Hour)
	r.ask(event("a", "/faucet"), "at most 0.25 AIM for anybody")
}

// TestCap: nobody's account here gets more than the bot should keep, however it is called.
func TestCap(t *testing.T) {
	r := newRig(t)
	r.lim = bot.Limits{Cap: essaim.AIM / 5, Pause: time.Hour}
	r.restart()
	for range 2 {
		r.ask(event("ada", "/faucet"), "Here is")
		r.Pass(time.Hour)
	}
	r.ask(event("ada", "/faucet"), "at most 0.2 AIM")
	r.ask(event("bob", "/faucet"), "Here is")
	bob := r.who("bob").Address
	for _, whom := range []string{"@bob", bob.String(), bob.Hex(), strings.ToLower(bob.Hex())} {
		r.ask(event("ada", "/tip "+whom+" 0.15"), "as much here as I keep for anybody (0.2 AIM)")
	}
	r.ask(event("ada", "/tip @dora 0.15"), "has not written")
	r.ask(event("dora", "/faucet"), "A tip of 0.15 AIM was waiting")
	r.ask(event("ada", "/tip "+r.bot.House().String()+" 0.01"), "0.01 AIM for essaim1") // the house may have any sum
}

func TestFlood(t *testing.T) {
	r := newRig(t)
	r.stop() // nobody answers
	r.start()
	r.mu.Lock()
	r.refuse = essaim.Errorf(essaim.CodeUnavailable, "", "away")
	r.mu.Unlock()
	var all []bot.Event
	for range 3 {
		all = append(all, event("ada", "/balance"))
	}
	for _, e := range append(all, all...) { // each twice
		if err := r.bot.Accept(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	r.stop()
	r.mu.Lock()
	r.refuse = nil
	r.mu.Unlock()
	r.start() // takes up what was left
	r.wait("three answers", func() bool { return len(r.said) == 3 })
	r.restart()
	r.ask(event("bob", "/start"), "Welcome")
	if n := len(r.texts()); n != 4 {
		t.Errorf("%d answers: %q", n, r.texts())
	}
}

func TestExport(t *testing.T) {
	r := newRig(t)
	e := event("ada", "/export")
	e.Private = false
	r.ask(e, "in private")
	r.ask(event("ada", "/faucet"), "Here is")
	old := r.who("ada").Address
	n := r.ask(event("ada", "/export"), "The key of "+old.Hex())
	words := strings.Fields(n.Text)
	var a *wallet.Account
	for _, w := range words {
		if strings.HasPrefix(w, "0x") && len(w) == 66 {
			var err error
			if a, err = wallet.ParseSecret(w); err != nil {
				t.Fatal(err)
			}
		}
	}
	if a == nil || a.Address() != old {
		t.Fatal("no key of the account:", n.Text)
	}
	press := event("ada", "")
	press.Button, press.Press = n.Buttons[0].Data, "p"
	r.ask(press, "I have forgotten the key of "+old.Hex())
	if now := r.who("ada").Address; now == old || r.Has(old) != essaim.AIM/10 {
		t.Errorf("the account is %s, the old one has %s", now, r.Has(old))
	}
	press = event("ada", "")
	press.Button, press.Press = n.Buttons[0].Data, "p"
	now := r.who("ada").Address
	if err := r.bot.Accept(t.Context(), press); err != nil {
		t.Fatal(err)
	}
	r.ask(event("ada", "/balance"), now.String()) // an old button forgets no newer key
}

func TestLink(t *testing.T) {
	r := newRig(t)
	own, err := wallet.GenerateAccount()
	if err != nil {
		t.Fatal(err)
	}
	code := func(who string) string {
		_, code, _ := strings.Cut(r.ask(event(who, "/link"), "essaim link\n").Text, "hour:\n\n")
		return code
	}
	proof, err := bot.SignLink(own, code("ada"))
	if err != nil {
		t.Fatal(err)
	}
	r.ask(event("bob", proof), "not given to you")
	r.ask(event("ada", proof[:len(proof)-4]+"AAAA"), "does not prove")
	r.ask(event("ada", strings.Replace(proof, own.Address().Hex(), outside.Hex(), 1)), "not that account's")
	r.ask(event("ada", proof), "Linked: "+own.Address().String())
	if got := r.who("ada").Linked; got != own.Address() {
		t.Error(got)
	}
	r.Pass(2 * time.Hour)
	r.ask(event("ada", proof), "too old")
	if _, err := bot.SignLink(own, "transfer everything"); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Error(err)
	}
}

func TestGroups(t *testing.T) {
	r := newRig(t)
	for _, text := range []string{"hello everybody", "/someotherbot", ""} {
		e := event("ada", text)
		e.Private = false
		if err := r.bot.Accept(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	e := event("ada", "/balance")
	e.Private, e.Chat = false, "group"
	if n := r.ask(e, "You have"); strings.Contains(n.Text, "essaim1") || n.Reply != e.Message || n.Chat != "group" {
		t.Errorf("%+v", n)
	}
	if len(r.texts()) != 1 {
		t.Errorf("%q", r.texts())
	}
}

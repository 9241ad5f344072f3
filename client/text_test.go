package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

func chat(t testing.TB, n *clienttest.Network, text string, most uint32) client.Request {
	t.Helper()
	r, err := client.Chat(n.Texts()[0], engine.Chat{Messages: []engine.Message{{Role: "user", Content: text}}}, most)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestChat is streamed as it is written, and charged for what it came to, which is less than what
// was reserved.
func TestChat(t *testing.T) {
	n := clienttest.New(t, 2)
	s := n.Open(t, 100*clienttest.Price)
	r := chat(t, n, "hello there", 0)
	var said []string
	r.Written = func(text string) { said = append(said, text) }
	p, err := s.Draw(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Answer()
	if err != nil || a.Content != "You said: hello there" || strings.Join(said, "") != a.Content || len(said) != 4 {
		t.Errorf("%+v was said as %q: %v", a, said, err)
	}
	if want := clienttest.TokenPrice * 5; p.Receipt.Price != want || s.Spent() != want || p.Task.MaxPrice <= want || p.Task.MaxUnits != r.Units {
		t.Errorf("%d spent of at most %d, want %d", s.Spent(), p.Task.MaxPrice, want)
	}
	if _, err := p.Vector(); err == nil {
		t.Error("an answer is a vector")
	}
}

// TestLostParts: what is lost on the way is said at the end, and nothing twice.
func TestLostParts(t *testing.T) {
	for _, lost := range []int{1, 2, 4} {
		n := clienttest.New(t, 1)
		n.OnPart = func(p *essaim.Progress) bool { return p.Step == lost }
		r := chat(t, n, "hello there", 0)
		said := ""
		r.Written = func(text string) { said += text }
		if _, err := n.Open(t, 100*clienttest.Price).Draw(t.Context(), r, nil); err != nil || said != "You said: hello there" {
			t.Errorf("part %d is lost: %q, %v", lost, said, err)
		}
	}
}

// TestAnotherMinerTakesOver and says something else than what was heard already.
func TestAnotherMinerTakesOver(t *testing.T) {
	n := clienttest.New(t, 1)
	n.OnOutput = func(o *essaim.Output) {
		o.Data = engine.Answer{Content: "Something else", Finish: engine.FinishStop, Read: 2, Written: 4}.Result().Data
	}
	n.OnReceipt = func(r *essaim.Receipt) {
		data := engine.Answer{Content: "Something else", Finish: engine.FinishStop, Read: 2, Written: 4}.Result().Data
		r.Output, r.Size = essaim.DigestOf(data), uint64(len(data))
	}
	s := n.Open(t, 100*clienttest.Price)
	r := chat(t, n, "hello there", 0)
	if _, err := s.Draw(t.Context(), r, nil); err != nil {
		t.Errorf("nobody has listened: %v", err)
	}
	r.Written = func(string) {}
	_, err := s.Draw(t.Context(), r, nil)
	wantCode(t, err, essaim.CodeUnavailable)
}

func TestEmbed(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, 100*clienttest.Price)
	p, err := s.Draw(t.Context(), client.Embed(n.Texts()[1], "red apple"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Vector(); err != nil || !slices.Equal(v, enginetest.Vector("red apple")) || p.Receipt.Price != clienttest.TokenPrice {
		t.Errorf("%v for %d: %v", v, p.Receipt.Price, err)
	}
	if _, err := p.Answer(); err == nil {
		t.Error("a vector is an answer")
	}
}

func TestLiesAboutTexts(t *testing.T) {
	for why, lie := range map[string]func(*essaim.Receipt){
		"more units than the answer has":   func(r *essaim.Receipt) { r.Units, r.Price = r.Units+1, r.Price+clienttest.TokenPrice },
		"more units than the task allows":  func(r *essaim.Receipt) { r.Units = 1 << 30 },
		"another number of tokens":         func(r *essaim.Receipt) { r.Steps-- },
		"another media type":               func(r *essaim.Receipt) { r.MediaType = "text/plain" },
		"more tokens than were asked for":  func(r *essaim.Receipt) { r.Steps = 1001 },
		"a price above what was agreed to": func(r *essaim.Receipt) { r.Price = 1 << 40 },
	} {
		n := clienttest.New(t, 1)
		n.OnReceipt = lie
		_, err := n.Open(t, 100*clienttest.Price).Draw(t.Context(), chat(t, n, "hello there", 1000), nil)
		if essaim.CodeOf(err) != essaim.CodeRefused || err == nil {
			t.Errorf("%s: %v", why, err)
		}
	}
	n := clienttest.New(t, 1)
	if _, err := client.Chat(n.Texts()[0], engine.Chat{}, 0); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("no conversation: %v", err)
	}
}

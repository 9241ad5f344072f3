package devnet

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
)

// TestForeignEngine: a chat and an embedding by a program in another language go through the whole
// network. They are streamed, receipted and metered by tokens, and settled together with a picture.
func TestForeignEngine(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3 is not on this machine, and the example of an engine is written in it")
	}
	program, err := filepath.Abs("../docs/extend/engine.py")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Miners: 2, Engines: []string{"exec=" + program}})
	models := map[string]essaim.ModelInfo{}
	r.eventually("both miners offer all models", func() bool {
		info, err := r.Coordinator().Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range info.Models {
			models[m.Name] = m
		}
		return models["backwards-1"].Miners == 2 && models["letters-1"].Miners == 2
	})
	before := r.balance(User)
	s := r.open(1*essaim.AIM, 400)
	ask, err := client.Chat(models["backwards-1"], engine.Chat{Messages: []engine.Message{{Role: "user", Content: "one two three four five"}}}, 4)
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	ask.Written = func(text string) { said += text }
	chat, err := s.Draw(t.Context(), ask, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := chat.Answer()
	if want := (engine.Answer{Content: "five four three two", Finish: engine.FinishLength, Read: 5, Written: 4}); err != nil || answer != want || said != want.Content {
		t.Errorf("%+v, of which %q was streamed: %v", answer, said, err)
	}
	if rc := chat.Receipt; rc.Units != 6 || rc.Price != 6*meteredPrice || rc.Steps != 4 || chat.Task.MaxPrice != essaim.Amount(ask.Units)*meteredPrice {
		t.Errorf("%d units of at most %d for %d of at most %d", rc.Units, ask.Units, rc.Price, chat.Task.MaxPrice)
	}
	embedding, err := s.Draw(t.Context(), client.Embed(models["letters-1"], "red apple"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := embedding.Vector(); err != nil || len(v) != 28 || v[4] != 2 || embedding.Receipt.Price != meteredPrice {
		t.Errorf("%v for %d: %v", v, embedding.Receipt.Price, err)
	}
	r.draw(s, 1)
	picture := s.Spent() - chat.Receipt.Price - embedding.Receipt.Price
	if picture < minerPrice(0) {
		t.Errorf("the picture has cost %d", picture)
	}
	settled, err := s.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if settled.Root.Count() != 3 || settled.Root.Sum() != 7*meteredPrice+picture || r.balance(User) != before-settled.Root.Sum() {
		t.Errorf("settled %d tasks for %d; the payer had %d and has %d", settled.Root.Count(), settled.Root.Sum(), before, r.balance(User))
	}
	var reasons []string
	for _, p := range settled.Tx.Payments {
		reasons = append(reasons, p.Reason)
	}
	if !strings.Contains(strings.Join(reasons, " "), "miner") {
		t.Errorf("payments %v", reasons)
	}
}

package web_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/ethsig"
	"github.com/essaim/essaim/wallet"
	"github.com/essaim/essaim/web"
)

// shop is a network on which one account has paid for pictures.
type shop struct {
	*testing.T
	web.Ledger
	payer  *wallet.Account
	key    ed25519.PrivateKey // the session's
	miner  ed25519.PrivateKey
	length uint64
}

func newShop(t *testing.T) *shop {
	a, err := wallet.GenerateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed := func(b byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(append(make([]byte, ed25519.SeedSize-1), b))
	}
	return &shop{T: t, payer: a, key: seed(1), miner: seed(2)}
}

func (s *shop) Head(context.Context) (web.Head, error) { return web.Head{ChainID: "c", Height: 7}, nil }

func (s *shop) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	return essaim.Session{ID: id, Payer: s.payer.Address(), SessionKey: essaim.NodeKeyOf(s.key)}, nil
}

// buys returns a picture with its receipt.
func (s *shop) buys(kind essaim.Kind) web.Shown {
	s.Helper()
	s.length++
	picture := append([]byte("picture"), byte(s.length))
	task := essaim.NewTask("c", 1, s.length)
	task.Kind, task.Model, task.Input, task.MaxPrice, task.Deadline = kind, essaim.Digest{3}, essaim.Digest{4}, 10, time.Now().UnixMilli()
	if kind == essaim.KindImage {
		task.Width, task.Height = 64, 64
	}
	r := essaim.Receipt{
		Version: task.Version, ChainID: "c", Task: task.Digest(), Session: 1, Seq: task.Seq, Attempt: 1, Miner: essaim.NodeKeyOf(s.miner), Coordinator: essaim.NodeKey{9}, Model: task.Model,
		Engine: "e", Input: task.Input, Width: task.Width, Height: task.Height, Output: essaim.DigestOf(picture), MediaType: "image/png", Size: uint64(len(picture)), Units: 1, Price: 5,
	}
	signedTask, err := essaim.SignTask(task, s.key)
	if err != nil {
		s.Fatal(err)
	}
	signed, err := essaim.SignReceipt(r, s.miner)
	if err != nil {
		s.Fatal(err)
	}
	file := essaim.ReceiptFile{Task: signedTask, Receipt: signed}.Encode()
	if _, _, _, err := essaim.ReadReceiptFile(file); err != nil {
		s.Fatal(err)
	}
	return web.Shown{Task: r.Task, Prompt: "an apple", At: time.Now().UnixMilli(), Receipt: file, Picture: picture}
}

func (s *shop) signs(by *wallet.Account, x web.Shown, public bool) []byte {
	s.Helper()
	sig, err := by.Sign(ethsig.Personal(web.Wish{ChainID: "c", Task: x.Task, Prompt: x.Prompt, Public: public, At: x.At}.Text()))
	if err != nil {
		s.Fatal(err)
	}
	return sig
}

// TestGallery: only who has paid for a picture can show it, as it is, and take it back; over a restart too.
func TestGallery(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	open := func() *web.Gallery {
		g, err := web.OpenGallery(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g, ctx := open(), t.Context()
	stranger, err := wallet.GenerateAccount()
	if err != nil {
		t.Fatal(err)
	}
	x := s.buys(essaim.KindImage)
	good := s.signs(s.payer, x, true)
	other, old, chat := x, x, s.buys(essaim.KindChat)
	other.Picture, old.At = []byte("another"), x.At-600_000
	prompt := x
	prompt.Prompt = "a pear"
	for name, c := range map[string]struct {
		shown  web.Shown
		public bool
		by     []byte
		want   essaim.Code
	}{
		"somebody else":     {x, true, s.signs(stranger, x, true), essaim.CodeRefused},
		"no signature":      {x, true, nil, essaim.CodeRefused},
		"another picture":   {other, true, good, essaim.CodeRefused},
		"another prompt":    {prompt, true, good, essaim.CodeRefused},
		"the other wish":    {x, false, good, essaim.CodeRefused},
		"a wish of old":     {old, true, s.signs(s.payer, old, true), essaim.CodeExpired},
		"not a picture":     {chat, true, s.signs(s.payer, chat, true), essaim.CodeRefused},
		"no receipt at all": {web.Shown{Picture: x.Picture, At: x.At}, true, good, essaim.CodeBadInput},
	} {
		if err := g.Keep(ctx, c.shown, c.public, c.by); essaim.CodeOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(g.List()); n != 0 {
		t.Fatalf("%d pictures are shown", n)
	}
	if err := g.Keep(ctx, x, true, good); err != nil {
		t.Fatal(err)
	}
	g = open()
	if l := g.List(); len(l) != 1 || l[0].Prompt != "an apple" || l[0].Picture != nil || l[0].Payer != s.payer.Address() {
		t.Errorf("%+v", l)
	}
	page := web.New(web.Config{Ledger: s, Gallery: g})
	if _, b := askPage(t, page, "GET", "/essaim/v1/gallery/"+x.Task.String(), ""); !strings.Contains(b, `"picture":"cGljdHVyZQE="`) {
		t.Error(b)
	}

	back := x
	back.At++
	body, err := json.Marshal(map[string]any{"receipt": back.Receipt, "prompt": back.Prompt, "at": back.At, "public": false, "signature": s.signs(s.payer, back, false)})
	if err != nil {
		t.Fatal(err)
	}
	if r, b := askPage(t, page, "POST", "/essaim/v1/gallery", string(body)); r.StatusCode != 200 {
		t.Fatal(b)
	}
	for _, g := range []*web.Gallery{g, open()} {
		if len(g.List()) != 0 {
			t.Error("what was taken back is shown")
		}
		if err := g.Keep(ctx, x, true, good); essaim.CodeOf(err) != essaim.CodeExpired {
			t.Errorf("an older consent brings it back: %v", err)
		}
	}
	if r, b := askPage(t, page, "GET", "/essaim/v1/gallery/"+x.Task.String(), ""); r.StatusCode != 404 || strings.Contains(b, "cGlj") {
		t.Error(b)
	}
	if b, err := os.ReadFile(filepath.Join(dir, x.Task.String()+".json")); err != nil || strings.Contains(string(b), "apple") || strings.Contains(string(b), "cGlj") {
		t.Errorf("the file still says %s: %v", b, err)
	}
}

// TestGalleryIsBounded: a payer's oldest pictures make room for new ones.
func TestGalleryIsBounded(t *testing.T) {
	s, dir := newShop(t), t.TempDir()
	g, err := web.OpenGallery(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	var first essaim.Digest
	for i := range 52 {
		x := s.buys(essaim.KindImage)
		if i == 0 {
			first = x.Task
		}
		if err := g.Keep(t.Context(), x, true, s.signs(s.payer, x, true)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(dir)
	if list := g.List(); err != nil || len(list) != 50 || len(files) != 50 || list[49].Task == first {
		t.Errorf("%d pictures in %d files: %v", len(g.List()), len(files), err)
	}
}

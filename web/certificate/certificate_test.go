package certificate_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/web/certificate"
)

const prompt = "a red apple and a blue house"

// drawn is a picture of 256 x 256 with its receipt and its proof.
func drawn(t *testing.T) certificate.Picture {
	t.Helper()
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	task := essaim.NewTask("essaim-test", 1, 1)
	task.Kind, task.Model, task.Input, task.Verify = essaim.KindImage, essaim.DigestOf(pixel.Manifest()), essaim.Digest{1}, essaim.VerifyProof
	task.Seed, task.MaxPrice = 7, 1
	out, b, err := builtin.Proofs{}.Run(t.Context(), e, task, engine.Request{Model: task.Model, Prompt: prompt, Seed: 7, Width: 256, Height: 256, Steps: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := essaim.NewReceipt(task)
	r.Attempt, r.Miner, r.Engine, r.Width, r.Height, r.Steps = 1, essaim.NodeKeyOf(key), pixel.Name, 256, 256, 1
	r.Output, r.MediaType, r.Size, r.Pixels, r.Proof, r.Units = essaim.DigestOf(out.Data), out.MediaType, uint64(len(out.Data)), out.PixelsDigest, essaim.DigestOf(b), 1
	signedTask, err1 := essaim.SignTask(task, key)
	signed, err2 := essaim.SignReceipt(r, key)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return certificate.Picture{File: out.Data, Receipt: essaim.ReceiptFile{Task: signedTask, Receipt: signed}.Encode(), Proof: b, Prompt: prompt}
}

func public(t *testing.T) []byte {
	t.Helper()
	b, err := quant.Public(pixel.Weights())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lies are pictures with one part changed.
func lies(p certificate.Picture) map[string]certificate.Picture {
	flipped := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
	out := map[string]certificate.Picture{}
	lie := func(why string, change func(*certificate.Picture)) { q := p; change(&q); out[why] = q }
	lie("another picture", func(q *certificate.Picture) { q.File = flipped(q.File) })
	lie("a changed receipt", func(q *certificate.Picture) { q.Receipt = flipped(q.Receipt) })
	lie("another proof", func(q *certificate.Picture) { q.Proof = flipped(q.Proof) })
	lie("no proof", func(q *certificate.Picture) { q.Proof = nil })
	lie("another prompt", func(q *certificate.Picture) { q.Prompt = "a red apple and a blue horse" })
	return out
}

// TestCheck: a picture is accepted with what it came with, and with nothing else.
func TestCheck(t *testing.T) {
	p := drawn(t)
	c, err := certificate.New(public(t))
	if err != nil {
		t.Fatal(err)
	}
	f, err := c.Check(t.Context(), p)
	if err != nil || f.Receipt.Seed != 7 || f.Took <= 0 {
		t.Fatalf("%+v: %v", f, err)
	}
	for why, q := range lies(p) {
		if _, err := c.Check(t.Context(), q); err == nil {
			t.Errorf("%s: accepted", why)
		}
	}
	wrong := lies(p)["another prompt"]
	if _, err := c.Check(t.Context(), wrong); !errors.Is(err, proof.ErrRefused) {
		t.Errorf("%v", err)
	}
	if _, err := certificate.New(nil); err == nil {
		t.Error("no key is a key")
	}
}

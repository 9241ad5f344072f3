package builtin_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/builtin"
)

// TestProofs: what Run proves for a task, Check finds to hold of the receipt, and of no other.
func TestProofs(t *testing.T) {
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	dir := t.TempDir()
	t.Setenv("ESSAIM_CACHE", dir)
	e, err := text.New()
	if err != nil {
		t.Fatal(err)
	}
	var p builtin.Proofs
	model := essaim.DigestOf(text.Manifest())
	task := essaim.NewTask("essaim-test", 1, 1)
	task.Kind, task.Model, task.Input, task.Verify = essaim.KindEmbed, model, essaim.Digest{1}, essaim.VerifyProof
	out, b, err := p.Run(t.Context(), e, task, engine.Request{Model: model, Prompt: "a cat"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := essaim.NewReceipt(task)
	r.Output = essaim.DigestOf(out.Data)
	if err := p.Check(t.Context(), r, "a cat", b); err != nil || !p.Checks(model) {
		t.Error(err)
	}
	for why, err := range map[string]error{
		"another prompt": p.Check(t.Context(), r, "a dog", b),
		"another task":   p.Check(t.Context(), essaim.Receipt{ChainID: r.ChainID, Model: model, Output: r.Output}, "a cat", b),
		"no run at all":  p.Check(t.Context(), r, "", b),
		"nothing":        p.Check(t.Context(), r, "a cat", nil),
		"cut off":        p.Check(t.Context(), r, "a cat", b[:len(b)-1]),
	} {
		if essaim.CodeOf(err) != essaim.CodeRefused {
			t.Errorf("%s: %v", why, err)
		}
	}
	task.Model = essaim.Digest{1}
	if _, _, err := p.Run(t.Context(), e, task, engine.Request{}, nil); essaim.CodeOf(err) != essaim.CodeNotFound || p.Checks(task.Model) {
		t.Errorf("an unknown model: %v", err)
	}
	kept(t, filepath.Join(dir, model.String()+".leaves"), model)
}

// kept: the commitment is in the folder, and what is taken up from there is the same; of a damaged one the root tells.
func kept(t *testing.T, name string, model essaim.Digest) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := builtin.Proofs{}.Prover(model)
	if err != nil || !bytes.Equal(p.Leaves(), b) {
		t.Fatalf("the file holds something else: %v", err)
	}
	for _, c := range []struct {
		change func([]byte) []byte
		same   bool
	}{
		{func(b []byte) []byte { return b }, true},
		{func(b []byte) []byte { b[len(b)/2] ^= 1; return b }, false},
	} {
		again, err := proof.ResumeProver(model, text.Weights(), c.change(bytes.Clone(b)), 2)
		if err != nil || (again.Root() == p.Root()) != c.same {
			t.Errorf("%v, want the same root: %v", err, c.same)
		}
	}
}

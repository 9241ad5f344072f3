package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// proofs knows the proofs of clienttest.
type proofs struct{ none bool }

func (p proofs) Checks(essaim.Digest) bool { return !p.none }

func (proofs) Check(_ context.Context, r essaim.Receipt, prompt string, b []byte) error {
	if string(b) != "proof of "+prompt || r.Pixels.IsZero() {
		return essaim.Errorf(essaim.CodeRefused, "", "it does not hold")
	}
	return nil
}

// TestProofs: a picture's proof is asked for where it can be checked, and nothing is accepted without one that holds;
// one that does not hold is evidence.
func TestProofs(t *testing.T) {
	n := clienttest.New(t, 1)
	request := client.Request{Model: n.Model.Digest, Prompt: "a red apple", Seed: 1}
	open := func(p client.Proofs) *client.Session {
		t.Helper()
		cfg := n.Config()
		cfg.Proofs = p
		s, err := client.Open(t.Context(), cfg, 100*clienttest.Price)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(proofs{})
	p, err := s.Draw(t.Context(), request, nil)
	if err != nil || p.Task.Verify != essaim.VerifyProof || essaim.DigestOf(p.Proof) != p.Receipt.Proof || p.Checked <= 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	bare := request
	bare.Unproven = true
	for _, c := range []struct {
		s *client.Session
		r client.Request
	}{{s, bare}, {open(nil), request}, {open(proofs{none: true}), request}} {
		if p, err := c.s.Draw(t.Context(), c.r, nil); err != nil || p.Proof != nil || p.Task.Verify != "" || !p.Receipt.Proof.IsZero() {
			t.Errorf("%v", err)
		}
	}
	spent := s.Spent()
	n.OnOutput = func(o *essaim.Output) { o.Proof = []byte("another") }
	var bad *client.BadProof
	if _, err := s.Draw(t.Context(), request, nil); essaim.CodeOf(err) != essaim.CodeRefused || errors.As(err, &bad) {
		t.Errorf("a proof that the receipt does not name: %v", err)
	}
	n.OnOutput = func(o *essaim.Output) { o.Proof = []byte("another") }
	n.OnReceipt = func(r *essaim.Receipt) { r.Proof = essaim.DigestOf([]byte("another")) }
	_, err = s.Draw(t.Context(), request, nil)
	if essaim.CodeOf(err) != essaim.CodeRefused || !errors.As(err, &bad) {
		t.Fatalf("a proof that does not hold: %v", err)
	}
	e, err := client.ReadEvidence(bad.Evidence.Encode())
	if err != nil {
		t.Fatal(err)
	}
	r, err1 := essaim.OpenReceipt(e.Receipt)
	in, err2 := essaim.DecodeInput(e.Input)
	task, _, err3 := essaim.OpenTask(e.Task)
	if errors.Join(err1, err2, err3) != nil || essaim.DigestOf(e.Proof) != r.Proof || in.Digest() != r.Input || task.Digest() != r.Task {
		t.Errorf("the evidence does not hold together: %v", errors.Join(err1, err2, err3))
	}
	n.OnOutput = func(o *essaim.Output) { o.Proof = nil }
	n.OnReceipt = func(r *essaim.Receipt) { r.Proof = essaim.Digest{} }
	if _, err := s.Draw(t.Context(), request, nil); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("no proof: %v", err)
	}
	if s.Spent() != spent {
		t.Error("what was refused was accepted")
	}
	if _, err := client.ReadEvidence([]byte("nothing")); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("%v", err)
	}
}

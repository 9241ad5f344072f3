package client_test

import (
	"context"
	"errors"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// TestLeavingRefunds: a draw whose context is cancelled takes its task back, and the session
// may spend the money again; one that is too late has cost it.
func TestLeavingRefunds(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, clienttest.Price)
	ctx, cancel := context.WithCancel(t.Context())
	n.OnProgress = func(context.Context, func(string)) { cancel() }
	if _, err := s.Draw(ctx, client.Request{Model: n.Model.Digest, Prompt: "a red apple"}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("a cancelled draw: %v", err)
	}
	if left := s.Left(); left != clienttest.Price {
		t.Errorf("%d uaim left, want the whole deposit", left)
	}
	n.OnProgress = nil
	if _, err := s.Draw(t.Context(), client.Request{Model: n.Model.Digest, Prompt: "a red apple"}, nil); err != nil {
		t.Errorf("after the refund: %v", err)
	}
	if err := s.Cancel(t.Context(), essaim.Digest{1}); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("a task that nobody has handed in is cancelled: %v", err)
	}
}

package client_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// behind is a coordinator whose first quotes something between answers.
type behind struct {
	client.Coordinator
	faults []error
	asked  int
}

func (b *behind) Quote(ctx context.Context, r essaim.QuoteRequest) (essaim.Quote, error) {
	b.asked++
	if b.asked <= len(b.faults) {
		return essaim.Quote{}, b.faults[b.asked-1]
	}
	return b.Coordinator.Quote(ctx, r)
}

// answers are what a balancer says whose gateway is not there: with a page of its own, and by hanging up.
func answers(t *testing.T) (out []error) {
	for _, answer := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no server is available", http.StatusServiceUnavailable)
		},
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		_, err := serve(t, answer).Quote(t.Context(), essaim.QuoteRequest{})
		wantCode(t, err, essaim.CodeUnavailable)
		out = append(out, err)
	}
	return out
}

// TestFirstQuoteIsTriedAgain where something between client and gateway has answered, and for a while only; what a coordinator says itself
// is an answer.
func TestFirstQuoteIsTriedAgain(t *testing.T) {
	between := answers(t)
	var always []error
	for len(always) < 100 {
		always = append(always, between...)
	}
	own := essaim.Errorf(essaim.CodeUnavailable, "", "no connected miner runs the model")
	for name, c := range map[string]struct {
		faults []error
		code   essaim.Code // "": none
		asked  int
	}{
		"none": {nil, "", 1}, "one of each": {between, "", 4}, "always": {always, essaim.CodeUnavailable, 6}, "its own": {[]error{own}, essaim.CodeUnavailable, 1},
		"between, then its own": {append(between[:1:1], own), essaim.CodeUnavailable, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := clienttest.New(t, 1)
			b := &behind{Coordinator: n, faults: c.faults}
			cfg := n.Config()
			cfg.Coordinator = b
			s, err := client.Open(t.Context(), cfg, 10*clienttest.Price)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Draw(t.Context(), client.Request{Model: n.Model.Digest, Prompt: "a red apple"}, nil)
			code := essaim.Code("")
			if err != nil {
				code = essaim.CodeOf(err)
			}
			if code != c.code || b.asked != c.asked {
				t.Errorf("%s: %v after %d quotes, want %q after %d", name, err, b.asked, c.code, c.asked)
			}
		})
	}
}

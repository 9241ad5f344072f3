package gateway_test

import (
	"context"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/purse"
)

type clientSession = client.Session

func states(n *clienttest.Network) (open, settled int) {
	for _, s := range n.Sessions() {
		switch s.State {
		case essaim.SessionOpen:
			open++
		case essaim.SessionSettled:
			settled++
		}
	}
	return open, settled
}

func TestSessionsRoll(t *testing.T) {
	for name, c := range map[string]struct {
		deposit essaim.Amount
		roll    purse.Roll
		draws   int
		want    int // sessions opened
	}{
		"by count":   {100 * clienttest.Price, purse.Roll{Tasks: 2}, 5, 3},
		"by deposit": {3 * clienttest.Price, purse.Roll{}, 7, 3},
		"not at all": {100 * clienttest.Price, purse.Roll{}, 5, 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(cfg *gateway.Config) {
				cfg.Roll = c.roll
				cfg.Payer = payer{cfg.Coordinator.(*clienttest.Network), c.deposit}
			})
			for range c.draws {
				if resp, b := r.draw(t, `{"prompt":"x"}`); resp.StatusCode != 200 {
					t.Fatalf("%d %s", resp.StatusCode, b)
				}
			}
			if got := len(r.Sessions()); got != c.want {
				t.Errorf("%d sessions, want %d", got, c.want)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := r.gateway.Run(ctx); err != nil {
				t.Fatal(err)
			}
			if open, settled := states(r.Network); open != 0 || settled != c.want {
				t.Errorf("%d open, %d settled", open, settled)
			}
			if resp, _ := r.draw(t, `{"prompt":"x"}`); resp.StatusCode != 503 {
				t.Errorf("a stopped gateway answers %d", resp.StatusCode)
			}
		})
	}
}

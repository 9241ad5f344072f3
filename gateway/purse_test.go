package gateway_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
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
		roll    gateway.Roll
		draws   int
		want    int // sessions opened
	}{
		"by count":   {100 * clienttest.Price, gateway.Roll{Tasks: 2}, 5, 3},
		"by deposit": {3 * clienttest.Price, gateway.Roll{}, 7, 3},
		"not at all": {100 * clienttest.Price, gateway.Roll{}, 5, 1},
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

// TestIdleSessionsAreSettled lets time pass in a bubble: a session that is old, or
// near its expiry, is settled though nobody draws.
func TestIdleSessionsAreSettled(t *testing.T) {
	for name, pass := range map[string]func(*clienttest.Network){
		"by age":    func(*clienttest.Network) { <-time.After(2 * time.Hour) },
		"by blocks": func(n *clienttest.Network) { n.Advance(150); <-time.After(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := clienttest.New(t, 1)
				g, err := gateway.New(gateway.Config{Coordinator: n, Blobs: mem.New(), Payer: payer{n, 10 * clienttest.Price}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- g.Run(ctx) }()
				if err := g.UsePurse(ctx, clienttest.Price); err != nil {
					t.Fatal(err)
				}
				pass(n)
				synctest.Wait()
				if open, settled := states(n); open != 0 || settled != 1 {
					t.Errorf("%d open, %d settled", open, settled)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSettlingIsTriedAgain has a coordinator that cannot settle at first.
func TestSettlingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := clienttest.New(t, 1)
		moody := &moody{Network: n, fail: 3}
		cfg := n.Config()
		cfg.Coordinator = moody
		g, err := gateway.New(gateway.Config{Coordinator: moody, Blobs: mem.New(), Payer: openWith{cfg}})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.UsePurse(t.Context(), clienttest.Price); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if open, settled := states(n); open != 0 || settled != 1 || moody.fail != 0 {
			t.Errorf("%d open, %d settled, %d failures left", open, settled, moody.fail)
		}
	})
}

type moody struct {
	*clienttest.Network
	fail int
}

func (m *moody) Close(ctx context.Context, signed []byte) (essaim.Settled, error) {
	if m.fail > 0 {
		m.fail--
		return essaim.Settled{}, essaim.Errorf(essaim.CodeUnavailable, "", "the ledger is away")
	}
	return m.Network.Close(ctx, signed)
}

type openWith struct{ cfg client.Config }

func (o openWith) OpenSession(ctx context.Context) (*client.Session, error) {
	return client.Open(ctx, o.cfg, 10*clienttest.Price)
}

func (o openWith) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, o.cfg, saved)
}

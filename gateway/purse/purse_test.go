package purse_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/purse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payer opens the purse's sessions on a test network.
type payer struct{ cfg client.Config }

func (p payer) OpenSession(ctx context.Context) (*client.Session, error) {
	return client.Open(ctx, p.cfg, 10*clienttest.Price)
}

func (p payer) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, p.cfg, saved)
}

// use takes a session that can pay one picture, and gives it back.
func use(t *testing.T, p *purse.Purse) {
	t.Helper()
	f, err := p.Acquire(t.Context(), clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	p.Release(f, clienttest.Price, false)
}

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
				p := purse.New(payer{n.Config()}, nil, purse.Roll{}, slog.New(slog.DiscardHandler))
				ctx, cancel := context.WithCancel(t.Context())
				var run sync.WaitGroup
				run.Go(func() { p.Run(ctx) })
				use(t, p)
				pass(n)
				synctest.Wait()
				if open, settled := states(n); open != 0 || settled != 1 {
					t.Errorf("%d open, %d settled", open, settled)
				}
				cancel()
				run.Wait()
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
		p := purse.New(payer{cfg}, nil, purse.Roll{}, slog.New(slog.DiscardHandler))
		use(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.Run(ctx)
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

// TestWhatIsTakenUp: a session that an earlier run has left goes on if it may; what another instance has left is settled beside the own one.
func TestWhatIsTakenUp(t *testing.T) {
	for name, c := range map[string]struct {
		goOn     bool
		sessions int
	}{"of an earlier run": {true, 1}, "of another instance": {false, 2}} {
		t.Run(name, func(t *testing.T) {
			kept, err := apikey.OpenServing(filepath.Join(t.TempDir(), "keys.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer kept.Close()
			n := clienttest.New(t, 1)
			use(t, purse.New(payer{n.Config()}, kept, purse.Roll{}, slog.New(slog.DiscardHandler))) // and it is no more
			p := purse.New(payer{n.Config()}, kept, purse.Roll{}, slog.New(slog.DiscardHandler))
			p.Restore(t.Context(), c.goOn)
			use(t, p)
			if open, settled := states(n); open != c.sessions || settled != 0 {
				t.Errorf("%d open, %d settled, want %d open", open, settled, c.sessions)
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			p.Run(over)
			if open, settled := states(n); open != 0 || settled != c.sessions {
				t.Errorf("%d open, %d settled, want %d settled", open, settled, c.sessions)
			}
			if left, err := kept.OpenSessions(t.Context()); err != nil || len(left) != 0 {
				t.Errorf("still kept: %+v, %v", left, err)
			}
		})
	}
}

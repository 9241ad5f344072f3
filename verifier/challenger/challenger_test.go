package challenger_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verifier/challenger"
	"github.com/essaim/essaim/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const prompt = "a castle by the sea"

// court is a ledger on which miners never move.
type court struct {
	t    *testing.T
	game []byte

	mu      sync.Mutex
	settled map[essaim.SessionID]bool
	down    bool // it answers nothing
	opened  []essaim.Digest
	over    bool
	looked  chan struct{} // gets one for each look at a dispute, if somebody takes it
}

func (c *court) Session(_ context.Context, id essaim.SessionID) (essaim.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := essaim.Session{ID: id, State: essaim.SessionOpen}
	if c.settled[id] {
		s.State = essaim.SessionSettled
	}
	return s, nil
}

func (c *court) Open(_ context.Context, f essaim.ReceiptFile) (uint64, error) {
	r, err := essaim.OpenReceipt(f.Receipt)
	if err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down = !c.down; c.down {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "", "no ledger")
	}
	c.opened = append(c.opened, r.Digest())
	return uint64(len(c.opened)), nil
}

func (c *court) Opened(_ context.Context, receipt essaim.Digest) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, d := range c.opened {
		if d == receipt {
			return uint64(i + 1), nil
		}
	}
	return 0, nil
}

func (c *court) Dispute(_ context.Context, id uint64) (essaim.Dispute, error) {
	select {
	case c.looked <- struct{}{}:
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d := essaim.Dispute{ID: id, Deadline: 9, Game: c.game}
	if c.over {
		d = essaim.Dispute{ID: id, Verdict: "miner wrong", Silent: true}
	}
	return d, nil
}

func (c *court) Ask(context.Context, uint64, []byte) error {
	c.t.Error("the challenger moves, and it is the miner's turn")
	return nil
}

func (c *court) set(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
}

// fault is a receipt whose result is wrong by so many bits of its digest.
func fault(t *testing.T, e *pixel.Engine, session essaim.SessionID, wrong byte) verify.Fault {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	in := essaim.Input{Prompt: prompt, Salt: make([]byte, 16), ReplyKey: make([]byte, 32)}
	task := essaim.NewTask("essaim-test", session, 1)
	task.Kind, task.Model, task.Input, task.Seed, task.Width, task.Height = essaim.KindImage, essaim.DigestOf(pixel.Manifest()), in.Digest(), 7, 64, 64
	out, err := e.Run(t.Context(), engine.Request{Model: task.Model, Prompt: prompt, Seed: 7, Width: 64, Height: 64}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := essaim.NewReceipt(task)
	r.Miner, r.Pixels, r.Output, r.Steps = essaim.NodeKey(key.Public().(ed25519.PublicKey)), out.PixelsDigest, essaim.DigestOf(out.Data), uint32(out.Steps)
	r.Pixels[0] ^= wrong
	signed, err1 := essaim.SignReceipt(r, key)
	signedTask, err2 := essaim.SignTask(task, key)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return verify.Fault{File: essaim.ReceiptFile{Task: signedTask, Receipt: signed}, Input: in.Encode()}
}

type rig struct {
	t    *testing.T
	c    *court
	cfg  challenger.Config
	stop func()
}

// run runs a challenger on the rig's file until stop.
func (r *rig) run() *challenger.Challenger {
	r.t.Helper()
	c, err := challenger.New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	r.t.Cleanup(r.stop)
	return c
}

func (r *rig) look() {
	r.t.Helper()
	select {
	case <-r.c.looked:
	case <-time.After(time.Minute):
		r.t.Fatal("nobody looks at a dispute")
	}
}

// TestDisputes: what is wrong is disputed once its session is settled, by a ledger that does not always answer, and once
// only, though the program ends in the middle; what is right, or of another model, is not. The file holds no prompt.
func TestDisputes(t *testing.T) {
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	key, err1 := seal.GenerateKey()
	game, err2 := dispute.New(dispute.Claim{Result: quant.Hash{1}}).Encode()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	c := &court{t: t, game: game, settled: map[essaim.SessionID]bool{2: true}, looked: make(chan struct{})}
	asked := false // it is done when it is asked again
	r := &rig{t: t, c: c, cfg: challenger.Config{
		File: filepath.Join(t.TempDir(), "disputes.db"), Seal: key, Ledger: c, Poll: time.Millisecond,
		Engines: map[essaim.Digest]engine.Engine{essaim.DigestOf(pixel.Manifest()): e},
		Settle: func(_ context.Context, id essaim.SessionID) bool {
			c.set(func() { c.settled[id], asked = asked, true })
			return c.settled[id]
		},
	}}
	wrong := fault(t, e, 1, 1)
	x := r.run()
	x.Take(verify.Fault{File: wrong.File}) // its prompt is not known
	x.Take(fault(t, e, 2, 0))              // there is nothing wrong with it
	x.Take(wrong)
	r.look()
	r.stop()
	for _, name := range []string{r.cfg.File, r.cfg.File + "-wal"} {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte("castle")) {
			t.Errorf("%s holds the prompt", name)
		}
	}
	r.run()
	r.look()
	c.set(func() { c.over = true })
	r.stop()
	again := r.run() // to see what is left: a second dispute of the same receipt shows in the order
	again.Take(fault(t, e, 3, 1))
	for n := 0; n < 2; {
		r.look()
		c.set(func() { n = len(c.opened) })
	}
	r.stop()
	first, err := essaim.OpenReceipt(wrong.File.Receipt)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.opened) != 2 || c.opened[0] != first.Digest() || c.opened[1] == first.Digest() {
		t.Errorf("disputed: %v", c.opened)
	}
}

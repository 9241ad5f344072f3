package verifier_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verifier"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/rerun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	chainID = "essaim-test"
	price   = 1_000
	steps   = 4
	budgets = 99 // the session that pays for reruns
)

var model = essaim.DigestOf([]byte("a model"))

// draw is the model: a picture of what was asked.
func draw(prompt string, seed uint64) *image.NRGBA {
	d := essaim.DigestOf(binary.BigEndian.AppendUint64([]byte(prompt), seed))
	m := image.NewNRGBA(image.Rect(0, 0, 16, 16))
	for i := range 256 {
		c := d[(i/64*4+i%16/4)%32] &^ 1 // even, so that one more is never too much
		m.SetNRGBA(i%16, i/16, color.NRGBA{c, c ^ 0x80, c, 255})
	}
	return m
}

func encode(m image.Image) essaim.Output {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return essaim.Output{MediaType: "image/png", Data: b.Bytes()}
}

// Ways to answer.
func honest(prompt string, seed uint64) image.Image { return draw(prompt, seed) }
func lazy(string, uint64) image.Image               { return draw("whatever", 0) }
func odd(prompt string, seed uint64) image.Image {
	m := draw(prompt, seed)
	m.Pix[0]++
	return m
}

// unless cheats with users' pictures, and not with what looks like anything else.
func unless(honestly func(prompt string) bool) func(string, uint64) image.Image {
	return func(prompt string, seed uint64) image.Image {
		if honestly(prompt) {
			return draw(prompt, seed)
		}
		return draw("whatever", seed)
	}
}

// Again runs the model on the verifier's own machine.
type here struct{ exact bool }

func (h here) Again(_ context.Context, c verify.Case) (verify.Again, error) {
	return verify.Again{Output: encode(draw(c.Input.Prompt, c.Task.Seed)), Steps: steps, Trace: traceOf(draw(c.Input.Prompt, c.Task.Seed)), Exact: h.exact}, nil
}

func traceOf(m image.Image) essaim.Digest {
	d := verify.PixelsDigest(m)
	return essaim.DigestOf(d[:])
}

// miner is one that can be asked.
type miner struct {
	key   ed25519.PrivateKey
	seal  *seal.PrivateKey
	actor essaim.Actor
	way   func(prompt string, seed uint64) image.Image
	hangs bool // it answers budgets when it is too late
	asked int  // guarded by network.mu
}

// network is ledger, budget and miners.
type network struct {
	t      *testing.T
	mu     sync.Mutex
	height int64
	miners []*miner
	seq    uint64
	down   bool // the ledger does not say its height
	faults []verify.Fault
	opened []essaim.NodeKey // who has opened an input
}

func newNetwork(t *testing.T, ways ...func(string, uint64) image.Image) *network {
	n := &network{t: t, height: 10}
	for i, way := range ways {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s, err := seal.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		n.miners = append(n.miners, &miner{key: key, seal: s, way: way, actor: essaim.Actor{
			Role: essaim.RoleMiner, NodeKey: essaim.NodeKeyOf(key), Owner: essaim.Address{byte(i + 1)}, HPKEKey: s.PublicKey(),
			Offers: []essaim.Offer{{Model: model, UnitPrice: price}}, Stake: 1_000,
		}})
	}
	return n
}

// now is the height that was told last.
func (n *network) now() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.height
}

func (n *network) Height(context.Context) (int64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return 0, essaim.Errorf(essaim.CodeUnavailable, "", "no ledger")
	}
	n.height++
	return n.height, nil
}

func (n *network) BeaconAt(_ context.Context, h int64) (essaim.Digest, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h > n.height || h == 0 {
		n.t.Errorf("the beacon of height %d was asked for at %d", h, n.height)
	}
	return beacon(h), nil
}

func beacon(h int64) essaim.Digest {
	return essaim.DigestOf(binary.BigEndian.AppendUint64([]byte("beacon"), uint64(h)))
}

func (n *network) MinersAt(_ context.Context, _ int64) (out []essaim.Actor, _ error) {
	for _, m := range n.miners {
		out = append(out, m.actor)
	}
	return out, nil
}

func (n *network) Actor(_ context.Context, k essaim.NodeKey) (essaim.Actor, error) {
	for _, m := range n.miners {
		if m.actor.NodeKey == k {
			return m.actor, nil
		}
	}
	return essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: k, Owner: essaim.Address{200}}, nil
}

func (n *network) Own(id essaim.SessionID) bool { return id == budgets }

func (n *network) Rerun(ctx context.Context, r verifier.Rerun) (verifier.Rerunning, error) {
	i := slices.IndexFunc(n.miners, func(m *miner) bool { return m.actor.NodeKey == r.By.NodeKey })
	if n.miners[i].hangs {
		<-ctx.Done()
		return verifier.Rerunning{}, ctx.Err()
	}
	t := essaim.NewTask(chainID, budgets, 0)
	t.Kind, t.Model, t.Input, t.Seed, t.Width, t.Height, t.Steps, t.MaxPrice = r.Task.Kind, r.Task.Model, r.Task.Input, r.Task.Seed, r.Task.Width, r.Task.Height, r.Task.Steps, r.Price
	return n.run(n.miners[i], t, r.Input)
}

// run is a task on a miner.
func (n *network) run(m *miner, t essaim.Task, sealed []byte) (out verifier.Rerunning, _ error) {
	plain, err := m.seal.Open(sealed, t.Input[:])
	if err != nil {
		return out, err
	}
	in, err := essaim.DecodeInput(plain)
	if err != nil {
		return out, err
	}
	n.mu.Lock()
	n.seq++
	t.Seq = n.seq
	m.asked++
	n.opened = append(n.opened, m.actor.NodeKey)
	n.mu.Unlock()
	if m.way == nil {
		return out, essaim.Errorf(essaim.CodeUnavailable, "", "it does not answer")
	}
	picture := m.way(in.Prompt, t.Seed)
	output := encode(picture)
	r := essaim.NewReceipt(t)
	r.Miner, r.Width, r.Height, r.Steps, r.Attempt, r.Units, r.Price = m.actor.NodeKey, 16, 16, steps, 1, 1, price
	r.Output, r.MediaType, r.Size, r.Pixels, r.Trace = essaim.DigestOf(output.Data), output.MediaType, uint64(len(output.Data)), verify.PixelsDigest(picture), traceOf(picture)
	digest := t.Digest()
	if out.Sealed, err = seal.Seal(output.Encode(), digest[:], in.ReplyKey); err != nil {
		return out, err
	}
	r.Sealed = essaim.DigestOf(out.Sealed)
	out.Receipt = r
	if out.File.Receipt, err = essaim.SignReceipt(r, m.key); err != nil {
		return out, err
	}
	out.File.Task, err = essaim.SignTask(t, m.key)
	return out, err
}

// role is a verifier that runs.
type role struct {
	*verifier.Verifier
	n    *network
	t    *testing.T
	seal *seal.PrivateKey
	book string
	kept *mem.Store
}

func (n *network) verifier(change func(*verifier.Config)) *role {
	n.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := seal.GenerateKey()
	if err != nil {
		n.t.Fatal(err)
	}
	r := &role{n: n, t: n.t, seal: s, book: filepath.Join(n.t.TempDir(), "book.db"), kept: mem.New()}
	cfg := verifier.Config{
		Key: key, Seal: s, ChainID: chainID, Ledger: n, Budget: n, Book: r.book, Exact: func(essaim.Digest) bool { return true },
		Known: rerun.Method{Runner: here{true}}, Evidence: r.kept, Canaries: 1, Patience: 50 * time.Millisecond, Poll: time.Millisecond,
		Fault: func(f verify.Fault) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.faults = append(n.faults, f)
		},
	}
	if change != nil {
		change(&cfg)
	}
	if r.Verifier, err = verifier.New(cfg); err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	n.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			n.t.Error(err)
		}
	})
	<-r.Ready()
	return r
}

// order is a user's task, sealed to some miners, and done by the first.
type order struct {
	prompt  string
	to      []int
	consent bool
	verify  string
	session essaim.SessionID
}

const secret = "a secret castle by the sea"

func (r *role) deliver(o order) verify.Work {
	r.t.Helper()
	reply, err := seal.GenerateKey()
	if err != nil {
		r.t.Fatal(err)
	}
	in := essaim.Input{Prompt: o.prompt, Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
	rand.Read(in.Salt)
	return r.deliverInput(o, in, o.to[0])
}

func (r *role) deliverInput(o order, in essaim.Input, by int) verify.Work {
	r.t.Helper()
	t := essaim.NewTask(chainID, max(o.session, 1), 0)
	t.Kind, t.Model, t.Input, t.Seed, t.MaxPrice, t.Verify = essaim.KindImage, model, in.Digest(), 7, price, o.verify
	var keys [][]byte
	for _, i := range o.to {
		keys = append(keys, r.n.miners[i].actor.HPKEKey)
	}
	sealed, err := seal.Seal(in.Encode(), t.Input[:], keys...)
	if err != nil {
		r.t.Fatal(err)
	}
	w := verify.Work{Input: sealed}
	if o.consent {
		if w.Consent, err = seal.Seal(in.Encode(), t.Input[:], r.seal.PublicKey()); err != nil {
			r.t.Fatal(err)
		}
	}
	out, err := r.n.run(r.n.miners[by], t, sealed)
	if err != nil {
		r.t.Fatal(err)
	}
	w.Receipt, w.File = out.Receipt, out.File
	if w.Task, _, err = essaim.OpenTask(out.File.Task); err != nil {
		r.t.Fatal(err)
	}
	r.Finished(w)
	return w
}

// ended waits for an audit's end.
func (r *role) ended(w verify.Work) essaim.Checked {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		c, err := r.Checked(r.t.Context(), w.Receipt.Task)
		if err == nil && (c.State == essaim.AuditDone || c.State == essaim.AuditNone || c.State == essaim.AuditPassed) {
			return c
		}
	}
	r.t.Fatal("the audit does not end")
	return essaim.Checked{}
}

func (n *network) faultsOf(i int) (out []verify.Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.faults {
		if r, err := essaim.OpenReceipt(f.File.Receipt); err == nil && r.Miner == n.miners[i].actor.NodeKey {
			out = append(out, f)
		}
	}
	return out
}

func (n *network) key(i int) essaim.NodeKey { return n.miners[i].actor.NodeKey }

// verdict reads a check's verdict and examines it.
func (r *role) verdict(w verify.Work, c essaim.Check) (essaim.Verdict, essaim.Receipt) {
	r.t.Helper()
	v, again, err := verify.Examine(w.Receipt, c)
	if err != nil {
		r.t.Fatal(err)
	}
	return v, again
}

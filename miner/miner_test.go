package miner_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	chainID  = "essaim-test"
	price    = essaim.Amount(500)
	patience = 20 * time.Second
	prompt   = "zanzibar-marker-prompt"
)

var model = essaim.DigestOf([]byte("model"))

// fake is an engine of two steps.
type fake struct {
	kind essaim.Kind // of its model; "": a picture's
	err  error
	hold func(context.Context) // called before the second step
}

func (*fake) Name() string { return "fake" }

func (f *fake) Models(context.Context) ([]engine.Model, error) {
	return []engine.Model{{Digest: model, Name: "fake", Kind: cmp.Or(f.kind, essaim.KindImage), Sizes: []engine.Size{{Width: 8, Height: 8}}, MinSteps: 1, MaxSteps: 4, Steps: 2}}, nil
}

func (f *fake) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	progress(engine.Progress{Step: 1, Steps: 2})
	if f.hold != nil {
		f.hold(ctx)
	}
	if err := errors.Join(f.err, ctx.Err()); err != nil {
		return engine.Result{}, err
	}
	progress(engine.Progress{Step: 2, Steps: 2})
	data := []byte("picture of " + r.Prompt)
	return engine.Result{MediaType: "image/png", Data: data, PixelsDigest: essaim.DigestOf(data), Steps: 2, Units: 7}, nil
}

// desk is a coordinator made by hand, with one miner.
type desk struct {
	t     *testing.T
	key   ed25519.PrivateKey
	host  *transport.Host
	conns chan *transport.Conn // of miners that were welcomed

	mu     sync.Mutex
	claims [][]byte // receipts claimed with beats
	silent bool     // claims are not answered; guarded by mu
	unsure int      // so many claims are answered with "later"; guarded by mu
	// vouchers are passed on with the next answer; guarded by mu.
	vouchers [][]byte

	sums     sync.Mutex                      // guards the two below
	promised map[essaim.Digest]essaim.Amount // by receipt: what the first acknowledgement came to in all
	total    essaim.Amount                   // of all of them

	payer ed25519.PrivateKey
	reply *seal.PrivateKey
	hpke  *seal.PrivateKey // the miner's
	cfg   miner.Config
	logs  *lines
	stop  func()
	m     *miner.Miner
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *lines) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newSeal(t *testing.T) *seal.PrivateKey {
	t.Helper()
	k, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newDesk(t *testing.T, e engine.Engine, change func(*miner.Config)) *desk {
	d := &desk{t: t, key: newKey(t), conns: make(chan *transport.Conn, 4), payer: newKey(t), reply: newSeal(t), hpke: newSeal(t), logs: new(lines)}
	d.listen("/ip4/127.0.0.1/tcp/0")
	d.cfg = miner.Config{
		Key: newKey(t), Seal: d.hpke, ChainID: chainID, Coordinators: []string{d.host.Addrs()[0]}, Engines: []engine.Engine{e},
		Offers: []essaim.Offer{{Model: model, UnitPrice: price}}, Receipts: filepath.Join(t.TempDir(), "r.db"),
		Beat: 20 * time.Millisecond, MinBackoff: 5 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(d.logs, nil)),
	}
	if change != nil {
		change(&d.cfg)
	}
	d.mine()
	return d
}

func (d *desk) listen(addr string) {
	var err error
	if d.host, err = transport.New(transport.Config{Key: d.key, Listen: []string{addr}}); err != nil {
		d.t.Fatal(err)
	}
	host := d.host
	d.t.Cleanup(func() { host.Close() })
	host.Handle(transport.ProtocolControl, func(_ context.Context, s *transport.Stream) {
		var h transport.Hello
		if s.Receive(&h, patience) != nil || s.Send(transport.Welcome{ChainID: chainID}) != nil {
			return
		}
		d.conns <- s.Conn()
		for {
			var in transport.FromMiner
			if s.Receive(&in, 0) != nil || s.Send(d.answer(in.Claim)) != nil {
				return
			}
		}
	})
}

func (d *desk) answer(claim []byte) (out transport.FromCoordinator) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out.Vouchers, d.vouchers = d.vouchers, nil
	if claim == nil {
		return out
	}
	d.claims = append(d.claims, claim)
	switch {
	case d.silent:
	case d.unsure >= len(d.claims):
		out.Claim = &transport.Acked{Refusal: &transport.Refusal{Code: essaim.CodeUnavailable, Reason: "another instance has the session"}}
	default:
		out.Claim = d.ack(claim, nil)
	}
	return out
}

// ack acknowledges a receipt, after the test has spoiled it.
func (d *desk) ack(signed []byte, spoil func(*essaim.Ack)) *transport.Acked {
	r, err := essaim.OpenReceipt(signed)
	if err != nil {
		d.t.Error(err)
	}
	d.sums.Lock()
	defer d.sums.Unlock()
	if d.promised == nil {
		d.promised = map[essaim.Digest]essaim.Amount{}
	}
	if _, again := d.promised[r.Digest()]; !again {
		d.total += r.Price
		d.promised[r.Digest()] = d.total
	}
	a := essaim.Ack{
		ChainID: chainID, Receipt: r.Digest(), Session: r.Session, Price: r.Price, Miner: r.Miner, Model: r.Model,
		Total: d.total, Deadline: 100,
	}
	if spoil != nil {
		spoil(&a)
	}
	b, err := essaim.SignAck(a, d.key)
	if err != nil {
		d.t.Error(err)
	}
	return &transport.Acked{Ack: b}
}

func (d *desk) mine() {
	m, err := miner.New(d.cfg)
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.Run(ctx); err != nil {
			d.t.Errorf("Run: %v", err)
		}
	}()
	d.m, d.stop = m, func() { cancel(); <-done }
	d.t.Cleanup(d.stop)
}

func (d *desk) conn() *transport.Conn {
	d.t.Helper()
	select {
	case c := <-d.conns:
		return c
	case <-time.After(patience):
		d.t.Fatal("the miner did not come")
		return nil
	}
}

func (d *desk) eventually(what string, ok func() bool) {
	d.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			d.t.Fatalf("did not happen: %s\n%s", what, d.logs)
		}
	}
}

// offer makes a right offer, after the test has spoiled it.
func (d *desk) offer(seq uint64, spoil func(*essaim.Task, *essaim.Input, *transport.Offer)) (transport.Offer, essaim.Task) {
	d.t.Helper()
	in := essaim.Input{Prompt: prompt, Salt: make([]byte, 16), ReplyKey: d.reply.PublicKey()}
	task := essaim.NewTask(chainID, 3, seq)
	task.Kind, task.Model, task.MaxPrice, task.Seed = essaim.KindImage, model, 2*price, 5
	o := transport.Offer{Attempt: 1, UnitPrice: price, Deadline: time.Now().Add(time.Minute).UnixMilli()}
	if spoil != nil {
		spoil(&task, &in, &o)
	}
	if task.Input.IsZero() {
		task.Input = in.Digest()
	}
	var err error
	if o.Task == nil {
		if o.Task, err = essaim.SignTask(task, d.payer); err != nil {
			d.t.Fatal(err)
		}
	}
	if o.Input == nil {
		if o.Input, err = seal.Seal(in.Encode(), task.Input[:], d.hpke.PublicKey()); err != nil {
			d.t.Fatal(err)
		}
	}
	return o, task
}

// send makes an offer on a stream of its own.
func (d *desk) send(c *transport.Conn, o transport.Offer) *transport.Stream {
	d.t.Helper()
	s, err := c.Open(d.t.Context(), transport.ProtocolTask)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := s.Send(o); err != nil {
		d.t.Fatal(err)
	}
	return s
}

// end reads reports until the last one; steps are those on the way.
func (d *desk) end(s *transport.Stream) (last transport.Report, steps []uint32) {
	d.t.Helper()
	for {
		var r transport.Report
		if err := s.Receive(&r, patience); err != nil {
			d.t.Fatalf("report: %v\n%s", err, d.logs)
		}
		if r.Update == nil {
			return r, steps
		}
		if r.Update.Step > 0 { // one that has begun says so if it takes a while
			steps = append(steps, r.Update.Step)
		}
	}
}

func TestAttempt(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	o, task := d.offer(1, nil)
	s := d.send(d.conn(), o)
	last, steps := d.end(s)
	if last.Result == nil {
		t.Fatalf("failure %+v", last.Failure)
	}
	if len(steps) != 2 || steps[0] != 1 || steps[1] != 2 {
		t.Errorf("steps %v, want 1 2", steps)
	}
	r, err := essaim.OpenReceipt(last.Result.Receipt)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Binds(task); err != nil || r.Miner != essaim.NodeKeyOf(d.cfg.Key) || r.Coordinator != d.host.Key() ||
		r.Price != price || r.Units != 1 || r.Width != 8 || r.Steps != 2 || r.Engine != "fake" {
		t.Errorf("receipt %+v: %v", r, err)
	}
	digest := task.Digest()
	plain, err := d.reply.Open(last.Result.Sealed, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	if out, err := essaim.DecodeOutput(plain); err != nil || essaim.DigestOf(out.Data) != r.Output || uint64(len(out.Data)) != r.Size {
		t.Errorf("output %+v: %v", out, err)
	}
	if err := s.Send(d.ack(last.Result.Receipt, nil)); err != nil {
		t.Fatal(err)
	}
	d.eventually("the receipt is acknowledged", func() bool { return d.m.Stats().Acked == 1 && d.m.Stats().Earned == price })
}

func TestOffersThatAreNotTaken(t *testing.T) {
	type spoil = func(*essaim.Task, *essaim.Input, *transport.Offer)
	other := newSeal(t)
	cases := []struct {
		name  string
		spoil spoil
		want  transport.FailureKind
	}{
		{"below its price", func(_ *essaim.Task, _ *essaim.Input, o *transport.Offer) { o.UnitPrice = price - 1 }, transport.FailEngine},
		{"above the payer's maximum", func(_ *essaim.Task, _ *essaim.Input, o *transport.Offer) { o.UnitPrice = 3 * price }, transport.FailEngine},
		{"another chain", func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.ChainID = "x" }, transport.FailEngine},
		{"another model", func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.Model[0]++ }, transport.FailEngine},
		{"deadline passed", func(_ *essaim.Task, _ *essaim.Input, o *transport.Offer) { o.Deadline = 1 }, transport.FailEngine},
		{"unsigned", func(_ *essaim.Task, _ *essaim.Input, o *transport.Offer) { o.Task = []byte("x") }, transport.FailEngine},
		{"sealed to another", func(k *essaim.Task, in *essaim.Input, o *transport.Offer) {
			k.Input = in.Digest()
			o.Input, _ = seal.Seal(in.Encode(), k.Input[:], other.PublicKey())
		}, transport.FailUnsealed},
		{"another input than signed", func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.Input = essaim.DigestOf([]byte("x")) }, transport.FailRefused},
		{"empty prompt", func(_ *essaim.Task, in *essaim.Input, _ *transport.Offer) { in.Prompt = "" }, transport.FailRefused},
		{"no reply key", func(_ *essaim.Task, in *essaim.Input, _ *transport.Offer) { in.ReplyKey = []byte("x") }, transport.FailRefused},
		{"a size it does not draw", func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.Width, k.Height = 9, 9 }, transport.FailRefused},
		{"too many steps", func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.Steps = 99 }, transport.FailRefused},
		{"what it does not want", func(_ *essaim.Task, in *essaim.Input, _ *transport.Offer) { in.Prompt = "a ROTTEN quince" }, transport.FailDeclined},
		{"a picture to begin with", func(_ *essaim.Task, in *essaim.Input, _ *transport.Offer) { in.Init, in.Strength = []byte("x"), 500 }, transport.FailRefused},
	}
	no, err := censor.Parse("rotten quince")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Declines = no })
	c := d.conn()
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			o, _ := d.offer(uint64(i+1), tc.spoil)
			last, steps := d.end(d.send(c, o))
			if last.Failure == nil || last.Failure.Kind != tc.want || len(steps) != 0 {
				t.Fatalf("report %+v after steps %v, want %s at once", last.Failure, steps, tc.want)
			}
			if f := last.Failure.Refusal; f.Reason == "" || strings.Contains(f.Reason, prompt) || strings.Contains(f.Reason, "quince") {
				t.Errorf("reason %q", f.Reason)
			}
		})
	}
}

// TestKindOfTheModel: a task for one sort of work that names a model for another is
// refused for good, whatever the engine would have made of it.
func TestKindOfTheModel(t *testing.T) {
	for _, c := range []struct{ task, model essaim.Kind }{
		{essaim.KindEmbed, essaim.KindImage},
		{essaim.KindImage, essaim.KindEmbed},
	} {
		d := newDesk(t, &fake{kind: c.model}, nil)
		o, _ := d.offer(1, func(k *essaim.Task, _ *essaim.Input, _ *transport.Offer) { k.Kind = c.task })
		last, steps := d.end(d.send(d.conn(), o))
		if last.Failure == nil || last.Failure.Kind != transport.FailRefused || len(steps) != 0 {
			t.Fatalf("%s task for a model of kind %s: report %+v after steps %v, want a refusal", c.task, c.model, last.Failure, steps)
		}
		r := last.Failure.Refusal
		if r.Code != essaim.CodeBadInput || !strings.Contains(r.Reason, string(c.task)) || !strings.Contains(r.Reason, string(c.model)) {
			t.Errorf("refusal %+v does not say what differs", r)
		}
	}
}

func TestEngineErrors(t *testing.T) {
	cases := []struct {
		name string
		err  error
		want transport.FailureKind
	}{
		{"bad request", errors.Join(engine.ErrBadRequest, errors.New(prompt)), transport.FailRefused},
		{"no model", engine.ErrNoModel, transport.FailEngine},
		{"own fault", errors.New("cannot draw " + prompt), transport.FailEngine},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			d := newDesk(t, &fake{err: tc.err}, nil)
			o, _ := d.offer(1, nil)
			last, _ := d.end(d.send(d.conn(), o))
			if last.Failure == nil || last.Failure.Kind != tc.want || strings.Contains(last.Failure.Refusal.Reason, prompt) {
				t.Errorf("report %+v, want %s", last.Failure, tc.want)
			}
			if strings.Contains(d.logs.String(), prompt) {
				t.Error("the log holds the prompt")
			}
		})
	}
}

func TestNoMoreThanItsCapacity(t *testing.T) {
	gate := make(chan struct{})
	d := newDesk(t, &fake{hold: func(ctx context.Context) {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}}, nil)
	c := d.conn()
	first, _ := d.offer(1, nil)
	running := d.send(c, first)
	d.eventually("the first attempt runs", func() bool { return d.m.Stats().Running == 1 })
	second, _ := d.offer(2, nil)
	if last, _ := d.end(d.send(c, second)); last.Failure == nil || last.Failure.Kind != transport.FailBusy {
		t.Errorf("report %+v, want busy", last)
	}
	close(gate)
	if last, _ := d.end(running); last.Result == nil {
		t.Errorf("report %+v, want a result", last)
	}
}

func TestWithdrawnOfferStopsTheEngine(t *testing.T) {
	stopped := make(chan struct{})
	d := newDesk(t, &fake{hold: func(ctx context.Context) { <-ctx.Done(); close(stopped) }}, nil)
	o, _ := d.offer(1, nil)
	s := d.send(d.conn(), o)
	d.eventually("the attempt runs", func() bool { return d.m.Stats().Running == 1 })
	_ = s.Reset()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the engine goes on")
	}
	d.eventually("the place is free", func() bool { return d.m.Stats().Running == 0 })
}

func TestStopAbortsWithinTheGrace(t *testing.T) {
	d := newDesk(t, &fake{hold: func(ctx context.Context) { <-ctx.Done() }}, func(c *miner.Config) { c.Grace = 50 * time.Millisecond })
	o, _ := d.offer(1, nil)
	d.send(d.conn(), o)
	d.eventually("the attempt runs", func() bool { return d.m.Stats().Running == 1 })
	d.stop() // or the engine holds it for ever
}

func TestUnacknowledgedReceiptsAreKeptAndClaimed(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	c := d.conn()
	o, _ := d.offer(1, nil)
	s := d.send(c, o)
	last, _ := d.end(s)
	if last.Result == nil {
		t.Fatalf("failure %+v", last.Failure)
	}
	// Both ends go before the answer.
	d.stop()
	addr, _, _ := strings.Cut(d.cfg.Coordinators[0], "/p2p/")
	d.host.Close()
	d.listen(addr)
	d.mine()
	d.conn()
	d.eventually("the receipt is claimed and acknowledged", func() bool { return d.m.Stats().Acked == 1 })
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.claims) != 1 || !bytes.Equal(d.claims[0], last.Result.Receipt) {
		t.Errorf("%d claims", len(d.claims))
	}
}

func TestACoordinatorThatOwesTooMuchIsNotServed(t *testing.T) {
	const most = 2
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.MaxUnacked = most })
	d.silent = true
	c := d.conn()
	for seq := range uint64(most) {
		o, _ := d.offer(seq+1, nil)
		s := d.send(c, o)
		if last, _ := d.end(s); last.Result == nil {
			t.Fatalf("attempt %d: %+v", seq+1, last.Failure)
		}
		_ = s.Reset()
	}
	var last transport.Report
	for seq := range uint64(3) { // until the miner knows that the last streams are gone
		o, _ := d.offer(seq+90, nil)
		s := d.send(c, o)
		if last, _ = d.end(s); last.Failure != nil {
			break
		}
		_ = s.Reset()
	}
	if last.Failure == nil || last.Failure.Kind != transport.FailBusy || !strings.Contains(last.Failure.Refusal.Reason, "unacknowledged") {
		t.Errorf("report %+v, want busy because of unacknowledged receipts", last)
	}
}

// TestTheMostThatAMinerLoses: a coordinator that neither acknowledges nor hangs up gets the
// work of so many tasks, and none more.
func TestTheMostThatAMinerLoses(t *testing.T) {
	const most = 2
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.MaxUnacked = most })
	d.silent = true
	c := d.conn()
	done := 0
	for seq := range uint64(20) {
		o, _ := d.offer(seq+1, nil)
		if last, _ := d.end(d.send(c, o)); last.Result != nil {
			done++
		}
	}
	if done != most+2 { // two wait for their answer, as the one place of this miner allows
		t.Errorf("%d tasks were done for nothing, at most %d may be", done, most+2)
	}
}

func TestPaceSlowsWhatIsTold(t *testing.T) {
	const pace = 60 * time.Millisecond
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Pace = pace })
	o, _ := d.offer(1, nil)
	began := time.Now()
	last, steps := d.end(d.send(d.conn(), o))
	if last.Result == nil || len(steps) != 2 || time.Since(began) < 3*pace {
		t.Errorf("steps %v after %v", steps, time.Since(began))
	}
}

func TestPromptIsNotKept(t *testing.T) {
	d := newDesk(t, &fake{}, nil)
	o, _ := d.offer(1, nil)
	if last, _ := d.end(d.send(d.conn(), o)); last.Result == nil {
		t.Fatalf("failure %+v", last.Failure)
	}
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(d.cfg.Receipts + suffix)
		if err != nil || bytes.Contains(b, []byte(prompt)) {
			t.Errorf("%s%s: %v, or it holds the prompt", d.cfg.Receipts, suffix, err)
		}
	}
	if strings.Contains(d.logs.String(), prompt) {
		t.Error("the log holds the prompt")
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	if _, err := miner.New(miner.Config{}); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("New of nothing: %v", err)
	}
}

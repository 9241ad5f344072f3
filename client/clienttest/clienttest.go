// Package clienttest is a network in memory for tests: a ledger, a coordinator and
// miners that really seal, open and sign, and draw a picture that depends on the
// prompt and the seed. Its hooks make them lie, so that a test sees who notices.
//
// It must not be imported by anything but tests. A Network is safe for concurrent
// use; set its hooks before using it.
package clienttest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/standing"
)

// ChainID is the network's chain.
const ChainID = "essaim-test-1"

// Price is what the miners ask for a picture.
const Price essaim.Amount = 2500

// Side is the width and height of the pictures, in pixels.
const Side = 32

// Network is ledger, coordinator and miners in one. It is a client.Coordinator and a
// client.Ledger.
type Network struct {
	// Hooks, nil for an honest network. They are called without locks held.
	OnQuote    func(*essaim.Quote)                 // before it is answered
	OnSubmit   func(n int) error                   // before the n-th submission (from 1) is looked at
	OnReceipt  func(*essaim.Receipt)               // before it is signed
	OnOutput   func(*essaim.Output)                // after the receipt was made, before it is sealed
	OnDelivery func(*essaim.Delivery)              // before it is answered
	OnClose    func(*essaim.Settled)               // before it is answered
	OnProgress func(context.Context, func(string)) // between two steps; may send notes
	OnInput    func(essaim.Input)                  // when a miner has opened it
	OnPart     func(*essaim.Progress) bool         // before a part of a text is told; true: it is lost

	WordTime time.Duration // of a text, each
	Model    essaim.ModelInfo

	key    ed25519.PrivateKey
	miners []*miner

	mu       sync.Mutex
	height   int64
	submits  int
	opened   int
	sessions map[essaim.SessionID]*escrow
	records  map[essaim.Digest]*record
	running  map[essaim.Digest]*run
}

type miner struct {
	node ed25519.PrivateKey
	hpke *seal.PrivateKey
}

type escrow struct {
	essaim.Session
	sum      essaim.Amount
	count    uint64
	vouchers []essaim.Voucher // as they came
}

type record struct {
	task     essaim.Task
	delivery essaim.Delivery
	price    essaim.Amount
}

var (
	_ client.Coordinator = (*Network)(nil)
	_ client.Ledger      = (*Network)(nil)
	_ client.Waiting     = (*Network)(nil)
)

// New returns an honest network with some miners.
func New(t testing.TB, miners int) *Network {
	t.Helper()
	n := &Network{
		key: newKey(t), height: 100,
		sessions: make(map[essaim.SessionID]*escrow), records: make(map[essaim.Digest]*record), running: make(map[essaim.Digest]*run),
		Model: essaim.ModelInfo{
			Digest: essaim.DigestOf([]byte("manifest")), Name: "pixel-test", Kind: essaim.KindImage, Engine: "test", Exact: true,
			Sizes: []string{fmt.Sprintf("%dx%d", Side, Side)}, MinSteps: 1, MaxSteps: 8, Steps: 2, UnitPrice: Price, Miners: miners,
		},
	}
	for range miners {
		k, err := seal.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		n.miners = append(n.miners, &miner{node: newKey(t), hpke: k})
	}
	return n
}

func newKey(t testing.TB) ed25519.PrivateKey {
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Config is a client's configuration for this network.
func (n *Network) Config() client.Config {
	return client.Config{Coordinator: n, Ledger: n, ChainID: ChainID}
}

// Open opens a session.
func (n *Network) Open(t testing.TB, deposit essaim.Amount) *client.Session {
	t.Helper()
	s, err := client.Open(t.Context(), n.Config(), deposit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Advance commits empty blocks.
func (n *Network) Advance(blocks int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.height += blocks
}

// Submits is how many submissions have come in.
func (n *Network) Submits() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.submits
}

// Sessions returns the ledger's sessions in the order of their IDs.
func (n *Network) Sessions() []essaim.Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []essaim.Session
	for id := range n.opened {
		out = append(out, n.sessions[essaim.SessionID(id+1)].Session)
	}
	return out
}

// Info is client.Coordinator's.
func (n *Network) Info(ctx context.Context) (essaim.CoordinatorInfo, error) {
	return essaim.CoordinatorInfo{
		ChainID: ChainID, Coordinator: essaim.NodeKeyOf(n.key), Models: append([]essaim.ModelInfo{n.Model}, n.Texts()...),
		Miners: len(n.miners), Version: "test", MinDeposit: 1000, ExpiryAhead: 100,
	}, ctx.Err()
}

// Quote is client.Coordinator's.
func (n *Network) Quote(ctx context.Context, q essaim.QuoteRequest) (essaim.Quote, error) {
	price, ok := n.price(q.Model, q.Units)
	if !ok {
		return essaim.Quote{}, essaim.Errorf(essaim.CodeUnavailable, "try later", "no miner offers model %s now", q.Model.Short())
	}
	out := essaim.Quote{Model: q.Model, MaxPrice: price, Expires: time.Now().Add(time.Minute).UnixMilli()}
	for _, m := range n.miners {
		out.Candidates = append(out.Candidates, essaim.Candidate{Miner: essaim.NodeKeyOf(m.node), HPKEKey: m.hpke.PublicKey(), Price: price})
	}
	if n.OnQuote != nil {
		n.OnQuote(&out)
	}
	return out, ctx.Err()
}

// Submit is client.Coordinator's.
func (n *Network) Submit(ctx context.Context, s essaim.Submission, progress func(essaim.Progress)) (essaim.Delivery, error) {
	n.mu.Lock()
	n.submits++
	count := n.submits
	n.mu.Unlock()
	if n.OnSubmit != nil {
		if err := n.OnSubmit(count); err != nil {
			return essaim.Delivery{}, err
		}
	}
	t, signer, err := essaim.OpenTask(s.Task)
	if err != nil {
		return essaim.Delivery{}, err
	}
	done, err := n.admit(t, signer)
	if err != nil || done != nil {
		return deref(done), err
	}
	if err := n.take(s.Voucher); err != nil {
		return essaim.Delivery{}, err
	}
	m := n.miners[count%len(n.miners)]
	ctx, end := n.begin(ctx, t)
	defer end()
	r, out, err := n.draw(ctx, m, t, s.Input, progress)
	if err != nil {
		if errors.Is(context.Cause(ctx), standing.ErrCancelled) {
			err = standing.ErrCancelled
		}
		return essaim.Delivery{}, err
	}
	return n.deliver(m, t, r, out, s.Input)
}

// admit checks a task against its session, and finds it if it was delivered before.
func (n *Network) admit(t essaim.Task, signer essaim.NodeKey) (*essaim.Delivery, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r, ok := n.records[t.Digest()]; ok {
		return &r.delivery, nil
	}
	e, ok := n.sessions[t.Session]
	switch {
	case !ok || signer != e.SessionKey || t.ChainID != ChainID:
		return nil, essaim.Errorf(essaim.CodeRefused, "", "the task is not by the session's key")
	case e.State != essaim.SessionOpen || n.height >= e.Expiry:
		return nil, essaim.Errorf(essaim.CodeConflict, "open a new session", "session %s is over", e.ID)
	case e.sum+t.MaxPrice > e.Deposit:
		return nil, essaim.Errorf(essaim.CodeInsufficient, "open a new session", "session %s is spent", e.ID)
	}
	for _, r := range n.records {
		if r.task.Session == t.Session && r.task.Seq == t.Seq {
			return nil, essaim.Errorf(essaim.CodeConflict, "", "sequence number %d is used", t.Seq)
		}
	}
	return nil, nil
}

// draw is the miner's part: open the input, draw, sign.
func (n *Network) draw(ctx context.Context, m *miner, t essaim.Task, sealed []byte, progress func(essaim.Progress)) (essaim.Receipt, essaim.Output, error) {
	plain, err := m.hpke.Open(sealed, t.Input[:])
	if err != nil {
		return essaim.Receipt{}, essaim.Output{}, err
	}
	in, err := essaim.DecodeInput(plain)
	if err != nil || in.Digest() != t.Input {
		return essaim.Receipt{}, essaim.Output{}, essaim.Errorf(essaim.CodeRefused, "", "the input is not the task's: %v", err)
	}
	if n.OnInput != nil {
		n.OnInput(in)
	}
	if t.Kind != essaim.KindImage {
		return n.write(ctx, m, t, in, progress)
	}
	for step := 1; step <= 2; step++ {
		p := essaim.Progress{Task: t.Digest(), State: essaim.TaskAssigned, Attempt: 1, Miner: essaim.NodeKeyOf(m.node), Step: step, Steps: 2}
		if step == 1 && in.Previews > 0 {
			parts, err := seal.NewParts(t.PreviewInfo(1, 1), in.ReplyKey)
			if err == nil {
				p.Part, err = parts.Seal(string(Preview(in.Prompt, t.Seed)))
			}
			if err != nil {
				return essaim.Receipt{}, essaim.Output{}, err
			}
		}
		if progress != nil && (n.OnPart == nil || p.Part == nil || !n.OnPart(&p)) {
			progress(p)
		}
		p.Part = nil
		if n.OnProgress != nil {
			n.OnProgress(ctx, func(note string) {
				if p.Note = note; progress != nil {
					progress(p)
				}
			})
		}
		if err := ctx.Err(); err != nil {
			return essaim.Receipt{}, essaim.Output{}, err
		}
	}
	data, pixels := Draw(in.Prompt, t.Seed)
	r := essaim.NewReceipt(t)
	r.Attempt, r.Miner, r.Coordinator, r.Engine = 1, essaim.NodeKeyOf(m.node), essaim.NodeKeyOf(n.key), "test"
	r.Width, r.Height, r.Steps, r.Units, r.Price = Side, Side, 2, 1, Price
	r.Output, r.MediaType, r.Size, r.Pixels = essaim.DigestOf(data), "image/png", uint64(len(data)), pixels
	return r, essaim.Output{MediaType: "image/png", Data: data, Warnings: []string{"drawn by a test"}}, nil
}

// deliver seals the result, signs the receipt and enters it into the session.
func (n *Network) deliver(m *miner, t essaim.Task, r essaim.Receipt, out essaim.Output, sealedInput []byte) (essaim.Delivery, error) {
	plain, err := m.hpke.Open(sealedInput, t.Input[:])
	if err != nil {
		return essaim.Delivery{}, err
	}
	in, err := essaim.DecodeInput(plain)
	if err != nil {
		return essaim.Delivery{}, err
	}
	if t.Verify == essaim.VerifyProof {
		out.Proof = []byte("proof of " + in.Prompt)
		r.Proof = essaim.DigestOf(out.Proof)
	}
	if n.OnOutput != nil {
		n.OnOutput(&out)
	}
	digest := t.Digest()
	sealed, err := seal.Seal(out.Encode(), digest[:], in.ReplyKey)
	if err != nil {
		return essaim.Delivery{}, err
	}
	r.Sealed = essaim.DigestOf(sealed)
	if n.OnReceipt != nil {
		n.OnReceipt(&r)
	}
	signed, err := essaim.SignReceipt(r, m.node)
	if err != nil {
		return essaim.Delivery{}, err
	}
	d := essaim.Delivery{Task: digest, Receipt: signed, Sealed: sealed}
	if n.OnDelivery != nil {
		n.OnDelivery(&d)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[digest] = &record{task: t, delivery: d, price: r.Price}
	e := n.sessions[t.Session]
	e.sum += r.Price
	e.count++
	return d, nil
}

// Acknowledge is client.Coordinator's.
func (n *Network) Acknowledge(ctx context.Context, voucher []byte) error {
	if err := n.take(voucher); err != nil {
		return err
	}
	return ctx.Err()
}

// take keeps a voucher; nil is none.
func (n *Network) take(signed []byte) error {
	if signed == nil {
		return nil
	}
	v, signer, err := essaim.OpenVoucher(signed)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.sessions[v.Session]
	if !ok || e.SessionKey != signer || v.ChainID != ChainID || v.Coordinator != essaim.NodeKeyOf(n.key) {
		return essaim.Errorf(essaim.CodeRefused, "", "the voucher is not by the session's key")
	}
	e.vouchers = append(e.vouchers, v)
	return nil
}

// Vouchers are those of a session, as they came.
func (n *Network) Vouchers(id essaim.SessionID) []essaim.Voucher {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.sessions[id].vouchers)
}

// Close is client.Coordinator's.
func (n *Network) Close(ctx context.Context, signedClose []byte) (essaim.Settled, error) {
	c, signer, err := essaim.OpenClose(signedClose)
	if err != nil {
		return essaim.Settled{}, err
	}
	if err := n.take(c.Voucher); err != nil {
		return essaim.Settled{}, err
	}
	out, err := n.settle(c, signer)
	if err == nil && n.OnClose != nil {
		n.OnClose(&out)
	}
	return out, err
}

func (n *Network) settle(c essaim.CloseRequest, signer essaim.NodeKey) (essaim.Settled, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.sessions[c.Session]
	if !ok || e.SessionKey != signer || c.ChainID != ChainID {
		return essaim.Settled{}, essaim.Errorf(essaim.CodeRefused, "", "the close request is not by the session's key")
	}
	e.State = essaim.SessionSettled
	out := essaim.Settled{Session: e.ID, Tx: essaim.Tx{Hash: "C0FFEE", Height: n.height, Payments: []essaim.Payment{
		{Amount: e.sum, Reason: "miner"}, {Amount: e.Deposit - e.sum, Reason: "refund"},
	}}}
	binary.BigEndian.PutUint64(out.Root[32:], uint64(e.sum))
	binary.BigEndian.PutUint64(out.Root[40:], e.count)
	return out, nil
}

// Task is client.Coordinator's.
func (n *Network) Task(ctx context.Context, d essaim.Digest) (essaim.TaskRecord, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r, ok := n.records[d]
	if !ok {
		return essaim.TaskRecord{}, essaim.Errorf(essaim.CodeNotFound, "", "task %s is not known", d.Short())
	}
	return essaim.TaskRecord{
		Digest: d, Session: r.task.Session, Seq: r.task.Seq, State: essaim.TaskDelivered,
		Attempts: 1, Price: r.price, Receipt: r.delivery.Receipt,
	}, ctx.Err()
}

// Preview is what is shown of a picture before it is finished: another one.
func Preview(prompt string, seed uint64) []byte {
	file, _ := Draw("preview of "+prompt, seed)
	return file
}

// Draw makes the picture of a prompt and a seed: a PNG file and the digest of its
// pixels.
func Draw(prompt string, seed uint64) (file []byte, pixels essaim.Digest) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(prompt), seed))
	img := image.NewNRGBA(image.Rect(0, 0, Side, Side))
	var rgb []byte
	for y := range Side {
		for x := range Side {
			c := color.NRGBA{sum[x%32] ^ byte(y), sum[y%32] ^ byte(x), sum[(x+y)%32], 255}
			img.SetNRGBA(x, y, c)
			rgb = append(rgb, c.R, c.G, c.B)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // an image in memory always encodes
	}
	return b.Bytes(), essaim.DigestOf(rgb)
}

func deref(d *essaim.Delivery) essaim.Delivery {
	if d == nil {
		return essaim.Delivery{}
	}
	return *d
}

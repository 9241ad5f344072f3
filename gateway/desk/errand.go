package desk

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/purse"
	"github.com/essaim/essaim/internal/tracing"
)

// errands bounds the tasks of one request that are under way at the same time.
const errands = 8

// Text is a chat or an embedding that was done for an API key's user.
type Text struct {
	*client.Picture
	File  string // CID of the receipt file
	Trace string // that the task was part of; "": none
}

// Perform has texts done on a key's account, and returns them in the order of the requests. Every one
// that was done is charged; the error is one of the others'. Unlike pictures and receipts, texts are
// not kept.
func (d *Desk) Perform(ctx context.Context, key apikey.Key, requests []client.Request) ([]Text, error) {
	ctx = context.WithoutCancel(ctx) // leaving must not be a way around paying
	var price essaim.Amount
	for i := range requests {
		r := &requests[i]
		quote, err := d.cfg.Coordinator.Quote(ctx, essaim.QuoteRequest{Kind: r.Kind, Model: r.Model, Steps: r.Steps, Count: len(requests), Units: r.Units})
		if err != nil {
			return nil, err
		}
		r.MaxPrice, r.Lane, r.Conversation = quote.MaxPrice, laneOf(key), d.ofKey(key, r.Conversation)
		price = max(price, quote.MaxPrice)
	}
	hold, err := d.cfg.Keys.Reserve(ctx, key.ID, price, len(requests))
	if err != nil {
		return nil, err
	}
	working, cancel := context.WithTimeout(ctx, client.DefaultTime)
	defer cancel()
	defer context.AfterFunc(d.cfg.Halt, cancel)()
	defer d.heed(ctx, cancel)()
	out, errs := make([]Text, len(requests)), make([]error, len(requests))
	do := func(i int) { out[i], errs[i] = d.performOne(working, requests[i], hold.Parts[i]) }
	if len(requests) == 1 { // nobody to do it beside
		do(0)
	} else {
		beside(len(requests), do)
	}
	if err := hold.Done(); err != nil {
		d.cfg.Log.Error("a reservation is released later", "err", err)
	}
	for _, t := range out {
		if t.Picture != nil {
			d.cfg.Spent.Add(float64(t.Receipt.Price))
		}
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// beside does n things, some at a time.
func beside(n int, do func(i int)) {
	places := make(chan struct{}, errands)
	var wg sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			do(i)
		})
	}
	wg.Wait()
}

// performOne has one text done, keeps its receipt and enters its price. An answer that was streamed
// in part and then came differently is an error, and is charged: it was delivered.
func (d *Desk) performOne(ctx context.Context, r client.Request, part *apikey.Part) (Text, error) {
	d.cfg.Tasks.Inc()
	defer d.cfg.Tasks.Dec()
	f, p, err := d.obtain(ctx, r, part, nil)
	if err != nil {
		return Text{}, err
	}
	receipt, err := d.cfg.Blobs.Put(ctx, p.ReceiptFile)
	if err != nil {
		return Text{}, essaim.Errorf(essaim.CodeInternal, "", "store a receipt: %w", err)
	}
	part.Capture(p.Receipt.Task, f.Record().ID, p.Receipt.Price, f.Saved())
	return Text{p, essaim.CIDOf(receipt), tracing.Of(ctx).Trace()}, nil
}

// obtain has a task done in the session that pays. A session that turns out to be over is replaced
// once.
func (d *Desk) obtain(ctx context.Context, r client.Request, part *apikey.Part, progress func(essaim.Progress)) (*purse.Funded, *client.Picture, error) {
	for last := false; ; last = true {
		f, err := d.cfg.Purse.Acquire(ctx, r.MaxPrice)
		if err != nil {
			return nil, nil, d.upstream(err)
		}
		var unnamed error // the key's, not the session's
		r.Signed = func(task essaim.Digest) error {
			if w := watchOf(ctx); w != nil {
				w.Task(task)
			}
			unnamed = part.Name(task, f.Record().ID)
			return unnamed
		}
		p, err := f.Draw(ctx, r, progress)
		over := unnamed == nil && sessionOver(err)
		d.cfg.Purse.Release(f, r.MaxPrice, over)
		if unnamed != nil {
			return nil, nil, unnamed
		}
		if err == nil {
			return f, p, nil
		}
		if w := watchOf(ctx); w != nil && w.Left.Err() != nil {
			return nil, nil, errCancelled
		}
		if !over || last {
			return nil, nil, d.upstream(err)
		}
	}
}

// Origin is our extension of a text's answer: who has made it and what it cost.
type Origin struct {
	Receipt string         `json:"receipt"` // CID of the receipt file
	Task    essaim.Digest  `json:"task"`
	Miner   essaim.NodeKey `json:"miner"`
	Units   uint64         `json:"units"`
	Price   essaim.Amount  `json:"price"` // uaim
	Trace   string         `json:"trace,omitempty"`
}

func (t Text) Origin() *Origin {
	r := t.Receipt
	return &Origin{t.File, r.Task, r.Miner, r.Units, r.Price, t.Trace}
}

// pen is what was written and is not sent yet. It never lets the writer wait.
type pen struct {
	wake chan struct{} // holds a token when there is something

	mu     sync.Mutex
	unsent string
}

func newPen() *pen { return &pen{wake: make(chan struct{}, 1)} }

func (p *pen) write(s string) {
	p.mu.Lock()
	p.unsent += s
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pen) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.unsent
	p.unsent = ""
	return s
}

// written is a chat under way or done.
type written struct {
	Text
	err error
}

// Write has a chat done and calls each with what is written meanwhile, and with nothing after a
// while of silence, so that the connection is kept. When the reader has left, each fails and is
// called no more.
func (d *Desk) Write(ctx context.Context, key apikey.Key, r client.Request, each func(string) error) (Text, error) {
	p, done := newPen(), make(chan written, 1)
	r.Written = p.write
	go func() {
		var w written
		defer func() {
			if x := recover(); x != nil {
				w.err = essaim.Errorf(essaim.CodeInternal, "", "panic in a chat: %v", x)
			}
			done <- w
		}()
		var list []Text
		if list, w.err = d.Perform(ctx, key, []client.Request{r}); w.err == nil {
			w.Text = list[0]
		}
	}()
	gone := false
	say := func(s string) {
		if !gone {
			gone = each(s) != nil
		}
	}
	tick := time.NewTicker(KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-p.wake:
			say(p.take())
		case <-tick.C:
			say("")
		case w := <-done:
			if rest := p.take(); rest != "" {
				say(rest)
			}
			return w.Text, w.err
		}
	}
}

// newSeed is one that JavaScript clients read without rounding.
func newSeed() uint64 { return rand.Uint64() >> (64 - seedBits) }

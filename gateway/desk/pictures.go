package desk

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/gateway/purse"
	"github.com/essaim/essaim/internal/tracing"
)

// MaxPictures bounds the pictures of one request.
const MaxPictures = 4

// seedBits is how many bits a seed has that the gateway chooses: JavaScript
// clients read it without rounding.
const seedBits = 53

// What Wish.Verify says.
const (
	VerifyProof  = "proof"  // where a model's runs can be proven, a picture is refused unless its proof holds
	VerifyPublic = "public" // so, and the proof is kept under its CID: who has it reads the prompt in it
	VerifyNone   = "none"
)

// Wish is what somebody wants drawn.
type Wish struct {
	Prompt string
	Model  string // name or digest; "": the first
	N      int    // pictures
	Size   string // "WxH"; "" or "auto": the model's default
	Seed   *uint64
	Steps  uint32 // 0: the model's default

	// Consent lets a miner that is drawn to check the picture read the prompt, too.
	Consent bool

	// Verify says what is done about the proofs of pictures: VerifyProof, VerifyPublic or VerifyNone; "": the first.
	Verify string

	// Preview is shown up to Previews pictures that are not finished, as PNG files; nil: nobody is. It must not
	// block. A picture of which something was shown cannot be taken back.
	Preview  func(file []byte)
	Previews uint32

	// Init is a picture to begin with, a PNG or JPEG file, and Strength how much of it may change, in thousandths.
	Init     []byte
	Strength uint32

	// Progress is told how far the pictures are; nil: nobody is.
	Progress func(essaim.Progress)
}

// Order is a wish that fits a model, with its price.
type Order struct {
	Wish
	Model         essaim.ModelInfo
	width, height uint32
	seed          uint64
	Units         uint64        // of one picture at most; 0: the model has no meter
	price         essaim.Amount // of one picture at most
	lane          client.Lane
}

// Most is what the order costs at most.
func (o Order) Most() essaim.Amount { return o.price * essaim.Amount(o.N) }

// Picture is one that was drawn.
type Picture struct {
	Data   []byte
	Origin PictureOrigin
}

// PictureOrigin is our extension: where a picture comes from and what it cost.
type PictureOrigin struct {
	CID      string         `json:"cid"`
	Receipt  string         `json:"receipt"` // CID of the receipt file
	Task     essaim.Digest  `json:"task"`
	Miner    essaim.NodeKey `json:"miner"`
	Price    essaim.Amount  `json:"price"` // uaim
	Seed     uint64         `json:"seed"`
	Size     string         `json:"size"`
	Steps    uint32         `json:"steps"`
	Warnings []string       `json:"warnings,omitempty"`
	Proof    string         `json:"proof,omitempty"` // CID of the proof, which was checked here; "": none
	Trace    string         `json:"trace,omitempty"` // that the task was part of, by this gateway's word; "": none
}

// Order fits a wish to a model and asks what it may cost.
//
// Errors: CodeBadInput, CodeNotFound, CodeUnavailable.
func (d *Desk) Order(ctx context.Context, wish Wish) (o Order, err error) {
	o.Wish = wish
	if err := d.checkPrompt(essaim.KindImage, o.Prompt); err != nil {
		return o, err
	}
	if o.seed = newSeed(); o.Seed != nil {
		o.seed = *o.Seed
	}
	if o.N < 1 || o.N > MaxPictures {
		return o, essaim.Errorf(essaim.CodeBadInput, "ask several times", "n is %d, at most %d pictures are drawn at once", o.N, MaxPictures)
	}
	if !slices.Contains([]string{"", VerifyProof, VerifyPublic, VerifyNone}, o.Verify) {
		return o, essaim.Errorf(essaim.CodeBadInput, "proof, public or none", "verify %.20q is not known", o.Verify)
	}
	if o.Model, err = d.ModelOf(ctx, essaim.KindImage, wish.Model); err != nil {
		return o, err
	}
	if o.width, o.height, err = ParseSize(o.Size, o.Model); err != nil {
		return o, err
	}
	if m := o.Model; o.Steps != 0 && (o.Steps < uint32(m.MinSteps) || o.Steps > uint32(m.MaxSteps)) {
		return o, essaim.Errorf(essaim.CodeBadInput, fmt.Sprintf("%d to %d", m.MinSteps, m.MaxSteps), "steps is %d, which model %s cannot do", o.Steps, m.Name)
	}
	if o.Init != nil && !o.Model.Inits {
		return o, essaim.Errorf(essaim.CodeBadInput, "choose a model whose engine does, or leave the picture out", "model %s does not begin with a picture", o.Model.Name)
	}
	o.Previews = min(o.Previews, MaxPreviews)
	if o.Model.Meter != essaim.MeterTask {
		o.Units = client.Most(o.Model, o.width, o.height, o.Steps)
	}
	quote, err := d.cfg.Coordinator.Quote(ctx, essaim.QuoteRequest{
		Kind: essaim.KindImage, Model: o.Model.Digest, Width: o.width, Height: o.height, Steps: o.Steps, Count: o.N, Units: o.Units,
	})
	o.price = quote.MaxPrice
	return o, err
}

// ParseSize reads WxH; zeros: the model's default.
//
// Errors: CodeBadInput.
func ParseSize(size string, m essaim.ModelInfo) (width, height uint32, err error) {
	if size == "" || size == "auto" {
		return 0, 0, nil
	}
	bad := essaim.Errorf(essaim.CodeBadInput, "auto, "+strings.Join(m.Sizes, ", "), "size %.20q is not what model %s draws", size, m.Name)
	ws, hs, ok := strings.Cut(size, "x")
	wide, err1 := strconv.ParseUint(ws, 10, 32)
	high, err2 := strconv.ParseUint(hs, 10, 32)
	if !ok || err1 != nil || err2 != nil || wide == 0 || high == 0 || wide > essaim.MaxSide || high > essaim.MaxSide {
		return 0, 0, bad
	}
	if len(m.Sizes) > 0 && !slices.Contains(m.Sizes, size) {
		return 0, 0, bad
	}
	return uint32(wide), uint32(high), nil
}

// Fill draws an order on a key's account. It goes on if the client leaves: the work
// is paid for, and leaving must not be a way around that. Of several pictures those
// that succeed are handed out and charged.
func (d *Desk) Fill(ctx context.Context, key apikey.Key, o Order) ([]Picture, essaim.Amount, error) {
	if r := once.Of(ctx); r != nil && len(r.Done) > 0 {
		return d.again(ctx, r.Done)
	}
	ctx, o.lane = context.WithoutCancel(ctx), laneOf(key)
	hold, err := d.cfg.Keys.Reserve(ctx, key.ID, o.price, o.N)
	if err != nil {
		return nil, 0, err
	}
	drawing, cancel := context.WithTimeout(ctx, client.DefaultTime)
	defer cancel()
	defer context.AfterFunc(d.cfg.Halt, cancel)()
	defer d.heed(ctx, cancel)()
	pictures, err := d.drawAll(drawing, o, hold)
	var cost essaim.Amount
	for _, p := range pictures {
		cost += p.Origin.Price
	}
	if err := hold.Done(); err != nil {
		d.cfg.Log.Error("a reservation is released later", "err", err)
	}
	if len(pictures) == 0 {
		return nil, 0, err
	}
	d.cfg.Spent.Add(float64(cost))
	return pictures, cost, nil
}

// drawAll draws the order's pictures at the same time. Those that succeeded are
// returned: they were paid for. The error is one of the others'.
func (d *Desk) drawAll(ctx context.Context, o Order, hold *apikey.Hold) ([]Picture, error) {
	pictures, errs := make([]*Picture, o.N), make([]error, o.N)
	var wg sync.WaitGroup
	for i := range o.N {
		wg.Go(func() { pictures[i], errs[i] = d.drawOne(ctx, o, o.seed+uint64(i), hold.Parts[i]) })
	}
	wg.Wait()
	var out []Picture
	for _, p := range pictures {
		if p != nil {
			out = append(out, *p)
		}
	}
	for _, err := range errs {
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// drawOne draws a picture, enters its price, and stores it with its receipt.
func (d *Desk) drawOne(ctx context.Context, o Order, seed uint64, part *apikey.Part) (*Picture, error) {
	d.cfg.Tasks.Inc()
	defer d.cfg.Tasks.Dec()
	f, p, err := d.obtain(ctx, client.Request{
		Model: o.Model.Digest, Prompt: o.Prompt, Seed: seed, Width: o.width, Height: o.height,
		Steps: o.Steps, Units: o.Units, MaxPrice: o.price, Consent: o.Consent, Unproven: o.Verify == VerifyNone,
		Preview: o.Preview, Previews: o.Previews, Init: o.Init, Strength: o.Strength, Lane: o.lane,
	}, part, o.Progress)
	if err != nil {
		return nil, err
	}
	out, err := d.keep(ctx, f, p, part, o.Verify == VerifyPublic)
	if err == nil {
		out.Origin.Trace = tracing.Of(ctx).Trace()
	}
	return out, err
}

// keep stores a picture and enters its price: what cannot be kept costs the key nothing,
// and nothing is handed out whose task is not in the books. The price need not be on the
// disk before the answer: reservation, task and receipt are. Of a request that may be sent again it is.
func (d *Desk) keep(ctx context.Context, f *purse.Funded, p *client.Picture, part *apikey.Part, public bool) (*Picture, error) {
	var receipt essaim.Digest
	g, all := errgroup.WithContext(ctx) // they share a flush of the disk
	g.Go(func() (err error) {
		receipt, err = d.cfg.Blobs.Put(all, p.ReceiptFile)
		return err
	})
	g.Go(func() error {
		_, err := d.cfg.Blobs.Put(all, p.Data)
		return err
	})
	if p.Proof != nil && public {
		g.Go(func() error {
			_, err := d.cfg.Blobs.Put(all, p.Proof)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "store a picture: %w", err)
	}
	part.Keep(receipt)
	stored := part.Capture(p.Receipt.Task, f.Record().ID, p.Receipt.Price, f.Saved())
	if once.Of(ctx) != nil { // who sends it again gets the picture from where the entry says it is
		if err := stored(); err != nil {
			d.cfg.Log.Error("a price is entered later", "task", p.Receipt.Task.Short(), "err", err)
		}
	}
	return &Picture{Data: p.Data, Origin: originOf(p.Receipt, receipt, p.Proof != nil, p.Warnings)}, nil
}

// originOf says where a picture comes from, by its receipt.
func originOf(r essaim.Receipt, file essaim.Digest, proven bool, warnings []string) PictureOrigin {
	proof := ""
	if proven {
		proof = essaim.CIDOf(r.Proof)
	}
	return PictureOrigin{
		CID: r.CID(), Receipt: essaim.CIDOf(file), Task: r.Task, Miner: r.Miner, Price: r.Price, Seed: r.Seed,
		Size: fmt.Sprintf("%dx%d", r.Width, r.Height), Steps: r.Steps, Warnings: warnings, Proof: proof,
	}
}

// Base is the gateway's URL as a request's client knows it.
func (d *Desk) Base(r *http.Request) string {
	switch {
	case d.cfg.PublicURL != "":
		return strings.TrimRight(d.cfg.PublicURL, "/")
	case r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https":
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// TellPictures says in an answer's header what its tasks were.
func (d *Desk) TellPictures(ctx context.Context, w http.ResponseWriter, pictures []Picture, cost essaim.Amount) {
	var receipts, miners, checks []string
	for _, p := range pictures {
		checks = append(checks, Verification(ctx, d.cfg.Coordinator, p.Origin.Task))
		receipts, miners = append(receipts, p.Origin.Receipt), append(miners, p.Origin.Miner.String())
	}
	h := w.Header()
	h.Set("X-Essaim-Receipt", strings.Join(receipts, ", "))
	h.Set("X-Essaim-Miner", strings.Join(miners, ", "))
	h.Set(HeaderVerification, strings.Join(checks, ", "))
	h.Set("X-Essaim-Cost", strconv.FormatUint(uint64(cost), 10))
}

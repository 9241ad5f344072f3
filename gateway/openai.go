package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/purse"
)

const (
	// maxPictures bounds n.
	maxPictures = 4

	// seedBits is how many bits a seed has that the gateway chooses: JavaScript
	// clients read it without rounding.
	seedBits = 53
)

// imagesRequest is the body of POST /v1/images/generations. Fields of OpenAI's that
// are not here (quality, style, user, background, …) change nothing.
type imagesRequest struct {
	Prompt         string  `json:"prompt"`
	Model          string  `json:"model"`
	N              *int    `json:"n"`
	Size           string  `json:"size"`            // "WxH"; "" or "auto": the model's default
	ResponseFormat string  `json:"response_format"` // "b64_json" or "url"; "": both
	Stream         bool    `json:"stream"`
	Seed           *uint64 `json:"seed"`  // ours; picture i has seed + i
	Steps          uint32  `json:"steps"` // ours; 0: the model's default
	// Consent is ours: a miner that is drawn to check the picture may read the prompt, too.
	Consent bool `json:"consent"`
}

type imagesResponse struct {
	Created int64       `json:"created"` // Unix seconds
	Data    []imageData `json:"data"`
}

type imageData struct {
	B64JSON []byte      `json:"b64_json,omitempty"`
	URL     string      `json:"url,omitempty"`
	Essaim  imageOrigin `json:"essaim"`
}

// imageOrigin is our extension: where a picture comes from and what it cost.
type imageOrigin struct {
	CID      string         `json:"cid"`
	Receipt  string         `json:"receipt"` // CID of the receipt file
	Task     essaim.Digest  `json:"task"`
	Miner    essaim.NodeKey `json:"miner"`
	Price    essaim.Amount  `json:"price"` // uaim
	Seed     uint64         `json:"seed"`
	Size     string         `json:"size"`
	Steps    uint32         `json:"steps"`
	Warnings []string       `json:"warnings,omitempty"`
}

// order is a request that was checked.
type order struct {
	imagesRequest
	model         essaim.ModelInfo
	width, height uint32
	n             int
	seed          uint64
	units         uint64        // of one picture at most; 0: the model has no meter
	price         essaim.Amount // of one picture at most
	progress      func(essaim.Progress)
}

// images draws pictures for an API-key user.
func (g *Gateway) images(w http.ResponseWriter, r *http.Request) {
	key, err := g.authenticate(r)
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	o, err := g.readOrder(w, r)
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	pictures, cost, err := g.fill(r.Context(), key, o)
	if err != nil {
		g.openAIFail(w, err)
		return
	}
	g.writePictures(w, r, o, pictures, cost)
}

// fill draws an order on a key's account. It goes on if the client leaves: the work
// is paid for, and leaving must not be a way around that. Of several pictures those
// that succeed are handed out and charged.
func (g *Gateway) fill(ctx context.Context, key apikey.Key, o order) ([]imageData, essaim.Amount, error) {
	ctx = context.WithoutCancel(ctx)
	hold, err := g.cfg.Keys.Reserve(ctx, key.ID, o.price, o.n)
	if err != nil {
		return nil, 0, err
	}
	drawing, cancel := context.WithTimeout(ctx, client.DefaultTime)
	defer cancel()
	defer context.AfterFunc(g.halt, cancel)()
	pictures, err := g.drawAll(drawing, o, hold)
	var cost essaim.Amount
	for _, p := range pictures {
		cost += p.Essaim.Price
	}
	if err := hold.Done(); err != nil {
		g.log.Error("a reservation is released later", "err", err)
	}
	if len(pictures) == 0 {
		return nil, 0, err
	}
	g.metrics.spent.Add(float64(cost))
	return pictures, cost, nil
}

func (g *Gateway) authenticate(r *http.Request) (apikey.Key, error) {
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case g.cfg.Keys == nil:
		return apikey.Key{}, essaim.Errorf(essaim.CodeRefused, "use the essaim dialect with a session of your own", "this gateway serves no API keys")
	case !ok || secret == "":
		return apikey.Key{}, essaim.Errorf(essaim.CodeRefused, "send Authorization: Bearer sk-essaim-…", "the request has no API key")
	}
	return g.cfg.Keys.Find(r.Context(), strings.TrimSpace(secret))
}

// readOrder reads the request and checks it.
func (g *Gateway) readOrder(w http.ResponseWriter, r *http.Request) (order, error) {
	var q imagesRequest
	if err := readJSON(w, r, maxSmall, &q); err != nil {
		return order{}, err
	}
	return g.orderOf(r.Context(), q)
}

// orderOf fits a request to a model and asks what it may cost.
func (g *Gateway) orderOf(ctx context.Context, q imagesRequest) (o order, err error) {
	o.imagesRequest = q
	if err := essaim.CheckPrompt(o.Prompt); err != nil {
		return o, err
	}
	if o.n = 1; o.N != nil {
		o.n = *o.N
	}
	if o.seed = newSeed(); o.Seed != nil {
		o.seed = *o.Seed
	}
	refuse := func(hint, format string, args ...any) (order, error) {
		return o, essaim.Errorf(essaim.CodeBadInput, hint, format, args...)
	}
	switch {
	case o.n < 1 || o.n > maxPictures:
		return refuse("ask several times", "n is %d, at most %d pictures are drawn at once", o.n, maxPictures)
	case o.Stream:
		return refuse("leave stream out", "pictures are not streamed in this dialect")
	case !slices.Contains([]string{"", "b64_json", "url"}, o.ResponseFormat):
		return refuse("b64_json or url", "response_format %.20q is not known", o.ResponseFormat)
	}
	if o.model, err = g.modelOf(ctx, essaim.KindImage, o.Model); err != nil {
		return o, err
	}
	if o.width, o.height, err = parseSize(o.Size, o.model); err != nil {
		return o, err
	}
	if m := o.model; o.Steps != 0 && (o.Steps < uint32(m.MinSteps) || o.Steps > uint32(m.MaxSteps)) {
		return refuse(fmt.Sprintf("%d to %d", m.MinSteps, m.MaxSteps), "steps is %d, which model %s cannot do", o.Steps, m.Name)
	}
	if o.model.Meter != essaim.MeterTask {
		o.units = client.Most(o.model, o.width, o.height, o.Steps)
	}
	quote, err := g.cfg.Coordinator.Quote(ctx, essaim.QuoteRequest{
		Kind: essaim.KindImage, Model: o.model.Digest, Width: o.width, Height: o.height, Steps: o.Steps, Count: o.n, Units: o.units,
	})
	o.price = quote.MaxPrice
	return o, err
}

func parseSize(size string, m essaim.ModelInfo) (width, height uint32, err error) {
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

// drawAll draws the order's pictures at the same time. Those that succeeded are
// returned: they were paid for. The error is one of the others'.
func (g *Gateway) drawAll(ctx context.Context, o order, hold *apikey.Hold) ([]imageData, error) {
	pictures, errs := make([]*imageData, o.n), make([]error, o.n)
	var wg sync.WaitGroup
	for i := range o.n {
		wg.Go(func() { pictures[i], errs[i] = g.drawOne(ctx, o, o.seed+uint64(i), hold.Parts[i]) })
	}
	wg.Wait()
	var out []imageData
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
func (g *Gateway) drawOne(ctx context.Context, o order, seed uint64, part *apikey.Part) (*imageData, error) {
	g.metrics.tasks.Inc()
	defer g.metrics.tasks.Dec()
	f, p, err := g.obtain(ctx, client.Request{
		Model: o.model.Digest, Prompt: o.Prompt, Seed: seed, Width: o.width, Height: o.height,
		Steps: o.Steps, Units: o.units, MaxPrice: o.price,
	}, part, o.progress)
	if err != nil {
		return nil, err
	}
	return g.keep(ctx, f, p, part)
}

func sessionOver(err error) bool {
	if err == nil {
		return false
	}
	switch essaim.CodeOf(err) {
	case essaim.CodeConflict, essaim.CodeInsufficient, essaim.CodeNotFound:
		return true
	}
	return false
}

// upstream turns an error between gateway and network into one for a user, who can
// do nothing about the gateway's own session, money or miners.
func (g *Gateway) upstream(err error) error {
	switch essaim.CodeOf(err) {
	case essaim.CodeBadInput, essaim.CodeUnavailable, essaim.CodeExpired, essaim.CodeInternal:
		return err
	}
	g.log.Error("cannot draw for an API key", "code", essaim.CodeOf(err), "err", err)
	return essaim.Errorf(essaim.CodeUnavailable, "try again later", "the gateway cannot have pictures drawn now")
}

// keep stores a picture and enters its price: what cannot be kept costs the key nothing,
// and nothing is handed out that is not in the books.
func (g *Gateway) keep(ctx context.Context, f *purse.Funded, p *client.Picture, part *apikey.Part) (*imageData, error) {
	receipt, err := g.cfg.Blobs.Put(ctx, p.ReceiptFile)
	if err == nil {
		_, err = g.cfg.Blobs.Put(ctx, p.Data)
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "store a picture: %w", err)
	}
	r := p.Receipt
	if err := part.Capture(context.WithoutCancel(ctx), r.Task, f.Record().ID, r.Price, f.Save()); err != nil {
		return nil, err
	}
	return &imageData{B64JSON: p.Data, Essaim: imageOrigin{
		CID: p.CID, Receipt: essaim.CIDOf(receipt), Task: r.Task, Miner: r.Miner, Price: r.Price, Seed: r.Seed,
		Size: fmt.Sprintf("%dx%d", r.Width, r.Height), Steps: r.Steps, Warnings: p.Warnings,
	}}, nil
}

func (g *Gateway) writePictures(w http.ResponseWriter, r *http.Request, o order, pictures []imageData, cost essaim.Amount) {
	base := strings.TrimRight(g.cfg.PublicURL, "/")
	if base == "" {
		base = "http://" + r.Host
		if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
			base = "https://" + r.Host
		}
	}
	var receipts, miners, checks []string
	for i := range pictures {
		p := &pictures[i]
		checks = append(checks, g.verification(r.Context(), p.Essaim.Task))
		receipts, miners = append(receipts, p.Essaim.Receipt), append(miners, p.Essaim.Miner.String())
		if o.ResponseFormat != "b64_json" {
			p.URL = base + "/ipfs/" + p.Essaim.CID
		}
		if o.ResponseFormat == "url" {
			p.B64JSON = nil
		}
	}
	w.Header().Set("X-Essaim-Receipt", strings.Join(receipts, ", "))
	w.Header().Set("X-Essaim-Miner", strings.Join(miners, ", "))
	w.Header().Set(headerVerification, strings.Join(checks, ", "))
	w.Header().Set("X-Essaim-Cost", strconv.FormatUint(uint64(cost), 10))
	writeJSON(w, http.StatusOK, imagesResponse{Created: time.Now().Unix(), Data: pictures})
}

// openAIError is the shape of OpenAI's errors.
type openAIError struct {
	Error openAIErrorInfo `json:"error"`
}

type openAIErrorInfo struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// openAIFail answers with an error in OpenAI's shape.
func (g *Gateway) openAIFail(w http.ResponseWriter, err error) {
	g.logFault(w, err)
	status, info := openAIErrorOf(err)
	if essaim.CodeOf(err) == essaim.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, openAIError{info})
}

// openAIErrorOf is an error in OpenAI's words, with the status that goes with it.
func openAIErrorOf(err error) (int, openAIErrorInfo) {
	body := client.ErrorBodyOf(err).Error
	status, kind, code := body.Code.HTTPStatus(), "server_error", string(body.Code)
	switch body.Code {
	case essaim.CodeBadInput:
		kind = "invalid_request_error"
	case essaim.CodeRefused:
		status, kind, code = http.StatusUnauthorized, "invalid_request_error", "invalid_api_key"
	case essaim.CodeNotFound:
		kind, code = "invalid_request_error", "model_not_found"
	case essaim.CodeInsufficient:
		kind, code = "insufficient_quota", "insufficient_quota"
	case essaim.CodeUnavailable:
		if errors.Is(err, apikey.ErrBusy) {
			status, kind, code = http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded"
		}
	}
	message := body.Message
	if body.Hint != "" {
		message += " (" + body.Hint + ")"
	}
	return status, openAIErrorInfo{Message: message, Type: kind, Code: &code}
}

func (g *Gateway) unknownOpenAI(w http.ResponseWriter, r *http.Request) {
	code := "unknown_url"
	writeJSON(w, http.StatusNotFound, openAIError{openAIErrorInfo{
		Message: fmt.Sprintf("unknown request URL: %s %.100q", r.Method, r.URL.Path), Type: "invalid_request_error", Code: &code,
	}})
}

package adapter

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // engines answer with either
	"image/png"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// Bounds of an answer's length, of models that do not tell theirs.
const (
	MaxTokens     = 8192
	DefaultTokens = 1024

	maxAnswer = 1 << 20 // bytes of an answer's text
)

// Describe makes a model of what an engine says of one: its digest is that of a manifest with
// these words in it, so that the same model of two miners is the same. source is the engine's own
// name for the weights, such as a digest; empty if it only has the name.
func Describe(engineName, name string, kind essaim.Kind, meter essaim.Meter, source string) engine.Model {
	manifest, err := json.Marshal(struct {
		Name    string       `json:"name"`
		Kind    essaim.Kind  `json:"kind"`
		Engine  string       `json:"engine"`
		Licence string       `json:"licence"`
		Meter   essaim.Meter `json:"meter"`
		Source  string       `json:"source,omitempty"`
	}{name, kind, engineName, "", meter, source})
	if err != nil {
		panic(err) // plain strings always encode
	}
	m := engine.Model{Digest: essaim.DigestOf(manifest), Manifest: manifest, Name: name, Kind: kind, Meter: meter}
	if kind == essaim.KindChat {
		m.MinSteps, m.MaxSteps, m.Steps = 1, MaxTokens, DefaultTokens
	}
	return m
}

// Guess tells a model's kind by its name, of engines that do not tell. embeds and draws are
// patterns as path.Match has them, and come first.
func Guess(name string, embeds, draws []string) essaim.Kind {
	fits := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil })
	}
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(name), w) })
	}
	switch {
	case fits(embeds):
		return essaim.KindEmbed
	case fits(draws):
		return essaim.KindImage
	case has("embed", "bge-", "e5-", "minilm", "gte-"):
		return essaim.KindEmbed
	case has("stable-diffusion", "sd-", "sdxl", "flux", "diffusion", "dall-e", "gpt-image", "image"):
		return essaim.KindImage
	}
	return essaim.KindChat
}

// Seed folds a seed to 31 bits, which every engine takes, and leaves small ones as they are.
func Seed(seed uint64) uint64 { return (seed ^ seed>>31) & (1<<31 - 1) }

// Sizes are what picture models can draw that do not say what they can.
func Sizes() []engine.Size {
	return []engine.Size{{Width: 512, Height: 512}, {Width: 512, Height: 768}, {Width: 768, Height: 512}, {Width: 768, Height: 768}, {Width: 1024, Height: 1024}}
}

// grain is what sides are multiples of, in pixels: stable-diffusion.cpp draws 128x128 when it is asked for 70x66.
const grain = 64

// SizesAt are the sizes that an engine's address names, as in http://127.0.0.1:8188?sizes=512x512,768x512, the first being
// the default; Sizes if it names none.
//
// Errors: says what is wrong with the address.
func SizesAt(address string) ([]engine.Size, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address is no URL")
	}
	list := u.Query().Get("sizes")
	if list == "" {
		return Sizes(), nil
	}
	var out []engine.Size
	for one := range strings.SplitSeq(list, ",") {
		var s engine.Size
		_, err := fmt.Sscanf(one, "%dx%d", &s.Width, &s.Height)
		if least := min(s.Width, s.Height); err != nil || s.String() != one || least < grain || max(s.Width, s.Height) > essaim.MaxSide || s.Width%grain+s.Height%grain > 0 {
			return nil, fmt.Errorf("sizes are written like 512x512,768x512: multiples of %d up to %d, not %q", grain, essaim.MaxSide, one)
		}
		if slices.Contains(out, s) {
			return nil, fmt.Errorf("the size %s is there twice", one)
		}
		out = append(out, s)
	}
	return out, nil
}

// Picture makes a result of a picture file: decoded, of the size that was asked, and written
// anew, as files carry the prompt beside the pixels. steps is 0 if the engine does not tell.
// A picture of one colour is none: engines write that, and call it a success, when they have computed numbers that are none.
//
// Errors: wraps ErrBroken.
func Picture(file []byte, r engine.Request, steps int) (engine.Result, error) {
	bad := func(format string, args ...any) (engine.Result, error) {
		return engine.Result{}, fmt.Errorf("%w: %s", ErrBroken, fmt.Sprintf(format, args...))
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(file)) // a small file may claim to fill the memory
	if err != nil {
		return bad("%d bytes are no picture", len(file))
	}
	if c.Width != r.Width || c.Height != r.Height {
		return bad("a picture of %dx%d, asked for was %dx%d", c.Width, c.Height, r.Width, r.Height)
	}
	decoded, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return bad("the picture is damaged")
	}
	flat := image.NewRGBA(image.Rect(0, 0, c.Width, c.Height))
	draw.Draw(flat, flat.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, decoded, decoded.Bounds().Min, draw.Over)
	var out bytes.Buffer
	if err := png.Encode(&out, flat); err != nil {
		return bad("the picture cannot be written")
	}
	if oneColour(flat) {
		return bad("a picture of one colour")
	}
	h := sha256.New()
	row := make([]byte, 0, 3*c.Width)
	for y := range c.Height {
		row = row[:0]
		for p := flat.Pix[y*flat.Stride:][:4*c.Width]; len(p) > 0; p = p[4:] {
			row = append(row, p[0], p[1], p[2])
		}
		h.Write(row)
	}
	return engine.Result{
		MediaType: "image/png", Data: out.Bytes(), PixelsDigest: essaim.Digest(h.Sum(nil)), Steps: steps,
		Units: essaim.PixelUnits(uint32(c.Width), uint32(c.Height), uint32(steps)),
	}, nil
}

// oneColour reports whether the pixels of a picture that has any are all the same.
func oneColour(m *image.RGBA) bool {
	for i := 4; i < len(m.Pix); i += 4 { // its rows have no gaps
		if !bytes.Equal(m.Pix[i:i+4], m.Pix[:4]) {
			return false
		}
	}
	return true
}

// Embedding makes a result of a vector; read is how many tokens the engine counts, 0 if it does
// not tell.
//
// Errors: wraps ErrBroken.
func Embedding(v []float32, read uint64, r engine.Request) (engine.Result, error) {
	out := engine.Result{MediaType: engine.MediaFloats, Data: engine.Floats(v), Units: essaim.TokenUnits(plausible(read, r), 0)}
	if _, err := engine.ParseEmbedding(out.MediaType, out.Data); err != nil {
		return engine.Result{}, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return out, nil
}

// plausible bounds what an engine says that it has read: a token is at least a byte, and a few mark
// the ends.
func plausible(read uint64, r engine.Request) uint64 { return min(read, uint64(len(r.Prompt))+16) }

// Talk gathers an answer while it is streamed.
type Talk struct {
	Progress func(engine.Progress) // may be nil

	text   strings.Builder
	pieces int
}

// Say adds to the answer.
//
// Errors: wraps ErrBroken if it has no end.
func (t *Talk) Say(text string) error {
	if text == "" {
		return nil
	}
	if t.text.Len()+len(text) > maxAnswer {
		return fmt.Errorf("%w: an answer of more than %d bytes", ErrBroken, maxAnswer)
	}
	t.text.WriteString(text)
	t.pieces++
	if t.Progress != nil {
		t.Progress(engine.Progress{Step: t.pieces, Text: text})
	}
	return nil
}

// Result ends the answer. Of an engine that does not count what it writes, pieces are tokens; more
// than were asked for are not counted.
func (t *Talk) Result(finish string, read, written uint64, r engine.Request) engine.Result {
	if written == 0 {
		written = uint64(t.pieces)
	}
	if finish != engine.FinishLength {
		finish = engine.FinishStop
	}
	return engine.Answer{Content: t.text.String(), Finish: finish, Read: plausible(read, r), Written: min(written, uint64(r.Steps))}.Result()
}

// Catalog remembers which models an engine has. List is set before first use.
type Catalog struct {
	List func(ctx context.Context) ([]engine.Model, error) // asks the engine

	mu     sync.Mutex
	models map[essaim.Digest]engine.Model // guarded by mu
}

// Models asks the engine.
func (c *Catalog) Models(ctx context.Context) ([]engine.Model, error) {
	list, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	known := map[essaim.Digest]engine.Model{}
	for _, m := range list {
		known[m.Digest] = m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models = known
	return list, nil
}

// Fit finds a request's model and fits the request to it. The engine is asked once if it was never
// asked before.
//
// Errors: wraps engine.ErrNoModel or engine.ErrBadRequest, or says why the engine cannot be asked.
func (c *Catalog) Fit(ctx context.Context, r engine.Request) (engine.Model, engine.Request, error) {
	if err := ctx.Err(); err != nil {
		return engine.Model{}, r, err
	}
	c.mu.Lock()
	asked := c.models != nil
	c.mu.Unlock()
	if !asked {
		if _, err := c.Models(ctx); err != nil {
			return engine.Model{}, r, err
		}
	}
	c.mu.Lock()
	m, ok := c.models[r.Model]
	c.mu.Unlock()
	if !ok {
		return m, r, fmt.Errorf("%w: %s", engine.ErrNoModel, r.Model.Short())
	}
	fit, err := m.Fit(r)
	if err == nil && fit.Init != "" && Preview([]byte(fit.Init)) == nil {
		err = fmt.Errorf("%w: what to begin with is no picture that can be read", engine.ErrBadRequest) // engines would call it their own fault
	}
	return m, fit, err
}

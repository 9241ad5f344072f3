// Package engine is the contract between a miner and the software that runs a
// model.
//
// An engine knows nothing of tasks, money, keys or networks: it gets a request in
// the clear and gives a result. Drivers live in engine/NAME, the list of those in
// the binary in engine/all, the conformance suite in engine/enginetest.
package engine

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"github.com/essaim/essaim"
)

// Engine runs models. Implementations are safe for concurrent use.
type Engine interface {
	// Name is the driver's name, such as "pixel": lower case, no spaces.
	Name() string

	// Models lists what the engine can run now. It may ask the network of the
	// engine, so callers cache it.
	Models(ctx context.Context) ([]Model, error)

	// Run executes one request and returns when it is finished. progress may be
	// nil; it is called from one goroutine at a time, in order, never after Run has
	// returned, and must not block.
	//
	// Errors: wraps ErrBadRequest if the same request can never succeed (do not
	// retry it elsewhere), ErrNoModel if the engine does not have the model, the
	// context's error if it was cancelled; any other error is the engine's own
	// fault and another miner may succeed.
	Run(ctx context.Context, r Request, progress func(Progress)) (Result, error)
}

// Errors that every driver wraps; see Engine.Run.
var (
	ErrBadRequest = errors.New("request cannot be run")
	ErrNoModel    = errors.New("model is not here")
)

// Planner is an engine that tells what it reads out of a prompt before it computes anything, so that client and miner
// can agree on it. Exact engines have it.
type Planner interface {
	// Plan commits to the first operator of a request's run (docs/protocol/trace.md): with seed and size, to all that
	// the prompt decides.
	//
	// Errors: those of Engine.Run.
	Plan(r Request) (essaim.Digest, error)
}

// Model is one model that an engine can run.
type Model struct {
	Digest   essaim.Digest // of the manifest
	Name     string
	Kind     essaim.Kind
	Exact    bool   // the same request gives the same bits on every machine
	Sizes    []Size // pictures: what Width x Height may be; the first is the default
	MinSteps int    // pictures: inclusive bounds of Request.Steps
	MaxSteps int
	Steps    int // default of Request.Steps
	Meter    essaim.Meter
	Inits    bool // pictures: takes a Request.Init

	// Manifest is the JSON whose SHA-256 is Digest, for whoever registers the model on the ledger;
	// nil: to be had elsewhere.
	Manifest []byte
}

// Size is a picture's width and height in pixels.
type Size struct{ Width, Height int }

// String writes WxH.
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// Request is one execution, in the clear.
type Request struct {
	Model  essaim.Digest
	Prompt string // UTF-8: what to draw, or the text itself; of a chat the JSON of a Chat
	Seed   uint64 // of what is random in the result, if anything is
	Width  int    // pixels; 0: the model's default, or none
	Height int    // pixels; 0: the model's default, or none
	Steps  int    // sampling steps, of a chat the most tokens to write; 0: the model's default, or none
	Trace  bool   // whether Result.Trace is wanted, of engines that can give one

	Previews bool   // whether Progress.Preview is wanted, of engines that can give one
	Init     string // pictures: the bytes of a PNG or JPEG file to begin with; "": none
	Strength int    // of what may change of Init, in thousandths: 1 to 1000
}

// MediaEmbedding is the media type of an embedding: its numbers, one byte each, signed
// (two's complement), in order. What is alike has a large cosine.
const MediaEmbedding = "application/vnd.essaim.embedding"

// Progress tells how far a request is, in steps that need not be the request's: an engine
// that samples once may count what it draws.
type Progress struct {
	Step    int         // steps finished, 1 to Steps
	Steps   int         // steps in all; 0: not known
	Preview *image.RGBA // nil: none. Owned by the receiver.
	Text    string      // chats: what was written since the step before
}

// Result is a finished request.
type Result struct {
	MediaType    string        // "image/png", MediaEmbedding, MediaFloats or MediaChat
	Data         []byte        // the file; owned by the receiver
	PixelsDigest essaim.Digest // pictures: SHA-256 of width*height*3 bytes RGB, row by row
	Steps        int           // sampling steps made, of a chat tokens written; 0 for kinds without
	Units        uint64        // units of work by the model's meter; at least 1
	Warnings     []string      // for the user, such as words that the model never saw; no prompt text beyond those words
	Trace        essaim.Digest // commitment to the operators that made it (docs/protocol/trace.md); zero: none
}

// Fit fills a request's defaults from the model and refuses what it cannot do.
//
// Errors: wraps ErrBadRequest, and never quotes the prompt.
func (m Model) Fit(r Request) (Request, error) {
	if r.Width == 0 && r.Height == 0 && len(m.Sizes) > 0 {
		r.Width, r.Height = m.Sizes[0].Width, m.Sizes[0].Height
	}
	if r.Steps == 0 {
		r.Steps = m.Steps
	}
	if m.Kind != essaim.KindImage && (r.Width != 0 || r.Height != 0) {
		return r, fmt.Errorf("%w: %s makes no pictures, so it takes no size", ErrBadRequest, m.Name)
	}
	if len(m.Sizes) > 0 && !slices.Contains(m.Sizes, Size{r.Width, r.Height}) {
		return r, fmt.Errorf("%w: %s cannot draw %dx%d, only %v", ErrBadRequest, m.Name, r.Width, r.Height, m.Sizes)
	}
	if r.Steps < m.MinSteps || r.Steps > m.MaxSteps {
		return r, fmt.Errorf("%w: %s takes %d to %d steps, not %d", ErrBadRequest, m.Name, m.MinSteps, m.MaxSteps, r.Steps)
	}
	switch {
	case r.Prompt == "":
		return r, fmt.Errorf("%w: the prompt is empty", ErrBadRequest)
	case r.Init != "" && !m.Inits:
		return r, fmt.Errorf("%w: %s does not begin with a picture", ErrBadRequest, m.Name)
	case r.Init != "" && (r.Strength < 1 || r.Strength > 1000):
		return r, fmt.Errorf("%w: a strength of %d thousandths", ErrBadRequest, r.Strength)
	}
	if m.Kind == essaim.KindChat {
		if _, err := ParseChat(r.Prompt); err != nil {
			return r, err
		}
	}
	return r, nil
}

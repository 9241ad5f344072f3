// Package desk does what every dialect of a gateway has in common for the users of API
// keys: it knows the key, fits a wish to a model, reserves what it may cost, has it done
// in the session that pays, enters the price, and says in HTTP's words how it went.
//
// Reading order: desk.go, pictures.go, texts.go, errand.go; http.go, fault.go and sse.go
// are how answers are written.
//
// It must not know a dialect's fields, match or dispatch tasks, or keep prompts or texts.
// A Desk is safe for concurrent use.
package desk

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/purse"
)

// Config is what a desk works with.
type Config struct {
	Coordinator client.Coordinator
	Blobs       blob.Store
	Keys        *apikey.Store // nil: nobody is served
	Purse       *purse.Purse  // pays; needed with Keys
	PublicURL   string        // in links to pictures; "": as the request has it
	Filter      *censor.List  // of prompts; nil: none
	Log         *slog.Logger

	// Guests serves requests without a key; nil: they are refused.
	Guests *Guests

	Tasks prometheus.Gauge   // tasks under way
	Spent prometheus.Counter // by keys, in uaim

	Halt context.Context // ends when requests under way must end
}

// Desk serves users of API keys. Make it with New.
type Desk struct {
	cfg    Config
	secret [32]byte // under which conversations are named
}

// New makes a desk. It asks nobody.
func New(cfg Config) *Desk {
	d := &Desk{cfg: cfg}
	rand.Read(d.secret[:]) // never fails, see crypto/rand
	return d
}

// Authenticate finds the key that a request shows.
//
// Errors: CodeRefused.
func (d *Desk) Authenticate(r *http.Request) (apikey.Key, error) {
	if key, ok := r.Context().Value(ownerKey{}).(apikey.Key); ok {
		return key, nil
	}
	secret, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case d.cfg.Keys == nil:
		return apikey.Key{}, essaim.Errorf(essaim.CodeRefused, "use the essaim dialect with a session of your own", "this gateway serves no API keys")
	case !ok || secret == "":
		return apikey.Key{}, essaim.Errorf(essaim.CodeRefused, "send Authorization: Bearer sk-essaim-…", "the request has no API key")
	}
	return d.cfg.Keys.Find(r.Context(), strings.TrimSpace(secret))
}

// Admit finds who pays for one request that keeps nothing for later: the key that it shows, or the guests'.
//
// Errors: CodeRefused; CodeUnavailable for a guest who has had enough.
func (d *Desk) Admit(r *http.Request) (apikey.Key, error) {
	if d.cfg.Guests != nil && d.cfg.Keys != nil && r.Header.Get("Authorization") == "" && r.Context().Value(ownerKey{}) == nil {
		return d.cfg.Guests.admit(r, d.cfg.Keys)
	}
	return d.Authenticate(r)
}

// Left is what a key may still spend, now: Authenticate's answer may be half a second old in that.
func (d *Desk) Left(ctx context.Context, key apikey.Key) (essaim.Amount, error) {
	now, err := d.cfg.Keys.Key(ctx, key.ID)
	return now.Balance, err
}

// Latest is the tag that Ollama's clients mean when they give none.
const Latest = ":latest"

// Models lists what connected miners offer.
func (d *Desk) Models(ctx context.Context) ([]essaim.ModelInfo, error) {
	info, err := d.cfg.Coordinator.Info(ctx)
	return info.Models, err
}

// ModelOf finds a model of a kind, or of any, by its digest or name; the empty name is the first
// one's. Of several with one name the first is meant: the digest is never ambiguous. The tag that
// Ollama's clients put behind a name may be missing in it.
//
// Errors: CodeNotFound, CodeUnavailable if there is no model at all.
func (d *Desk) ModelOf(ctx context.Context, kind essaim.Kind, name string) (essaim.ModelInfo, error) {
	models, err := d.Models(ctx)
	if err != nil {
		return essaim.ModelInfo{}, err
	}
	var names []string
	for _, m := range models {
		if kind != "" && m.Kind != kind {
			continue
		}
		if name == "" || name == m.Name || name == m.Digest.String() || strings.TrimSuffix(name, Latest) == strings.TrimSuffix(m.Name, Latest) {
			return m, nil
		}
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeUnavailable, "try later", "no miner is connected that does this")
	}
	return essaim.ModelInfo{}, essaim.Errorf(essaim.CodeNotFound, "on offer: "+strings.Join(names, ", "), "model %.100q is not on offer", name)
}

// errFiltered is for a prompt that the gateway's list of words finds something in.
var errFiltered = &essaim.Error{Code: essaim.CodeBadInput, Msg: "this gateway does not serve such prompts", Hint: "ask for something else, or another gateway"}

// checkPrompt refuses a prompt that is none, or that the filter finds something in.
//
// Errors: CodeBadInput.
func (d *Desk) checkPrompt(k essaim.Kind, prompt string) error {
	if err := k.CheckPrompt(prompt); err != nil {
		return err
	}
	if d.cfg.Filter.Finds(prompt) {
		return errFiltered
	}
	return nil
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
func (d *Desk) upstream(err error) error {
	switch essaim.CodeOf(err) {
	case essaim.CodeBadInput, essaim.CodeUnavailable, essaim.CodeExpired, essaim.CodeInternal:
		return err
	}
	d.cfg.Log.Error("cannot draw for an API key", "code", essaim.CodeOf(err), "err", err)
	return essaim.Errorf(essaim.CodeUnavailable, "try again later", "the gateway cannot have pictures drawn now")
}

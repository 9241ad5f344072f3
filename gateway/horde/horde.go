// Package horde is the gateway's dialect of the AI Horde's second interface, for programs that ask for
// pictures there: a request is accepted, asked after, and its pictures fetched, or it is taken back.
//
// It is the shape of that interface and nothing else: no request is ever passed on to the horde,
// whose rules forbid money. What its programs call kudos are AIM here: dry_run says what a request may
// cost, and cancelling gives back what was not drawn. Who has the ID of a request may follow it, as there; only
// its API key can pay for one.
//
// Requests are kept in memory for a while and nowhere else, prompts not beyond the drawing. The package
// must not do any work itself: that is package desk. An API is safe for concurrent use.
package horde

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

const (
	maxOf   = 64               // requests of one key that are kept
	maxKept = 4096             // of all
	keptFor = 20 * time.Minute // after the end
)

// Config says what the dialect works with.
type Config struct {
	Desk        *desk.Desk
	Coordinator client.Coordinator
	Halt        context.Context // ends when requests under way must end
	Shared      bool            // it is one of several instances behind one name
}

// API answers requests in the dialect. Make it with New.
type API struct {
	cfg   Config
	group sync.WaitGroup

	mu    sync.Mutex
	list  map[string]*request // by ID
	order []*request          // oldest first
}

// New makes a dialect in front of a desk.
func New(cfg Config) *API { return &API{cfg: cfg, list: map[string]*request{}} }

// Wait returns when no request is under way; Halt ends them.
func (api *API) Wait() { api.group.Wait() }

// Routes adds the dialect's paths.
func (api *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v2/generate/async", api.ask)
	mux.HandleFunc("GET /api/v2/generate/check/{id}", api.check)
	mux.HandleFunc("GET /api/v2/generate/status/{id}", api.status)
	mux.HandleFunc("DELETE /api/v2/generate/status/{id}", api.cancel)
	mux.HandleFunc("GET /api/v2/status/heartbeat", func(w http.ResponseWriter, _ *http.Request) {
		desk.WriteJSON(w, http.StatusOK, map[string]string{"message": "OK"})
	})
	mux.HandleFunc("GET /api/v2/status/models", api.models)
	mux.HandleFunc("GET /api/v2/find_user", api.user)
	mux.HandleFunc("/api/v2/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "NotFound", "nothing is at "+r.Method+" "+r.URL.Path[:min(len(r.URL.Path), 100)])
	})
}

// authenticate finds the key, which the dialect has in a header of its own. There is no anonymous one.
func (api *API) authenticate(r *http.Request) (apikey.Key, error) {
	if k := r.Header.Get("apikey"); k != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+k)
	}
	return api.cfg.Desk.Authenticate(r)
}

// refuse answers with an error in the dialect's shape: rc is a word that its programs know.
func refuse(w http.ResponseWriter, status int, rc, message string) {
	desk.WriteJSON(w, status, map[string]string{"message": message, "rc": rc})
}

func (api *API) fail(w http.ResponseWriter, err error) {
	status, f := api.cfg.Desk.Failed(w, err)
	rc := "Unknown"
	switch code := essaim.CodeOf(err); {
	case code == essaim.CodeBadInput && strings.Contains(f.Message, "size"):
		rc = "InvalidSize"
	case code == essaim.CodeBadInput:
		rc = "BadRequest"
	case code == essaim.CodeRefused:
		rc = "InvalidAPIKey"
	case code == essaim.CodeNotFound:
		status, rc = http.StatusBadRequest, "UnsupportedModel"
	case code == essaim.CodeInsufficient:
		status, rc = http.StatusForbidden, "KudosUpfront"
	case status == http.StatusTooManyRequests:
		rc = "TooManyPrompts"
	case code == essaim.CodeUnavailable:
		rc = "NoValidWorkers"
	}
	refuse(w, status, rc, f.Message)
}

// kudos is an amount as the dialect counts: in AIM.
func kudos(a essaim.Amount) float64 { return float64(a) / float64(essaim.AIM) }

// models lists the picture models.
func (api *API) models(w http.ResponseWriter, r *http.Request) {
	models, err := api.cfg.Desk.Models(r.Context())
	if err != nil {
		api.fail(w, err)
		return
	}
	type model struct {
		Name  string `json:"name"`
		Count int    `json:"count"` // of miners
		Type  string `json:"type"`
	}
	out := []model{}
	for _, m := range models {
		if m.Kind == essaim.KindImage && r.URL.Query().Get("type") != "text" {
			out = append(out, model{m.Name, m.Miners, "image"})
		}
	}
	desk.WriteJSON(w, http.StatusOK, out)
}

// user tells what a key may still spend.
func (api *API) user(w http.ResponseWriter, r *http.Request) {
	key, err := api.authenticate(r)
	var left essaim.Amount
	if err == nil {
		left, err = api.cfg.Desk.Left(r.Context(), key)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, map[string]any{"username": key.Name + "#" + key.ID, "kudos": kudos(left), "trusted": false, "moderator": false})
}

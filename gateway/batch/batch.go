// Package batch does many requests of one API key in the background, in the shape of OpenAI's files
// and batches: lines of JSON in, lines of JSON out, each a request of its own that is priced, paid
// and receipted like any other.
//
// A batch outlives its connection and the program: what it has done is in a folder, line by line, and the rest is
// done after the next start. So prompts and answers are kept until the files are deleted or
// a week is over, unlike anywhere else in this program, sealed with a key of the gateway's (store.go). Lines that
// were under way when the program was killed, at most as many as run at a time, are done again, and may
// have been paid before.
//
// Of several instances the one that has a key does its batches, which are rows then and not files; another one goes on where it is given up.
//
// Reading order: batch.go, files.go, run.go, store.go, folder.go, rows.go. The package must not know what a line asks for:
// that is the dialect's handler. An API is safe for concurrent use.
package batch

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/internal/durable"
)

const (
	maxLines = 10_000 // of a batch
	maxFiles = 100    // that a key has
	window   = 24 * time.Hour
	keep     = 7 * 24 * time.Hour // files and batches, after they were made
)

// Config says what batches work with.
type Config struct {
	Dir  string     // holds the files; "": DB does
	DB   durable.DB // with Schema, shared by several instances: of each key one of them has the batches (Take)
	Key  []byte     // 32 bytes that seal them
	Desk *desk.Desk
	Keys *apikey.Store
	Next http.Handler    // does the lines' requests
	Halt context.Context // ends when the program stops
	Log  *slog.Logger

	// Pause is waited before the n-th try of a line, from 1, when nobody could do it now; nil: up to a minute.
	Pause func(n int) time.Duration
}

// API answers requests for files and batches. Make it with Open.
type API struct {
	cfg   Config
	store *store
	rows  *rows // nil: it is a folder
	group sync.WaitGroup

	mu      sync.Mutex
	files   map[string]*file
	batches map[string]*batch
}

// endpoints are what a batch's lines may ask for.
var endpoints = []string{"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/images/generations"}

// The states of a batch, in OpenAI's words.
const (
	running    = "in_progress"
	completed  = "completed"
	failed     = "failed"
	expired    = "expired"
	cancelling = "cancelling"
	cancelled  = "cancelled"
)

// batch is one as it is told, and kept.
type batch struct {
	ID         string            `json:"id"`
	Object     string            `json:"object"` // "batch"
	Endpoint   string            `json:"endpoint"`
	Input      string            `json:"input_file_id"`
	Window     string            `json:"completion_window"`
	Status     string            `json:"status"`
	Output     string            `json:"output_file_id,omitempty"`
	Errors     string            `json:"error_file_id,omitempty"`
	Created    int64             `json:"created_at"` // Unix seconds, as all that follow
	Expires    int64             `json:"expires_at"`
	Began      int64             `json:"in_progress_at,omitempty"`
	Completed  int64             `json:"completed_at,omitempty"`
	Failed     int64             `json:"failed_at,omitempty"`
	Expired    int64             `json:"expired_at,omitempty"`
	Cancelling int64             `json:"cancelling_at,omitempty"`
	Cancelled  int64             `json:"cancelled_at,omitempty"`
	Counts     counts            `json:"request_counts"`
	Metadata   map[string]string `json:"metadata"`
	Essaim     spent             `json:"essaim"`

	// Of the owner's, not told.
	Owner string             `json:"owner,omitempty"` // ID of the API key
	Out   [2]string          `json:"out,omitzero"`    // the output and error files, also while they are written
	leave context.CancelFunc // nil: it does not run
	done  chan struct{}      // closed when it has ended
}

type counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// spent is ours.
type spent struct {
	Cost essaim.Amount `json:"cost"` // uaim
}

// Open reads what earlier runs have left in a folder. Nothing runs before Resume or Take.
func Open(cfg Config) (*API, error) {
	if cfg.Pause == nil {
		cfg.Pause = func(n int) time.Duration { return min(time.Minute, time.Second<<min(n, 6)) }
	}
	api := &API{cfg: cfg, files: map[string]*file{}, batches: map[string]*batch{}}
	var on shelf = folder{cfg.Dir}
	var err error
	if cfg.DB != nil {
		api.rows = &rows{cfg.DB}
		on, err = api.rows, api.rows.sweep(time.Now().Add(-keep-2*window))
	} else {
		err = os.MkdirAll(cfg.Dir, 0o700)
	}
	if err == nil {
		api.store, err = newStore(on, cfg.Key)
	}
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "open batches: %w", err)
	}
	if err := api.read(""); err != nil {
		return nil, err
	}
	api.forget()
	return api, nil
}

// read reads what is kept of a key; of all that this instance has if key is empty. The lock is held, or nobody else has the API.
func (api *API) read(key string) error {
	err := api.store.each(key, func(id string, b []byte) error {
		if strings.HasPrefix(id, "file-") {
			f := &file{}
			api.files[id] = f
			return json.Unmarshal(b, f)
		}
		n := &batch{}
		api.batches[id] = n
		return json.Unmarshal(b, n)
	})
	if err != nil {
		return essaim.Errorf(essaim.CodeInternal, "", "read batches: %w", err)
	}
	return nil
}

// Resume goes on with what was not finished.
func (api *API) Resume() {
	api.mu.Lock()
	defer api.mu.Unlock()
	api.resume()
}

func (api *API) resume() {
	for _, b := range api.batches {
		if b.leave == nil && b.goesOn() {
			api.start(b)
		}
	}
}

// goesOn reports whether a batch is not finished.
func (b *batch) goesOn() bool { return b.Status == running || b.Status == cancelling }

// Take reads what is kept of a key that is this instance's from now on, and goes on with it: no other one does any more.
func (api *API) Take(key string) error {
	api.mu.Lock()
	defer api.mu.Unlock()
	if api.rows == nil {
		return nil
	}
	if err := api.read(key); err != nil {
		return err
	}
	api.resume()
	return nil
}

// Left lists keys whose batches somebody has to go on with: this instance, or another one.
func (api *API) Left(ctx context.Context) ([]string, error) {
	if api.rows == nil {
		return nil, nil
	}
	return api.rows.left(ctx)
}

// Wait returns when no batch runs; Halt ends them.
func (api *API) Wait() { api.group.Wait() }

// Routes adds the paths.
func (api *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/files", api.upload)
	mux.HandleFunc("GET /v1/files", api.listFiles)
	mux.HandleFunc("GET /v1/files/{id}", api.showFile)
	mux.HandleFunc("GET /v1/files/{id}/content", api.content)
	mux.HandleFunc("DELETE /v1/files/{id}", api.deleteFile)
	mux.HandleFunc("POST /v1/batches", api.create)
	mux.HandleFunc("GET /v1/batches", api.list)
	mux.HandleFunc("GET /v1/batches/{id}", api.show)
	mux.HandleFunc("POST /v1/batches/{id}/cancel", api.cancel)
}

func newID(kind string) string { return kind + strings.ToLower(rand.Text()) }

func (api *API) fail(w http.ResponseWriter, err error) {
	status, f := api.cfg.Desk.Failed(w, err)
	if essaim.CodeOf(err) == essaim.CodeNotFound {
		code := "not_found"
		f.Code = &code
	}
	desk.WriteJSON(w, status, map[string]desk.Fault{"error": f})
}

// told is a batch without what only concerns the program. The lock is held.
func (b *batch) told() batch {
	out := *b
	out.Owner, out.Out, out.leave, out.done = "", [2]string{}, nil, nil
	return out
}

// create begins a batch: every line is looked at before the first is done.
func (api *API) create(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Input    string            `json:"input_file_id"`
		Endpoint string            `json:"endpoint"`
		Window   string            `json:"completion_window"`
		Metadata map[string]string `json:"metadata"`
	}
	key, err := api.cfg.Desk.Authenticate(r)
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxSmall, &q)
	}
	switch {
	case err != nil:
	case !slices.Contains(endpoints, q.Endpoint):
		err = essaim.Errorf(essaim.CodeBadInput, strings.Join(endpoints, ", "), "batches do not ask %.50q", q.Endpoint)
	case q.Window != "24h":
		err = essaim.Errorf(essaim.CodeBadInput, "24h", "completion_window is %.20q", q.Window)
	}
	var f *file
	if err == nil {
		f, err = api.file(key.ID, q.Input)
	}
	if err == nil && f.Purpose != "batch" {
		err = essaim.Errorf(essaim.CodeBadInput, "upload it with the purpose batch", "file %s is for %s", f.ID, f.Purpose)
	}
	var n int
	if err == nil {
		n, err = api.check(f.ID, q.Endpoint)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	now := time.Now()
	b := &batch{
		ID: newID("batch_"), Object: "batch", Endpoint: q.Endpoint, Input: f.ID, Window: q.Window, Status: running, Owner: key.ID, Metadata: q.Metadata,
		Created: now.Unix(), Began: now.Unix(), Expires: now.Add(window).Unix(), Counts: counts{Total: n}, Out: [2]string{newID("file-"), newID("file-")},
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	api.forget()
	if err := api.store.describe(b.ID, b.Owner, b.goesOn(), b); err != nil {
		api.fail(w, essaim.Errorf(essaim.CodeInternal, "", "keep a batch: %w", err))
		return
	}
	api.batches[b.ID] = b
	told := b.told()
	api.start(b)
	desk.WriteJSON(w, http.StatusOK, told)
}

// find is the batch that a request names, of its own key. The lock is held.
func (api *API) find(key apikey.Key, id string) (*batch, error) {
	b := api.batches[id]
	if b == nil || b.Owner != key.ID {
		return nil, essaim.Errorf(essaim.CodeNotFound, "a batch is kept for a week", "there is no batch %.100q", id)
	}
	return b, nil
}

func (api *API) show(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	api.mu.Lock()
	defer api.mu.Unlock()
	var b *batch
	if err == nil {
		b, err = api.find(key, r.PathValue("id"))
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, b.told())
}

// cancel takes a batch back, and answers at once: what is under way is taken back too, and what was
// not done is not charged.
func (api *API) cancel(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	api.mu.Lock()
	defer api.mu.Unlock()
	var b *batch
	if err == nil {
		b, err = api.find(key, r.PathValue("id"))
	}
	if err == nil && b.Status != running && b.Status != cancelling {
		err = essaim.Errorf(essaim.CodeConflict, "", "batch %s is %s", b.ID, b.Status)
	}
	if err == nil {
		b.Status, b.Cancelling = cancelling, time.Now().Unix()
		if b.leave != nil {
			b.leave()
		}
		if err = api.store.describe(b.ID, b.Owner, b.goesOn(), b); err != nil {
			err = essaim.Errorf(essaim.CodeInternal, "", "keep a batch: %w", err)
		}
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	desk.WriteJSON(w, http.StatusOK, b.told())
}

// list is a key's batches, the newest first.
func (api *API) list(w http.ResponseWriter, r *http.Request) {
	key, err := api.cfg.Desk.Authenticate(r)
	if err != nil {
		api.fail(w, err)
		return
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	out := []batch{}
	for _, b := range api.batches {
		if b.Owner == key.ID {
			out = append(out, b.told())
		}
	}
	slices.SortFunc(out, func(a, b batch) int {
		if a.Created != b.Created {
			return int(b.Created - a.Created)
		}
		return strings.Compare(a.ID, b.ID)
	})
	page, more := cutPage(out, r, func(b batch) string { return b.ID })
	desk.WriteJSON(w, http.StatusOK, listed(page, more, func(b batch) string { return b.ID }))
}

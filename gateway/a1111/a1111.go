// Package a1111 is the gateway's dialect of stable diffusion's web interface, for programs
// that draw with it. They send passwords by HTTP's basic scheme: an API key may be the
// password of any user.
//
// It must not do any work itself: that is package desk.
package a1111

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// txt2img is the body of POST /sdapi/v1/txt2img. Fields that are not here change nothing; of those
// that would change the picture the answer's info names the ones that were passed over.
type txt2img struct {
	Prompt   string  `json:"prompt"`
	Negative string  `json:"negative_prompt"`
	Seed     *int64  `json:"seed"` // negative: any
	Steps    uint32  `json:"steps"`
	Width    uint32  `json:"width"`
	Height   uint32  `json:"height"`
	Batch    int     `json:"batch_size"`
	Rounds   int     `json:"n_iter"`
	Sampler  string  `json:"sampler_name"`
	Scale    float64 `json:"cfg_scale"`
	Override struct {
		Checkpoint string `json:"sd_model_checkpoint"`
	} `json:"override_settings"`
}

// info is what the answer's info says, as JSON in a string.
type info struct {
	Prompt    string               `json:"prompt"`
	Seed      uint64               `json:"seed"`
	AllSeeds  []uint64             `json:"all_seeds"`
	Width     uint32               `json:"width"`
	Height    uint32               `json:"height"`
	Steps     uint32               `json:"steps"`
	Model     string               `json:"sd_model_name"`
	ModelHash string               `json:"sd_model_hash"`
	Infotexts []string             `json:"infotexts"`
	Ignored   []string             `json:"ignored,omitempty"`
	Essaim    []desk.PictureOrigin `json:"essaim"`
}

// API answers requests in the dialect. Make it with New; it is safe for concurrent use.
type API struct {
	desk    *desk.Desk
	drawing drawings
}

// New makes a dialect in front of a desk.
func New(d *desk.Desk) *API { return &API{desk: d} }

// Routes adds the dialect's paths.
func (api *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /sdapi/v1/txt2img", api.txt2img)
	mux.HandleFunc("GET /sdapi/v1/progress", api.progress)
	mux.HandleFunc("GET /sdapi/v1/sd-models", api.models)
	mux.HandleFunc("GET /sdapi/v1/samplers", func(w http.ResponseWriter, _ *http.Request) {
		desk.WriteJSON(w, http.StatusOK, []map[string]any{{"name": "Euler a", "aliases": []string{"k_euler_a"}, "options": struct{}{}}})
	})
	mux.HandleFunc("/sdapi/", func(w http.ResponseWriter, r *http.Request) {
		api.fail(w, essaim.Errorf(essaim.CodeNotFound, "", "nothing is at %s %.100q", r.Method, r.URL.Path))
	})
}

func (api *API) fail(w http.ResponseWriter, err error) {
	status, f := api.desk.Failed(w, err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="essaim"`)
	}
	desk.WriteJSON(w, status, map[string]any{"error": f.Type, "detail": f.Message, "body": "", "errors": f.Message})
}

// basicKey makes an API key of a password.
func basicKey(r *http.Request) *http.Request {
	if _, password, ok := r.BasicAuth(); ok {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+password)
	}
	return r
}

// order makes a picture order of what is asked.
func (q txt2img) order(m essaim.ModelInfo) desk.Wish {
	n := max(1, q.Batch) * max(1, q.Rounds)
	if q.Batch > desk.MaxPictures || q.Rounds > desk.MaxPictures {
		n = desk.MaxPictures + 1
	}
	o := desk.Wish{Prompt: q.Prompt, Model: m.Digest.String(), N: n}
	if q.Seed != nil && *q.Seed >= 0 {
		seed := uint64(*q.Seed)
		o.Seed = &seed
	}
	if q.Width != 0 || q.Height != 0 {
		o.Size = strconv.Itoa(int(q.Width)) + "x" + strconv.Itoa(int(q.Height))
	}
	if q.Steps != 0 { // its clients always name a number, made for other models
		o.Steps = uint32(min(max(int(min(q.Steps, math.MaxInt32)), m.MinSteps), m.MaxSteps))
	}
	return o
}

// ignored names what would change the picture and does not.
func (q txt2img) ignored(steps uint32) []string {
	var out []string
	for name, is := range map[string]bool{
		"negative_prompt": q.Negative != "", "sampler_name": q.Sampler != "", "cfg_scale": q.Scale != 0, "steps": q.Steps != 0 && q.Steps != steps,
	} {
		if is {
			out = append(out, name)
		}
	}
	return out
}

func (api *API) txt2img(w http.ResponseWriter, r *http.Request) {
	var q txt2img
	key, err := api.desk.Authenticate(basicKey(r))
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxSmall, &q)
	}
	var m essaim.ModelInfo
	if err == nil {
		name, _, _ := strings.Cut(q.Override.Checkpoint, " [") // a title: the name and a part of the digest
		m, err = api.desk.ModelOf(r.Context(), essaim.KindImage, name)
	}
	var o desk.Order
	if err == nil {
		o, err = api.desk.Order(r.Context(), q.order(m))
	}
	var pictures []desk.Picture
	var cost essaim.Amount
	if err == nil {
		var end func()
		o.Progress, end = api.drawing.begin(key)
		pictures, cost, err = api.desk.Fill(r.Context(), key, o)
		end()
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	answer(w, q, o, pictures, cost)
}

func answer(w http.ResponseWriter, q txt2img, o desk.Order, pictures []desk.Picture, cost essaim.Amount) {
	out := info{Prompt: q.Prompt, Model: o.Model.Name, ModelHash: o.Model.Digest.Short(), Ignored: q.ignored(o.Steps)}
	images := [][]byte{}
	for _, p := range pictures {
		images = append(images, p.Data)
		out.AllSeeds = append(out.AllSeeds, p.Origin.Seed)
		out.Infotexts = append(out.Infotexts, "Seed: "+strconv.FormatUint(p.Origin.Seed, 10)+", Size: "+p.Origin.Size+", Model: "+o.Model.Name)
		out.Essaim = append(out.Essaim, p.Origin)
		out.Steps = p.Origin.Steps
		if wide, high, err := desk.ParseSize(p.Origin.Size, essaim.ModelInfo{}); err == nil {
			out.Width, out.Height = wide, high
		}
	}
	out.Seed = out.AllSeeds[0]
	b, err := json.Marshal(out)
	if err != nil {
		panic(err) // our own type always encodes
	}
	w.Header().Set("X-Essaim-Cost", strconv.FormatUint(uint64(cost), 10))
	desk.WriteJSON(w, http.StatusOK, map[string]any{"images": images, "parameters": q, "info": string(b)})
}

// models lists the picture models as checkpoints.
func (api *API) models(w http.ResponseWriter, r *http.Request) {
	models, err := api.desk.Models(r.Context())
	if err != nil {
		api.fail(w, err)
		return
	}
	type checkpoint struct {
		Title    string `json:"title"`
		Name     string `json:"model_name"`
		Hash     string `json:"hash"`
		SHA256   string `json:"sha256"`
		Filename string `json:"filename"`
		Config   any    `json:"config"`
	}
	out := []checkpoint{}
	for _, m := range models {
		if m.Kind == essaim.KindImage {
			out = append(out, checkpoint{m.Name + " [" + m.Digest.Short() + "]", m.Name, m.Digest.Short(), m.Digest.String(), m.Name, nil})
		}
	}
	desk.WriteJSON(w, http.StatusOK, out)
}

// drawings are the pictures under way of each API key, for the dialect's progress, which knows no
// requests.
type drawings struct {
	mu   sync.Mutex
	open map[string]*drawing
}

// drawing is what one key's user has drawn now.
type drawing struct {
	requests    int
	step, steps int // of the picture that was heard of last
}

func (d *drawings) begin(key apikey.Key) (progress func(essaim.Progress), end func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[string]*drawing{}
	}
	now := d.open[key.ID]
	if now == nil {
		now = &drawing{}
		d.open[key.ID] = now
	}
	now.requests++
	progress = func(p essaim.Progress) {
		d.mu.Lock()
		defer d.mu.Unlock()
		now.step, now.steps = p.Step, p.Steps
	}
	return progress, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if now.requests--; now.requests == 0 {
			delete(d.open, key.ID)
		}
	}
}

func (d *drawings) of(key apikey.Key) drawing {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.open[key.ID]; now != nil {
		return *now
	}
	return drawing{}
}

// progress tells how far the pictures of the key's user are.
func (api *API) progress(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Authenticate(basicKey(r))
	if err != nil {
		api.fail(w, err)
		return
	}
	d := api.drawing.of(key)
	progress, job := 0.0, ""
	if d.requests > 0 {
		job = "txt2img"
	}
	if d.steps > 0 {
		progress = float64(d.step) / float64(d.steps)
	}
	desk.WriteJSON(w, http.StatusOK, map[string]any{
		"progress": progress, "eta_relative": 0, "current_image": nil, "textinfo": nil,
		"state": map[string]any{
			"skipped": false, "interrupted": false, "job": job, "job_count": d.requests, "job_no": 0,
			"sampling_step": d.step, "sampling_steps": d.steps,
		},
	})
}

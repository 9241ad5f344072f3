// Package a1111 is the gateway's dialect of stable diffusion's web interface, for programs
// that draw with it. They send passwords by HTTP's basic scheme: an API key may be the
// password of any user.
//
// It must not do any work itself: that is package desk.
package a1111

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

const (
	pathText = "/sdapi/v1/txt2img"
	pathInit = "/sdapi/v1/img2img"

	strength = 0.75 // of what may change of a picture, if nobody says
)

// txt2img is the body of POST /sdapi/v1/txt2img and img2img. Fields that are not here change nothing; of those
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
		Live       *bool  `json:"live_previews_enable"` // whether progress shows pictures; nil: it does
	} `json:"override_settings"`

	Inits    []string `json:"init_images"` // base64; older clients write data URLs
	Strength *float64 `json:"denoising_strength"`
	Mask     string   `json:"mask"`
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
	mux.HandleFunc("POST "+pathText, api.draw)
	mux.HandleFunc("POST "+pathInit, api.draw)
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
	if q.Override.Live == nil || *q.Override.Live {
		o.Previews = desk.MaxPreviews
	}
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

// init is the picture that a wish begins with.
//
// Errors: CodeBadInput.
func (q *txt2img) init(o *desk.Wish) (err error) {
	switch {
	case len(q.Inits) != 1:
		return essaim.Errorf(essaim.CodeBadInput, "send one in init_images", "%d pictures to begin with", len(q.Inits))
	case q.Mask != "":
		return essaim.Errorf(essaim.CodeBadInput, "leave it out", "a mask is not offered here")
	}
	share := strength
	if q.Strength != nil {
		share = *q.Strength
	}
	if !(share >= 0 && share <= 1) {
		return essaim.Errorf(essaim.CodeBadInput, "0 to 1", "denoising_strength is %g", share)
	}
	o.Strength = max(1, uint32(math.Round(1000*share)))
	_, data, ok := strings.Cut(q.Inits[0], "base64,")
	if !ok {
		data = q.Inits[0]
	}
	file, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "send it as base64", "the picture to begin with cannot be read")
	}
	q.Inits = nil // the answer repeats the rest
	o.Init, err = desk.SmallInit(file, q.Width, q.Height)
	return err
}

// draw answers both: with a picture to begin with, and without.
func (api *API) draw(w http.ResponseWriter, r *http.Request) {
	var q txt2img
	limit, job := int64(desk.MaxSmall), strings.TrimPrefix(pathText, "/sdapi/v1/")
	if r.URL.Path == pathInit {
		limit, job = desk.MaxPicture, strings.TrimPrefix(pathInit, "/sdapi/v1/")
	}
	key, err := api.desk.Admit(basicKey(r))
	if err == nil {
		err = desk.ReadJSON(w, r, limit, &q)
	}
	var m essaim.ModelInfo
	if err == nil {
		name, _, _ := strings.Cut(q.Override.Checkpoint, " [") // a title: the name and a part of the digest
		m, err = api.desk.ModelOf(r.Context(), essaim.KindImage, name)
	}
	wish := q.order(m)
	if err == nil && r.URL.Path == pathInit {
		err = q.init(&wish)
	}
	var o desk.Order
	if err == nil {
		o, err = api.desk.Order(r.Context(), wish)
	}
	var pictures []desk.Picture
	var cost essaim.Amount
	if err == nil {
		end := api.drawing.begin(key, job, &o)
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

package horde

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/desk"
)

// asked is the body of POST generate/async. What would change the picture and is not done is
// refused; of numbers that other models take, and of what only chooses workers, the answer's warnings tell.
type asked struct {
	Prompt string `json:"prompt"` // what not to draw may follow behind "###"
	Params struct {
		N        int     `json:"n"`
		Width    uint32  `json:"width"`
		Height   uint32  `json:"height"`
		Steps    uint32  `json:"steps"`
		Seed     string  `json:"seed"`
		Sampler  string  `json:"sampler_name"`
		Scale    float64 `json:"cfg_scale"`
		Strength float64 `json:"denoising_strength"`

		Post    []string `json:"post_processing"`
		Control string   `json:"control_type"`
		Loras   []any    `json:"loras"`
		TIs     []any    `json:"tis"`
		Tiling  bool     `json:"tiling"`
		HiRes   bool     `json:"hires_fix"`
	} `json:"params"`
	Models     []string `json:"models"` // the first that is on offer is taken
	Source     string   `json:"source_image"`
	Processing string   `json:"source_processing"`
	Mask       string   `json:"source_mask"`
	R2         *bool    `json:"r2"` // pictures as links; nil: yes
	Dry        bool     `json:"dry_run"`
}

type warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refused names what would change the picture and is not done here.
//
// Errors: CodeBadInput.
func (q *asked) refused() error {
	_, negative, _ := strings.Cut(q.Prompt, "###")
	for name, is := range map[string]bool{
		"post_processing": len(q.Params.Post) > 0, "control_type": q.Params.Control != "", "loras": len(q.Params.Loras) > 0, "tis": len(q.Params.TIs) > 0,
		"tiling": q.Params.Tiling, "hires_fix": q.Params.HiRes, "source_mask": q.Mask != "", "a negative prompt": strings.TrimSpace(negative) != "",
		"source_processing other than img2img": q.Processing != "" && q.Processing != "img2img",
	} {
		if is {
			return essaim.Errorf(essaim.CodeBadInput, "leave it out", "%s is not offered here", name)
		}
	}
	return nil
}

// wish makes a picture order of what is asked.
//
// Errors: CodeBadInput.
func (q *asked) wish(m essaim.ModelInfo) (o desk.Wish, warnings []warning, err error) {
	p := q.Params
	o = desk.Wish{Prompt: strings.TrimSuffix(q.Prompt, "###"), Model: m.Digest.String(), N: max(1, p.N)}
	if p.Width != 0 || p.Height != 0 {
		o.Size = strconv.Itoa(int(p.Width)) + "x" + strconv.Itoa(int(p.Height))
	}
	if p.Steps != 0 {
		o.Steps = uint32(min(max(int(min(p.Steps, math.MaxInt32)), m.MinSteps), m.MaxSteps))
		switch {
		case o.Steps < p.Steps:
			warnings = append(warnings, warning{"StepsTooMany", "the model makes " + strconv.Itoa(int(o.Steps)) + " steps at most"})
		case o.Steps > p.Steps:
			warnings = append(warnings, warning{"StepsTooFew", "the model makes " + strconv.Itoa(int(o.Steps)) + " steps at least"})
		}
	}
	if p.Sampler != "" {
		warnings = append(warnings, warning{"SamplerMismatch", "the engine has a sampler of its own"})
	}
	if p.Scale != 0 {
		warnings = append(warnings, warning{"CfgScaleMismatch", "the engine has a scale of its own"})
	}
	if p.Seed != "" {
		seed := seedOf(p.Seed)
		o.Seed = &seed
	}
	if q.Source == "" {
		return o, warnings, nil
	}
	if !(p.Strength >= 0 && p.Strength <= 1) {
		return o, nil, essaim.Errorf(essaim.CodeBadInput, "0.01 to 1", "denoising_strength is %g", p.Strength)
	}
	if o.Strength = uint32(math.Round(1000 * p.Strength)); o.Strength == 0 {
		o.Strength = 750 // which the dialect means when it says nothing
	}
	file, err := base64.StdEncoding.DecodeString(q.Source)
	if err != nil {
		return o, nil, essaim.Errorf(essaim.CodeBadInput, "send it as base64", "the source image cannot be read")
	}
	q.Source = ""
	o.Init, err = desk.SmallInit(file, p.Width, p.Height)
	return o, warnings, err
}

// seedOf is a seed that may be any text.
func seedOf(s string) uint64 {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:]) >> 11 // JavaScript reads it without rounding
}

// model is the first of those that are named which is on offer.
func (api *API) model(r *http.Request, names []string) (m essaim.ModelInfo, err error) {
	if len(names) == 0 {
		names = []string{""}
	}
	for _, name := range names[:min(len(names), 16)] {
		if m, err = api.cfg.Desk.ModelOf(r.Context(), essaim.KindImage, name); essaim.CodeOf(err) != essaim.CodeNotFound {
			return m, err
		}
	}
	return m, err
}

// ask accepts a request, or says what it would cost.
func (api *API) ask(w http.ResponseWriter, r *http.Request) {
	var q asked
	key, err := api.authenticate(r)
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxPicture, &q)
	}
	if err == nil {
		err = q.refused()
	}
	var m essaim.ModelInfo
	if err == nil {
		m, err = api.model(r, q.Models)
	}
	var wish desk.Wish
	var warnings []warning
	if err == nil {
		wish, warnings, err = q.wish(m)
	}
	var o desk.Order
	if err == nil {
		o, err = api.cfg.Desk.Order(r.Context(), wish)
	}
	if err == nil && q.Dry {
		desk.WriteJSON(w, http.StatusOK, map[string]any{"kudos": kudos(o.Most())})
		return
	}
	var left essaim.Amount
	if err == nil {
		left, err = api.cfg.Desk.Left(r.Context(), key)
	}
	if err == nil && o.Most() > left {
		err = essaim.Errorf(essaim.CodeInsufficient, "raise the key's limit", "this may cost %s, %s are left", o.Most(), left)
	}
	var n *request
	if err == nil {
		n, err = api.begin(key, o, q.R2 == nil || *q.R2, api.cfg.Desk.Base(r))
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	out := map[string]any{"id": n.id, "kudos": kudos(o.Most())}
	if len(warnings) > 0 {
		slices.SortFunc(warnings, func(a, b warning) int { return strings.Compare(a.Code, b.Code) })
		out["warnings"] = warnings
	}
	desk.WriteJSON(w, http.StatusAccepted, out)
}

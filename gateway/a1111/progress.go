package a1111

import (
	"net/http"
	"sync"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// drawings are the pictures under way of each API key, for the dialect's progress, which knows no
// requests.
type drawings struct {
	mu   sync.Mutex
	open map[string]*drawing
}

// drawing is what one key's user has drawn now.
type drawing struct {
	job         string // "txt2img" or "img2img", of the request that began last
	requests    int
	step, steps int    // of the picture that was heard of last
	shown       []byte // its preview, a PNG file
}

// begin has a wish's progress and previews noted, until end.
func (d *drawings) begin(key apikey.Key, job string, o *desk.Order) (end func()) {
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
	now.job = job
	o.Progress = func(p essaim.Progress) {
		d.mu.Lock()
		defer d.mu.Unlock()
		now.step, now.steps = p.Step, p.Steps
	}
	o.Preview = func(file []byte) {
		d.mu.Lock()
		defer d.mu.Unlock()
		now.shown = file
	}
	return func() {
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

// progress tells how far the pictures of the key's user are, and shows the last preview.
func (api *API) progress(w http.ResponseWriter, r *http.Request) {
	key, err := api.desk.Authenticate(basicKey(r))
	if err != nil {
		api.fail(w, err)
		return
	}
	d := api.drawing.of(key)
	progress, shown := 0.0, any(nil)
	if d.steps > 0 {
		progress = float64(d.step) / float64(d.steps)
	}
	if d.shown != nil && r.URL.Query().Get("skip_current_image") != "true" {
		shown = d.shown
	}
	desk.WriteJSON(w, http.StatusOK, map[string]any{
		"progress": progress, "eta_relative": 0, "current_image": shown, "textinfo": nil,
		"state": map[string]any{
			"skipped": false, "interrupted": false, "job": d.job, "job_count": d.requests, "job_no": 0,
			"sampling_step": d.step, "sampling_steps": d.steps,
		},
	})
}

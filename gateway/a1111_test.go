package gateway_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/essaim/essaim/client/clienttest"
)

// basic is how programs of the dialect send a password.
func (r *rig) basic() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("anybody:"+r.secret))
}

func TestTxt2img(t *testing.T) {
	r := newRig(t)
	var mu sync.Mutex
	var during []byte
	r.OnProgress = func(context.Context, func(string)) {
		_, b := r.send(t, "GET", "/sdapi/v1/progress", "", "Authorization", r.basic())
		mu.Lock()
		defer mu.Unlock()
		during = b
	}
	resp, b := r.send(t, "POST", "/sdapi/v1/txt2img",
		`{"prompt":"a red apple","negative_prompt":"blurry","seed":11,"steps":2,"width":32,"height":32,"cfg_scale":7,"batch_size":1,"n_iter":2,"override_settings":{"sd_model_checkpoint":"pixel-test [05b3abf2]"},"alwayson_scripts":{}}`,
		"Authorization", r.basic())
	if resp.StatusCode != 200 || resp.Header.Get("X-Essaim-Cost") != "5000" {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	got := decode[struct {
		Images     [][]byte
		Parameters map[string]any
		Info       string
	}](t, b)
	info := decode[struct {
		Seed     uint64
		AllSeeds []uint64 `json:"all_seeds"`
		Width    int
		Ignored  []string
	}](t, []byte(got.Info))
	for i, picture := range got.Images {
		if want, _ := clienttest.Draw("a red apple", 11+uint64(i)); !bytes.Equal(picture, want) {
			t.Errorf("picture %d is another one", i)
		}
	}
	slices.Sort(info.Ignored)
	if len(got.Images) != 2 || !slices.Equal(info.AllSeeds, []uint64{11, 12}) || info.Width != 32 || !slices.Equal(info.Ignored, []string{"cfg_scale", "negative_prompt"}) {
		t.Errorf("%d pictures, %s", len(got.Images), got.Info)
	}
	type progress struct {
		State struct {
			Job   string
			Steps int `json:"sampling_steps"`
		}
	}
	if p := decode[progress](t, during); p.State.Job != "txt2img" || p.State.Steps != 2 {
		t.Errorf("while it is drawn: %s", during)
	}
	_, b = r.send(t, "GET", "/sdapi/v1/progress", "", "Authorization", r.basic())
	if p := decode[progress](t, b); p.State.Job != "" {
		t.Errorf("after it is drawn: %s", b)
	}
	_, b = r.send(t, "GET", "/sdapi/v1/sd-models", "")
	if list := decode[[]struct{ Title, SHA256 string }](t, b); len(list) != 1 || list[0].SHA256 != r.Model.Digest.String() || !strings.HasPrefix(list[0].Title, "pixel-test [") {
		t.Errorf("%s", b)
	}
	r.books(t)
}

func TestTxt2imgRefuses(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]int{
		`{}`: 400, `{"prompt":"x","width":33,"height":33}`: 400, `{"prompt":"x","batch_size":9}`: 400, `{"prompt":"x","batch_size":2,"n_iter":3}`: 400,
		`{"prompt":"x","override_settings":{"sd_model_checkpoint":"other"}}`: 404,
	} {
		resp, b := r.send(t, "POST", "/sdapi/v1/txt2img", body, "Authorization", r.basic())
		if got := decode[struct{ Detail string }](t, b); resp.StatusCode != want || got.Detail == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	if resp, _ := r.send(t, "POST", "/sdapi/v1/txt2img", `{"prompt":"x"}`); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("without a password: %d", resp.StatusCode)
	}
	if resp, _ := r.send(t, "GET", "/sdapi/v1/cmd-flags", ""); resp.StatusCode != 404 {
		t.Errorf("what is not offered: %d", resp.StatusCode)
	}
}

func TestOllamaDialect(t *testing.T) {
	r := newRig(t)
	resp, b := r.ask(t, "/api/chat", `{"model":"talker-1","messages":[{"role":"user","content":"a b"}]}`)
	if resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%s", resp.Header.Get("Content-Type"))
	}
	text, last := "", map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		var l struct{ Message struct{ Content string } }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		text += l.Message.Content
		last = decode[map[string]any](t, []byte(line))
	}
	if text != "You said: a b" || last["done"] != true || last["done_reason"] != "stop" || last["eval_count"] != 4.0 {
		t.Errorf("%q, %v", text, last)
	}
	for body, want := range map[string]int{
		`{}`: 400, `{"messages":[{"role":"user","content":"x","images":["aa"]}]}`: 400, `{"messages":[{"role":"user","content":"x"}],"tools":[{}]}`: 400,
		`{"messages":[{"role":"user","content":"x"}],"format":{"type":"object"}}`: 400, `{"model":"nothing","messages":[{"role":"user","content":"x"}]}`: 404,
	} {
		resp, b := r.ask(t, "/api/chat", body)
		if got := decode[struct{ Error string }](t, b); resp.StatusCode != want || got.Error == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	for path, want := range map[string]int{"/api/pull": 404, "/api/generate": 400, "/api/embed": 400} {
		if resp, _ := r.ask(t, path, `{"model":""}`); resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	if resp, b := r.send(t, "GET", "/api/version", ""); resp.StatusCode != http.StatusOK || !strings.Contains(string(b), "version") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

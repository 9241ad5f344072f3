package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
)

const pathHorde = "/api/v2/generate/"

type hordeState struct {
	ID, Message, RC                          string
	Finished, Processing, Waiting, Restarted int
	Done, Faulted, Possible                  bool
	Kudos                                    float64
	Warnings                                 []struct{ Code string }
	Generations                              []struct{ Img, Seed, State, Model string }
}

// horde asks and follows a request to its end.
func (r *rig) horde(t testing.TB, body string) (accepted, ended hordeState) {
	t.Helper()
	resp, b := r.send(t, "POST", pathHorde+"async", body, "apikey", r.secret)
	accepted = decode[hordeState](t, b)
	if resp.StatusCode != 202 || accepted.ID == "" {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	for !ended.Done {
		_, b := r.send(t, "GET", pathHorde+"status/"+accepted.ID, "")
		ended = decode[hordeState](t, b)
	}
	return accepted, ended
}

// TestHordeNode asks with a client of npm that was written for the horde.
func TestHordeNode(t *testing.T) {
	r := newRig(t)
	r.Model.MaxSteps = 2 // which is what the network's miners make
	out := script(t, "horde.mjs", npmHorde, r.url+"/api/v2", r.secret)
	got := decode[struct {
		Dry, User                                    float64
		Warnings, SHA256, Seeds, Links, Models       []string
		Check, Cancelled                             hordeState
		Heartbeat                                    bool
		NoKey, BadSize, UnknownModel, UnknownRequest failed
	}](t, out)
	price := 2 * float64(clienttest.Price) / 1e6
	for i, sum := range got.SHA256 {
		if want, _ := clienttest.Draw("a red apple", 11+uint64(i)); sum != essaim.DigestOf(want).String() {
			t.Errorf("picture %d is another one", i)
		}
	}
	if got.Dry != price || got.Check.Kudos != price || len(got.SHA256) != 2 || fmt.Sprint(got.Seeds) != "[11 12]" || fmt.Sprint(got.Warnings) != "[SamplerMismatch StepsTooMany]" {
		t.Errorf("%s", out)
	}
	if c := got.Check; c.Finished != 2 || c.Waiting+c.Processing+c.Restarted != 0 || c.Faulted {
		t.Errorf("%s", out)
	}
	if len(got.Links) != 2 || !strings.HasPrefix(got.Links[0], r.url+"/ipfs/") || len(got.Cancelled.Generations) != 2 || fmt.Sprint(got.Models) != "[pixel-test]" || !got.Heartbeat {
		t.Errorf("%s", out)
	}
	if want := float64(10*clienttest.Price)/1e6 - 2*price; got.User < want-1e-9 || got.User > want+1e-9 {
		t.Errorf("%g AIM are left, want %g", got.User, want)
	}
	for name, f := range map[string][2]failed{
		"no key": {got.NoKey, {401, "InvalidAPIKey"}}, "size": {got.BadSize, {400, "InvalidSize"}},
		"model": {got.UnknownModel, {400, "UnsupportedModel"}}, "request": {got.UnknownRequest, {404, "RequestNotFound"}},
	} {
		if f[0] != f[1] {
			t.Errorf("%s: %+v, want %+v", name, f[0], f[1])
		}
	}
	r.runOnce(t)
	r.books(t)
}

// TestHordeCancel: what was not drawn is not charged, whenever it is taken back.
func TestHordeCancel(t *testing.T) {
	r := newRig(t)
	drawing := make(chan struct{}, 4)
	r.OnProgress = func(ctx context.Context, _ func(string)) { drawing <- struct{}{}; <-ctx.Done() }
	_, b := r.send(t, "POST", pathHorde+"async", `{"prompt":"a red apple"}`, "apikey", r.secret)
	id := decode[hordeState](t, b).ID
	<-drawing
	_, b = r.send(t, "GET", pathHorde+"check/"+id, "")
	if s := decode[hordeState](t, b); s.Done || s.Processing != 1 || s.Finished != 0 || strings.Contains(string(b), "generations") {
		t.Errorf("%s", b)
	}
	resp, b := r.send(t, "DELETE", pathHorde+"status/"+id, "")
	if s := decode[hordeState](t, b); resp.StatusCode != 200 || !s.Done || !s.Faulted || s.Kudos != 0 || len(s.Generations) != 0 || s.Message == "" {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	r.OnProgress = nil
	r.runOnce(t)
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 0 || k.Reserved != 0 {
		t.Errorf("spent %d, reserved %d, %v", k.Spent, k.Reserved, err)
	}
	r.books(t)
}

// TestHordeRefuses what it does not do, before anything is paid, and more than a key has.
func TestHordeRefuses(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]int{
		`{}`: 400, `{"prompt":"x ### y"}`: 400, `{"prompt":"x","params":{"n":9}}`: 400, `{"prompt":"x","params":{"tiling":true}}`: 400,
		`{"prompt":"x","params":{"post_processing":["GFPGAN"]}}`: 400, `{"prompt":"x","source_mask":"aa"}`: 400, `{"prompt":"x","source_processing":"inpainting"}`: 400,
		`{"prompt":"x","source_image":"!"}`: 400,
	} {
		resp, b := r.send(t, "POST", pathHorde+"async", body, "apikey", r.secret)
		if got := decode[hordeState](t, b); resp.StatusCode != want || got.Message == "" || got.RC == "" {
			t.Errorf("%s: %d %s", body, resp.StatusCode, b)
		}
	}
	source := base64Of(pngOf(t, 40, 40))
	if resp, b := r.send(t, "POST", pathHorde+"async", `{"prompt":"x","source_image":"`+source+`"}`, "apikey", r.secret); resp.StatusCode != 400 || !strings.Contains(string(b), "does not begin") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	r.Model.Inits = true
	if _, ended := r.horde(t, `{"prompt":"x","source_image":"`+source+`","params":{"denoising_strength":0.5}}`); ended.Finished != 1 || ended.Faulted {
		t.Errorf("%+v", ended)
	}
	for range 2 {
		r.horde(t, `{"prompt":"x","params":{"n":4}}`)
	}
	resp, b := r.send(t, "POST", pathHorde+"async", `{"prompt":"x","params":{"n":4}}`, "apikey", r.secret)
	if got := decode[hordeState](t, b); resp.StatusCode != 403 || got.RC != "KudosUpfront" {
		t.Errorf("more than there is: %d %s", resp.StatusCode, b)
	}
	r.runOnce(t)
	if n := r.Submits(); n != 9 {
		t.Errorf("%d tasks", n)
	}
	r.books(t)
}

// TestHordeFaulted: a picture that no miner delivers is no picture, and says why.
func TestHordeFaulted(t *testing.T) {
	r := newRig(t)
	r.OnOutput = func(o *essaim.Output) { o.Data = []byte("no picture") }
	_, ended := r.horde(t, `{"prompt":"a red apple"}`)
	if !ended.Faulted || ended.Message == "" || ended.Kudos != 0 {
		b, _ := json.Marshal(ended)
		t.Errorf("%s", b)
	}
	r.runOnce(t)
}

package cuckoo_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cuckoo"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/a1111"
	"github.com/essaim/essaim/internal/ethsig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an exchange over HTTP, with a clock of its own.
type rig struct {
	*testing.T
	url string

	mu  sync.Mutex
	now time.Time
}

func newRig(t *testing.T, change func(*cuckoo.Config)) *rig {
	r := &rig{T: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	cfg := cuckoo.Config{Models: []string{"sd-xl"}, Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.now }}
	if change != nil {
		change(&cfg)
	}
	x, err := cuckoo.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(x)
	t.Cleanup(s.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	r.url = s.URL
	return r
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// wallet is a machine of that network.
type wallet struct {
	r   *rig
	key []byte
	hex string
}

func (r *rig) wallet(n byte) *wallet {
	key := bytes.Repeat([]byte{n}, 32)
	public, err := ethsig.PublicKey(key)
	if err != nil {
		r.Fatal(err)
	}
	a, err := ethsig.Address(public)
	if err != nil {
		r.Fatal(err)
	}
	return &wallet{r, key, essaim.Address(a).Hex()}
}

func (w *wallet) sign(more string) string {
	w.r.mu.Lock()
	date := w.r.now.Format(time.RFC3339)
	w.r.mu.Unlock()
	sig, err := ethsig.Sign(w.key, []byte(date+more))
	if err != nil {
		w.r.Fatal(err)
	}
	return date + ".0x" + hex.EncodeToString(sig)
}

type rpcError struct {
	Code int
	Data essaim.Code
}

// call is a JSON-RPC call with one parameter.
func (r *rig) call(method string, param, out any) *rpcError {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": []any{param}})
	if err != nil {
		r.Fatal(err)
	}
	resp, err := http.Post(r.url, "application/json", bytes.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		Result json.RawMessage
		Error  *rpcError
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		r.Fatal(err)
	}
	if a.Error == nil && out != nil {
		if err := json.Unmarshal(a.Result, out); err != nil {
			r.Fatal(err)
		}
	}
	return a.Error
}

type offer struct {
	ID, Status, CoinSymbol string
	Payload                struct {
		Path string
		Body json.RawMessage
	}
}

func (w *wallet) poll() (out []offer) {
	w.r.Helper()
	if e := w.r.call("listPendingTasks", map[string]any{"walletAddress": w.hex, "sig": w.sign(""), "platform": "linux", "ip": "10.1.2.3"}, &out); e != nil {
		w.r.Errorf("poll: %+v", e)
	}
	return out
}

// wait polls until there is a task.
func (w *wallet) wait() offer {
	for {
		if l := w.poll(); len(l) == 1 {
			return l[0]
		}
	}
}

func (w *wallet) submit(id, status, payload string) *rpcError {
	sum := sha256.Sum256([]byte(payload))
	sig := w.sign("\n" + id + "\n" + status + "\n" + hex.EncodeToString(sum[:]))
	return w.r.call("submitTaskResult", map[string]any{"id": id, "coinSymbol": "SD", "status": status, "payload": json.RawMessage(payload), "walletAddress": w.hex, "sig": sig}, nil)
}

// ask draws through the transparent way.
func (r *rig) ask(id string, header ...string) <-chan string {
	out := make(chan string, 1)
	go func() {
		req, err := http.NewRequest("POST", r.url+"/task/SD/sdapi/v1/txt2img", bytes.NewReader([]byte(`{"prompt":"x"}`)))
		if err != nil {
			panic(err)
		}
		req.Header.Set("X-Id", id)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			out <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		out <- resp.Status + " " + string(b)
	}()
	return out
}

// TestEachTaskIsWithOneMachine: two machines poll, each task is offered to one of them, who polls
// again gets the same, and the answer is the one of who had it.
func TestEachTaskIsWithOneMachine(t *testing.T) {
	r := newRig(t, nil)
	a, b := r.wallet(1), r.wallet(2)
	first := r.ask("one")
	if got := a.wait(); got.ID != "one" || got.CoinSymbol != "SD" || got.Payload.Path != "/sdapi/v1/txt2img" || string(got.Payload.Body) != `{"prompt":"x"}` {
		t.Errorf("%+v", got)
	}
	if l := b.poll(); len(l) != 0 {
		t.Errorf("a second machine is offered %+v", l)
	}
	second := r.ask("two")
	if got := b.wait(); got.ID != "two" {
		t.Errorf("%+v", got)
	}
	if l := a.poll(); len(l) != 1 || l[0].ID != "one" {
		t.Errorf("polled again: %+v", l)
	}
	if e := b.submit("one", "Completed", `{"stolen":true}`); e == nil || e.Data != essaim.CodeRefused {
		t.Errorf("a result of somebody else's task: %+v", e)
	}
	for _, done := range []struct {
		w  *wallet
		id string
		c  <-chan string
	}{{a, "one", first}, {b, "two", second}} {
		if e := done.w.submit(done.id, "InProgress", `null`); e != nil {
			t.Errorf("%+v", e)
		}
		if e := done.w.submit(done.id, "Completed", `{"by":"`+done.id+`"}`); e != nil {
			t.Errorf("%+v", e)
		}
		if got := <-done.c; got != `200 OK {"by":"`+done.id+`"}` {
			t.Errorf("%s", got)
		}
	}
	var list []map[string]any
	if e := r.call("listGPUProviders", nil, &list); e != nil || len(list) != 2 || list[0]["ip"] != nil || list[0]["sig"] != nil {
		t.Errorf("%v %+v", list, e)
	}
}

// TestUnsignedIsRefused: polls and results without a signature of their own.
func TestUnsignedIsRefused(t *testing.T) {
	stranger := &rig{T: t}
	r := newRig(t, func(c *cuckoo.Config) {
		a, err := essaim.ParseAddress(stranger.wallet(1).hex)
		if err != nil {
			t.Fatal(err)
		}
		c.Wallets = []essaim.Address{a}
	})
	a, b := r.wallet(1), r.wallet(2)
	old := a.sign("")
	for name, p := range map[string]map[string]any{
		"none":          {"walletAddress": a.hex},
		"another's":     {"walletAddress": a.hex, "sig": b.sign("")},
		"garbage":       {"walletAddress": a.hex, "sig": "2026-11-22T12:00:00Z.0xzz"},
		"of a stranger": {"walletAddress": b.hex, "sig": b.sign("")},
	} {
		if e := r.call("listPendingTasks", p, nil); e == nil || e.Data != essaim.CodeRefused {
			t.Errorf("a signature %s: %+v", name, e)
		}
	}
	r.pass(time.Hour)
	if e := r.call("listPendingTasks", map[string]any{"walletAddress": a.hex, "sig": old}, nil); e == nil || e.Data != essaim.CodeRefused {
		t.Errorf("an old signature: %+v", e)
	}
	done := r.ask("one")
	a.wait()
	for name, sig := range map[string]string{"none": "", "of the date alone": a.sign("")} {
		e := r.call("submitTaskResult", map[string]any{"id": "one", "coinSymbol": "SD", "status": "Completed", "payload": 1, "walletAddress": a.hex, "sig": sig}, nil)
		if e == nil || e.Data != essaim.CodeRefused {
			t.Errorf("a result with a signature %s: %+v", name, e)
		}
	}
	if e := a.submit("one", "Completed", `7`); e != nil {
		t.Errorf("%+v", e)
	}
	if got := <-done; got != "200 OK 7" {
		t.Error(got)
	}
}

// TestLostMachine: the task of one that polls no more goes to the next, and its late result does
// not count; of one that says that it has failed, too.
func TestLostMachine(t *testing.T) {
	r := newRig(t, nil)
	a, b, c := r.wallet(1), r.wallet(2), r.wallet(3)
	done := r.ask("one")
	a.wait()
	r.pass(31 * time.Second)
	b.wait()
	if e := a.submit("one", "Completed", `"late"`); e == nil || e.Data != essaim.CodeRefused {
		t.Errorf("a late result: %+v", e)
	}
	if e := b.submit("one", "Failed", `null`); e != nil {
		t.Errorf("%+v", e)
	}
	if l := b.poll(); len(l) != 0 {
		t.Errorf("offered again to who has failed: %+v", l)
	}
	c.wait()
	if e := c.submit("one", "Completed", `"done"`); e != nil {
		t.Errorf("%+v", e)
	}
	if got := <-done; got != `200 OK "done"` {
		t.Error(got)
	}
}

func TestWhatIsNotServed(t *testing.T) {
	r := newRig(t, nil)
	for _, o := range []map[string]any{
		{"id": "1", "coinSymbol": "SD", "payload": map[string]any{"path": "/etc/passwd", "body": 1}},
		{"id": "1", "coinSymbol": "BTC", "payload": map[string]any{"path": "/sdapi/v1/txt2img", "body": 1}},
		{"coinSymbol": "SD", "payload": map[string]any{"path": "/sdapi/v1/txt2img", "body": 1}},
	} {
		if e := r.call("offerTask", o, nil); e == nil || e.Data != essaim.CodeBadInput {
			t.Errorf("%v: %+v", o, e)
		}
	}
	if e := r.call("reward", nil, nil); e == nil || e.Code != -32601 {
		t.Errorf("%+v", e)
	}
	resp, err := http.Post(r.url+"/task/SD/sdapi/v1/txt2img", "application/json", strings.NewReader(`{"prompt":"`+strings.Repeat("x", 20<<20)+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("too much: %d", resp.StatusCode)
	}
	var health struct{ Status string }
	if e := r.call("getHealth", nil, &health); e != nil || health.Status != "healthy" {
		t.Errorf("%+v %+v", health, e)
	}
}

// TestMachineServesThisNetwork: the driver of engine/a1111 draws on a machine that polls.
func TestMachineServesThisNetwork(t *testing.T) {
	r := newRig(t, nil)
	e, err := a1111.New(r.url + "/task/SD")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Name != "sd-xl" {
		t.Fatalf("%+v %v", models, err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		w := r.wallet(1)
		o := w.wait()
		var ask struct{ Width, Height int }
		if err := json.Unmarshal(o.Payload.Body, &ask); err != nil {
			t.Error(err)
		}
		var b bytes.Buffer
		drawn := image.NewRGBA(image.Rect(0, 0, ask.Width, ask.Height))
		drawn.Set(0, 0, color.White)
		if err := png.Encode(&b, drawn); err != nil {
			t.Error(err)
		}
		if e := w.submit(o.ID, "Completed", `{"images":["`+base64.StdEncoding.EncodeToString(b.Bytes())+`"]}`); e != nil {
			t.Errorf("%+v", e)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := e.Run(ctx, engine.Request{Model: models[0].Digest, Prompt: "a red apple", Seed: 1, Width: models[0].Sizes[0].Width, Height: models[0].Sizes[0].Height, Steps: 1}, nil)
	wg.Wait()
	if err != nil || out.MediaType != "image/png" || out.Units == 0 {
		t.Errorf("%+v %v", out.MediaType, err)
	}
}

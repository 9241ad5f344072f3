package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
)

const wordOfTheBatch = "pomegranate" // which must not be found on the disk

// batches lets a gateway do batches, in a folder.
func batches(dir string) func(*gateway.Config) {
	return func(c *gateway.Config) { c.Batches, c.BatchKey = dir, bytes.Repeat([]byte{7}, 32) }
}

func (r *rig) openAI() openai.Client {
	return openai.NewClient(option.WithBaseURL(r.url+"/v1"), option.WithAPIKey(r.secret), option.WithMaxRetries(0))
}

// running lets the gateway run until what it returns is called.
func (r *rig) running(t testing.TB) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.gateway.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func pictureLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/images/generations","body":{"prompt":"a %s","seed":%d,"response_format":"b64_json"}}`+"\n", i, wordOfTheBatch, i)
	}
	return b.String()
}

// begin uploads lines and makes a batch of them.
func (r *rig) begin(t testing.TB, c openai.Client, lines string, endpoint openai.BatchNewParamsEndpoint) *openai.Batch {
	t.Helper()
	f, err := c.Files.New(t.Context(), openai.FileNewParams{File: strings.NewReader(lines), Purpose: openai.FilePurposeBatch})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Batches.New(t.Context(), openai.BatchNewParams{InputFileID: f.ID, Endpoint: endpoint, CompletionWindow: openai.BatchNewParamsCompletionWindow24h})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// until asks for a batch until it has a status.
func (r *rig) until(t testing.TB, c openai.Client, id string, ok func(*openai.Batch) bool) *openai.Batch {
	t.Helper()
	for {
		b, err := c.Batches.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if ok(b) {
			return b
		}
	}
}

type batchLine struct {
	Custom   string `json:"custom_id"`
	Response struct {
		Status int `json:"status_code"`
		Body   json.RawMessage
	}
	Essaim *struct {
		Receipt string
		Cost    essaim.Amount
	}
}

func (r *rig) contents(t testing.TB, c openai.Client, id string) (out []batchLine) {
	t.Helper()
	resp, err := c.Files.Content(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for d := json.NewDecoder(resp.Body); d.More(); {
		var l batchLine
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b batchLine) int { return strings.Compare(a.Custom, b.Custom) })
	return out
}

func isDone(b *openai.Batch) bool { return b.Status == openai.BatchStatusCompleted }

// TestBatch is made with OpenAI's own Go client: each line that was done has a receipt and its price, each that
// was not says why, and nothing of what was asked can be read on the disk.
func TestBatch(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, batches(dir))
	c := r.openAI()
	defer r.running(t)()
	bad := `{"custom_id":"bad","method":"POST","url":"/v1/images/generations","body":{"prompt":"x","size":"9x9"}}`
	b := r.begin(t, c, pictureLines(3)+"\n"+bad, openai.BatchNewParamsEndpointV1ImagesGenerations)
	b = r.until(t, c, b.ID, isDone)
	if n := b.RequestCounts; n.Total != 4 || n.Completed != 3 || n.Failed != 1 || b.CompletedAt == 0 {
		t.Fatalf("%s", b.RawJSON())
	}
	for i, l := range r.contents(t, c, b.OutputFileID) {
		want, _ := clienttest.Draw("a "+wordOfTheBatch, uint64(i))
		p := decode[pictures](t, l.Response.Body)
		if l.Response.Status != 200 || !bytes.Equal(p.Data[0].B64JSON, want) || l.Essaim == nil || l.Essaim.Cost != clienttest.Price || l.Essaim.Receipt != p.Data[0].Essaim.Receipt {
			t.Errorf("line %d: %d %+v", i, l.Response.Status, l.Essaim)
		}
	}
	if errs := r.contents(t, c, b.ErrorFileID); len(errs) != 1 || errs[0].Custom != "bad" || errs[0].Response.Status != 400 || errs[0].Essaim != nil {
		t.Errorf("%+v", errs)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 3*clienttest.Price || !strings.Contains(b.RawJSON(), `"cost":7500`) {
		t.Errorf("spent %d, %v: %s", k.Spent, err, b.RawJSON())
	}
	all, err := os.ReadDir(dir)
	if err != nil || len(all) < 6 {
		t.Fatalf("%d files, %v", len(all), err)
	}
	for _, e := range all {
		if raw, err := os.ReadFile(filepath.Join(dir, e.Name())); err != nil || bytes.Contains(raw, []byte(wordOfTheBatch)) {
			t.Errorf("%s holds what was asked, %v", e.Name(), err)
		}
	}
	if page, err := c.Batches.List(t.Context(), openai.BatchListParams{}); err != nil || len(page.Data) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := c.Files.Delete(t.Context(), b.OutputFileID); err != nil {
		t.Error(err)
	}
	if _, err := c.Files.Content(t.Context(), b.OutputFileID); err == nil {
		t.Error("a deleted file is still there")
	}
	other, _, err := r.keys.Create(t.Context(), "other", clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/batches/" + b.ID, "/v1/files/" + b.InputFileID, "/v1/files/" + b.InputFileID + "/content"} {
		if resp, body := r.send(t, "GET", path, "", "Authorization", "Bearer "+other); resp.StatusCode != 404 {
			t.Errorf("another key reads %s: %d %s", path, resp.StatusCode, body)
		}
	}
	r.books(t)
}

// TestBatchGoesOn after the gateway was stopped in its midst, with a file that was cut while a line
// was written: every line has one answer, and each is paid once.
func TestBatchGoesOn(t *testing.T) {
	dir, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys.db")
	r := newRigAt(t, keys, batches(dir))
	c := r.openAI()
	const lines = 8
	stop := r.running(t)
	var mu sync.Mutex
	drawn := 0
	r.OnProgress = func(ctx context.Context, _ func(string)) {
		mu.Lock()
		drawn++
		hold := drawn > 6 // two steps each
		mu.Unlock()
		if hold {
			<-ctx.Done()
		}
	}
	b := r.begin(t, c, pictureLines(lines), openai.BatchNewParamsEndpointV1ImagesGenerations)
	before := r.until(t, c, b.ID, func(b *openai.Batch) bool { return b.RequestCounts.Completed > 0 })
	stop()
	out, err := filepath.Glob(filepath.Join(dir, "*.lines"))
	if err != nil || len(out) != 3 {
		t.Fatalf("%v, %v", out, err)
	}
	for _, path := range out {
		if f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err == nil && !strings.Contains(path, before.InputFileID) {
			_, _ = f.Write([]byte{0, 0, 1, 0, 42})
			_ = f.Close()
		}
	}
	mu.Lock()
	drawn = -1000
	mu.Unlock()
	again := &rig{Network: r.Network, keys: r.keys, blobs: r.blobs, secret: r.secret, keyID: r.keyID}
	cfg := gateway.Config{Coordinator: r.Network, Blobs: r.blobs, Keys: r.keys, Payer: payer{r.Network, 100 * clienttest.Price}}
	batches(dir)(&cfg)
	again.serve(t, cfg)
	defer again.running(t)()
	c = again.openAI()
	b = again.until(t, c, b.ID, isDone)
	if n := b.RequestCounts; n.Completed != lines || n.Failed != 0 {
		t.Errorf("%s", b.RawJSON())
	}
	got := again.contents(t, c, b.OutputFileID)
	for i, l := range got {
		if l.Custom != fmt.Sprintf("c%d", i) || l.Essaim == nil {
			t.Errorf("line %d is %s", i, l.Custom)
		}
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || len(got) != lines || k.Spent != lines*clienttest.Price {
		t.Errorf("%d lines, spent %d, %v", len(got), k.Spent, err)
	}
	r.books(t)
}

// TestBatchCancel gives back what was not done, and keeps what was.
func TestBatchCancel(t *testing.T) {
	r := newRig(t, batches(t.TempDir()))
	c := r.openAI()
	defer r.running(t)()
	var mu sync.Mutex
	drawn := 0
	r.OnProgress = func(ctx context.Context, _ func(string)) {
		mu.Lock()
		drawn++
		hold := drawn > 6
		mu.Unlock()
		if hold {
			<-ctx.Done()
		}
	}
	b := r.begin(t, c, pictureLines(8), openai.BatchNewParamsEndpointV1ImagesGenerations)
	r.until(t, c, b.ID, func(b *openai.Batch) bool { return b.RequestCounts.Completed > 0 })
	if _, err := c.Batches.Cancel(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	b = r.until(t, c, b.ID, func(b *openai.Batch) bool { return b.Status == openai.BatchStatusCancelled })
	got := r.contents(t, c, b.OutputFileID)
	k, err := r.keys.Key(t.Context(), r.keyID)
	if n := int64(len(got)); err != nil || n != b.RequestCounts.Completed || n >= 8 || k.Spent != essaim.Amount(n)*clienttest.Price || k.Reserved != 0 {
		t.Errorf("%d lines, %+v, %v: %s", n, k, err, b.RawJSON())
	}
	if _, err := c.Batches.Cancel(t.Context(), b.ID); err == nil {
		t.Error("a cancelled batch is cancelled again")
	}
	r.books(t)
}

// TestBatchRefuses what would not come out right, before anything is done, and a key that was
// revoked meanwhile.
func TestBatchRefuses(t *testing.T) {
	r := newRig(t, batches(t.TempDir()))
	c := r.openAI()
	ok := strings.TrimSpace(pictureLines(1))
	for name, lines := range map[string]string{
		"twice": ok + "\n" + ok, "no JSON": ok + "\n{", "another endpoint": strings.ReplaceAll(ok, "images/generations", "embeddings"),
		"another method": strings.Replace(ok, "POST", "GET", 1), "a stream": strings.Replace(ok, `"seed":0`, `"stream":true`, 1), "no name": strings.Replace(ok, "c0", "", 1),
	} {
		f, err := c.Files.New(t.Context(), openai.FileNewParams{File: strings.NewReader(lines), Purpose: openai.FilePurposeBatch})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Batches.New(t.Context(), openai.BatchNewParams{InputFileID: f.ID, Endpoint: openai.BatchNewParamsEndpointV1ImagesGenerations, CompletionWindow: openai.BatchNewParamsCompletionWindow24h})
		var refused *openai.Error
		if !errors.As(err, &refused) || refused.StatusCode != 400 || !strings.Contains(refused.Message, "line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Files.New(t.Context(), openai.FileNewParams{File: strings.NewReader(ok), Purpose: openai.FilePurposeFineTune}); err == nil {
		t.Error("a file for another purpose")
	}
	if _, err := c.Files.New(t.Context(), openai.FileNewParams{File: strings.NewReader(""), Purpose: openai.FilePurposeBatch}); err == nil {
		t.Error("an empty file")
	}
	if r.Submits() != 0 {
		t.Error("something was done")
	}
	gate := make(chan struct{})
	r.OnProgress = func(context.Context, func(string)) { <-gate }
	b := r.begin(t, c, pictureLines(6), openai.BatchNewParamsEndpointV1ImagesGenerations)
	if err := r.keys.Revoke(t.Context(), r.keyID); err != nil {
		t.Fatal(err)
	}
	close(gate)
	stop := r.running(t)
	stop()
	if r.Submits() > 4 {
		t.Errorf("%d lines of a revoked key were done of batch %s", r.Submits(), b.ID)
	}
	r.books(t)
}

// TestBatchExpires: a batch whose day is over ends as expired. What was done by then can be read and is paid; the rest is
// neither done nor paid.
func TestBatchExpires(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, batches(dir))
	c := r.openAI()
	stop := r.running(t)
	var drawn atomic.Int64
	r.OnProgress = func(ctx context.Context, _ func(string)) {
		if drawn.Add(1) > 6 { // three lines
			<-ctx.Done()
		}
	}
	b := r.begin(t, c, pictureLines(8), openai.BatchNewParamsEndpointV1ImagesGenerations)
	r.until(t, c, b.ID, func(b *openai.Batch) bool { return b.RequestCounts.Completed > 0 })
	stop()
	path := filepath.Join(dir, b.ID+".json")
	said, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	was := decode[map[string]any](t, said)
	was["expires_at"] = was["created_at"] // the day is over
	if said, err = json.Marshal(was); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, said, 0o600); err != nil {
		t.Fatal(err)
	}
	before := r.Submits()
	again := &rig{Network: r.Network, keys: r.keys, blobs: r.blobs, secret: r.secret, keyID: r.keyID}
	cfg := gateway.Config{Coordinator: r.Network, Blobs: r.blobs, Keys: r.keys, Payer: payer{r.Network, 100 * clienttest.Price}}
	batches(dir)(&cfg)
	again.serve(t, cfg)
	defer again.running(t)()
	c = again.openAI()
	b = again.until(t, c, b.ID, func(b *openai.Batch) bool { return b.Status == openai.BatchStatusExpired })
	got := again.contents(t, c, b.OutputFileID)
	k, err := r.keys.Key(t.Context(), r.keyID)
	if n := int64(len(got)); err != nil || n == 0 || n != b.RequestCounts.Completed || n >= 8 || b.ExpiredAt == 0 || k.Spent != essaim.Amount(n)*clienttest.Price || k.Reserved != 0 {
		t.Errorf("%d lines, %+v, %v: %s", n, k, err, b.RawJSON())
	}
	if n := r.Submits(); n != before {
		t.Errorf("%d tasks after the end", n-before)
	}
	again.books(t)
}

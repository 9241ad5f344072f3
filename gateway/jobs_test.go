package gateway_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
)

type jobState struct {
	ID, State string
	Status    int
	Tasks     []essaim.Digest
	Waiting   []struct{ Task essaim.Digest }
	Answer    string
}

func (r *rig) auth(more ...string) []string {
	return append([]string{"Authorization", "Bearer " + r.secret}, more...)
}

const (
	pathImages = "/v1/images/generations"
	pathChat   = "/v1/chat/completions"
)

// TestIdempotencyKey: the same request with the same key is done and paid once, however often it
// comes and also while it is under way; another request may not have the key.
func TestIdempotencyKey(t *testing.T) {
	r := newRig(t)
	const body = `{"prompt":"a red apple"}`
	drawing, gate := make(chan struct{}, 4), make(chan struct{})
	r.OnProgress = func(context.Context, func(string)) { drawing <- struct{}{}; <-gate }
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, 2)
	ask := func() {
		resp, b := r.send(t, "POST", pathImages, body, r.auth("Idempotency-Key", "k1")...)
		answers <- answer{resp.StatusCode, string(b)}
	}
	go ask()
	<-drawing
	go ask()
	close(gate)
	a, b := <-answers, <-answers
	if a.status != 200 || a != b {
		t.Fatalf("%.200v and %.200v", a, b)
	}
	resp, third := r.send(t, "POST", pathImages, body, r.auth("Idempotency-Key", "k1")...)
	if string(third) != a.body || resp.Header.Get("X-Essaim-Replayed") != "true" || resp.Header.Get("X-Essaim-Receipt") == "" {
		t.Errorf("the third time: %.100s %v", third, resp.Header)
	}
	if n := r.Submits(); n != 1 {
		t.Errorf("%d submissions", n)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != clienttest.Price {
		t.Errorf("spent %d, %v", k.Spent, err)
	}
	for _, other := range [][2]string{{pathImages, `{"prompt":"a green apple"}`}, {"/v1/embeddings", body}} {
		if resp, b := r.send(t, "POST", other[0], other[1], r.auth("Idempotency-Key", "k1")...); resp.StatusCode != 409 {
			t.Errorf("another request with the key: %d %s", resp.StatusCode, b)
		}
	}
	if resp, b := r.send(t, "POST", pathImages, body, "Authorization", "Bearer nonsense", "Idempotency-Key", "k1"); resp.StatusCode != 401 {
		t.Errorf("a stranger: %d %s", resp.StatusCode, b)
	}
	r.runOnce(t)
}

// TestResumedStream cuts a streamed chat and takes it up behind the event that was seen last: the
// pieces together are the answer, and it is paid once.
func TestResumedStream(t *testing.T) {
	r := newRig(t)
	const body = `{"messages":[{"role":"user","content":"one two three four five"}],"stream":true}`
	whole, events := r.stream(t, body, 0, 1000)
	if len(events) < 4 || !strings.HasSuffix(whole, "data: [DONE]\n\n") {
		t.Fatalf("%d events: %s", len(events), whole)
	}
	first, seen := r.stream(t, body, 0, 2)
	rest, _ := r.stream(t, body, len(seen), 1000)
	if first+rest != whole {
		t.Errorf("cut and taken up:\n%s\nwhole:\n%s", first+rest, whole)
	}
	if n := r.Submits(); n != 1 {
		t.Errorf("%d submissions", n)
	}
	r.runOnce(t)
}

// stream reads events of a chat from behind the last one that was seen, at most so many, and
// hangs up.
func (r *rig) stream(t testing.TB, body string, last, most int) (text string, ids []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", r.url+pathChat, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.secret)
	req.Header.Set("Idempotency-Key", "chat")
	if last > 0 {
		req.Header.Set("Last-Event-ID", fmt.Sprint(last))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for len(ids) < most && lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, ":") {
			continue
		}
		text += line + "\n"
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			ids = append(ids, id)
			lines.Scan()
			text += lines.Text() + "\n\n"
		}
	}
	return text, ids
}

// TestAsyncJob: a request that is not waited for is accepted, followed and its answer fetched.
func TestAsyncJob(t *testing.T) {
	r := newRig(t)
	drawing, gate := make(chan struct{}, 4), make(chan struct{})
	r.OnProgress = func(context.Context, func(string)) { drawing <- struct{}{}; <-gate }
	resp, b := r.send(t, "POST", pathImages, `{"prompt":"a red apple"}`, r.auth("Prefer", "respond-async")...)
	job := decode[jobState](t, b)
	if resp.StatusCode != 202 || job.State != "running" || resp.Header.Get("Location") != "/essaim/v1/jobs/"+job.ID {
		t.Fatalf("%d %s %v", resp.StatusCode, b, resp.Header)
	}
	<-drawing
	_, b = r.send(t, "GET", "/essaim/v1/jobs/"+job.ID, "", r.auth()...)
	if s := decode[jobState](t, b); s.State != "running" || len(s.Tasks) != 1 || len(s.Waiting) != 1 || s.Waiting[0].Task != s.Tasks[0] {
		t.Errorf("%s", b)
	}
	close(gate)
	resp, b = r.send(t, "GET", job.Answer, "", r.auth()...)
	if got := decode[struct{ Data []struct{ URL string } }](t, b); resp.StatusCode != 200 || len(got.Data) != 1 {
		t.Errorf("%d %.200s", resp.StatusCode, b)
	}
	_, b = r.send(t, "GET", "/essaim/v1/jobs/"+job.ID, "", r.auth()...)
	if s := decode[jobState](t, b); s.State != "done" || s.Status != 200 {
		t.Errorf("%s", b)
	}
	if resp, _ := r.send(t, "GET", "/essaim/v1/jobs/"+job.ID, ""); resp.StatusCode != 401 {
		t.Errorf("without a key: %d", resp.StatusCode)
	}
	r.runOnce(t)
}

// TestCancelledJobIsNotCharged, neither to the key nor to the session that pays.
func TestCancelledJobIsNotCharged(t *testing.T) {
	r := newRig(t)
	drawing := make(chan struct{}, 4)
	r.OnProgress = func(ctx context.Context, _ func(string)) { drawing <- struct{}{}; <-ctx.Done() }
	_, b := r.send(t, "POST", pathImages, `{"prompt":"a red apple"}`, r.auth("Prefer", "respond-async")...)
	job := decode[jobState](t, b)
	<-drawing
	resp, b := r.send(t, "POST", "/essaim/v1/jobs/"+job.ID+"/cancel", "", r.auth()...)
	if s := decode[jobState](t, b); resp.StatusCode != 200 || s.State != "cancelled" || s.Status != 409 {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	r.OnProgress = nil
	r.runOnce(t)
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 0 || k.Reserved != 0 {
		t.Errorf("spent %d, reserved %d, %v", k.Spent, k.Reserved, err)
	}
	r.books(t)
}

// TestWebhook: the end of a job is told with a signature that the key's user can check, and told
// again when it was not heard; never to an address inside.
func TestWebhook(t *testing.T) {
	heard, answers := make(chan *http.Request, 2), []int{500, 204}
	var body []byte
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ = io.ReadAll(q.Body)
		w.WriteHeader(answers[0])
		answers = answers[1:]
		heard <- q
	}))
	defer hook.Close()
	r := newRig(t, func(c *gateway.Config) { c.PrivateHooks = true })
	resp, b := r.send(t, "POST", pathImages, `{"prompt":"a red apple"}`, r.auth("X-Essaim-Webhook", hook.URL)...)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	first, second := <-heard, <-heard
	if first.Header.Get("Webhook-Id") != second.Header.Get("Webhook-Id") {
		t.Error("the second try has another ID")
	}
	_, b = r.send(t, "GET", "/essaim/v1/webhook-secret", "", r.auth()...)
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(decode[struct{ Secret string }](t, b).Secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	h := second.Header
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.%s", h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), body)
	if !slices.Contains(strings.Fields(h.Get("Webhook-Signature")), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil))) {
		t.Errorf("signature %q", h.Get("Webhook-Signature"))
	}
	told := decode[struct {
		Type string
		Data jobState
	}](t, body)
	if told.Type != "job.done" || told.Data.Status != 200 || len(told.Data.Tasks) != 1 || strings.Contains(string(body), "apple") {
		t.Errorf("%s", body)
	}
	r.runOnce(t)

	outside := newRig(t)
	for _, inside := range []string{hook.URL, "http://example.com/", "https://user:pass@example.com/", "ftp://example.com"} {
		if resp, b := outside.send(t, "POST", pathImages, `{"prompt":"x"}`, outside.auth("X-Essaim-Webhook", inside)...); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", inside, resp.StatusCode, b)
		}
	}
	outside.runOnce(t)
}

// TestPriceBeforeRunIsTheCharge: what a quote says a picture costs is what is charged for it.
func TestPriceBeforeRunIsTheCharge(t *testing.T) {
	r := newRig(t)
	q, err := r.client.Quote(t.Context(), essaim.QuoteRequest{Kind: essaim.KindImage, Model: r.Model.Digest})
	if err != nil {
		t.Fatal(err)
	}
	resp, b := r.send(t, "POST", pathImages, `{"prompt":"a red apple"}`, r.auth()...)
	if resp.StatusCode != 200 || resp.Header.Get("X-Essaim-Cost") != fmt.Sprint(uint64(q.MaxPrice)) {
		t.Errorf("%d, quoted %d, cost %s: %.100s", resp.StatusCode, q.MaxPrice, resp.Header.Get("X-Essaim-Cost"), b)
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != q.MaxPrice {
		t.Errorf("spent %d, %v", k.Spent, err)
	}
	r.runOnce(t)
}

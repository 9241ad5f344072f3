package gateway_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// remote is a client's configuration that reaches the coordinator through the
// gateway.
func (r *rig) remote() client.Config {
	return client.Config{Coordinator: r.client, Ledger: r.Network, ChainID: clienttest.ChainID}
}

func (r *rig) open(t testing.TB) *client.Session {
	t.Helper()
	s, err := client.Open(t.Context(), r.remote(), 10*clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDrawOverHTTP(t *testing.T) {
	r := newRig(t)
	s := r.open(t)
	var steps []int
	p, err := s.Draw(t.Context(), client.Request{Model: r.Model.Digest, Prompt: "a red apple", Seed: 3}, func(p essaim.Progress) { steps = append(steps, p.Step) })
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := clienttest.Draw("a red apple", 3); !bytes.Equal(p.Data, want) || len(steps) != 2 {
		t.Errorf("another picture, steps %v", steps)
	}
	record, err := r.client.Task(t.Context(), p.Task.Digest())
	if err != nil || record.Price != clienttest.Price {
		t.Errorf("%+v, %v", record, err)
	}
	if err := s.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v := r.Vouchers(s.Record().ID); len(v) != 1 || v[0].Amount != clienttest.Price || v[0].Count != 1 {
		t.Errorf("vouchers %+v", v)
	}
	settled, err := s.Close(t.Context())
	if err != nil || settled.Root.Sum() != clienttest.Price || settled.Root.Count() != 1 {
		t.Errorf("%+v, %v", settled, err)
	}
}

func TestLiesOverHTTPAreRefused(t *testing.T) {
	r := newRig(t)
	s := r.open(t)
	r.OnOutput = func(o *essaim.Output) { o.Data[100] ^= 1 }
	_, err := s.Draw(t.Context(), client.Request{Model: r.Model.Digest, Prompt: "x"}, nil)
	wantCode(t, err, essaim.CodeRefused)
}

func TestInfo(t *testing.T) {
	r := newRig(t)
	resp, b := r.send(t, "GET", "/essaim/v1/info", "")
	info := decode[essaim.CoordinatorInfo](t, b)
	if info.LedgerURL != "http://ledger" || info.Miners != 2 || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%+v, %v", info, resp.Header)
	}
}

func TestErrorsAreTheSameAsInProcess(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	ask := map[string]func(client.Coordinator) error{
		"unknown model": func(c client.Coordinator) error {
			_, err := c.Quote(ctx, essaim.QuoteRequest{})
			return err
		},
		"unknown task": func(c client.Coordinator) error {
			_, err := c.Task(ctx, essaim.DigestOf(nil))
			return err
		},
		"unsigned task": func(c client.Coordinator) error {
			_, err := c.Submit(ctx, essaim.Submission{Task: []byte("x")}, nil)
			return err
		},
		"unsigned voucher": func(c client.Coordinator) error { return c.Acknowledge(ctx, []byte("x")) },
		"unsigned close": func(c client.Coordinator) error {
			_, err := c.Close(ctx, []byte("x"))
			return err
		},
	}
	for name, f := range ask {
		t.Run(name, func(t *testing.T) {
			here, there := f(r.Network), f(r.client)
			if here == nil || there == nil || essaim.CodeOf(here) != essaim.CodeOf(there) || here.Error() != there.Error() || essaim.HintOf(here) != essaim.HintOf(there) {
				t.Errorf("in process %v, over HTTP %v", here, there)
			}
		})
	}
}

func TestFaultsAreNotTold(t *testing.T) {
	r := newRig(t)
	r.OnSubmit = func(int) error { return essaim.Errorf(essaim.CodeInternal, "", "password is hunter2") }
	_, err := r.client.Submit(t.Context(), r.submission(t), nil)
	wantCode(t, err, essaim.CodeInternal)
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	r.OnSubmit = func(int) error { panic("hunter2") }
	_, err = r.client.Submit(t.Context(), r.submission(t), nil)
	wantCode(t, err, essaim.CodeInternal)
}

// capture is a coordinator that keeps what is submitted to it.
type capture struct {
	*clienttest.Network
	got essaim.Submission
}

func (c *capture) Submit(_ context.Context, s essaim.Submission, _ func(essaim.Progress)) (essaim.Delivery, error) {
	c.got = s
	return essaim.Delivery{}, essaim.Errorf(essaim.CodeRefused, "", "captured")
}

// submission makes a real one, which was not handed in yet.
func (r *rig) submission(t *testing.T) essaim.Submission {
	t.Helper()
	c := &capture{Network: r.Network}
	s, err := client.Open(t.Context(), client.Config{Coordinator: c, Ledger: r.Network, ChainID: clienttest.ChainID}, 10*clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Draw(t.Context(), client.Request{Model: r.Model.Digest, Prompt: "x"}, nil)
	wantCode(t, err, essaim.CodeRefused)
	return c.got
}

// TestACutStreamIsContinued cuts the connection of the first submission. The client
// must submit the same task again and be charged once.
func TestACutStreamIsContinued(t *testing.T) {
	r := newRig(t)
	cuts := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == client.PathTasks && cuts == 0 {
			cuts++
			// The task is done behind the proxy, but the client never hears of it.
			rec := httptest.NewRecorder()
			r.gateway.Handler().ServeHTTP(rec, req)
			w.Header().Set("Content-Type", client.MediaFrames)
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
			panic(http.ErrAbortHandler)
		}
		r.gateway.Handler().ServeHTTP(w, req)
	}))
	t.Cleanup(proxy.Close)
	c, err := client.Dial(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	r.client = c
	s := r.open(t)
	var notes []string
	p, err := s.Draw(t.Context(), client.Request{Model: r.Model.Digest, Prompt: "x"}, func(p essaim.Progress) {
		if p.Note != "" {
			notes = append(notes, p.Note)
		}
	})
	if err != nil || p.Task.Seq != 1 || len(notes) != 1 || !strings.Contains(notes[0], "was lost") {
		t.Fatalf("notes %q, %v", notes, err)
	}
	settled, err := s.Close(t.Context())
	if err != nil || settled.Root.Count() != 1 {
		t.Errorf("%+v, %v", settled, err)
	}
}

func TestLeavingEndsTheSubmission(t *testing.T) {
	r := newRig(t)
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	r.OnProgress = func(ctx context.Context, _ func(string)) {
		cancel()
		<-ctx.Done()
		select {
		case <-ended:
		default:
			close(ended)
		}
	}
	if _, err := r.client.Submit(ctx, r.submission(t), nil); err == nil {
		t.Error("a submission that was left has an answer")
	}
	<-ended
}

func BenchmarkDrawOverHTTP(b *testing.B) {
	r := newRig(b)
	s, err := client.Open(b.Context(), r.remote(), essaim.Amount(1e12))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.Draw(b.Context(), client.Request{Model: r.Model.Digest, Prompt: "x"}, nil); err != nil {
			b.Fatal(err)
		}
	}
}

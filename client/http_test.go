package client_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) *client.HTTP {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := client.Dial(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestDialRefuses(t *testing.T) {
	for _, u := range []string{"", "localhost:80", "ftp://x", "http://", "http://x?y=1"} {
		if _, err := client.Dial(u); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%q: got %v", u, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	c, err := client.Dial(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Info(t.Context())
	wantCode(t, err, essaim.CodeUnavailable)
	if !strings.Contains(essaim.HintOf(err), "essaim up") {
		t.Errorf("hint %q", essaim.HintOf(err))
	}
}

func TestSomethingElseAnswers(t *testing.T) {
	for status, code := range map[int]essaim.Code{404: essaim.CodeNotFound, 500: essaim.CodeNotFound, 502: essaim.CodeUnavailable, 503: essaim.CodeUnavailable} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", status) })
		_, err := c.Info(t.Context())
		wantCode(t, err, code)
	}
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	_, err := c.Info(t.Context())
	wantCode(t, err, essaim.CodeInternal)
	_, err = c.Submit(t.Context(), essaim.Submission{}, nil)
	wantCode(t, err, essaim.CodeNotFound)
}

func TestErrorsKeepTheirCode(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(402)
		fmt.Fprint(w, `{"error":{"code":"insufficient","message":"too \u001b[31mlittle","hint":"pay more"}}`)
	})
	_, err := c.Quote(t.Context(), essaim.QuoteRequest{})
	wantCode(t, err, essaim.CodeInsufficient)
	if err.Error() != "too [31mlittle" || essaim.HintOf(err) != "pay more" {
		t.Errorf("%q, hint %q", err, essaim.HintOf(err))
	}
}

func TestStreams(t *testing.T) {
	step := client.AppendFrame(nil, &client.Event{Progress: &essaim.Progress{Step: 1}})
	alive := client.AppendFrame(nil, &client.Event{})
	foreign := client.AppendFrame(nil, &client.Event{N: 7, Delivery: &essaim.Delivery{}})
	delivery := client.AppendFrame(nil, &client.Event{Delivery: &essaim.Delivery{Receipt: []byte{1}}})
	late := client.AppendFrame(nil, &client.Event{Error: &client.ErrorInfo{Code: essaim.CodeExpired, Message: "late"}})
	for name, c := range map[string]struct {
		stream []byte
		code   essaim.Code // "" for a delivery
	}{
		"delivery":    {slices.Concat(alive, step, alive, foreign, delivery), ""},
		"error":       {slices.Concat(step, late), essaim.CodeExpired},
		"cut":         {slices.Concat(step, delivery[:len(delivery)-1]), essaim.CodeUnavailable},
		"cut at once": {nil, essaim.CodeUnavailable},
		"garbage":     {slices.Concat(step, []byte{0, 0, 0, 2, 0xff, 0xff}), essaim.CodeInternal},
		"too long":    {slices.Concat(step, []byte{0xff, 0, 0, 0}), essaim.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", client.MediaFrames)
				_, _ = w.Write(c.stream)
			})
			steps := 0
			_, err := h.Submit(t.Context(), essaim.Submission{}, func(p essaim.Progress) { steps += p.Step })
			if c.code == "" && err != nil {
				t.Fatal(err)
			}
			if c.code != "" {
				wantCode(t, err, c.code)
			}
			if c.stream != nil && steps != 1 {
				t.Errorf("%d steps", steps)
			}
		})
	}
}

// TestSubmissionsShareRequests: what comes while a request is handed over goes with the
// next, and each hears of its own.
func TestSubmissionsShareRequests(t *testing.T) {
	const tasks = 40
	var requests, most atomic.Int64
	var begun sync.WaitGroup
	begun.Add(tasks)
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		var out []byte
		for n := 0; ; n++ {
			var s client.Submitted
			if client.ReadFrame(r.Body, 1<<20, &s) != nil {
				most.Store(max(most.Load(), int64(n)))
				break
			}
			if string(s.Task) == "bad" {
				out = client.AppendFrame(out, &client.Event{N: n, Error: &client.ErrorInfo{Code: essaim.CodeRefused}})
				continue
			}
			out = client.AppendFrame(out, &client.Event{N: n, Delivery: &essaim.Delivery{Receipt: s.Task}})
		}
		begun.Wait() // the first answers come when all tasks are on their way
		w.Header().Set("Content-Type", client.MediaFrames)
		_, _ = w.Write(out)
	})
	var g sync.WaitGroup
	for i := range tasks {
		g.Go(func() {
			task := fmt.Sprint(i)
			if i == 7 {
				task = "bad"
			}
			begun.Done()
			d, err := h.Submit(t.Context(), essaim.Submission{Task: []byte(task)}, nil)
			if i == 7 && essaim.CodeOf(err) != essaim.CodeRefused || i != 7 && (err != nil || string(d.Receipt) != task) {
				t.Errorf("task %d: %q, %v", i, d.Receipt, err)
			}
		})
	}
	g.Wait()
	if requests.Load() > tasks/2 || most.Load() < 2 {
		t.Errorf("%d requests for %d tasks, at most %d together", requests.Load(), tasks, most.Load())
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(client.AppendFrame(nil, &client.Event{N: 3, Progress: &essaim.Progress{Step: 1}}))
	f.Add([]byte{0, 0, 0, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		var e client.Event
		if client.ReadFrame(r, 1000, &e) == nil && len(b)-r.Len() > 1004 {
			t.Fatal("a frame beyond its limit")
		}
	})
}

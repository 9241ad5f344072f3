package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
	for name, c := range map[string]struct {
		stream string
		code   essaim.Code // "" for a delivery
	}{
		"delivery":      {": hello\n\nevent: progress\ndata: {\"step\":1}\n\nevent: delivery\ndata: {\"receipt\":\"AQ==\"}\n\n", ""},
		"crlf":          {"event:progress\r\ndata:{\"step\":1}\r\n\r\nevent:delivery\r\ndata:{}\r\n\r\n", ""},
		"two lines":     {"event: progress\ndata: {\"step\"\ndata: :1}\n\nevent: delivery\ndata: {}\n\n", ""},
		"unknown event": {"event: progress\ndata: {\"step\":1}\n\nevent: later\ndata: x\n\nevent: delivery\ndata: {}\n\n", ""},
		"error":         {"event: progress\ndata: {\"step\":1}\n\nevent: error\ndata: {\"error\":{\"code\":\"expired\",\"message\":\"late\"}}\n\n", essaim.CodeExpired},
		"cut":           {"event: progress\ndata: {\"step\":1}\n\nevent: deliv", essaim.CodeUnavailable},
		"cut at once":   {"", essaim.CodeUnavailable},
		"garbage":       {"event: progress\ndata: {\"step\":1}\n\nevent: delivery\ndata: {{{\n\n", essaim.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
				fmt.Fprint(w, c.stream)
			})
			steps := 0
			_, err := h.Submit(t.Context(), essaim.Submission{}, func(p essaim.Progress) { steps += p.Step })
			if c.code == "" && err != nil {
				t.Fatal(err)
			}
			if c.code != "" {
				wantCode(t, err, c.code)
			}
			if c.stream != "" && steps != 1 {
				t.Errorf("%d steps", steps)
			}
		})
	}
}

package relay_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/relay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owners say where keys are; "": here.
type owners struct {
	mu   sync.Mutex
	at   map[string]string
	gone chan struct{}
	err  error
	took []string
}

func (o *owners) Own(_ context.Context, key string, took func() error) (string, <-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || o.at[key] != "" {
		return o.at[key], o.gone, o.err
	}
	return "", nil, took()
}

func (o *owners) Leave() error { return nil }

// instance serves next, or what is elsewhere there.
func instance(t *testing.T, o *owners, next http.HandlerFunc) *httptest.Server {
	t.Helper()
	r := relay.New(relay.Config{
		Owners: o, Log: slog.New(slog.DiscardHandler),
		KeyOf: func(r *http.Request) string { return r.Header.Get("key") },
		Took: func(key string) error {
			o.took = append(o.took, key)
			return nil
		},
	})
	s := httptest.NewServer(r.Wrap(next))
	t.Cleanup(func() {
		s.Close()
		r.Close()
	})
	return s
}

func ask(t *testing.T, url, key string, body io.Reader, header ...string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/x?y=z", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("key", key)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return c.Do(req)
}

// said is what was answered, whole.
func said(t *testing.T, resp *http.Response, err error) (int, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestRequestsGoToTheOwner: what is of a key elsewhere is asked there, as it came; everything else is served here.
func TestRequestsGoToTheOwner(t *testing.T) {
	there, here := &owners{at: map[string]string{}}, &owners{at: map[string]string{}}
	echo := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("X-Request-Id", "of "+name)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, name+" "+r.Host+" "+r.URL.String()+" "+string(b))
		}
	}
	other := instance(t, there, echo("there"))
	one := instance(t, here, echo("here"))
	here.at["far"] = other.URL
	host := strings.TrimPrefix(one.URL, "http://")
	for key, want := range map[string]string{"": "here ", "near": "here ", "far": "there "} {
		resp, err := ask(t, one.URL, key, strings.NewReader("hello"))
		status, got := said(t, resp, err)
		if status != http.StatusTeapot || got != want+host+" /v1/x?y=z hello" {
			t.Errorf("key %q: %d %q", key, status, got)
		}
		if ids := resp.Header.Values("X-Request-Id"); len(ids) != 1 || ids[0] != "of "+strings.TrimSpace(want) {
			t.Errorf("key %q: %q", key, ids)
		}
	}
	if len(here.took) != 1 || here.took[0] != "near" || len(there.took) != 1 || there.took[0] != "far" {
		t.Errorf("taken here %q, there %q", here.took, there.took)
	}
}

// TestRefusals: what cannot be served says why, and when to come back.
func TestRefusals(t *testing.T) {
	never := func(http.ResponseWriter, *http.Request) { t.Error("it was served") }
	dead := httptest.NewServer(nil)
	dead.Close()
	circle := &owners{at: map[string]string{}}
	one := instance(t, circle, never)
	circle.at["round"], circle.at["dead"] = one.URL, dead.URL
	unsure := instance(t, &owners{err: essaim.Errorf(essaim.CodeUnavailable, "", "not sure who I am")}, never)
	for name, c := range map[string]struct{ url, key, want string }{
		"two that point at each other": {one.URL, "round", "about to be served by another"},
		"an instance that is down":     {one.URL, "dead", "does not answer"},
		"who may have been given up":   {unsure.URL, "any", "not sure who I am"},
	} {
		resp, err := ask(t, c.url, c.key, nil)
		if status, got := said(t, resp, err); status != http.StatusServiceUnavailable || !strings.Contains(got, c.want) || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %q", name, status, got)
		}
	}
}

// TestGivenUp: a request at an instance that is given up ends at once. Without an answer yet it is refused; a stream is cut, and its reader sees that.
func TestGivenUp(t *testing.T) {
	for name, begun := range map[string]bool{"before the answer": false, "within a stream": true} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			other := instance(t, &owners{}, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					_, _ = io.WriteString(w, "data: one\n\n")
					_ = http.NewResponseController(w).Flush()
				}
				close(arrived)
				<-r.Context().Done() // until it is cut
			})
			o := &owners{at: map[string]string{"far": other.URL}, gone: make(chan struct{})}
			one := instance(t, o, nil)
			if !begun {
				go func() {
					<-arrived
					close(o.gone)
				}()
				resp, err := ask(t, one.URL, "far", nil)
				if status, got := said(t, resp, err); status != http.StatusServiceUnavailable || !strings.Contains(got, "is gone") {
					t.Errorf("%d %q", status, got)
				}
				return
			}
			resp, err := ask(t, one.URL, "far", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			lines := bufio.NewReader(resp.Body)
			if first, err := lines.ReadString('\n'); err != nil || first != "data: one\n" {
				t.Fatalf("%q, %v", first, err)
			}
			close(o.gone)
			if rest, err := io.ReadAll(lines); err == nil {
				t.Errorf("a stream that was cut ends as if it were whole: %q", rest)
			}
		})
	}
}

//go:build unix

package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/apikey"
)

// keyed opens the sessions that pay for API keys.
type keyed struct{ cfg client.Config }

func (k keyed) OpenSession(ctx context.Context) (*client.Session, error) {
	return client.Open(ctx, k.cfg, 1<<40)
}

func (k keyed) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, k.cfg, saved)
}

// busy is how many requests of one key may be under way.
const busy = 16

// serveKeys puts a gateway for API keys before the world's, and returns its URL with as many keys
// as so many clients need.
func (w *world) serveKeys(b *testing.B, clients int) (string, []string) {
	b.Helper()
	keys, err := apikey.OpenServing(filepath.Join(b.TempDir(), "keys.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = keys.Close() })
	var secrets []string
	for range (clients + busy - 1) / busy {
		secret, _, err := keys.Create(b.Context(), "bench", 1<<40)
		if err != nil {
			b.Fatal(err)
		}
		secrets = append(secrets, secret)
	}
	g, err := gateway.New(gateway.Config{Coordinator: w.coordinator, Blobs: openBlobs(b), Keys: keys, Payer: keyed{client.Config{Coordinator: w.coordinator, Ledger: w.books, ChainID: chainID}}})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	b.Cleanup(s.Close)
	return s.URL, secrets
}

// stub answers like an engine that has done its work before, in OpenAI's shape.
func stub(b *testing.B) string {
	b.Helper()
	body, err := json.Marshal(map[string]any{"created": 1, "data": []map[string]any{{"b64_json": drawn(b).result.Data}}})
	if err != nil {
		b.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// proxied is Go's reverse proxy, which does nothing but pass on: the floor.
func proxied(b *testing.B, to string) string {
	b.Helper()
	u, err := url.Parse(to)
	if err != nil {
		b.Fatal(err)
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 512}
	s := httptest.NewServer(p)
	b.Cleanup(s.Close)
	return s.URL
}

// BenchmarkGateway is a picture by OpenAI's interface, with an engine that does nothing: asked of
// the engine itself, through Go's reverse proxy, and of a gateway, which authenticates, prices,
// reserves, seals, signs, dispatches over libp2p to a miner, checks the receipt, and writes
// three files durably. All of it and the clients share the process, so cpu-us/op less the
// first's is what the way between costs.
func BenchmarkGateway(b *testing.B) {
	for _, clients := range []int{1, 32, 256} {
		for _, way := range []string{"direct", "proxy", "essaim"} {
			b.Run(fmt.Sprintf("clients=%d/%s", clients, way), func(b *testing.B) {
				at, secrets := "", []string{"none"}
				switch way {
				case "direct":
					at = stub(b)
				case "proxy":
					at = proxied(b, stub(b))
				case "essaim":
					at, secrets = newWorld(b, 3).serveKeys(b, clients)
				}
				load(b, clients, at+"/v1/images/generations", secrets)
			})
		}
	}
}

// load asks b.N times, so many clients at a time.
func load(b *testing.B, clients int, at string, secrets []string) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	var left, next atomic.Int64
	took := make([]time.Duration, b.N)
	ask := func(secret string) time.Duration {
		began := time.Now()
		body := fmt.Appendf(nil, `{"prompt":"a stone","model":%q,"steps":1,"response_format":"b64_json"}`, enginetest.FakeModel().Digest)
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, at, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			b.Error(err)
			return 0
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			why, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
			b.Errorf("%s: %s", resp.Status, why)
		} else if n, err := io.Copy(io.Discard, resp.Body); err != nil || n == 0 {
			b.Errorf("%d bytes, %v", n, err)
		}
		return time.Since(began)
	}
	ask(secrets[0]) // connections, prepared statements
	cpu := cpuTime(b)
	left.Store(int64(b.N))
	b.ResetTimer()
	var g sync.WaitGroup
	for c := range clients {
		g.Go(func() {
			for left.Add(-1) >= 0 {
				took[next.Add(1)-1] = ask(secrets[c/busy%len(secrets)])
			}
		})
	}
	g.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds())/1e3, fmt.Sprintf("p%d-ms", p))
	}
}

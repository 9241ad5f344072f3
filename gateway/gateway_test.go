package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/apikey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payer opens the gateway's sessions on a test network.
type payer struct {
	n       *clienttest.Network
	deposit essaim.Amount
}

func (p payer) OpenSession(ctx context.Context) (*client.Session, error) {
	return client.Open(ctx, p.n.Config(), p.deposit)
}

func (p payer) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, p.n.Config(), saved)
}

// rig is a gateway in front of a test network, served over HTTP.
type rig struct {
	*clienttest.Network
	gateway *gateway.Gateway
	keys    *apikey.Store
	blobs   *mem.Store
	url     string
	secret  string // an API key with a limit of 10 pictures
	keyID   string
	client  *client.HTTP
}

func newRig(t testing.TB, change ...func(*gateway.Config)) *rig {
	t.Helper()
	return newRigAt(t, filepath.Join(t.TempDir(), "keys.db"), change...)
}

// newRigAt makes a rig that has its keys in a file.
func newRigAt(t testing.TB, path string, change ...func(*gateway.Config)) *rig {
	t.Helper()
	r := &rig{Network: clienttest.New(t, 2), blobs: mem.New()}
	var err error
	if r.keys, err = apikey.OpenServing(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.keys.Close(); err != nil {
			t.Error(err)
		}
	})
	secret, key, err := r.keys.Create(t.Context(), "test", 10*clienttest.Price)
	if err != nil {
		t.Fatal(err)
	}
	r.secret, r.keyID = secret, key.ID
	cfg := gateway.Config{Coordinator: r.Network, Blobs: r.blobs, Keys: r.keys, Payer: payer{r.Network, 100 * clienttest.Price}, LedgerURL: "http://ledger"}
	for _, c := range change {
		c(&cfg)
	}
	r.serve(t, cfg)
	return r
}

// serve puts a gateway in front of the rig's network.
func (r *rig) serve(t testing.TB, cfg gateway.Config) {
	t.Helper()
	var err error
	if r.gateway, err = gateway.New(cfg); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.gateway.Handler())
	t.Cleanup(server.Close)
	r.url = server.URL
	if r.client, err = client.Dial(r.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.CloseIdleConnections)
}

// send makes a request and returns the answer with its body read. headers are pairs.
func (r *rig) send(t testing.TB, method, path, body string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func decode[T any](t testing.TB, b []byte) (out T) {
	t.Helper()
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return out
}

func wantCode(t testing.TB, err error, code essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != code {
		t.Fatalf("got error %v, want code %s", err, code)
	}
}

func TestNewRefuses(t *testing.T) {
	n := clienttest.New(t, 1)
	for name, cfg := range map[string]gateway.Config{
		"nothing":            {},
		"no blobs":           {Coordinator: n},
		"keys without payer": {Coordinator: n, Blobs: mem.New(), Keys: &apikey.Store{}},
	} {
		if _, err := gateway.New(cfg); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHealthAndMetrics(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		if resp, b := r.send(t, "GET", path, ""); resp.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
	r.send(t, "GET", "/ipfs/nonsense", "")
	_, b := r.send(t, "GET", "/metrics", "")
	for _, want := range []string{
		`essaim_gateway_requests_total{code="200",route="GET /readyz"} 1`,
		`essaim_gateway_requests_total{code="400",route="GET /ipfs/{cid}"} 1`,
		"essaim_gateway_miners_connected 2", "essaim_gateway_tasks_in_flight 0",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// sick is a coordinator that fails as bad as it can.
type sick struct{ client.Coordinator }

func (sick) Info(context.Context) (essaim.CoordinatorInfo, error) { panic("secret detail") }

func TestPanicsBecome500WithAnID(t *testing.T) {
	r := newRig(t, func(c *gateway.Config) { c.Coordinator = sick{c.Coordinator} })
	for _, path := range []string{"/essaim/v1/info", "/v1/models"} {
		resp, b := r.send(t, "GET", path, "")
		id := resp.Header.Get("X-Request-Id")
		if resp.StatusCode != 500 || id == "" || !strings.Contains(string(b), id) || strings.Contains(string(b), "secret") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
}

func TestUnknownPaths(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/", "/essaim/v1/nothing", "/v1/completions"} {
		resp, b := r.send(t, "POST", path, "{}")
		if body := decode[struct{ Error struct{ Message string } }](t, b); resp.StatusCode != 404 || body.Error.Message == "" {
			t.Errorf("%s: %d %s", path, resp.StatusCode, b)
		}
	}
}

// TestRun serves a listener, stops while a picture is being drawn for an API key,
// and expects the picture, and the session settled.
func TestRun(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *gateway.Config) { c.Listener = l })
	r.url = "http://" + l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	r.OnProgress = func(context.Context, func(string)) { cancel() }
	done := make(chan error, 1)
	go func() { done <- r.gateway.Run(ctx) }()
	resp, b := r.send(t, "POST", "/v1/images/generations", `{"prompt":"a red apple"}`, "Authorization", "Bearer "+r.secret)
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, b)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := r.Sessions(); len(s) != 1 || s[0].State != essaim.SessionSettled {
		t.Errorf("sessions %+v", s)
	}
}

// runOnce lets the gateway run, and stops it in order.
func (r *rig) runOnce(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.gateway.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// books are the API keys' books, which must add up.
func (r *rig) books(t testing.TB) apikey.Books {
	t.Helper()
	b, err := r.keys.Check(t.Context())
	if err != nil || len(b.Faults) > 0 {
		t.Fatalf("%+v, %v", b.Faults, err)
	}
	return b
}

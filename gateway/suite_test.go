package gateway_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// suiteParts are the tests of OpenAI's Go client's own suite (704 in version 3.96.0) that ask a server for something that the
// gateway offers: 6. Of the others 377 need no server, and 319 fail: they ask for what it refuses (a chat with tools, several sizes of a
// vector, edits, stored answers), for a file or batch by a name that only a mock has, or for what it does not have at all.
var suiteParts = []string{
	"TestUsage", "TestModelGet", "TestModelList", "TestImageGenerateWithOptionalParams", "TestFileListWithOptionalParams", "TestBatchListWithOptionalParams",
}

// ours changes in a request what only its own server has: the key, and the names of models and sizes.
func ours(secret string) func(*httputil.ProxyRequest) {
	models := map[string]string{"images": "pixel-test", "chat": "talker-1", "embeddings": "talker-embed-1"}
	return func(p *httputil.ProxyRequest) {
		r := p.Out
		r.Header.Set("Authorization", "Bearer "+secret)
		r.URL.Path = "/v1" + r.URL.Path
		if strings.HasPrefix(r.URL.Path, "/v1/models/") {
			r.URL.Path = "/v1/models/pixel-test"
		}
		kind := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")[0]
		if r.Body == nil {
			return
		}
		var body map[string]any
		if b, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(b, &body) == nil && models[kind] != "" {
			body["model"] = models[kind]
			if body["size"] != nil {
				body["size"] = "32x32"
			}
			b, _ = json.Marshal(body)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
		}
	}
}

// TestOpenAIGoSuite runs those parts of OpenAI's Go client's own tests against the gateway.
func TestOpenAIGoSuite(t *testing.T) {
	r := newRig(t, batches(t.TempDir()))
	to, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := ours(r.secret)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to); rewrite(p) }, Transport: http.DefaultTransport})
	defer http.DefaultClient.CloseIdleConnections()
	defer proxy.Close()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run", "^("+strings.Join(suiteParts, "|")+")$", "github.com/openai/openai-go/v3")
	cmd.Env = append(os.Environ(), "TEST_API_BASE_URL="+proxy.URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range suiteParts {
		if !bytes.Contains(out, []byte("--- PASS: "+name)) {
			t.Errorf("%s did not pass: %s", name, out)
		}
	}
}

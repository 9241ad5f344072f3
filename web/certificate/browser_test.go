package certificate_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim/web/certificate"
)

// maxGzipped is what the checker may weigh on its way to a browser, in bytes.
const maxGzipped = 2 << 20

// found is what the page has found out.
type found struct {
	OK    bool    `json:"ok"`
	Error string  `json:"error"`
	MS    float64 `json:"ms"`
	Total float64 `json:"total"`
	Seed  string  `json:"seed"`
}

// TestBrowser: the page in a real browser accepts what TestCheck accepts, and refuses what it refuses.
func TestBrowser(t *testing.T) {
	browser := chromium()
	if browser == "" {
		t.Skip("no Chromium is installed here")
	}
	p := drawn(t)
	cases := lies(p)
	const honest, times = "what it came with", 5
	cases[honest] = p
	dir := site(t)
	var list []asked
	for _, why := range append(slices.Sorted(maps.Keys(cases)), slices.Repeat([]string{honest}, times-1)...) {
		name := fmt.Sprint(len(list))
		put(t, dir, name, cases[why])
		list = append(list, asked{why, []string{name + ".png", name + ".receipt", name + ".proof"}, cases[why].Prompt})
	}
	answers := make(chan found)
	server := httptest.NewServer(handler(t, dir, list, answers))
	defer server.Close()
	profile, err := os.MkdirTemp("", "certificate")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(profile) // what the browser's last process writes after that stays
	cmd := exec.CommandContext(t.Context(), browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+profile,
		"--remote-debugging-port=0", server.URL+"/test.html")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for _, a := range list {
		f := <-answers
		if f.OK != (a.Why == honest) || f.OK && f.Seed != "7" {
			t.Errorf("%s: %+v", a.Why, f)
		}
		t.Logf("%s: accepted %v %s; %.0f ms for the proof, %.0f ms in all", a.Why, f.OK, f.Error, f.MS, f.Total)
	}
}

// asked is a picture that the page is to check.
type asked struct {
	Why     string   `json:"why"`
	Sources []string `json:"sources"`
	Prompt  string   `json:"prompt"`
}

// handler serves the page and what it is to check, and hears what it has found.
func handler(t *testing.T, dir string, list []asked, answers chan<- found) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServer(http.Dir(dir)))
	mux.HandleFunc("GET /cases", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(list) })
	mux.HandleFunc("POST /found", func(_ http.ResponseWriter, r *http.Request) {
		var f found
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			t.Error(err)
		}
		answers <- f
	})
	return mux
}

// drive has the page check one picture after the other.
const drive = `<script>
onload = async () => {
  while (byId("check").disabled) await new Promise((done) => setTimeout(done, 50));
  for (const { sources, prompt } of await (await fetch("cases")).json())
    await fetch("found", { method: "POST", body: JSON.stringify(await check(sources, prompt)) });
};
</script>
`

func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// site is the page as `make certificate` puts it together, and one that tells us what it has found.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "certificate.wasm")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./wasm")
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	light(t, program)
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write(t, dir, "wasm_exec.js", read(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js")))
	write(t, dir, "certificate.js", read("certificate.js"))
	write(t, dir, "pixel.key", public(t))
	write(t, dir, "test.html", append(read("index.html"), drive...))
	return dir
}

// light fails if the program is too heavy.
func light(t *testing.T, name string) {
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var n counter
	w, err := gzip.NewWriterLevel(&n, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %d gzipped, by %s", len(b), n, runtime.Version())
	if n > maxGzipped {
		t.Errorf("the checker has %d bytes gzipped, at most %d", n, maxGzipped)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

func put(t *testing.T, dir, name string, p certificate.Picture) {
	t.Helper()
	write(t, dir, name+".png", p.File)
	write(t, dir, name+".receipt", p.Receipt)
	write(t, dir, name+".proof", p.Proof)
}

func write(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

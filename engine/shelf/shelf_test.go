package shelf_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/shelf"
)

// origin serves models, as badly as it is told to.
type origin struct {
	*httptest.Server
	files map[string][]byte // by path
	sent  int               // bytes
	whole bool              // ranges are ignored
	cut   int               // of the next file, after so many bytes
	lie   bool
}

func newOrigin(t *testing.T) *origin {
	o := &origin{files: map[string][]byte{}}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, ok := o.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	b = bytes.Clone(b)
	if o.lie && !strings.HasSuffix(r.URL.Path, ".json") {
		b[len(b)/2]++
	}
	from := 0
	if at := r.Header.Get("Range"); at != "" && !o.whole {
		_, _ = fmt.Sscanf(at, "bytes=%d-", &from)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	}
	b = b[from:]
	if o.cut > 0 && !strings.HasSuffix(r.URL.Path, ".json") {
		n := o.cut
		o.cut = 0
		o.sent += n
		_, _ = w.Write(b[:n])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	o.sent += len(b)
	_, _ = w.Write(b)
}

// model puts a model there and returns its manifest.
func (o *origin) model(name, licence string, files map[string][]byte) []byte {
	type file struct {
		Name   string        `json:"name"`
		Size   int           `json:"size"`
		SHA256 essaim.Digest `json:"sha256"`
	}
	var list []file
	for n, b := range files {
		list = append(list, file{n, len(b), essaim.DigestOf(b)})
		o.files["/"+name+"/"+n] = b
		o.files["/ipfs/"+essaim.CIDOf(essaim.DigestOf(b))] = b
	}
	b, _ := json.Marshal(map[string]any{"name": name, "licence": licence, "files": list})
	o.files["/"+name+"/manifest.json"] = b
	o.files["/ipfs/"+essaim.CIDOf(essaim.DigestOf(b))] = b
	return b
}

func (o *origin) beside(t *testing.T, name string) shelf.Source {
	s, err := shelf.Beside(o.URL+"/"+name+"/manifest.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, budget int64) (*shelf.Shelf, string) {
	dir := t.TempDir()
	s, err := shelf.Open(dir, budget)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir
}

func weights(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ seed
	}
	return b
}

// TestPull fetches a model in both ways, and an engine finds its files where they lie.
func TestPull(t *testing.T) {
	o := newOrigin(t)
	w := weights(1, 5000)
	manifest := o.model("one", "MIT", map[string][]byte{"weights.bin": w, "words": []byte("a b")})
	blobs, err := shelf.Blobs(o.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]shelf.Source{"beside": o.beside(t, "one"), "blobs": blobs} {
		s, _ := open(t, 0)
		var last, of int64
		m, err := s.Pull(t.Context(), manifest, from, nil, func(have, all int64) { last, of = have, all })
		if err != nil || last != 5003 || of != 5003 || m.Digest != essaim.DigestOf(manifest) {
			t.Fatalf("%s: %d of %d, %v", name, last, of, err)
		}
		if b, err := os.ReadFile(filepath.Join(filepath.Dir(m.Path), "weights.bin")); err != nil || !bytes.Equal(b, w) {
			t.Errorf("%s: %v", name, err)
		}
		before := o.sent
		if _, err := s.Pull(t.Context(), manifest, from, nil, nil); err != nil || o.sent != before {
			t.Errorf("%s: fetched again, %v", name, err)
		}
	}
	got, err := shelf.Manifest(t.Context(), o.URL+"/one/manifest.json", essaim.DigestOf(manifest), nil)
	if err != nil || !bytes.Equal(got, manifest) {
		t.Errorf("manifest: %v", err)
	}
	if _, err := shelf.Manifest(t.Context(), o.URL+"/one/manifest.json", essaim.DigestOf(w), nil); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("another manifest: %v", err)
	}
}

// TestPullGoesOn where it was cut, also with a source that knows no parts, and what a liar sends is
// not kept.
func TestPullGoesOn(t *testing.T) {
	for _, whole := range []bool{false, true} {
		o := newOrigin(t)
		o.whole, o.cut = whole, 3000
		manifest := o.model("one", "MIT", map[string][]byte{"weights.bin": weights(1, 5000)})
		s, dir := open(t, 0)
		if _, err := s.Pull(t.Context(), manifest, o.beside(t, "one"), nil, nil); essaim.CodeOf(err) != essaim.CodeUnavailable {
			t.Fatalf("cut: %v", err)
		}
		if all, err := s.List(); err != nil || len(all) != 0 {
			t.Errorf("half a model is listed: %v, %v", all, err)
		}
		if _, err := s.Pull(t.Context(), manifest, o.beside(t, "one"), nil, nil); err != nil {
			t.Fatal(err)
		}
		if want := map[bool]int{false: 5000, true: 8000}[whole]; o.sent != want {
			t.Errorf("%d bytes were sent, want %d", o.sent, want)
		}
		o.lie = true
		if _, err := s.Pull(t.Context(), o.model("two", "MIT", map[string][]byte{"x": weights(9, 100)}), o.beside(t, "two"), nil, nil); essaim.CodeOf(err) != essaim.CodeRefused {
			t.Errorf("a lie: %v", err)
		}
		if parts, err := os.ReadDir(filepath.Join(dir, "partial")); err != nil || len(parts) != 0 {
			t.Errorf("of a lie is kept: %v, %v", parts, err)
		}
	}
}

// TestLicence: a model that is not free is fetched by who has accepted its licence only.
func TestLicence(t *testing.T) {
	o := newOrigin(t)
	s, _ := open(t, 0)
	for _, licence := range []string{"", "Some-Community-1.0"} {
		manifest := o.model("shut", licence, map[string][]byte{"w": weights(2, 10)})
		if _, err := s.Pull(t.Context(), manifest, o.beside(t, "shut"), nil, nil); essaim.CodeOf(err) != essaim.CodeRefused || o.sent != 0 {
			t.Errorf("%q: %v, %d bytes", licence, err, o.sent)
		}
	}
	manifest := o.model("shut", "Some-Community-1.0", map[string][]byte{"w": weights(2, 10)})
	if _, err := s.Pull(t.Context(), manifest, o.beside(t, "shut"), []string{"Some-Community-1.0"}, nil); err != nil {
		t.Error(err)
	}
}

// TestSharedAndEvicted: what two models share is on the disk once and stays as long as one of them
// does; when there is no room the one that was not used for the longest time goes.
func TestSharedAndEvicted(t *testing.T) {
	o := newOrigin(t)
	shared := weights(3, 1000)
	s, dir := open(t, 2500)
	var digests []essaim.Digest
	pull := func(name string, own byte) error {
		m, err := s.Pull(t.Context(), o.model(name, "MIT", map[string][]byte{"shared": shared, "own": weights(own, 500)}), o.beside(t, name), nil, nil)
		digests = append(digests, m.Digest)
		return err
	}
	names := func() (out []string) {
		all, err := s.List()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			out = append(out, m.Name)
		}
		return out
	}
	for i, name := range []string{"a", "b", "c"} {
		if err := pull(name, byte(10+i)); err != nil {
			t.Fatal(err)
		}
		past := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(filepath.Join(dir, digests[i].String(), "manifest.json"), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(names()); got != "[c b a]" || o.sent != 2500 {
		t.Fatalf("%s with %d bytes", got, o.sent)
	}
	if err := s.Use(digests[0]); err != nil {
		t.Fatal(err)
	}
	if err := pull("d", 20); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(names()); got != "[d a c]" {
		t.Errorf("after d: %s", got)
	}
	for _, i := range []int{0, 2, 3} {
		if err := s.Remove(digests[i]); err != nil {
			t.Error(err)
		}
	}
	if files, err := os.ReadDir(filepath.Join(dir, "files")); err != nil || len(files) != 0 {
		t.Errorf("files without a model: %v, %v", files, err)
	}
	if err := s.Remove(digests[0]); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("removed again: %v", err)
	}
	if _, err := s.Pull(t.Context(), o.model("huge", "MIT", map[string][]byte{"w": weights(1, 2501)}), o.beside(t, "huge"), nil, nil); essaim.CodeOf(err) != essaim.CodeInsufficient {
		t.Errorf("more than the disk may hold: %v", err)
	}
}

// TestNamesThatLeaveTheFolder are refused before anything is asked for.
func TestNamesThatLeaveTheFolder(t *testing.T) {
	o := newOrigin(t)
	s, _ := open(t, 0)
	for _, name := range []string{"../x", "/etc/x", "a/b", `a\b`, "..", "manifest.json", ""} {
		b, _ := json.Marshal(map[string]any{"name": "m", "licence": "MIT", "files": []any{map[string]any{"name": name, "size": 1, "sha256": essaim.DigestOf([]byte("x"))}}})
		if _, err := s.Pull(t.Context(), b, o.beside(t, "m"), nil, nil); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%q: %v", name, err)
		}
	}
}

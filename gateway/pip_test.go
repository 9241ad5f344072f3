package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"net/url"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
)

// TestA1111Python draws with a Python client of stable diffusion's web interface, unmodified: from words, from a picture, and
// while it watches the progress.
func TestA1111Python(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on this machine, so a Python client cannot be run")
	}
	if out, err := exec.Command(python, "-c", "import webuiapi").CombinedOutput(); err != nil {
		t.Skipf("python3 lacks webuiapi (pip install webuiapi==0.9.17): %s", out)
	}
	r := newRig(t)
	r.Model.Inits = true
	var mu sync.Mutex
	var begun essaim.Input
	r.OnInput = func(in essaim.Input) {
		mu.Lock()
		defer mu.Unlock()
		begun = in
	}
	seen := make(chan struct{})
	r.OnProgress = func(ctx context.Context, _ func(string)) {
		select { // the picture is not done before the client has asked how far it is
		case <-seen:
		case <-ctx.Done():
		}
	}
	out := watch(t, seen, python, "testdata/a1111.py", r.url, r.secret)
	got := decode[struct {
		Models, Samplers, Pixels     []string
		Jobs                         int
		Seeds                        []uint64
		Prices                       []uint64
		After                        string
		Begun                        []int
		NoKey, BadSize, UnknownModel int
	}](t, out)
	if fmt.Sprint(got.Models, got.Samplers, got.Seeds, got.Prices) != "[pixel-test [05b3abf2]] [Euler a] [11 12] [2500 2500]" || got.Jobs != 1 || got.After != "" {
		t.Errorf("%s", out)
	}
	for i, sum := range got.Pixels {
		if want, _ := clienttest.Draw("a red apple", 11+uint64(i)); sum != pixels(t, want) {
			t.Errorf("picture %d is another one: %s", i, out)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(got.Pixels) != 2 || !slices.Equal(got.Begun, []int{32, 32}) || len(begun.Init) == 0 || begun.Strength != 400 {
		t.Errorf("from a picture, of strength %d: %s", begun.Strength, out)
	}
	if got.NoKey != 401 || got.BadSize != 400 || got.UnknownModel != 404 {
		t.Errorf("errors as the client sees them: %s", out)
	}
	r.books(t)
}

// watch runs a script with the gateway's host, port and key, and returns the last line that it prints; seen is closed with the first.
func watch(t *testing.T, seen chan struct{}, python, path, at, secret string) []byte {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, path, u.Hostname(), u.Port(), secret)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	first, _ := lines.ReadString('\n') // what is missing, Wait explains
	close(seen)
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil || first != "seen\n" {
		t.Fatalf("%v: %s%s%s", err, first, rest, &complaints)
	}
	return rest
}

// pixels is the digest of a PNG file's colours.
func pixels(t *testing.T, file []byte) string {
	t.Helper()
	m, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	all := image.NewNRGBA(m.Bounds())
	draw.Draw(all, all.Rect, m, m.Bounds().Min, draw.Src)
	h := sha256.New()
	for i := 0; i < len(all.Pix); i += 4 {
		h.Write(all.Pix[i : i+3])
	}
	return hex.EncodeToString(h.Sum(nil))
}

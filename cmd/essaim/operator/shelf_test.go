package operator

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/pixel"
)

// TestModelCommands fetch the built-in model from a web server, list it and remove it.
func TestModelCommands(t *testing.T) {
	web := t.TempDir()
	manifest := pixel.Manifest()
	for name, b := range map[string][]byte{"manifest.json": manifest, "weights.bin": pixel.Weights()} {
		if err := os.WriteFile(filepath.Join(web, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"vocabulary.tsv", "joined.txt", "variants.tsv", "tintable.txt"} {
		b, err := os.ReadFile(filepath.Join("../../../engine/pixel", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(web, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(web)))
	defer server.Close()
	defer http.DefaultClient.CloseIdleConnections()
	dir := t.TempDir()
	run := func(args ...string) error {
		var out bytes.Buffer
		cmd := newModel(&Shell{Stdout: &out, JSON: func() bool { return false }})
		cmd.SetArgs(append(args, "--dir", dir))
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		return cmd.Execute()
	}
	if err := run("pull", server.URL+"/manifest.json", "--disk", "1MB"); essaim.CodeOf(err) != essaim.CodeInsufficient {
		t.Errorf("more than the disk may hold: %v", err)
	}
	if err := run("pull", server.URL+"/manifest.json", "--disk", "1GB"); err != nil {
		t.Fatal(err)
	}
	digest := essaim.DigestOf(manifest)
	if _, err := pixel.Open(filepath.Join(dir, digest.String(), "manifest.json")); err != nil {
		t.Errorf("the engine does not run what was fetched: %v", err)
	}
	var out bytes.Buffer
	cmd := newModel(&Shell{Stdout: &out, JSON: func() bool { return false }})
	cmd.SetArgs([]string{"list", "--dir", dir})
	if err := cmd.Execute(); err != nil || !strings.Contains(out.String(), digest.Short()) || !strings.Contains(out.String(), "Apache-2.0") {
		t.Errorf("%v: %s", err, out.String())
	}
	if err := run("rm", digest.String()[:8]); err != nil {
		t.Error(err)
	}
	if err := run("rm", digest.String()[:8]); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("removed again: %v", err)
	}
	for _, size := range []string{"GB", "-1", "1EB", "x"} {
		if err := run("pull", server.URL+"/manifest.json", "--disk", size); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("--disk %s: %v", size, err)
		}
	}
}

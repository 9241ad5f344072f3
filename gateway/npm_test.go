package gateway_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
)

const npmOpenAI = "7.55.0"

// TestOpenAINode draws with OpenAI's own JavaScript client.
func TestOpenAINode(t *testing.T) {
	dir := installOpenAI(t)
	script, err := filepath.Abs("testdata/openai.mjs")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	cmd := exec.CommandContext(t.Context(), "node", script, r.url+"/v1", r.secret)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type failed struct {
		Status int
		Code   string
	}
	got := decode[struct {
		Models                []string
		SHA256, Cost          string
		Seed                  uint64
		UnknownModel, BadSize failed
	}](t, out)
	want, _ := clienttest.Draw("a red apple", 11)
	if got.SHA256 != essaim.DigestOf(want).String() || got.Seed != 11 || got.Cost != "2500" || len(got.Models) != 1 {
		t.Errorf("%s", out)
	}
	if got.UnknownModel != (failed{404, "model_not_found"}) || got.BadSize != (failed{400, "bad_input"}) {
		t.Errorf("errors as the client sees them: %s", out)
	}
}

// installOpenAI installs the package once a machine, and returns the folder that
// holds its node_modules.
func installOpenAI(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not on this machine, so OpenAI's JavaScript client cannot be run", tool)
		}
	}
	dir := filepath.Join(os.TempDir(), "essaim-test-npm-openai-"+npmOpenAI)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	fresh, err := os.MkdirTemp("", "essaim-test-npm-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(fresh)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	npm := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = fresh
		return cmd.CombinedOutput()
	}
	if out, err := npm("install", "--prefix", fresh, "--ignore-scripts", "--no-audit", "--no-fund", "openai@"+npmOpenAI); err != nil {
		if _, unreachable := npm("ping"); unreachable != nil {
			t.Skipf("the npm registry cannot be reached, so OpenAI's JavaScript client cannot be installed: %s", out)
		}
		t.Fatalf("npm install: %v: %s", err, out)
	}
	if err := os.Rename(fresh, dir); err != nil && !os.IsExist(err) {
		if _, statErr := os.Stat(dir); statErr != nil { // another test run was not faster
			t.Fatal(err)
		}
	}
	return dir
}

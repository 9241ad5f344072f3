package gateway_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/engine/enginetest"
)

// What is installed of npm, at these versions.
const (
	npmOpenAI = "openai@7.55.0"
	npmOllama = "ollama@0.6.4"
	npmHorde  = "@zeldafan0225/ai_horde@5.2.0"
)

// script runs one of testdata's with a package of npm.
func script(t *testing.T, name, of string, args ...string) []byte {
	t.Helper()
	dir := install(t, of)
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", append([]string{path}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return out
}

type failed struct {
	Status int
	Code   string
}

// TestOpenAINode draws with OpenAI's own JavaScript client.
func TestOpenAINode(t *testing.T) {
	r := newRig(t)
	out := script(t, "openai.mjs", npmOpenAI, r.url+"/v1", r.secret)
	got := decode[struct {
		Models                []string
		SHA256, Cost          string
		Seed                  uint64
		UnknownModel, BadSize failed
	}](t, out)
	want, _ := clienttest.Draw("a red apple", 11)
	if got.SHA256 != essaim.DigestOf(want).String() || got.Seed != 11 || got.Cost != "2500" || len(got.Models) != 3 {
		t.Errorf("%s", out)
	}
	if got.UnknownModel != (failed{404, "model_not_found"}) || got.BadSize != (failed{400, "bad_input"}) {
		t.Errorf("errors as the client sees them: %s", out)
	}
}

// TestOpenAINodeChats and embeds with the same client.
func TestOpenAINodeChats(t *testing.T) {
	r := newRig(t)
	out := script(t, "openai-chat.mjs", npmOpenAI, r.url+"/v1", r.secret)
	got := decode[struct {
		Chat, Finish, Cost, Streamed   string
		Tokens, Pieces, StreamedTokens int
		Embedding                      []float32
		UnknownModel, Tools            failed
	}](t, out)
	const said = "You said: hello there"
	if got.Chat != said || got.Streamed != said || got.Finish != "stop" || got.Tokens != 6 || got.StreamedTokens != 6 || got.Pieces < 4 || got.Cost != "15" {
		t.Errorf("%s", out)
	}
	if !slices.Equal(got.Embedding, enginetest.Vector("red apple")) {
		t.Errorf("embedding %v", got.Embedding)
	}
	if got.UnknownModel != (failed{404, "model_not_found"}) || got.Tools != (failed{400, "bad_input"}) {
		t.Errorf("errors as the client sees them: %s", out)
	}
	r.books(t)
}

// TestOpenAINodeBatches has a batch made with the same client.
func TestOpenAINodeBatches(t *testing.T) {
	r := newRig(t, batches(t.TempDir()))
	defer r.running(t)()
	out := script(t, "openai-batch.mjs", npmOpenAI, r.url+"/v1", r.secret)
	got := decode[struct {
		Status                          string
		Counts                          []int
		Names, SHA256, Receipts, Failed []string
		Listed, Deleted                 bool
	}](t, out)
	if got.Status != "completed" || fmt.Sprint(got.Counts, got.Names, got.Failed) != "[3 2 1] [a b] [bad 400]" || !got.Listed || !got.Deleted {
		t.Errorf("%s", out)
	}
	for i, prompt := range []string{"a red apple", "a green pear"} {
		if want, _ := clienttest.Draw(prompt, 11+uint64(i)); got.SHA256[i] != essaim.DigestOf(want).String() || got.Receipts[i] == "" {
			t.Errorf("line %s is another picture: %s", got.Names[i], out)
		}
	}
	if k, err := r.keys.Key(t.Context(), r.keyID); err != nil || k.Spent != 2*clienttest.Price {
		t.Errorf("spent %d, %v", k.Spent, err)
	}
	r.books(t)
}

// TestOllamaNode chats, generates, draws and embeds with Ollama's own JavaScript client.
func TestOllamaNode(t *testing.T) {
	r := newRig(t)
	out := script(t, "ollama.mjs", npmOllama, r.url, r.secret)
	got := decode[struct {
		Tags, Can, Counted                                           any
		PS, Pieces, UnknownModel, NoKey                              int
		Version, Chat, Done, Streamed, StreamDone, Generated, SHA256 string
		Embedding                                                    []int
	}](t, out)
	if fmt.Sprintf("%v %d %s %v", got.Tags, got.PS, got.Version, got.Can) != "[pixel-test:latest talker-1:latest talker-embed-1:latest] 3 0.17.4 [completion]" {
		t.Errorf("%s", out)
	}
	if got.Chat != "You said: hello there" || got.Done != "stop" || fmt.Sprint(got.Counted) != "[2 4]" || got.Generated != "You said: hi" {
		t.Errorf("%s", out)
	}
	if got.Streamed != "You said: hello " || got.Pieces < 2 || got.StreamDone != "length" {
		t.Errorf("%s", out)
	}
	want, _ := clienttest.Draw("a red apple", 11)
	if got.SHA256 != essaim.DigestOf(want).String() || !slices.Equal(got.Embedding, []int{8, 8}) {
		t.Errorf("%s", out)
	}
	if got.UnknownModel != 404 || got.NoKey != 401 {
		t.Errorf("errors as the client sees them: %s", out)
	}
	r.books(t)
}

// install installs a package once a machine, and returns the folder that holds its
// node_modules.
func install(t *testing.T, of string) string {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not on this machine, so a JavaScript client cannot be run", tool)
		}
	}
	dir := filepath.Join(os.TempDir(), "essaim-test-npm-"+strings.NewReplacer("@", "-", "/", "-").Replace(of))
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
	if out, err := npm("install", "--prefix", fresh, "--ignore-scripts", "--no-audit", "--no-fund", of); err != nil {
		if _, unreachable := npm("ping"); unreachable != nil {
			t.Skipf("the npm registry cannot be reached, so %s cannot be installed: %s", of, out)
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

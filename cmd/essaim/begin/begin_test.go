package begin

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/wallet"
)

// shell is somebody at a terminal, who types lines and a passphrase.
func shell(home, typed, pass string) (*Shell, *bytes.Buffer) {
	var out bytes.Buffer
	return &Shell{
		Stdin: strings.NewReader(typed), Stdout: &out, Stderr: &out, JSON: func() bool { return false }, Terminal: func() bool { return true },
		Home: func() string { return home }, Gateway: func() string { return "" }, User: func() string { return "user" }, Default: "user",
		Store: func() *wallet.Store { return wallet.Open(filepath.Join(home, "keys")) }, Given: func() (string, bool, error) { return "", false, nil },
		Ask: func(string) (string, error) { return pass, nil }, Words: func(words string) { out.WriteString(words) },
		Try: func(_ context.Context, url string) bool { return url == "http://there" },
	}, &out
}

func nothing(string) bool { return false }

// TestQuestions: what is typed is in the file, and the key opens with the passphrase.
func TestQuestions(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s, out := shell(home, "http://there\nalice\n", "secret")
	if err := s.run(context.Background(), nothing); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(home, "config.toml"))
	if err != nil || !strings.HasSuffix(string(b), "gateway = 'http://there'\naccount = 'alice'\n") {
		t.Errorf("%v: %s", err, b)
	}
	if _, err := s.Store().Load("alice", "secret"); err != nil {
		t.Error(err)
	}
	if got := strings.Count(out.String(), ": "); got < 2 || !strings.Contains(out.String(), "essaim1") {
		t.Errorf("said %s", out)
	}
}

// TestDefaults: Enter three times is a network of one's own, whose key that network makes.
func TestDefaults(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s, _ := shell(home, "\n\n", "")
	if err := s.run(context.Background(), nothing); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Store().List(); err != nil || len(list) != 0 {
		t.Errorf("made keys: %v, %v", list, err)
	}
}

// TestNothingIsOverwritten: neither the file nor a key, and what fails leaves nothing.
func TestNothingIsOverwritten(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s, _ := shell(home, "http://nowhere\n", "")
	if err := s.run(context.Background(), nothing); essaim.CodeOf(err) != essaim.CodeUnavailable {
		t.Errorf("a gateway that is not there: %v", err)
	}
	if _, err := os.Stat(home); err == nil {
		t.Error("something was made")
	}
	if _, _, err := s.Store().Create("alice", "first"); err != nil {
		t.Fatal(err)
	}
	s, _ = shell(home, "\nalice\n", "second")
	if err := s.run(context.Background(), nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store().Load("alice", "first"); err != nil {
		t.Error(err)
	}
	s, _ = shell(home, "\n\n", "")
	if err := s.run(context.Background(), nothing); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a second time: %v", err)
	}
}

// TestNoTerminal: nothing is asked.
func TestNoTerminal(t *testing.T) {
	home := filepath.Join(t.TempDir(), "home")
	s, out := shell(home, "http://nowhere\n", "")
	s.Terminal = func() bool { return false }
	s.User = func() string { return "bob" }
	if err := s.run(context.Background(), nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Store().Load("bob", ""); err != nil || strings.Contains(out.String(), "[bob]") {
		t.Errorf("%v; said %s", err, out)
	}
}

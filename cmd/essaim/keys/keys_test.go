package keys

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"

	"github.com/essaim/essaim"
)

// run is one command in a home, with an environment.
func run(t *testing.T, s *Shell, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	s.Stdout, s.Stderr = &out, &bytes.Buffer{}
	cmd := Command(s)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func newShell(home string, env map[string]string) *Shell {
	return &Shell{
		Stdin: strings.NewReader(""), Getenv: func(k string) string { return env[k] }, JSON: func() bool { return false },
		Home: func() string { return home }, File: func() string { return env["file"] }, User: func() string { return "alice" },
	}
}

// TestPassphrases: file, variable, keyring, in this order; a key without a passphrase needs none.
func TestPassphrases(t *testing.T) {
	keyring.MockInit()
	env := map[string]string{"ESSAIM_PASSPHRASE": "right"}
	s := newShell(t.TempDir(), env)
	if _, err := run(t, s, "create", "alice"); err != nil {
		t.Fatal(err)
	}
	opens := func(want essaim.Code, why string) {
		t.Helper()
		_, err := s.Account("")
		if err == nil && want != "" || err != nil && essaim.CodeOf(err) != want {
			t.Errorf("%s: %v, want %q", why, err, want)
		}
	}
	opens("", "variable")
	env["ESSAIM_PASSPHRASE"] = ""
	opens(essaim.CodeRefused, "nothing")
	if _, err := run(t, s, "remember", "alice"); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("remember nothing: %v", err)
	}
	env["ESSAIM_PASSPHRASE"] = "wrong"
	if _, err := run(t, s, "remember", "alice"); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("remember what does not open the key: %v", err)
	}
	env["ESSAIM_PASSPHRASE"] = "right"
	if _, err := run(t, s, "remember", "alice"); err != nil {
		t.Fatal(err)
	}
	env["ESSAIM_PASSPHRASE"] = ""
	opens("", "keyring")
	env["ESSAIM_PASSPHRASE"] = "wrong"
	opens(essaim.CodeRefused, "a variable beats the keyring")
	env["file"] = filepath.Join(t.TempDir(), "pass")
	if err := os.WriteFile(env["file"], []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	opens("", "a file beats the variable")
	env["file"], env["ESSAIM_PASSPHRASE"] = "", ""
	if _, err := run(t, s, "forget", "alice"); err != nil {
		t.Fatal(err)
	}
	opens(essaim.CodeRefused, "forgotten")
	if _, err := run(t, s, "forget", "alice"); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("forget twice: %v", err)
	}
}

// TestNoKeyring: a machine without one says so, and everything else works.
func TestNoKeyring(t *testing.T) {
	keyring.MockInitWithError(errors.New("no session bus"))
	env := map[string]string{"ESSAIM_PASSPHRASE": "right"}
	s := newShell(t.TempDir(), env)
	if _, err := run(t, s, "create", "alice"); err != nil {
		t.Fatal(err)
	}
	_, err := run(t, s, "remember", "alice")
	if essaim.CodeOf(err) != essaim.CodeUnavailable || !strings.Contains(essaim.HintOf(err), "--passphrase-file") {
		t.Errorf("%v, hint %q", err, essaim.HintOf(err))
	}
	if _, err := s.Account("alice"); err != nil {
		t.Error(err)
	}
	env["ESSAIM_PASSPHRASE"] = ""
	if _, err := s.Account("alice"); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("%v, want refused", err)
	}
	if _, err := run(t, s, "create", "open"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Account("open"); err != nil {
		t.Error(err)
	}
}

// TestWordsFit: twelve of the longest words there are keep to 80 columns, in as many lines as any.
func TestWordsFit(t *testing.T) {
	var out strings.Builder
	(&Shell{Stderr: &out}).Words(strings.TrimSpace(strings.Repeat("abstract ", 12)))
	lines := 0
	for line := range strings.Lines(out.String()) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
		if strings.Contains(line, "abstract") {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("the words are in %d lines", lines)
	}
}

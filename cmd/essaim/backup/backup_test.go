package backup

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/durable"
)

// cheap is the cost of a passphrase in tests.
const cheap = 2

// content is what a folder holds, by path.
func content(t interface{ Fatal(...any) }, dir string) map[string]string {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			out[rel+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(p)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRoundTrip: whatever is in a home comes back, bytes and permissions.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		home, back := filepath.Join(dir, "home"), filepath.Join(dir, "back")
		for i := range rapid.IntRange(1, 8).Draw(t, "files") {
			folder := filepath.Join(home, rapid.SampledFrom([]string{".", "keys", "coordinator", "coordinator/blobs", "miner-1"}).Draw(t, "folder"))
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			mode := rapid.SampledFrom([]os.FileMode{0o600, 0o644, 0o400}).Draw(t, "mode")
			b := rapid.SliceOfN(rapid.Byte(), 0, 200_000).Draw(t, "bytes")
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprint("f", i)), b, mode); err != nil {
				t.Fatal(err)
			}
		}
		files, err := list(home, false)
		if err != nil {
			t.Fatal(err)
		}
		var sealed bytes.Buffer
		if err := write(context.Background(), &sealed, home, files, "pass", cheap); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(back, 0o700); err != nil {
			t.Fatal(err)
		}
		if n, err := read(context.Background(), &sealed, back, "pass"); err != nil || n != len(files) {
			t.Fatalf("%d of %d files: %v", n, len(files), err)
		}
		want, got := content(t, home), content(t, back)
		if len(want) != len(got) {
			t.Fatalf("%d files, want %d", len(got), len(want))
		}
		for name, b := range want {
			if got[name] != b {
				t.Errorf("%s came back otherwise", name)
			}
		}
		for _, f := range files {
			info, err := os.Stat(filepath.Join(back, f.path))
			if err != nil || info.Mode() != f.info.Mode() {
				t.Errorf("%s: mode %v, want %v (%v)", f.path, info.Mode(), f.info.Mode(), err)
			}
		}
	})
}

// shell is the commands' surroundings in tests.
func shell(home, pass string) *Shell {
	return &Shell{
		Stdout: io.Discard, Stderr: io.Discard, JSON: func() bool { return false }, Home: func() string { return home },
		Given: func() (string, bool, error) { return pass, pass != "", nil }, Ask: func(string) (string, error) { return "", nil },
		Runs: func(context.Context) bool { return false },
	}
}

func newHome(t *testing.T) string {
	t.Helper()
	home := filepath.Join(t.TempDir(), "home")
	for name, b := range map[string]string{
		"keys/user.json": "{}", "config.toml": "", "validator/config/genesis.json": "{}", "validator/data/priv_validator_state.json": "{}",
		"validator/data/application.db/000001.log": "blocks", "validator/data/application.db/LOCK": "",
	} {
		at := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// TestRestoreChangesNothing: a wrong passphrase, each kind of damage and a home that is there
// leave everything as it was, and nothing lying about.
func TestRestoreChangesNothing(t *testing.T) {
	ctx, home := context.Background(), newHome(t)
	dir := t.TempDir()
	name, whole := filepath.Join(dir, "b.age"), filepath.Join(dir, "whole")
	if err := shell(home, "pass").backup(ctx, name, false); err != nil {
		t.Fatal(err)
	}
	sealed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	bad := map[string][]byte{"nothing": {}, "no backup": []byte("hello"), "cut off in the head": sealed[:40], "cut off at the end": sealed[:len(sealed)-1], "longer": append(bytes.Clone(sealed), 0)}
	for _, at := range []int{0, len(sealed) / 2, len(sealed) - 1} {
		flipped := bytes.Clone(sealed)
		flipped[at] ^= 1
		bad[fmt.Sprintf("changed at %d", at)] = flipped
	}
	restore := func(why, pass string, b []byte, want essaim.Code) {
		t.Helper()
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		before := content(t, dir)
		if err := shell(whole, pass).restore(ctx, name); essaim.CodeOf(err) != want || err == nil {
			t.Errorf("%s: %v, want %s", why, err, want)
		}
		if after := content(t, dir); len(after) != len(before) {
			t.Errorf("%s: left something behind: %v", why, after)
		}
	}
	for why, b := range bad {
		restore(why, "pass", b, essaim.CodeBadInput)
	}
	restore("wrong passphrase", "other", sealed, essaim.CodeRefused)
	restore("no passphrase", "", sealed, essaim.CodeBadInput)
	if err := os.WriteFile(name, sealed, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := shell(whole, "pass").restore(ctx, name); err != nil {
		t.Fatal(err)
	}
	got := content(t, whole)
	if _, there := got["validator/data/application.db/"]; there || got["keys/user.json"] != "{}" || got["validator/data/priv_validator_state.json"] != "{}" {
		t.Errorf("restored %v", got)
	}
	restore("a home that is there", "pass", sealed, essaim.CodeConflict)
}

// TestBackupRefuses: what is in use, what is there already, and what would lie in the home.
func TestBackupRefuses(t *testing.T) {
	ctx, home := context.Background(), newHome(t)
	name := filepath.Join(t.TempDir(), "b.age")
	refuses := func(why string, s *Shell, name string, want essaim.Code) {
		t.Helper()
		if err := s.backup(ctx, name, true); err == nil || essaim.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", why, err, want)
		}
	}
	running := shell(home, "pass")
	running.Runs = func(context.Context) bool { return true }
	refuses("a network runs", running, name, essaim.CodeConflict)
	refuses("no passphrase", shell(home, ""), name, essaim.CodeBadInput)
	refuses("in the home", shell(home, "pass"), filepath.Join(home, "b.age"), essaim.CodeBadInput)
	refuses("no home", shell(filepath.Join(home, "none"), "pass"), name, essaim.CodeNotFound)

	f, err := durable.Open(filepath.Join(home, "log.db"), "CREATE TABLE IF NOT EXISTS t (k INTEGER)")
	if err != nil {
		t.Fatal(err)
	}
	refuses("an open log", shell(home, "pass"), name, essaim.CodeConflict)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); err == nil {
		t.Error("a refused backup left a file")
	}
	if err := shell(home, "pass").backup(ctx, name, true); err != nil {
		t.Fatal(err)
	}
	refuses("a backup is there", shell(home, "pass"), name, essaim.CodeConflict)
}

package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files lists what lies under a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err = filepath.Rel(dir, name)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestInstall: install puts a program that runs where packages want it, completions that
// their shells can read, and units; uninstall leaves other people's files alone.
func TestInstall(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "a folder")
	makeTarget := func(target string) {
		t.Helper()
		cmd := exec.Command("make", "-o", "build", target, "BIN="+program(t), "DESTDIR="+dest, "PREFIX=/usr", "SYSTEMD=yes")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("make %s: %v\n%s", target, err, out)
		}
	}
	makeTarget("install")
	got := files(t, dest)
	for _, name := range []string{
		"usr/bin/essaim", "usr/share/bash-completion/completions/essaim", "usr/share/zsh/site-functions/_essaim", "usr/share/fish/vendor_completions.d/essaim.fish",
		"usr/lib/systemd/system/essaim.service", "usr/lib/systemd/system/essaim@.service", "usr/lib/systemd/system/essaim-miner.service",
	} {
		if !slices.Contains(got, name) {
			t.Errorf("%s was not installed", name)
		}
	}
	if out, err := exec.Command(filepath.Join(dest, "usr/bin/essaim"), "--version").CombinedOutput(); err != nil || !strings.Contains(string(out), "essaim version") {
		t.Errorf("the installed program says %q, %v", out, err)
	}
	complete(t, filepath.Join(dest, "usr"))
	for shell, name := range map[string]string{"zsh": "zsh/site-functions/_essaim", "fish": "fish/vendor_completions.d/essaim.fish"} {
		if path, err := exec.LookPath(shell); err != nil {
			t.Logf("no %s here: its completion was installed, but nothing has read it", shell)
		} else if out, err := exec.Command(path, "-n", filepath.Join(dest, "usr/share", name)).CombinedOutput(); err != nil {
			t.Errorf("%s cannot read its completion: %v\n%s", shell, err, out)
		}
	}
	other := filepath.Join(dest, "usr/bin/somebody-else")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeTarget("uninstall")
	if left := files(t, dest); !slices.Equal(left, []string{"usr/bin/somebody-else"}) {
		t.Errorf("uninstall leaves %q", left)
	}
}

// complete asks the installed completion for what begins like `essaim rec`, as Bash does.
func complete(t *testing.T, prefix string) {
	t.Helper()
	script := `. share/bash-completion/completions/essaim && COMP_WORDS=(essaim rec) COMP_CWORD=1 COMP_LINE="essaim rec" COMP_POINT=10
_get_comp_words_by_ref() { cur=rec prev=essaim words=(essaim rec) cword=1; }
_init_completion() { _get_comp_words_by_ref; }
__start_essaim && printf '%s\n' "${COMPREPLY[@]}"`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = prefix
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(prefix, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := cmd.Output(); err != nil || strings.TrimSpace(string(out)) != "receipt" { // on stderr Bash says that nobody pressed Tab
		t.Errorf("completion of `essaim rec` is %q, %v", out, err)
	}
}

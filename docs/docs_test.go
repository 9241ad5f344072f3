package docs_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// What the documents say is tried out here: links lead somewhere, commands exist, the
// program can be installed, and each tutorial's commands are run, one after the other.

// root is the repository's folder.
const root = ".."

var folder string

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "essaim-docs-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// built is the essaim of this source, or another one to try the documents with.
var built = sync.OnceValues(func() (string, error) {
	if name := os.Getenv("ESSAIM_PROGRAM"); name != "" {
		return filepath.Abs(name)
	}
	name := filepath.Join(folder, "essaim")
	out, err := exec.Command("go", "build", "-ldflags", "-s -w -X main.version=of-the-tests", "-o", name, root+"/cmd/essaim").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return name, nil
})

func program(t *testing.T) string {
	t.Helper()
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

//go:build unix

package ollama_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

// program finds a real Ollama: the one that OLLAMA names, that make demo-engines has built, or that is installed.
func program(t *testing.T) string {
	t.Helper()
	built, err := filepath.Abs("../../bin/engines/ollama")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{os.Getenv("OLLAMA"), built, "ollama"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Skip("no Ollama is on this machine: scripts/engines/ollama.sh bin/engines builds one, OLLAMA=path names one")
	return ""
}

// real starts an Ollama with a model of random numbers, and returns its address.
func real(t *testing.T) string {
	t.Helper()
	path := program(t)
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("python3, which writes the model, is not on this machine")
	}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "OLLAMA_HOST="+address, "OLLAMA_MODELS="+filepath.Join(dir, "models"), "HOME="+dir)
	server := exec.Command(path, "serve")
	server.Env = env
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the runners that it starts
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGKILL)
		_ = server.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer http.DefaultClient.CloseIdleConnections()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/api/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatal("Ollama does not answer")
		}
	}
	do := func(name string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v: %s", name, args, err, out)
		}
	}
	gguf, modelfile := filepath.Join(dir, "tiny.gguf"), filepath.Join(dir, "Modelfile")
	do("python3", "../../scripts/engines/tinygguf.py", gguf)
	if err := os.WriteFile(modelfile, fmt.Appendf(nil, "FROM %s\nTEMPLATE \"{{ .Prompt }}\"\n", gguf), 0o600); err != nil {
		t.Fatal(err)
	}
	do(path, "create", "tiny", "-f", modelfile)
	return "http://" + address
}

// TestRealOllama keeps the whole contract with a real Ollama, and names the model as the server does.
func TestRealOllama(t *testing.T) {
	address := real(t)
	enginetest.Run(t, func() engine.Engine { return enginetest.Brief{Engine: open(t, address)} })
	models, err := open(t, address).Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Name != "tiny:latest" || models[0].Kind != essaim.KindChat {
		t.Errorf("%+v, %v", models, err)
	}
}

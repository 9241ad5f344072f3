package openai_test

import (
	"bufio"
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

// llamacpp starts llama.cpp's own server, as a package of PyPI has it built, with a model of random numbers, and returns its
// address.
func llamacpp(t *testing.T, more ...string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on this machine, so llama.cpp's server cannot be run")
	}
	if out, err := exec.Command(python, "-c", "import xllamacpp").CombinedOutput(); err != nil {
		t.Skipf("python3 lacks llama.cpp (pip install xllamacpp==2026.10.11549): %s", out)
	}
	gguf := filepath.Join(t.TempDir(), "tiny.gguf")
	if out, err := exec.Command(python, "../../scripts/engines/tinygguf.py", gguf).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := exec.Command(python, append([]string{"../../scripts/engines/llamacpp.py", gguf}, more...)...)
	var log bytes.Buffer
	server.Stderr = &log
	_, err1 := server.StdinPipe() // it ends with it, and so with this test
	said, err2 := server.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		_ = server.Wait()
		t.Fatalf("llama.cpp does not start: %v: %s", err, &log)
	}
	return strings.TrimSpace(address)
}

// TestRealLlamaCpp keeps the whole contract with a real llama.cpp, and knows the model's name and the size of its context as the
// server does.
func TestRealLlamaCpp(t *testing.T) {
	address := llamacpp(t)
	enginetest.Run(t, func() engine.Engine { return enginetest.Brief{Engine: open(t, address)} })
	models, err := open(t, address).Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Name != "tiny" || models[0].Kind != essaim.KindChat || models[0].MaxSteps != 256 {
		t.Errorf("%+v, %v", models, err)
	}
}

// TestRealLlamaCppEmbeds does the same with one that makes vectors.
func TestRealLlamaCppEmbeds(t *testing.T) {
	address := llamacpp(t, "embed") + "?embed=tiny"
	enginetest.Run(t, func() engine.Engine { return open(t, address) })
	models, err := open(t, address).Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Kind != essaim.KindEmbed {
		t.Errorf("%+v, %v", models, err)
	}
}

// TestRealStableDiffusionCPP keeps the whole contract with a real server of stable-diffusion.cpp, seeds and steps too, and knows
// its weights' name.
func TestRealStableDiffusionCPP(t *testing.T) {
	address := enginetest.Running(t, "ESSAIM_TEST_SDCPP", "http://127.0.0.1:1234")
	enginetest.Run(t, func() engine.Engine { return enginetest.Brief{Engine: open(t, address)} })
	models, err := open(t, address).Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Kind != essaim.KindImage || models[0].Name == "sd-cpp-local" || models[0].MaxSteps == 0 {
		t.Errorf("%+v, %v", models, err)
	}
}

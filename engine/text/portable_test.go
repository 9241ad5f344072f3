package text

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOtherMachines runs TestReference on other architectures, emulated. s390x is
// big-endian.
func TestOtherMachines(t *testing.T) {
	if testing.Short() {
		t.Skip("emulation is slow")
	}
	for arch, qemu := range map[string]string{"arm64": "qemu-aarch64-static", "s390x": "qemu-s390x-static"} {
		t.Run(arch, func(t *testing.T) {
			emulator, err := exec.LookPath(qemu)
			if err != nil {
				t.Skipf("no %s on PATH (Debian: qemu-user-static)", qemu)
			}
			binary := filepath.Join(t.TempDir(), "test")
			build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".")
			build.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("compiling: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), emulator, binary, "-test.run", "^TestReference$", "-test.v").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "--- PASS: TestReference") {
				t.Fatalf("running: %v\n%s", err, out)
			}
		})
	}
}

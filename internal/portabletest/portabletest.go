// Package portabletest runs a package's tests again under other conditions: compiled otherwise, on other
// architectures, emulated. What is exact everywhere tests itself so.
//
// It is imported by tests only, and is the one package of this floor that starts processes.
package portabletest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Binary is a package's compiled tests, to be run under other conditions than these.
type Binary struct {
	Folder  string   // of the package, against the test's
	Pattern string   // of the tests to run; empty: all
	Env     []string // to run with, besides the test's
	command []string
}

// Build compiles the tests with an environment and flags besides this one's.
func (b Binary) Build(t *testing.T, env []string, flags ...string) Binary {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"test", "-c", "-o", file}, flags...), b.Folder)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compiling %s: %v\n%s", b.Folder, err, out)
	}
	b.command = []string{file}
	return b
}

// Run runs the tests, shortly; they must pass and be some. A Binary that was not built is the test's own.
func (b Binary) Run(t *testing.T) {
	t.Helper()
	if b.command == nil {
		b.command = os.Args[:1]
	}
	args := append(b.command[1:], "-test.v", "-test.short", "-test.run", b.Pattern)
	cmd := exec.CommandContext(t.Context(), b.command[0], args...)
	cmd.Dir, cmd.Env = b.Folder, append(os.Environ(), b.Env...)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v: %v\n%s", b.command, err, out)
	}
}

// OtherMachines runs tests on other architectures, emulated: arm64, which has vector code of its own,
// riscv64 and s390x, which is big-endian.
func OtherMachines(t *testing.T, tests ...Binary) {
	if testing.Short() {
		t.Skip("emulation is slow")
	}
	for arch, qemu := range map[string]string{"arm64": "qemu-aarch64", "riscv64": "qemu-riscv64", "s390x": "qemu-s390x"} {
		t.Run(arch, func(t *testing.T) {
			emulator, err := exec.LookPath(qemu + "-static")
			if err != nil {
				if emulator, err = exec.LookPath(qemu); err != nil {
					t.Skipf("no %s-static or %s on PATH (Debian: qemu-user-static)", qemu, qemu)
				}
			}
			for _, b := range tests {
				b = b.Build(t, []string{"GOOS=linux", "GOARCH=" + arch, "CGO_ENABLED=0"})
				b.command = append([]string{emulator}, b.command...)
				b.Run(t)
			}
		})
	}
}

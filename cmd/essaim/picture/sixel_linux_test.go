package picture

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSixelTerminal asks three terminals: one without graphics, one with sixel, and a
// pseudo-terminal with nobody behind it, which must not hang the program.
func TestSixelTerminal(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		want         bool
	}{
		{"vt100", "\x1b[?1;2c", false},
		{"4 as first attribute is a terminal's number", "\x1b[?4;6c", false},
		{"sixel", "\x1b[?62;4;22c", true},
		{"silent", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			emulator, terminal := openTerminal(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				var b [16]byte
				if _, err := emulator.Read(b[:]); err == nil {
					_, _ = emulator.WriteString(tt.answer)
				}
			}()
			if got := sixelTerminal(terminal, terminal); got != tt.want {
				t.Errorf("sixelTerminal = %t, want %t", got, tt.want)
			}
			<-done
		})
	}
}

func openTerminal(t *testing.T) (emulator, terminal *os.File) {
	t.Helper()
	emulator, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = emulator.Close() })
	fd := int(emulator.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return emulator, terminal
}

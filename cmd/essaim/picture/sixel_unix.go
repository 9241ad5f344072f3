//go:build unix

package picture

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// attributesTime is how long a terminal may take to say what it is; a slow line takes
// a fifth of it. A pseudo-terminal with nobody behind it never answers.
const attributesTime = 400 * time.Millisecond

var attributes = regexp.MustCompile(`\x1b\[\?([0-9;]+)c`)

// sixelTerminal asks the terminal for its primary attributes (DA1); 4 among them,
// after the first, means sixel graphics.
//
// Source: xterm control sequences, "CSI Ps c".
func sixelTerminal(in, out *os.File) bool {
	fd := int(in.Fd())
	if !term.IsTerminal(fd) {
		return false
	}
	old, err := term.MakeRaw(fd) // else the answer would be echoed and wait for a line
	if err != nil {
		return false
	}
	defer func() { _ = term.Restore(fd, old) }()
	if _, err := out.WriteString("\x1b[c"); err != nil {
		return false
	}
	var answer []byte
	for deadline := time.Now().Add(attributesTime); time.Now().Before(deadline); {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, int(time.Until(deadline).Milliseconds())+1); err == unix.EINTR {
			continue
		} else if n <= 0 || err != nil {
			return false
		}
		var b [256]byte
		n, err := in.Read(b[:])
		if err != nil || n == 0 {
			return false
		}
		answer = append(answer, b[:n]...)
		if m := attributes.FindSubmatch(answer); m != nil {
			return slices.Contains(strings.Split(string(m[1]), ";")[1:], "4")
		}
	}
	return false
}

//go:build unix

package book

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/essaim/essaim"
)

// alone makes sure that no other program has the book: two would each pay what was asked for
// once. The file is closed to let go, and by the system if the program dies.
func alone(name string) (*os.File, error) {
	f, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "the bot's book: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // it was never used
		return nil, essaim.Errorf(essaim.CodeConflict, "stop the other one, or give this one a --dir of its own", "another bot uses the book %s", name)
	}
	return f, nil
}

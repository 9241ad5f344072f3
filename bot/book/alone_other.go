//go:build !unix

package book

import (
	"os"

	"github.com/essaim/essaim"
)

// alone opens the file that stands for having the book. On such a system nobody is kept from it.
func alone(name string) (*os.File, error) {
	f, err := os.OpenFile(name+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "the bot's book: %w", err)
	}
	return f, nil
}

//go:build !unix

package picture

import "os"

// sixelTerminal is for terminals that can be asked; ESSAIM_PICTURES=sixel says it.
func sixelTerminal(_, _ *os.File) bool { return false }

// Package all lists the blob stores in the binary. To add one, write its driver in
// blob/NAME and a case here; nothing else knows the drivers.
package all

import (
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/blob/mem"
)

// Open opens the store that spec names: "dir:/path/to/blobs", or "mem:" for one that
// ends with the process.
//
// Errors: CodeBadInput for a spec that names no store, else the driver's.
func Open(spec string) (blob.Store, error) {
	driver, rest, ok := strings.Cut(spec, ":")
	switch {
	case ok && driver == "dir" && rest != "":
		return dir.Open(rest)
	case ok && driver == "mem" && rest == "":
		return mem.New(), nil
	}
	return nil, essaim.Errorf(essaim.CodeBadInput, "write dir:/path/to/blobs or mem:", "blob store %q is not known", spec)
}

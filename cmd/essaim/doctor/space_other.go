//go:build !linux && !darwin

package doctor

import "errors"

// Space is not known here.
//
// Errors: errors.ErrUnsupported.
func Space(string) (uint64, error) { return 0, errors.ErrUnsupported }

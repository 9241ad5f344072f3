package standing

import (
	"errors"
	"time"
)

// later is an error with when to try again.
type later struct {
	error
	after time.Duration
}

func (l *later) Unwrap() error { return l.error }

// Later says with an error after how long it makes sense to try again.
func Later(err error, after time.Duration) error { return &later{err, after} }

// After is what Later has said of an error; 0: nothing.
func After(err error) time.Duration {
	if l := new(later); errors.As(err, &l) {
		return l.after
	}
	return 0
}

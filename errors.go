package essaim

import (
	"context"
	"errors"
	"fmt"
)

// Code says what a caller can do about an error. Codes are a closed list: each maps
// to one HTTP status and one exit code, and says whether trying again may help.
type Code string

// The codes.
const (
	CodeBadInput     Code = "bad_input"    // the request can never succeed as it is
	CodeRefused      Code = "refused"      // a signature, a binding or a right is missing
	CodeNotFound     Code = "not_found"    // no such thing
	CodeInsufficient Code = "insufficient" // not enough money
	CodeConflict     Code = "conflict"     // the state has moved on: already done, taken, in use
	CodeUnavailable  Code = "unavailable"  // nobody can do it now; try later
	CodeExpired      Code = "expired"      // the deadline has passed
	CodeInternal     Code = "internal"     // a fault of the program
)

var codes = map[Code]struct {
	exit, http int
	retry      bool
}{
	CodeBadInput:     {2, 400, false},
	CodeRefused:      {3, 403, false},
	CodeNotFound:     {4, 404, false},
	CodeInsufficient: {5, 402, false},
	CodeConflict:     {6, 409, false},
	CodeUnavailable:  {7, 503, true},
	CodeExpired:      {8, 504, true},
	CodeInternal:     {70, 500, true},
}

// ExitCode is the status a program ends with. 0 is success and 1 a negative answer
// (a check that failed).
func (c Code) ExitCode() int { return codes[c.known()].exit }

// HTTPStatus is the status an HTTP answer carries.
func (c Code) HTTPStatus() int { return codes[c.known()].http }

// Retryable reports whether the same request may succeed later.
func (c Code) Retryable() bool { return codes[c.known()].retry }

func (c Code) known() Code {
	if _, ok := codes[c]; !ok {
		return CodeInternal
	}
	return c
}

// Error is an error for a reader: what failed, on what, and what to do about it.
type Error struct {
	Code Code
	Msg  string // lower case, no period
	Hint string // what to do; may be empty
	Err  error  // cause; nil: none
}

// Errorf makes an Error. A %w in the format becomes its cause.
func Errorf(code Code, hint, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Msg: err.Error(), Hint: hint, Err: errors.Unwrap(err)}
}

// Error is the message without the hint.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// CodeOf finds the code of the outermost Error in a chain. An error that says
// nothing is CodeInternal; a context's deadline is CodeExpired and its cancellation
// CodeUnavailable.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeExpired
	case errors.Is(err, context.Canceled):
		return CodeUnavailable
	}
	return CodeInternal
}

// HintOf finds the hint of the outermost Error in a chain that has one.
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	xterm "golang.org/x/term"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
)

// How the program speaks.
//
//   - What was asked for goes to stdout; everything else to stderr.
//   - An error is one line, "essaim: error: …", then at most one line, "essaim: hint:
//     …". Lower case, no period, no stack.
//   - With --json, stdout is one JSON object and an error is {"error":{…}} on it.
//   - Exit codes: 0 done; 1 a check said no; 2 bad input; 3 refused; 4 not found; 5 not
//     enough money; 6 conflict; 7 unavailable, try later; 8 too late; 70 a fault of the
//     program.

// errAnswerNo ends the program with 1: it worked, and the answer is no.
type errAnswerNo struct{ err error }

func (e errAnswerNo) Error() string { return e.err.Error() }
func (e errAnswerNo) Unwrap() error { return e.err }

// errShown ends the program with err, which stdout has told already: with --json there is
// one object only.
type errShown struct{ error }

func (e errShown) Unwrap() error { return e.error }

func exitCode(err error) int {
	var no errAnswerNo
	switch {
	case err == nil:
		return 0
	case errors.As(err, &no):
		return 1
	}
	return essaim.CodeOf(err).ExitCode()
}

// tell writes an error for a person, or for a program that asked for JSON.
func tell(stdout, stderr io.Writer, asJSON bool, err error) {
	if errors.As(err, new(errShown)) {
		return
	}
	hint := essaim.HintOf(err)
	if asJSON {
		type body struct {
			Code    essaim.Code `json:"code"`
			Message string      `json:"message"`
			Hint    string      `json:"hint,omitempty"`
			Exit    int         `json:"exit"`
		}
		term.JSON(stdout, map[string]body{"error": {essaim.CodeOf(err), oneLine(err.Error()), hint, exitCode(err)}})
		return
	}
	fmt.Fprintf(stderr, "essaim: error: %s\n", oneLine(err.Error()))
	if hint != "" {
		fmt.Fprintf(stderr, "essaim: hint: %s\n", oneLine(hint))
	}
}

// interrupted says who ended a command, where it was the person: "context canceled" is how
// programmers say it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) || exitCode(err) == 1 || errors.As(err, new(errShown)) {
		return err
	}
	said := strings.ReplaceAll(err.Error(), context.Canceled.Error(), context.Cause(ctx).Error())
	return essaim.Errorf(essaim.CodeOf(err), essaim.HintOf(err), "%s", said)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// status is one line on stderr that is written over: the progress of something long.
// On a pipe each line is printed once, when it is done.
type status struct {
	w    io.Writer
	live bool
	last string
}

func newStatus(f *os.File) *status {
	return &status{w: f, live: xterm.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// set shows what goes on; it is kept only if keep is called.
func (s *status) set(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !s.live || line == s.last {
		s.last = line
		return
	}
	s.last = line
	fmt.Fprintf(s.w, "\r\x1b[K%s", line)
}

// keep ends the line that set showed.
func (s *status) keep() {
	if s.last == "" {
		return
	}
	if s.live {
		fmt.Fprintln(s.w)
	} else {
		fmt.Fprintln(s.w, s.last)
	}
	s.last = ""
}

// clear removes the line that set showed.
func (s *status) clear() {
	if s.live && s.last != "" {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
	s.last = ""
}

// bar draws done of total in ten characters.
func bar(done, total int) string {
	if total <= 0 {
		return strings.Repeat("·", 10)
	}
	n := min(10*done/total, 10)
	return strings.Repeat("█", n) + strings.Repeat("·", 10-n)
}

// steps counts sampling steps.
func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", n)
}

package desk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
)

const (
	// MaxSmall bounds the body of a request without a text to work on, in bytes.
	MaxSmall = 64 << 10

	// MaxPicture bounds the body of a request with a picture in it.
	MaxPicture = 24 << 20

	// MaxTexts bounds the body of a request with texts: a conversation and its JSON.
	MaxTexts = 4 * essaim.MaxChat

	// KeepAlive is how long a stream is silent at most.
	KeepAlive = 15 * time.Second

	// WriteTime is for one event of a stream to be written.
	WriteTime = 30 * time.Second

	// HeaderRequest is the request's ID.
	HeaderRequest = "X-Request-Id"

	// HeaderVerification says how far what is answered was checked: the receipt always, and what
	// is known of an audit by now. The path of a task's checks tells the rest, and later.
	HeaderVerification = "X-Essaim-Verification"
)

// SetReadDeadline bounds the reading of a body. It must be lifted when the body was
// read: a deadline that passes later would cancel the request's context.
func SetReadDeadline(w http.ResponseWriter, t time.Time) {
	_ = http.NewResponseController(w).SetReadDeadline(t) // httptest's recorder has none
}

// ReadJSON decodes a body of at most limit bytes and lifts its deadline. Unknown
// fields are tolerated.
//
// Errors: CodeBadInput.
func ReadJSON(w http.ResponseWriter, r *http.Request, limit int64, out any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	if err := d.Decode(out); err != nil {
		return Unread(err, "send one JSON object")
	}
	SetReadDeadline(w, time.Time{})
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "something follows the body's JSON object")
	}
	return nil
}

// Unread is what is said of a body that cannot be read: it is longer than an http.MaxBytesReader lets through, or what
// the hint says is wrong with it.
//
// Errors: CodeBadInput, always.
func Unread(err error, hint string) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return &essaim.Error{Code: essaim.CodeBadInput, Msg: fmt.Sprintf("the body is larger than %d bytes", long.Limit), Hint: "send less", Err: long}
	}
	return essaim.Errorf(essaim.CodeBadInput, hint, "the body cannot be read: %v", err)
}

// StatusOf is an error's status: that of its code, but for a body that is too large, for which HTTP has one.
func StatusOf(err error) int {
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return http.StatusRequestEntityTooLarge
	}
	return essaim.CodeOf(err).HTTPStatus()
}

// WriteJSON answers with one object.
func WriteJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("gateway: encode %T: %v", body, err)) // our own types always encode
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // a client that has left needs no answer
}

// Verification is the header's text for a task of a coordinator that may have tasks audited.
func Verification(ctx context.Context, c client.Coordinator, task essaim.Digest) string {
	a, ok := c.(client.Auditor)
	if !ok {
		return "receipt"
	}
	known, err := a.Checked(ctx, task)
	if err != nil {
		return "receipt"
	}
	return VerificationOf(known)
}

// VerificationOf is the header's text for what is known of a task.
func VerificationOf(c essaim.Checked) string {
	text := fmt.Sprintf("receipt; audit=%q", string(c.State))
	if c.Height > 0 {
		text += fmt.Sprintf("; height=%d", c.Height)
	}
	for _, check := range c.Checks {
		if v, err := essaim.OpenVerdict(check.Verdict); err == nil {
			text += fmt.Sprintf("; %s=%s", v.Method, v.Result)
		}
	}
	return text
}

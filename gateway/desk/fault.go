package desk

import (
	"errors"
	"net/http"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
)

// Fault is an error in the words that OpenAI's clients know, which the other dialects
// borrow.
type Fault struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// FaultOf is an error for a user, with the status that goes with it.
func FaultOf(err error) (int, Fault) {
	body := client.ErrorBodyOf(err).Error
	status, kind, code := StatusOf(err), "server_error", string(body.Code)
	switch body.Code {
	case essaim.CodeBadInput:
		kind = "invalid_request_error"
		if errors.Is(err, errFiltered) {
			code = "content_policy_violation"
		}
	case essaim.CodeRefused:
		status, kind, code = http.StatusUnauthorized, "invalid_request_error", "invalid_api_key"
	case essaim.CodeNotFound:
		kind, code = "invalid_request_error", "model_not_found"
	case essaim.CodeInsufficient:
		kind, code = "insufficient_quota", "insufficient_quota"
	case essaim.CodeUnavailable:
		if errors.Is(err, apikey.ErrBusy) {
			status, kind, code = http.StatusTooManyRequests, "rate_limit_error", "rate_limit_exceeded"
		}
	}
	message := body.Message
	if body.Hint != "" {
		message += " (" + body.Hint + ")"
	}
	return status, Fault{Message: message, Type: kind, Code: &code}
}

// Failed logs what the client is not told, and returns what it is. The header says when
// to come back.
func (d *Desk) Failed(w http.ResponseWriter, err error) (int, Fault) {
	d.LogFault(w, err)
	if essaim.CodeOf(err) == essaim.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	return FaultOf(err)
}

// LogFault logs what the client is not told.
func (d *Desk) LogFault(w http.ResponseWriter, err error) {
	if essaim.CodeOf(err) == essaim.CodeInternal {
		d.cfg.Log.Error("request failed", "id", w.Header().Get(HeaderRequest), "err", err)
	}
}

package desk

import (
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/once"
	"github.com/essaim/essaim/standing"
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
	case essaim.CodeConflict:
		kind = "invalid_request_error"
		if errors.Is(err, once.ErrGone) {
			status, code = http.StatusGone, "result_gone"
		}
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
	TellLater(w, err)
	return FaultOf(err)
}

// TellLater says in an answer's header when to come again, if that may help: when a rate limit's window ends, or when the queue may have
// a place; where neither is known, after a second.
func TellLater(w http.ResponseWriter, err error) {
	if essaim.CodeOf(err) == essaim.CodeUnavailable {
		seconds := max(1, int64(math.Ceil(standing.After(err).Seconds())))
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
}

// LogFault logs what the client is not told.
func (d *Desk) LogFault(w http.ResponseWriter, err error) {
	if essaim.CodeOf(err) == essaim.CodeInternal {
		d.cfg.Log.Error("request failed", "id", w.Header().Get(HeaderRequest), "err", err)
	}
}

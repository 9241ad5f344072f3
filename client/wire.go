package client

import (
	"github.com/essaim/essaim"
)

// The essaim dialect of HTTP, spoken by HTTP on this side and package gateway on the
// other. Its bodies are the types of package essaim's exchange.go as JSON, those of
// submissions frames of CBOR; what is added to them is here and in frames.go, so that there
// is one definition.
const (
	// PathInfo and the other paths are below the gateway's URL.
	PathInfo        = "/essaim/v1/info"
	PathQuote       = "/essaim/v1/quote"
	PathTasks       = "/essaim/v1/tasks" // + "/" + digest to read a record
	PathChecks      = "/checks"          // after that: what is known of its receipt; a POST shares the input with a verifier
	PathStanding    = "/standing"        // or: how it stands
	PathCancel      = "/cancel"          // or: a POST takes it back
	PathAcknowledge = "/essaim/v1/sessions/acknowledge"
	PathClose       = "/essaim/v1/sessions/close"
	PathLedger      = "/essaim/v1/ledger/" // what the page shows of the ledger: package web
	PathFaucet      = "/essaim/v1/faucet"
	PathGallery     = "/essaim/v1/gallery"
	PathProofKey    = "/essaim/v1/proofs/keys/" // + a model's digest
)

// CloseBody is the body of a POST to PathClose.
type CloseBody struct {
	Close []byte `json:"close"` // by essaim.SignClose
}

// VoucherBody is the body of a POST to PathAcknowledge, whose answer is an empty object.
type VoucherBody struct {
	Voucher []byte `json:"voucher"` // by essaim.SignVoucher
}

// CancelBody is the body of a POST to PathCancel, whose answer is an empty object.
type CancelBody struct {
	Signature []byte `json:"signature"` // by standing.SignCancel
}

// ErrorBody is the body of every answer that is an error.
type ErrorBody struct {
	Error ErrorInfo `json:"error"`
}

// ErrorInfo is an essaim.Error without its cause.
type ErrorInfo struct {
	Code    essaim.Code `json:"code"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// ErrorBodyOf describes an error to whoever is at the other end. A fault of the
// program is told without its details: they belong in the log.
func ErrorBodyOf(err error) ErrorBody {
	info := ErrorInfo{Code: essaim.CodeOf(err), Message: err.Error(), Hint: essaim.HintOf(err)}
	if info.Code == essaim.CodeInternal {
		info.Message, info.Hint = "the gateway has failed", "try again; its log says more"
	}
	return ErrorBody{info}
}

// Err turns the description back into an error.
func (b ErrorBody) Err() error {
	code := b.Error.Code
	if code == "" {
		code = essaim.CodeInternal
	}
	return essaim.Errorf(code, printable(b.Error.Hint), "%s", printable(b.Error.Message))
}

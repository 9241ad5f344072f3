// Package openai is the gateway's dialect of OpenAI's interface, for every program that
// has an API key: pictures (images.go), chats in both ways (chat.go, responses.go),
// embeddings and the list of models. Fields that are not known are tolerated; those that
// would change the answer and are not done are refused, never passed over.
//
// It must not do any work itself: that is package desk.
package openai

import (
	"fmt"
	"net/http"

	"github.com/essaim/essaim/gateway/desk"
)

// API answers requests in the dialect. Make it with New; it is safe for concurrent use.
type API struct{ desk *desk.Desk }

// New makes a dialect in front of a desk.
func New(d *desk.Desk) *API { return &API{d} }

// Routes adds the dialect's paths.
func (api *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST /v1/images/generations", api.images)
	mux.HandleFunc("POST /v1/chat/completions", api.completions)
	mux.HandleFunc("POST /v1/responses", api.responses)
	mux.HandleFunc("POST /v1/embeddings", api.embeddings)
	mux.HandleFunc("GET /v1/models", api.models)
	mux.HandleFunc("GET /v1/models/{id...}", api.model)
	mux.HandleFunc("/v1/", api.unknown)
}

// errorBody is the shape of OpenAI's errors.
type errorBody struct {
	Error desk.Fault `json:"error"`
}

// fail answers with an error in OpenAI's shape.
func (api *API) fail(w http.ResponseWriter, err error) {
	status, f := api.desk.Failed(w, err)
	WriteFault(w, status, f)
}

// WriteFault answers with an error in OpenAI's shape.
func WriteFault(w http.ResponseWriter, status int, f desk.Fault) {
	desk.WriteJSON(w, status, errorBody{f})
}

func (api *API) unknown(w http.ResponseWriter, r *http.Request) {
	code := "unknown_url"
	WriteFault(w, http.StatusNotFound, desk.Fault{
		Message: fmt.Sprintf("unknown request URL: %s %.100q", r.Method, r.URL.Path), Type: "invalid_request_error", Code: &code,
	})
}

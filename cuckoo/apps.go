package cuckoo

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/essaim/essaim"
)

// paths are what may be asked of a machine.
var paths = []string{"/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/controlnet/detect"}

// admit lets programs on this machine ask, and those that show the token.
//
// Errors: CodeRefused.
func (x *Exchange) admit(r *http.Request) error {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if local(r) || x.cfg.Token != "" && subtle.ConstantTimeCompare([]byte(token), []byte(x.cfg.Token)) == 1 {
		return nil
	}
	return essaim.Errorf(essaim.CodeRefused, "send Authorization: Bearer and the exchange's token", "apps elsewhere must show the exchange's token")
}

func checkPath(path string) error {
	if !slices.Contains(paths, path) {
		return essaim.Errorf(essaim.CodeBadInput, strings.Join(paths, ", "), "path %.60q is not served", path)
	}
	return nil
}

func (x *Exchange) offerTask(r *http.Request, params json.RawMessage) (any, error) {
	o, err := one[offer](params)
	if err == nil {
		err = x.admit(r)
	}
	if err == nil {
		err = checkPath(o.Payload.Path)
	}
	switch {
	case err != nil:
		return nil, err
	case o.ID == "" || o.Coin != coin || len(o.Payload.Body) == 0:
		return nil, essaim.Errorf(essaim.CodeBadInput, `want id, coinSymbol "SD" and payload`, "the task is not complete")
	}
	out, err := x.do(r.Context(), &task{id: o.ID, path: o.Payload.Path, body: o.Payload.Body, max: o.Max})
	if err != nil {
		return nil, err
	}
	return offer{ID: o.ID, Payload: payload{o.Payload.Path, out}, Coin: coin, Max: o.Max, Status: statusCompleted}, nil
}

// draw is the transparent way: the answer is the machine's own.
func (x *Exchange) draw(w http.ResponseWriter, r *http.Request) {
	path := "/" + r.PathValue("path")
	if path == "/sdapi/v1/interrupt" { // whoever asks hangs up as well, which ends the task
		write(w, http.StatusOK, struct{}{})
		return
	}
	err := x.admit(r)
	if err == nil {
		err = checkPath(path)
	}
	var body []byte
	if err == nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			err = essaim.Errorf(essaim.CodeBadInput, "send less", "the body cannot be read: %w", err)
		} else if !json.Valid(body) {
			err = essaim.Errorf(essaim.CodeBadInput, "send one JSON object", "the body is no JSON")
		}
	}
	id := r.Header.Get("X-Id")
	if id == "" {
		id = rand.Text()
	}
	var out []byte
	if err == nil {
		out, err = x.do(r.Context(), &task{id: id, path: path, body: body, max: r.Header.Get("X-Max-Offer-Price")})
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("X-Id", id)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out) // a client that has left needs no answer
}

func fail(w http.ResponseWriter, err error) {
	code := essaim.CodeOf(err)
	status := code.HTTPStatus()
	if long := (*http.MaxBytesError)(nil); errors.As(err, &long) {
		status = http.StatusRequestEntityTooLarge
	}
	write(w, status, map[string]any{"error": string(code), "detail": err.Error(), "errors": err.Error()})
}

// checkpoints are the models that the owner says the machines have. Their digest is of the
// name: nobody has seen the weights.
func (x *Exchange) checkpoints(w http.ResponseWriter, r *http.Request) {
	if err := x.admit(r); err != nil {
		fail(w, err)
		return
	}
	out := []map[string]any{}
	for _, name := range x.cfg.Models {
		sum := sha256.Sum256([]byte("cuckoo checkpoint " + name))
		out = append(out, map[string]any{"title": fmt.Sprintf("%s [%x]", name, sum[:5]), "model_name": name, "sha256": hex.EncodeToString(sum[:]), "hash": nil, "filename": name})
	}
	write(w, http.StatusOK, out)
}

// progress is not told by machines that poll.
func (x *Exchange) progress(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{"progress": 0, "eta_relative": 0, "current_image": nil, "state": map[string]int{"sampling_step": 0, "sampling_steps": 0}})
}

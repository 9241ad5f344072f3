package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
)

// TestBodiesAreBounded: what is larger than a path takes is answered with 413 and an error in the dialect's shape, before
// anything is done for it.
func TestBodiesAreBounded(t *testing.T) {
	r := newRig(t, batches(t.TempDir()))
	openAI := func(b []byte) bool {
		e := decode[failure](t, b).Error
		return e.Type == "invalid_request_error" && strings.Contains(e.Message, "larger than")
	}
	ollama := func(b []byte) bool {
		return strings.Contains(decode[struct{ Error string }](t, b).Error, "larger than")
	}
	a1111 := func(b []byte) bool {
		e := decode[struct{ Error, Detail, Errors string }](t, b)
		return e.Error != "" && strings.Contains(e.Detail, "larger than") && e.Errors == e.Detail
	}
	horde := func(b []byte) bool {
		e := decode[hordeState](t, b)
		return e.RC == "BadRequest" && strings.Contains(e.Message, "larger than")
	}
	own := func(b []byte) bool {
		e := decode[client.ErrorBody](t, b).Error
		return e.Code == essaim.CodeBadInput && strings.Contains(e.Message, "larger than") && e.Hint != ""
	}
	task := client.PathTasks + "/" + essaim.DigestOf(nil).String()
	for path, want := range map[string]struct {
		limit int
		told  func([]byte) bool
	}{
		pathImages: {desk.MaxSmall, openAI}, pathChat: {desk.MaxTexts, openAI}, "/v1/responses": {desk.MaxTexts, openAI}, "/v1/embeddings": {desk.MaxTexts, openAI},
		"/v1/batches": {desk.MaxSmall, openAI}, "/api/generate": {desk.MaxTexts, ollama}, "/api/chat": {desk.MaxTexts, ollama}, "/api/embed": {desk.MaxTexts, ollama},
		"/api/show": {desk.MaxSmall, ollama}, "/sdapi/v1/txt2img": {desk.MaxSmall, a1111}, "/sdapi/v1/img2img": {desk.MaxPicture, a1111},
		pathHorde + "async": {desk.MaxPicture, horde}, client.PathQuote: {desk.MaxSmall, own}, client.PathClose: {desk.MaxSmall, own},
		client.PathAcknowledge: {desk.MaxSmall, own}, task + client.PathCancel: {desk.MaxSmall, own},
	} {
		body := `{"prompt":"` + strings.Repeat("x", want.limit) + `"}`
		auth := r.auth("apikey", r.secret)
		if strings.HasPrefix(path, "/sdapi/") {
			auth = []string{"Authorization", r.basic()}
		}
		if resp, b := r.send(t, "POST", path, body, auth...); resp.StatusCode != 413 || !want.told(b) {
			t.Errorf("%s: %d %.300s", path, resp.StatusCode, b)
		}
	}
	body := `{"prompt":"` + strings.Repeat("x", desk.MaxPicture) + `"}`
	if resp, b := r.send(t, "POST", pathImages, body, r.auth("Idempotency-Key", "large")...); resp.StatusCode != 413 || !openAI(b) {
		t.Errorf("with an Idempotency-Key: %d %.300s", resp.StatusCode, b)
	}
	const part = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n"
	if resp, b := r.send(t, "POST", "/v1/files", part+strings.Repeat("\n", 64<<20), r.auth("Content-Type", "multipart/form-data; boundary=x")...); resp.StatusCode != 413 || !openAI(b) {
		t.Errorf("a file: %d %.300s", resp.StatusCode, b)
	}
	if n := r.Submits(); n != 0 {
		t.Errorf("%d tasks", n)
	}
}

// TestBodiesThatCannotBeRead, or are followed by something.
func TestBodiesThatCannotBeRead(t *testing.T) {
	r := newRig(t)
	big, err := json.Marshal(essaim.Submission{Input: make([]byte, 4<<20)})
	if err != nil {
		t.Fatal(err)
	}
	for n, c := range [][2]string{
		{client.PathTasks, string(big)}, {client.PathTasks, ""}, {client.PathClose, "{}{}"}, {client.PathQuote, "["}, {pathImages, "["}, {pathImages, "{}{}"},
	} {
		if resp, b := r.send(t, "POST", c[0], c[1], r.auth()...); resp.StatusCode != 400 {
			t.Error(fmt.Sprint(n), c[0], resp.StatusCode, string(b))
		}
	}
}

package discordtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

// route is a way of calling; bare says that the address entitles to it, and room how many calls
// go into five seconds.
type route struct {
	pattern, name string
	bare          bool
	room          int
}

// no is an answer that says no.
type no struct {
	status, code int
	text         string
}

func bad(format string, args ...any) *no {
	return &no{http.StatusBadRequest, 50035, fmt.Sprintf("Invalid Form Body: "+format, args...)}
}

// The platform's refusals.
var (
	unknownInteraction = &no{http.StatusNotFound, 10062, "Unknown interaction"}
	unknownWebhook     = &no{http.StatusNotFound, 10015, "Unknown Webhook"}
	unknownMessage     = &no{http.StatusNotFound, 10008, "Unknown Message"}
	answered           = &no{http.StatusBadRequest, 40060, "Interaction has already been acknowledged."}
	invalidWebhook     = &no{http.StatusUnauthorized, 50027, "Invalid Webhook Token"}
	missingAccess      = &no{http.StatusForbidden, 50001, "Missing Access"}
)

const api = "/api/v10"

func (s *Server) routes() map[route]func(*http.Request, *body) (any, *no) {
	return map[route]func(*http.Request, *body) (any, *no){
		{"GET " + api + "/applications/@me", "GET /applications/@me", false, 50}:                                       s.me,
		{"GET " + api + "/gateway/bot", "GET /gateway/bot", false, 50}:                                                 s.gatewayBot,
		{"PUT " + api + "/applications/{app}/commands", "PUT /applications/commands", false, 50}:                       s.register,
		{"PUT " + api + "/applications/{app}/guilds/{guild}/commands", "PUT /applications/guilds/commands", false, 50}: s.register,
		{"POST " + api + "/users/@me/channels", "POST /users/@me/channels", false, 10}:                                 s.openPrivate,
		{"POST " + api + "/interactions/{id}/{token}/callback", "POST /interactions/callback", true, 0}:                s.callback,
		{"POST " + api + "/webhooks/{app}/{token}", "POST /webhooks", true, 5}:                                         s.followUp,
		{"GET " + api + "/webhooks/{app}/{token}/messages/{id}", "GET /webhooks/messages", true, 5}:                    s.look,
		{"PATCH " + api + "/webhooks/{app}/{token}/messages/{id}", "PATCH /webhooks/messages", true, 5}:                s.change,
		{"DELETE " + api + "/webhooks/{app}/{token}/messages/{id}", "DELETE /webhooks/messages", true, 5}:              s.remove,
		{"POST " + api + "/channels/{channel}/messages", "POST /channels/messages", false, 5}:                          s.write,
		{"PATCH " + api + "/channels/{channel}/messages/{id}", "PATCH /channels/messages", false, 5}:                   s.change,
		{"DELETE " + api + "/channels/{channel}/messages/{id}", "DELETE /channels/messages", false, 5}:                 s.remove,
	}
}

func (s *Server) serve(r route, do func(*http.Request, *body) (any, *no)) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		s.mu.Lock()
		s.calls[r.name]++
		var instead *reply
		if list := s.replies[r.name]; len(list) > 0 {
			instead, s.replies[r.name] = &list[0], list[1:]
		}
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if instead != nil && !instead.lost {
			s.refuse(w, instead)
			return
		}
		out, refused := s.checked(r, do, w, q)
		if instead != nil {
			panic(http.ErrAbortHandler)
		}
		switch {
		case refused != nil:
			w.WriteHeader(refused.status)
			out = map[string]any{"code": refused.code, "message": refused.text}
		case out == nil:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_ = json.NewEncoder(w).Encode(out) // a bot that has left needs no answer
	}
}

// refuse answers as it was told to.
func (s *Server) refuse(w http.ResponseWriter, r *reply) {
	out := map[string]any{"code": 0, "message": fmt.Sprintf("%d: told to", r.status)}
	if r.status == http.StatusTooManyRequests {
		out = map[string]any{"message": "You are being rate limited.", "retry_after": r.after, "global": false}
		w.Header().Set("Retry-After", fmt.Sprint(int(r.after)+1))
		w.Header().Set("X-RateLimit-Scope", "shared")
	}
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(out) // a bot that has left needs no answer
}

// checked looks at what all calls have in common.
func (s *Server) checked(r route, do func(*http.Request, *body) (any, *no), w http.ResponseWriter, q *http.Request) (any, *no) {
	auth := q.Header.Get("Authorization")
	switch {
	case !strings.HasPrefix(q.UserAgent(), "DiscordBot (http"):
		s.fault("%s of %q", r.name, q.UserAgent())
	case r.bare && auth != "":
		s.fault("%s shows the bot's token without need", r.name)
	case !r.bare && auth != "Bot "+Token:
		return nil, &no{http.StatusUnauthorized, 0, "401: Unauthorized"}
	case q.PathValue("app") != "" && q.PathValue("app") != Application:
		s.fault("%s of another application", r.name)
	}
	if !s.room(r, w, q) {
		return nil, &no{http.StatusTooManyRequests, 0, "You are being rate limited."}
	}
	b, err := read(q)
	if err != nil {
		s.fault("%s: %v", r.name, err)
		return nil, bad("%v", err)
	}
	out, refused := do(q, b)
	if refused != nil && refused.status == http.StatusBadRequest && refused != answered {
		s.fault("%s: %s", r.name, refused.text)
	}
	return out, refused
}

// room counts a call, and says in the answer how full its bucket is.
func (s *Server) room(r route, w http.ResponseWriter, q *http.Request) bool {
	if r.room == 0 {
		return true
	}
	const window = 5 * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	key, now := r.name+" "+q.PathValue("token")+q.PathValue("channel"), s.now()
	var used []time.Time
	for _, t := range s.spent[key] {
		if now.Sub(t) < window {
			used = append(used, t)
		}
	}
	ok := len(used) < r.room
	if ok {
		used = append(used, now)
	} else {
		s.faults = append(s.faults, "the bucket of "+r.name+" is full, which was not heeded")
	}
	s.spent[key] = used
	w.Header().Set("X-RateLimit-Bucket", fmt.Sprintf("%x", r.name))
	w.Header().Set("X-RateLimit-Limit", fmt.Sprint(r.room))
	w.Header().Set("X-RateLimit-Remaining", fmt.Sprint(r.room-len(used)))
	w.Header().Set("X-RateLimit-Reset-After", fmt.Sprintf("%.3f", (window-now.Sub(used[0])).Seconds()+0.001))
	return ok
}

// body is what a call brings.
type body struct {
	json  []byte
	files map[string]*multipart.FileHeader
}

func read(q *http.Request) (*body, error) {
	b := &body{}
	kind, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	switch {
	case q.Header.Get("Content-Type") == "":
		rest, err := io.ReadAll(q.Body)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("%d bytes of no kind", len(rest))
		}
		return b, err
	case err != nil:
		return b, err
	case kind == "application/json":
		b.json, err = io.ReadAll(q.Body)
		return b, err
	case kind != "multipart/form-data":
		return b, fmt.Errorf("body of %s", kind)
	}
	if err := q.ParseMultipartForm(32 << 20); err != nil {
		return b, err
	}
	b.files = map[string]*multipart.FileHeader{}
	for name, list := range q.MultipartForm.File {
		b.files[name] = list[0]
	}
	if len(q.MultipartForm.Value) != 1 || len(q.MultipartForm.Value["payload_json"]) != 1 {
		return b, fmt.Errorf("a form of %d values", len(q.MultipartForm.Value))
	}
	b.json = []byte(q.MultipartForm.Value["payload_json"][0])
	return b, nil
}

// into reads a body; a field that does not exist is refused.
func (b *body) into(v any) *no {
	d := json.NewDecoder(bytes.NewReader(b.json))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return bad("%v in %.200s", err, b.json)
	}
	return nil
}

func (s *Server) me(*http.Request, *body) (any, *no) {
	return map[string]any{"id": Application, "name": "Essaim", "bot": User{ID: Application, Name: BotName, Bot: true}.object()}, nil
}

func (s *Server) gatewayBot(*http.Request, *body) (any, *no) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := map[string]any{"total": 1000, "remaining": s.gate.left, "reset_after": 60_000, "max_concurrency": 1}
	if s.gate.left == 0 {
		s.gate.left = 1000 // whoever waits as long as it says finds more
	}
	return map[string]any{"url": strings.Replace(s.http.URL, "http", "ws", 1) + "/gateway", "shards": 1, "session_start_limit": limit}, nil
}

func (s *Server) openPrivate(_ *http.Request, b *body) (any, *no) {
	var v struct {
		Recipient string `json:"recipient_id"`
	}
	if refused := b.into(&v); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{"id": s.alone(v.Recipient).ID, "type": 1}, nil
}

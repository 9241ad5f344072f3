// Package ollama is the gateway's dialect of Ollama, for its clients. What they ask about a
// server's own models (pull, create, delete) has no meaning here. An API key is sent as
// elsewhere.
//
// It must not do any work itself: that is package desk.
package ollama

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/desk"
)

// version is the version whose interface this is.
const version = "0.17.4"

type options struct {
	Predict     *int     `json:"num_predict"` // negative: as the model wants it
	Seed        *int64   `json:"seed"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	Stop        []string `json:"stop"`
}

// request is the body of /api/chat and, with Prompt, of /api/generate.
type request struct {
	Model    string            `json:"model"`
	Messages []message         `json:"messages"`
	Prompt   string            `json:"prompt"`
	System   string            `json:"system"`
	Stream   *bool             `json:"stream"` // nil: yes
	Format   json.RawMessage   `json:"format"`
	Options  options           `json:"options"`
	Tools    []json.RawMessage `json:"tools"`
	Images   []json.RawMessage `json:"images"`

	Width  uint32 `json:"width"` // pictures, which Ollama calls experimental
	Height uint32 `json:"height"`
	Steps  uint32 `json:"steps"`
}

type message struct {
	Role    string            `json:"role"`
	Content string            `json:"content"`
	Images  []json.RawMessage `json:"images"`
}

// line is a line of an answer, or all of it.
type line struct {
	Model    string    `json:"model"`
	Created  time.Time `json:"created_at"`
	Message  *said     `json:"message,omitempty"`
	Response *string   `json:"response,omitempty"`
	Image    []byte    `json:"image,omitempty"`
	Done     bool      `json:"done"`
	Reason   string    `json:"done_reason,omitempty"`

	Total   int64        `json:"total_duration,omitempty"` // nanoseconds
	Read    uint64       `json:"prompt_eval_count,omitempty"`
	Written uint64       `json:"eval_count,omitempty"`
	Essaim  *desk.Origin `json:"essaim,omitempty"`
}

type said struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// API answers requests in the dialect. Make it with New; it is safe for concurrent use.
type API struct{ desk *desk.Desk }

// New makes a dialect in front of a desk.
func New(d *desk.Desk) *API { return &API{d} }

// Routes adds the dialect's paths.
func (api *API) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		desk.WriteJSON(w, http.StatusOK, map[string]string{"version": version})
	})
	mux.HandleFunc("GET /api/tags", api.tags)
	mux.HandleFunc("GET /api/ps", api.tags)
	mux.HandleFunc("POST /api/show", api.show)
	mux.HandleFunc("POST /api/chat", api.write)
	mux.HandleFunc("POST /api/generate", api.write)
	mux.HandleFunc("POST /api/embed", api.embed)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		api.fail(w, essaim.Errorf(essaim.CodeNotFound, "", "nothing is at %s %.100q", r.Method, r.URL.Path))
	})
}

func (api *API) fail(w http.ResponseWriter, err error) {
	status, f := api.desk.Failed(w, err)
	desk.WriteJSON(w, status, map[string]string{"error": f.Message})
}

type modelTag struct {
	Name     string    `json:"name"`
	Model    string    `json:"model"`
	Modified time.Time `json:"modified_at"`
	Size     int64     `json:"size"`
	Digest   string    `json:"digest"`
	Details  details   `json:"details"`
	Expires  time.Time `json:"expires_at"`
	VRAM     int64     `json:"size_vram"`
}

type details struct {
	Format       string   `json:"format"`
	Family       string   `json:"family"`
	Families     []string `json:"families"`
	Parameters   string   `json:"parameter_size"`
	Quantization string   `json:"quantization_level"`
}

func tagged(name string) string {
	if strings.Contains(name, ":") {
		return name
	}
	return name + desk.Latest
}

// tags lists the models that miners offer. They run as far as is known here, so ps shows them
// all.
func (api *API) tags(w http.ResponseWriter, r *http.Request) {
	models, err := api.desk.Models(r.Context())
	if err != nil {
		api.fail(w, err)
		return
	}
	out := struct {
		Models []modelTag `json:"models"`
	}{[]modelTag{}}
	for _, m := range models {
		name := tagged(m.Name)
		out.Models = append(out.Models, modelTag{Name: name, Model: name, Digest: m.Digest.String(), Details: detailsOf(m)})
	}
	desk.WriteJSON(w, http.StatusOK, out)
}

func detailsOf(m essaim.ModelInfo) details {
	return details{Family: m.Engine, Families: []string{m.Engine}}
}

// show describes a model.
func (api *API) show(w http.ResponseWriter, r *http.Request) {
	var q struct{ Model, Name string }
	err := desk.ReadJSON(w, r, desk.MaxSmall, &q)
	var m essaim.ModelInfo
	if err == nil {
		m, err = api.desk.ModelOf(r.Context(), "", q.Model+q.Name)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	can := map[essaim.Kind]string{essaim.KindChat: "completion", essaim.KindEmbed: "embedding", essaim.KindImage: "image"}
	desk.WriteJSON(w, http.StatusOK, map[string]any{
		"modelfile": "", "parameters": "", "template": "", "details": detailsOf(m), "capabilities": []string{can[m.Kind]},
		"model_info": map[string]any{"general.architecture": m.Engine, "essaim.digest": m.Digest, "essaim.unit_price": m.UnitPrice, "essaim.miners": m.Miners},
		"license":    "", "modified_at": time.Time{},
	})
}

// chat makes a conversation of what is asked.
//
// Errors: CodeBadInput.
func (q request) chat() (engine.Chat, error) {
	refuse := func(what string) (engine.Chat, error) {
		return engine.Chat{}, essaim.Errorf(essaim.CodeBadInput, "leave it out", "%s is not offered here", what)
	}
	c := engine.Chat{Temperature: q.Options.Temperature, TopP: q.Options.TopP, Stop: q.Options.Stop}
	switch format := string(q.Format); {
	case len(q.Tools) > 0:
		return refuse("the use of tools")
	case len(q.Images) > 0:
		return refuse("a picture in a prompt")
	case format == `"json"`:
		c.JSON = true
	case format != "" && format != `""` && format != "null":
		return refuse("a format other than json")
	}
	if q.System != "" {
		c.Messages = append(c.Messages, engine.Message{Role: "system", Content: q.System})
	}
	if q.Prompt != "" {
		c.Messages = append(c.Messages, engine.Message{Role: "user", Content: q.Prompt})
	}
	for _, m := range q.Messages {
		if len(m.Images) > 0 {
			return refuse("a picture in a message")
		}
		c.Messages = append(c.Messages, engine.Message{Role: m.Role, Content: m.Content})
	}
	return c, nil
}

// line is a part of an answer as the request's path has it.
func (q request) line(model, content string, chat bool) line {
	l := line{Model: model, Created: time.Now().UTC()}
	if chat {
		l.Message = &said{"assistant", content}
	} else {
		l.Response = &content
	}
	return l
}

// write answers /api/chat and /api/generate.
func (api *API) write(w http.ResponseWriter, r *http.Request) {
	began, chat := time.Now(), r.URL.Path == "/api/chat"
	key, q, err := api.read(w, r)
	if err == nil && !chat && api.draws(r.Context(), q.Model) {
		api.draw(w, r, key, q)
		return
	}
	var ask client.Request
	if err == nil {
		ask, err = api.order(r.Context(), q)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	stream := q.Stream == nil || *q.Stream
	begun := false
	out := func(l line) error {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		return writeLine(w, l)
	}
	t, err := api.desk.Write(r.Context(), key, ask, func(s string) error {
		if !stream || s == "" {
			return nil
		}
		return out(q.line(q.Model, s, chat))
	})
	var a engine.Answer
	if err == nil {
		a, err = t.Answer()
	}
	switch {
	case err != nil && begun:
		api.desk.LogFault(w, err)
		_, info := desk.FaultOf(err)
		_ = writeLine(w, map[string]string{"error": info.Message}) // the client may have left
		return
	case err != nil:
		api.fail(w, err)
		return
	}
	content := ""
	if !stream {
		content = a.Content
	}
	last := q.line(q.Model, content, chat)
	last.Done, last.Reason, last.Total, last.Read, last.Written, last.Essaim = true, a.Finish, time.Since(began).Nanoseconds(), a.Read, a.Written, t.Origin()
	if !stream {
		desk.Tell(w, []desk.Text{t})
		desk.WriteJSON(w, http.StatusOK, last)
		return
	}
	_ = out(last)
}

func writeLine(w http.ResponseWriter, line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		panic(fmt.Sprintf("gateway: encode %T: %v", line, err)) // our own types always encode
	}
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Now().Add(desk.WriteTime)) // httptest's recorder has none
	if _, err := w.Write(append(b, '\n')); err != nil {
		return err
	}
	return rc.Flush()
}

func (api *API) read(w http.ResponseWriter, r *http.Request) (key apikey.Key, q request, err error) {
	if key, err = api.desk.Admit(r); err == nil {
		err = desk.ReadJSON(w, r, desk.MaxTexts, &q)
	}
	return key, q, err
}

func (api *API) order(ctx context.Context, q request) (client.Request, error) {
	c, err := q.chat()
	if err != nil {
		return client.Request{}, err
	}
	var most uint32
	if n := q.Options.Predict; n != nil && *n > 0 {
		most = uint32(min(*n, essaim.MaxWritten))
	}
	_, r, err := api.desk.Chat(ctx, q.Model, c, most, q.Options.seed())
	return r, err
}

// seed is the seed that is asked for; negative and none: any.
func (o options) seed() *uint64 {
	if o.Seed == nil || *o.Seed < 0 {
		return nil
	}
	s := uint64(*o.Seed)
	return &s
}

// draws reports whether a model of this name draws pictures.
func (api *API) draws(ctx context.Context, name string) bool {
	m, err := api.desk.ModelOf(ctx, "", name)
	return err == nil && m.Kind == essaim.KindImage
}

// draw answers /api/generate of a picture model.
func (api *API) draw(w http.ResponseWriter, r *http.Request, key apikey.Key, q request) {
	began := time.Now()
	wish := desk.Wish{Prompt: q.Prompt, Model: q.Model, N: 1, Steps: q.Steps, Seed: q.Options.seed()}
	if q.Width != 0 || q.Height != 0 {
		wish.Size = strconv.Itoa(int(q.Width)) + "x" + strconv.Itoa(int(q.Height))
	}
	o, err := api.desk.Order(r.Context(), wish)
	var pictures []desk.Picture
	if err == nil {
		pictures, _, err = api.desk.Fill(r.Context(), key, o)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	p := pictures[0]
	desk.WriteJSON(w, http.StatusOK, line{
		Model: q.Model, Created: time.Now().UTC(), Image: p.Data, Done: true, Reason: "stop", Total: time.Since(began).Nanoseconds(),
		Essaim: &desk.Origin{Receipt: p.Origin.Receipt, Task: p.Origin.Task, Miner: p.Origin.Miner, Units: max(1, o.Units), Price: p.Origin.Price},
	})
}

// embed answers /api/embed.
func (api *API) embed(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	key, err := api.desk.Admit(r)
	var q struct {
		Model string         `json:"model"`
		Input desk.OneOrMore `json:"input"`
	}
	if err == nil {
		err = desk.ReadJSON(w, r, desk.MaxTexts, &q)
	}
	var list []desk.Text
	var vectors [][]float32
	if err == nil {
		_, list, vectors, err = api.desk.Embed(r.Context(), key, q.Model, q.Input)
	}
	if err != nil {
		api.fail(w, err)
		return
	}
	var read uint64
	for _, t := range list {
		read += t.Receipt.Units * essaim.PromptTokens
	}
	desk.Tell(w, list)
	desk.WriteJSON(w, http.StatusOK, map[string]any{
		"model": q.Model, "embeddings": vectors, "total_duration": time.Since(began).Nanoseconds(), "load_duration": 0, "prompt_eval_count": read,
	})
}

package gateway

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
)

// The dialect of Ollama, for its clients. What it asks about a server's own models (pull, create,
// delete) has no meaning here. An API key is sent as elsewhere.

// ollamaVersion is the version whose interface this is.
const ollamaVersion = "0.17.4"

type ollamaOptions struct {
	Predict     *int     `json:"num_predict"` // negative: as the model wants it
	Seed        *int64   `json:"seed"`
	Temperature *float64 `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	Stop        []string `json:"stop"`
}

// ollamaRequest is the body of /api/chat and, with Prompt, of /api/generate.
type ollamaRequest struct {
	Model    string            `json:"model"`
	Messages []ollamaMessage   `json:"messages"`
	Prompt   string            `json:"prompt"`
	System   string            `json:"system"`
	Stream   *bool             `json:"stream"` // nil: yes
	Format   json.RawMessage   `json:"format"`
	Options  ollamaOptions     `json:"options"`
	Tools    []json.RawMessage `json:"tools"`
	Images   []json.RawMessage `json:"images"`

	Width  uint32 `json:"width"` // pictures, which Ollama calls experimental
	Height uint32 `json:"height"`
	Steps  uint32 `json:"steps"`
}

type ollamaMessage struct {
	Role    string            `json:"role"`
	Content string            `json:"content"`
	Images  []json.RawMessage `json:"images"`
}

// ollamaLine is a line of an answer, or all of it.
type ollamaLine struct {
	Model    string      `json:"model"`
	Created  time.Time   `json:"created_at"`
	Message  *ollamaSaid `json:"message,omitempty"`
	Response *string     `json:"response,omitempty"`
	Image    []byte      `json:"image,omitempty"`
	Done     bool        `json:"done"`
	Reason   string      `json:"done_reason,omitempty"`

	Total   int64   `json:"total_duration,omitempty"` // nanoseconds
	Read    uint64  `json:"prompt_eval_count,omitempty"`
	Written uint64  `json:"eval_count,omitempty"`
	Essaim  *origin `json:"essaim,omitempty"`
}

type ollamaSaid struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

func (g *Gateway) ollamaRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"version": ollamaVersion})
	})
	mux.HandleFunc("GET /api/tags", g.ollamaTags)
	mux.HandleFunc("GET /api/ps", g.ollamaTags)
	mux.HandleFunc("POST /api/show", g.ollamaShow)
	mux.HandleFunc("POST /api/chat", g.ollamaWrite)
	mux.HandleFunc("POST /api/generate", g.ollamaWrite)
	mux.HandleFunc("POST /api/embed", g.ollamaEmbed)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		ollamaFail(w, essaim.Errorf(essaim.CodeNotFound, "", "nothing is at %s %.100q", r.Method, r.URL.Path))
	})
}

func ollamaFail(w http.ResponseWriter, err error) {
	status, info := openAIErrorOf(err)
	if essaim.CodeOf(err) == essaim.CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, map[string]string{"error": info.Message})
}

type ollamaModel struct {
	Name     string        `json:"name"`
	Model    string        `json:"model"`
	Modified time.Time     `json:"modified_at"`
	Size     int64         `json:"size"`
	Digest   string        `json:"digest"`
	Details  ollamaDetails `json:"details"`
	Expires  time.Time     `json:"expires_at"`
	VRAM     int64         `json:"size_vram"`
}

type ollamaDetails struct {
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
	return name + latest
}

// ollamaTags lists the models that miners offer. They run as far as is known here, so ps shows them
// all.
func (g *Gateway) ollamaTags(w http.ResponseWriter, r *http.Request) {
	info, err := g.cfg.Coordinator.Info(r.Context())
	if err != nil {
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	out := struct {
		Models []ollamaModel `json:"models"`
	}{[]ollamaModel{}}
	for _, m := range info.Models {
		name := tagged(m.Name)
		out.Models = append(out.Models, ollamaModel{Name: name, Model: name, Digest: m.Digest.String(), Details: detailsOf(m)})
	}
	writeJSON(w, http.StatusOK, out)
}

func detailsOf(m essaim.ModelInfo) ollamaDetails {
	return ollamaDetails{Family: m.Engine, Families: []string{m.Engine}}
}

// ollamaShow describes a model.
func (g *Gateway) ollamaShow(w http.ResponseWriter, r *http.Request) {
	var q struct{ Model, Name string }
	err := readJSON(w, r, maxSmall, &q)
	var m essaim.ModelInfo
	if err == nil {
		m, err = g.modelOf(r.Context(), "", q.Model+q.Name)
	}
	if err != nil {
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	can := map[essaim.Kind]string{essaim.KindChat: "completion", essaim.KindEmbed: "embedding", essaim.KindImage: "image"}
	writeJSON(w, http.StatusOK, map[string]any{
		"modelfile": "", "parameters": "", "template": "", "details": detailsOf(m), "capabilities": []string{can[m.Kind]},
		"model_info": map[string]any{"general.architecture": m.Engine, "essaim.digest": m.Digest, "essaim.unit_price": m.UnitPrice, "essaim.miners": m.Miners},
		"license":    "", "modified_at": time.Time{},
	})
}

// chat makes a conversation of what is asked.
//
// Errors: CodeBadInput.
func (q ollamaRequest) chat() (engine.Chat, error) {
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
func (q ollamaRequest) line(model, content string, chat bool) ollamaLine {
	l := ollamaLine{Model: model, Created: time.Now().UTC()}
	if chat {
		l.Message = &ollamaSaid{"assistant", content}
	} else {
		l.Response = &content
	}
	return l
}

// ollamaWrite answers /api/chat and /api/generate.
func (g *Gateway) ollamaWrite(w http.ResponseWriter, r *http.Request) {
	began, chat := time.Now(), r.URL.Path == "/api/chat"
	key, q, err := g.readOllama(w, r)
	if err == nil && !chat && g.draws(r.Context(), q.Model) {
		g.ollamaDraw(w, r, key, q)
		return
	}
	var ask client.Request
	if err == nil {
		ask, err = g.ollamaOrder(r.Context(), q)
	}
	if err != nil {
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	stream := q.Stream == nil || *q.Stream
	begun := false
	out := func(l ollamaLine) error {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		return writeLine(w, l)
	}
	t, err := g.write(r.Context(), key, ask, func(s string) error {
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
		g.logFault(w, err)
		_, info := openAIErrorOf(err)
		_ = writeLine(w, map[string]string{"error": info.Message}) // the client may have left
		return
	case err != nil:
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	content := ""
	if !stream {
		content = a.Content
	}
	last := q.line(q.Model, content, chat)
	last.Done, last.Reason, last.Total, last.Read, last.Written, last.Essaim = true, a.Finish, time.Since(began).Nanoseconds(), a.Read, a.Written, t.origin()
	if !stream {
		g.tell(w, []text{t})
		writeJSON(w, http.StatusOK, last)
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
	_ = rc.SetWriteDeadline(time.Now().Add(writeTime)) // httptest's recorder has none
	if _, err := w.Write(append(b, '\n')); err != nil {
		return err
	}
	return rc.Flush()
}

func (g *Gateway) readOllama(w http.ResponseWriter, r *http.Request) (key apikey.Key, q ollamaRequest, err error) {
	if key, err = g.authenticate(r); err == nil {
		err = readJSON(w, r, maxChatBody, &q)
	}
	return key, q, err
}

func (g *Gateway) ollamaOrder(ctx context.Context, q ollamaRequest) (client.Request, error) {
	c, err := q.chat()
	if err != nil {
		return client.Request{}, err
	}
	var most uint32
	if n := q.Options.Predict; n != nil && *n > 0 {
		most = uint32(min(*n, essaim.MaxWritten))
	}
	_, r, err := g.chatOrder(ctx, q.Model, c, most, q.Options.seed())
	return r, err
}

// seed is the seed that is asked for; negative and none: any.
func (o ollamaOptions) seed() *uint64 {
	if o.Seed == nil || *o.Seed < 0 {
		return nil
	}
	s := uint64(*o.Seed)
	return &s
}

// draws reports whether a model of this name draws pictures.
func (g *Gateway) draws(ctx context.Context, name string) bool {
	m, err := g.modelOf(ctx, "", name)
	return err == nil && m.Kind == essaim.KindImage
}

// ollamaDraw answers /api/generate of a picture model.
func (g *Gateway) ollamaDraw(w http.ResponseWriter, r *http.Request, key apikey.Key, q ollamaRequest) {
	began := time.Now()
	images := imagesRequest{Prompt: q.Prompt, Model: q.Model, Steps: q.Steps, Seed: q.Options.seed()}
	if q.Width != 0 || q.Height != 0 {
		images.Size = strconv.Itoa(int(q.Width)) + "x" + strconv.Itoa(int(q.Height))
	}
	o, err := g.orderOf(r.Context(), images)
	var pictures []imageData
	if err == nil {
		pictures, _, err = g.fill(r.Context(), key, o)
	}
	if err != nil {
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	p := pictures[0]
	writeJSON(w, http.StatusOK, ollamaLine{
		Model: q.Model, Created: time.Now().UTC(), Image: p.B64JSON, Done: true, Reason: "stop", Total: time.Since(began).Nanoseconds(),
		Essaim: &origin{Receipt: p.Essaim.Receipt, Task: p.Essaim.Task, Miner: p.Essaim.Miner, Units: max(1, o.units), Price: p.Essaim.Price},
	})
}

// ollamaEmbed answers /api/embed.
func (g *Gateway) ollamaEmbed(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	key, err := g.authenticate(r)
	var q struct {
		Model string    `json:"model"`
		Input oneOrMore `json:"input"`
	}
	if err == nil {
		err = readJSON(w, r, maxChatBody, &q)
	}
	var list []text
	var vectors [][]float32
	if err == nil {
		_, list, vectors, err = g.embed(r.Context(), key, q.Model, q.Input)
	}
	if err != nil {
		g.logFault(w, err)
		ollamaFail(w, err)
		return
	}
	var read uint64
	for _, t := range list {
		read += t.Receipt.Units * essaim.PromptTokens
	}
	g.tell(w, list)
	writeJSON(w, http.StatusOK, map[string]any{
		"model": q.Model, "embeddings": vectors, "total_duration": time.Since(began).Nanoseconds(), "load_duration": 0, "prompt_eval_count": read,
	})
}

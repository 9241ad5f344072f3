package discord

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/essaim/essaim"
)

const (
	maxAnswer = 16 << 20 // bytes of one answer
	tries     = 5        // of a call that the platform puts off
	maxPause  = time.Minute
	callTime  = 30 * time.Second
	userAgent = "DiscordBot (https://github.com/essaim/essaim, 1)"
)

// api calls the platform over HTTP. Errors show neither the bot's token nor those of interactions,
// which are part of addresses.
type api struct {
	base   string
	token  string
	http   *http.Client
	limits *limits
}

// call is one request. name is its address with what is secret or of no account left out: errors
// and the platform's limits know it by that.
type call struct {
	method, path, name string
	major              string // what limits are counted by, within the name: a channel, an interaction
	body               any
	file               *upload
	bare               bool // the address is what entitles to it: no bot's token
}

// upload is a file that goes along with a call.
type upload struct {
	name string
	data []byte
}

// refusal is what the platform answers instead of what was asked for.
type refusal struct {
	Status     int     `json:"-"`
	Code       int     `json:"code"`
	Message    string  `json:"message"`
	RetryAfter float64 `json:"retry_after"` // seconds
	Global     bool    `json:"global"`
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s (%d)", r.Status, r.Message, r.Code) }

// The platform's codes that mean something here.
const (
	unknownMessage     = 10008
	unknownWebhook     = 10015
	unknownInteraction = 10062
	answeredAlready    = 40060
	invalidWebhook     = 50027 // an interaction's token after its time
)

// is reports whether the platform has refused with one of some codes.
func is(err error, codes ...int) bool {
	var r *refusal
	return errors.As(err, &r) && slices.Contains(codes, r.Code)
}

// do calls, and waits and calls again if the platform says that it is too much now.
//
// Errors: CodeRefused for what will never do, CodeUnavailable for what may later.
func (a *api) do(ctx context.Context, c call, out any) error {
	for try := 1; ; try++ {
		if err := a.limits.before(ctx, c); err != nil {
			return err
		}
		r, err := a.once(ctx, c, out)
		if err != nil || r == nil {
			return err
		}
		pause := time.Duration(r.RetryAfter * float64(time.Second))
		if r.Status != http.StatusTooManyRequests || try == tries || pause > maxPause {
			return failure(c, r)
		}
		a.limits.putOff(c, max(pause, time.Millisecond), r.Global)
	}
}

func failure(c call, r *refusal) error {
	code, hint := essaim.CodeRefused, ""
	switch {
	case r.Status == http.StatusTooManyRequests || r.Status >= 500:
		code = essaim.CodeUnavailable
	case r.Status == http.StatusUnauthorized && !c.bare:
		hint = "check the bot's token; the developer portal makes a new one under Bot, Reset Token"
	}
	return essaim.Errorf(code, hint, "discord %s %s: %w", c.method, c.name, r)
}

// once calls once. A refusal is no error yet.
func (a *api) once(ctx context.Context, c call, out any) (*refusal, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	body, kind, err := encode(c.body, c.file)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, c.method, a.base+c.path, body)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "discord: the server's address is malformed")
	}
	req.Header.Set("User-Agent", userAgent)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if !c.bare {
		req.Header.Set("Authorization", "Bot "+a.token)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "", "discord %s %s: %w", c.method, c.name, unaddressed(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "", "discord %s %s: the answer was cut", c.method, c.name)
	}
	a.limits.after(c, resp.Header)
	if resp.StatusCode/100 == 2 {
		if out == nil || len(b) == 0 {
			return nil, nil
		}
		if err := json.Unmarshal(b, out); err != nil {
			return nil, essaim.Errorf(essaim.CodeUnavailable, "", "discord %s %s: no answer that can be read", c.method, c.name)
		}
		return nil, nil
	}
	r := &refusal{Status: resp.StatusCode}
	if json.Unmarshal(b, r) != nil {
		r = &refusal{Status: resp.StatusCode, Message: "without a word"}
	}
	return r, nil
}

// unaddressed is a network's error without the address that was called.
func unaddressed(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// encode writes a body as JSON, or as a form where a file goes along.
func encode(body any, file *upload) (io.Reader, string, error) {
	if body == nil {
		return http.NoBody, "", nil
	}
	j, err := json.Marshal(body)
	if err != nil || file == nil {
		return bytes.NewReader(j), "application/json", err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {`form-data; name="payload_json"`}, "Content-Type": {"application/json"}})
	if err == nil {
		_, err = part.Write(j)
	}
	if err == nil {
		part, err = w.CreateFormFile("files[0]", file.name)
	}
	if err == nil {
		_, err = part.Write(file.data)
	}
	return &b, w.FormDataContentType(), errors.Join(err, w.Close())
}

// mine is a call with the bot's own token.
func mine(method, path string, body any) call {
	return call{method: method, path: path, name: path, body: body}
}

// hook is a call below what an interaction has opened. rest follows its token.
func hook(method, application string, w way, rest string, body any) call {
	name := "/webhooks/…" + rest
	if i := strings.LastIndex(rest, "/"); i > 0 {
		name = "/webhooks/…/messages/…"
	}
	return call{method: method, path: "/webhooks/" + application + "/" + w.token + rest, name: name, major: w.interaction, body: body, bare: true}
}

// inChannel is a call below a channel.
func inChannel(method, channel, rest string, body any) call {
	return call{method: method, path: "/channels/" + channel + "/messages" + rest, name: "/channels/…/messages", major: channel, body: body}
}

package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
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
)

// api calls the methods of Telegram's Bot API. Errors never show the token, which is part of
// every address.
type api struct {
	base string // with the token
	http *http.Client
}

// envelope is what every answer comes in.
type envelope struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	Code        int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int `json:"retry_after"`
	} `json:"parameters"`
}

// upload is a file that goes along with a call.
type upload struct {
	field, name string
	data        []byte
}

// call calls a method, and waits and calls again if the platform says that it is too much now.
//
// Errors: CodeRefused for what will never do, CodeUnavailable for what may later.
func (a *api) call(ctx context.Context, method string, params map[string]any, file *upload, out any) error {
	for try := 1; ; try++ {
		e, err := a.once(ctx, method, params, file)
		if err != nil {
			return err
		}
		if e.OK {
			if out == nil {
				return nil
			}
			return json.Unmarshal(e.Result, out)
		}
		pause := time.Duration(e.Parameters.RetryAfter) * time.Second
		if e.Code != http.StatusTooManyRequests || try == tries || pause > maxPause {
			return failure(method, e)
		}
		select {
		case <-time.After(max(pause, time.Second)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func failure(method string, e envelope) error {
	code, hint := essaim.CodeRefused, ""
	switch {
	case e.Code == http.StatusTooManyRequests || e.Code >= 500:
		code = essaim.CodeUnavailable
	case e.Code == http.StatusUnauthorized || e.Code == http.StatusNotFound:
		hint = "check the token that BotFather gave you"
	case e.Code == http.StatusConflict:
		code, hint = essaim.CodeConflict, "stop the other program that uses this token"
	}
	return essaim.Errorf(code, hint, "telegram %s: %d %s", method, e.Code, e.Description)
}

func (a *api) once(ctx context.Context, method string, params map[string]any, file *upload) (e envelope, err error) {
	limit := callTime
	if seconds, ok := params["timeout"].(int); ok {
		limit += time.Duration(seconds) * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, kind, err := encode(params, file)
	if err != nil {
		return e, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+method, body)
	if err != nil {
		return e, errors.New("telegram: the server's address is malformed")
	}
	req.Header.Set("Content-Type", kind)
	resp, err := a.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return e, essaim.Errorf(essaim.CodeUnavailable, "", "telegram %s: %w", method, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err != nil {
		return e, essaim.Errorf(essaim.CodeUnavailable, "", "telegram %s: status %d, and no answer that can be read", method, resp.StatusCode)
	}
	return e, nil
}

// encode writes parameters as JSON, or as a form where a file goes along.
func encode(params map[string]any, file *upload) (io.Reader, string, error) {
	if file == nil {
		b, err := json.Marshal(params)
		return bytes.NewReader(b), "application/json", err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	keys := make([]string, 0, len(params))
	for k := range params {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		text, ok := params[k].(string)
		if !ok {
			j, err := json.Marshal(params[k])
			if err != nil {
				return nil, "", err
			}
			text = string(j)
		}
		if err := w.WriteField(k, text); err != nil {
			return nil, "", err
		}
	}
	part, err := w.CreateFormFile(file.field, file.name)
	if err == nil {
		_, err = part.Write(file.data)
	}
	return &b, w.FormDataContentType(), errors.Join(err, w.Close())
}

// says reports whether the platform has refused for a reason.
func says(err error, reason string) bool {
	return err != nil && essaim.CodeOf(err) == essaim.CodeRefused && strings.Contains(err.Error(), reason)
}

// cut cuts a text to a number of UTF-16 units, which the platform counts in.
func cut(s string, most int) string {
	n := 0
	for i, r := range s {
		w := 1
		if r > 0xffff {
			w = 2
		}
		if n += w; n > most-1 {
			return s[:i] + "…"
		}
	}
	return s
}

func fieldName(picture bool) string {
	if picture {
		return "photo"
	}
	return "document"
}

func chatID(chat string) any {
	var n int64
	if _, err := fmt.Sscan(chat, &n); err == nil {
		return n
	}
	return chat
}

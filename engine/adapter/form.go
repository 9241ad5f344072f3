package adapter

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/coder/websocket"
)

// form is a body that is no JSON.
type form struct {
	kind string // its media type
	body []byte
}

// Upload sends a file as a form's field, with other fields, and asks for a JSON answer.
//
// Errors: those of Get.
func (c *Client) Upload(ctx context.Context, path, field, name string, file []byte, others map[string]string, out any) error {
	var f form
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write(file)
	}
	for k, v := range others {
		if err == nil {
			err = w.WriteField(k, v)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("write a form: %w", err) // into memory: it does not happen
	}
	f.kind, f.body = w.FormDataContentType(), b.Bytes()
	return c.call(ctx, http.MethodPost, path, f, MaxSmall, out)
}

// Socket opens a websocket, whose messages may have MaxPicture bytes. The caller closes it.
//
// Errors: wraps ErrBroken, or ctx's error.
func (c *Client) Socket(ctx context.Context, path string) (*websocket.Conn, error) {
	header := http.Header{}
	if c.key != "" {
		header.Set("Authorization", "Bearer "+c.key)
	}
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.base, "http")+path, &websocket.DialOptions{HTTPClient: c.client, HTTPHeader: header})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("%w: %s: no websocket", ErrBroken, path)
	}
	conn.SetReadLimit(MaxPicture)
	return conn, nil
}

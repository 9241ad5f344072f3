package adapter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/internal/tracing"
)

const (
	// Wait is how long an engine may be silent before it answers: it may have to load a model first.
	Wait = 10 * time.Minute

	// Idle is how long it may then take for the whole of a body, or for a line of a stream.
	Idle = time.Minute

	// MaxPicture bounds an answer that holds a picture, in bytes.
	MaxPicture = 96 << 20

	// MaxSmall bounds an answer that holds none.
	MaxSmall = 4 << 20

	maxLine   = 1 << 20  // bytes of a line of a stream
	maxStream = 32 << 20 // bytes of a stream
)

// ErrBroken is wrapped by errors that are the engine's fault: another one may succeed.
var ErrBroken = errors.New("the engine is broken")

var errSilent = errors.New("no sign of life")

// Client speaks HTTP to one engine. Make it with Dial. It is safe for concurrent use.
type Client struct {
	Wait, Idle time.Duration // as the constants; changed by tests before first use

	base   string
	key    string // "": none
	client *http.Client
}

// Dial names an engine by its URL. A password in it is sent as the API key. It sends nothing.
//
// Errors: says what is wrong with the address.
func Dial(address string) (*Client, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("an engine's address is written like http://127.0.0.1:8080")
	}
	key, _ := u.User.Password()
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, // as many as tasks may be under way: a new one for each costs as much as a short answer
	}
	return &Client{
		Wait: Wait, Idle: Idle, base: strings.TrimRight(u.String(), "/"), key: key,
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// Close drops the connections that are not in use.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Get asks for a JSON answer of at most limit bytes.
//
// Errors: wraps ErrBroken, engine.ErrBadRequest or engine.ErrNoModel, or ctx's error.
func (c *Client) Get(ctx context.Context, path string, limit int64, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, limit, out)
}

// Post sends in as JSON and asks for a JSON answer of at most limit bytes; out may be nil.
//
// Errors: those of Get.
func (c *Client) Post(ctx context.Context, path string, in any, limit int64, out any) error {
	return c.call(ctx, http.MethodPost, path, in, limit, out)
}

func (c *Client) call(ctx context.Context, method, path string, in any, limit int64, out any) error {
	b, err := c.Bytes(ctx, method, path, in, limit)
	if err != nil || out == nil {
		return err
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return fmt.Errorf("%w: %s: an empty answer", ErrBroken, path)
	}
	if json.Unmarshal(b, out) != nil {
		return fmt.Errorf("%w: %s: the answer is not the JSON that is documented", ErrBroken, path)
	}
	return nil
}

// Bytes asks for an answer of at most limit bytes, of whatever type.
//
// Errors: those of Get.
func (c *Client) Bytes(ctx context.Context, method, path string, in any, limit int64) ([]byte, error) {
	s, err := c.send(ctx, method, path, in)
	if err != nil {
		return nil, err
	}
	defer s.close()
	b, err := io.ReadAll(io.LimitReader(s.body, limit+1))
	if err != nil {
		return nil, s.fault("the answer was cut")
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s: an answer of more than %d bytes", ErrBroken, path, limit)
	}
	return b, nil
}

// Lines sends in as JSON and calls each for the lines of the answer that are not empty, until it
// says that it is done. A line is each's only until it returns.
//
// Errors: each's, wraps ErrBroken if the stream ends first, else those of Get.
func (c *Client) Lines(ctx context.Context, path string, in any, each func(line []byte) (done bool, err error)) error {
	return c.lines(ctx, path, in, maxLine, each)
}

// Pictures is Lines for a stream in which a line may hold a picture.
func (c *Client) Pictures(ctx context.Context, path string, in any, each func(line []byte) (done bool, err error)) error {
	return c.lines(ctx, path, in, MaxPicture, each)
}

func (c *Client) lines(ctx context.Context, path string, in any, longest int, each func([]byte) (bool, error)) error {
	s, err := c.send(ctx, http.MethodPost, path, in)
	if err != nil {
		return err
	}
	defer s.close()
	lines := bufio.NewScanner(io.LimitReader(s.body, int64(longest)+maxStream))
	lines.Buffer(nil, longest)
	for lines.Scan() {
		s.patience.Reset(c.Idle)
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		done, err := each(line)
		if gone := ctx.Err(); err == nil && gone != nil {
			return gone // each may have called it off, with the rest already here
		}
		if done || err != nil {
			return err
		}
	}
	return s.fault("the stream was cut")
}

// stream is an answer whose body is read under watch.
type stream struct {
	ctx      context.Context
	caller   context.Context
	path     string
	body     io.ReadCloser
	patience *time.Timer
	cancel   context.CancelCauseFunc
}

func (s *stream) close() {
	s.patience.Stop()
	s.cancel(nil)
	_ = s.body.Close()
}

// fault says why a body could not be read.
func (s *stream) fault(what string) error {
	if err := s.caller.Err(); err != nil {
		return err
	}
	if errors.Is(context.Cause(s.ctx), errSilent) {
		what = errSilent.Error()
	}
	return fmt.Errorf("%w: %s: %s", ErrBroken, s.path, what)
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*stream, error) {
	var body io.Reader
	kind := ""
	if f, ok := in.(form); ok {
		body, kind = bytes.NewReader(f.body), f.kind
	} else if in != nil {
		kind = "application/json"
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%w: what is asked cannot be written as JSON", engine.ErrBadRequest)
		}
		body = bytes.NewReader(b)
	}
	s := &stream{caller: ctx, path: path}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.patience = time.AfterFunc(c.Wait, func() { s.cancel(errSilent) })
	req, err := http.NewRequestWithContext(s.ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is no path", ErrBroken, path)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if h := tracing.Of(s.ctx).Header(); h != "" {
		req.Header.Set(tracing.Header, h)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		s.patience.Stop()
		defer s.cancel(nil)
		return nil, s.fault(unreachable(err))
	}
	s.body = resp.Body
	s.patience.Reset(c.Idle)
	if resp.StatusCode/100 != 2 {
		defer s.close()
		return nil, s.refused(resp.StatusCode)
	}
	return s, nil
}

// unreachable is what may be said of an error on the way.
func unreachable(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return "nothing answers there"
	}
	return "the connection was cut"
}

// word is what of an engine's own error may be repeated: one that it has chosen beforehand.
var word = regexp.MustCompile(`^[A-Za-z_]{1,40}$`)

// refused turns an answer that is no success into an error.
func (s *stream) refused(status int) error {
	b, _ := io.ReadAll(io.LimitReader(s.body, 64<<10))
	var said struct{ Error struct{ Type, Code any } }
	_ = json.Unmarshal(b, &said) // other shapes say nothing that could be repeated
	why := fmt.Sprintf("%s: status %d", s.path, status)
	for _, x := range []any{said.Error.Type, said.Error.Code} {
		if t, ok := x.(string); ok && word.MatchString(t) {
			why += ", " + t
		}
	}
	if err := s.caller.Err(); err != nil {
		return err
	}
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %s", engine.ErrBadRequest, why)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", engine.ErrNoModel, why)
	}
	return fmt.Errorf("%w: %s", ErrBroken, why)
}

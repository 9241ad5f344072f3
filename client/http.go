package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/standing"
)

const (
	maxAnswer = 8 << 20  // bytes of a JSON answer
	maxEvent  = 72 << 20 // bytes of an event: a delivery holds a blob
	dialTime  = 10 * time.Second
)

// HTTP is a Coordinator behind a gateway. Make it with Dial. It keeps idle
// connections; CloseIdleConnections drops them.
type HTTP struct {
	base   string
	client *http.Client
	idle   time.Duration // without a byte, a stream counts as cut
	line   line
}

var (
	_ Coordinator = (*HTTP)(nil)
	_ Auditor     = (*HTTP)(nil)
	_ Waiting     = (*HTTP)(nil)
)

// Dial names a gateway by its URL, such as http://localhost:8545. It sends nothing.
//
// Errors: CodeBadInput.
func Dial(gatewayURL string) (*HTTP, error) {
	u, err := url.Parse(strings.TrimRight(gatewayURL, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write it like https://gateway.example", "%q is not a gateway's URL", gatewayURL)
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout: dialTime,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
	}
	return &HTTP{base: u.String(), client: &http.Client{Transport: t}, idle: time.Minute}, nil
}

// CloseIdleConnections closes the connections that are not in use.
func (h *HTTP) CloseIdleConnections() { h.client.CloseIdleConnections() }

// Info is Coordinator.Info.
func (h *HTTP) Info(ctx context.Context) (out essaim.CoordinatorInfo, err error) {
	return out, h.call(ctx, http.MethodGet, PathInfo, nil, &out)
}

// Quote is Coordinator.Quote.
func (h *HTTP) Quote(ctx context.Context, q essaim.QuoteRequest) (out essaim.Quote, err error) {
	return out, h.call(ctx, http.MethodPost, PathQuote, q, &out)
}

// Task is Coordinator.Task.
func (h *HTTP) Task(ctx context.Context, d essaim.Digest) (out essaim.TaskRecord, err error) {
	return out, h.call(ctx, http.MethodGet, PathTasks+"/"+d.String(), nil, &out)
}

// Checked is Auditor.Checked.
func (h *HTTP) Checked(ctx context.Context, d essaim.Digest) (out essaim.Checked, err error) {
	return out, h.call(ctx, http.MethodGet, PathTasks+"/"+d.String()+PathChecks, nil, &out)
}

// Share is Auditor.Share.
func (h *HTTP) Share(ctx context.Context, d essaim.Digest, sealed []byte) error {
	return h.call(ctx, http.MethodPost, PathTasks+"/"+d.String()+PathChecks, essaim.ShareBody{Input: sealed}, &struct{}{})
}

// Standing is Waiting.Standing.
func (h *HTTP) Standing(ctx context.Context, task essaim.Digest) (out standing.Standing, err error) {
	return out, h.call(ctx, http.MethodGet, PathTasks+"/"+task.String()+PathStanding, nil, &out)
}

// Cancel is Waiting.Cancel.
func (h *HTTP) Cancel(ctx context.Context, task essaim.Digest, sig []byte) error {
	return h.call(ctx, http.MethodPost, PathTasks+"/"+task.String()+PathCancel, CancelBody{sig}, &struct{}{})
}

// Acknowledge is Coordinator.Acknowledge.
func (h *HTTP) Acknowledge(ctx context.Context, voucher []byte) error {
	return h.call(ctx, http.MethodPost, PathAcknowledge, VoucherBody{voucher}, &struct{}{})
}

// Close is Coordinator.Close: it settles a session, not the connection.
func (h *HTTP) Close(ctx context.Context, signedClose []byte) (out essaim.Settled, err error) {
	return out, h.call(ctx, http.MethodPost, PathClose, CloseBody{signedClose}, &out)
}

// Blob fetches what the gateway holds under a digest, at most blob.MaxSize bytes. What it
// returns are these bytes and no others.
//
// Errors: CodeNotFound if the gateway does not hold it, CodeRefused if it answers with
// something else.
func (h *HTTP) Blob(ctx context.Context, d essaim.Digest) ([]byte, error) {
	return h.blob(ctx, d, "")
}

// Receipts is Blob for the receipts of a settlement, which a gateway gives to those who
// show one of them: the digest of the signed receipt.
//
// Errors: those of Blob; CodeRefused also if the set has no such receipt.
func (h *HTTP) Receipts(ctx context.Context, set, signed essaim.Digest) ([]byte, error) {
	return h.blob(ctx, set, "&receipt="+signed.String())
}

func (h *HTTP) blob(ctx context.Context, d essaim.Digest, more string) ([]byte, error) {
	resp, err := h.send(ctx, http.MethodGet, "/ipfs/"+essaim.CIDOf(d)+"?format=raw"+more, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := failure(resp); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, blob.MaxSize))
	switch {
	case err != nil:
		return nil, h.cut(ctx, err)
	case essaim.DigestOf(b) != d:
		return nil, essaim.Errorf(essaim.CodeRefused, "use another gateway", "the gateway %s answers with other bytes than %s", h.base, essaim.CIDOf(d))
	}
	return b, nil
}

func (h *HTTP) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := h.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := failure(resp); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return h.cut(ctx, err)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return badAnswer(err)
	}
	return nil
}

func (h *HTTP) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	if in == nil {
		return h.do(ctx, method, path, "", nil)
	}
	b, err := json.Marshal(in)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "encode a request: %w", err)
	}
	return h.do(ctx, method, path, "application/json", bytes.NewReader(b))
}

func (h *HTTP) do(ctx context.Context, method, path, media string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, h.base+path, body)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeInternal, "", "make a request: %w", err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := h.client.Do(req)
	var dns *net.DNSError
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, essaim.Errorf(essaim.CodeUnavailable, "start a network with `essaim up`", "nothing listens at %s: %w", h.base, err)
	case errors.As(err, &dns):
		return nil, essaim.Errorf(essaim.CodeUnavailable, "check the gateway's URL", "the gateway %s cannot be found: %w", h.base, err)
	}
	return nil, h.cut(ctx, err)
}

// cut says why a connection broke: because the context ended, or by itself.
func (h *HTTP) cut(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return h.lost(err)
}

func (h *HTTP) lost(err error) error {
	return &essaim.Error{Code: essaim.CodeUnavailable, Hint: "ask again: a task that was handed in goes on, and is not charged twice", Err: errors.Join(errBetween, err),
		Msg: fmt.Sprintf("the connection to the gateway %s was lost: %v", h.base, err)}
}

// errBetween is wrapped where no gateway has answered, but what is between it and here: a balancer, whose next answer may be another one's.
var errBetween = errors.New("no gateway has answered")

// failure reads the error that an answer carries. Something between client and
// gateway may have answered, so the body need not be ours.
func failure(resp *http.Response) error {
	if resp.StatusCode < 300 {
		return nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer)) // a cut body is no worse than a foreign one
	var body ErrorBody
	if json.Unmarshal(b, &body) == nil && body.Error.Code != "" {
		return body.Err()
	}
	base := resp.Request.URL.Scheme + "://" + resp.Request.URL.Host
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return &essaim.Error{Code: essaim.CodeUnavailable, Hint: "try later", Err: errBetween, Msg: fmt.Sprintf("%s answers %s", base, resp.Status)}
	}
	return notAGateway(base)
}

func notAGateway(base string) error {
	return essaim.Errorf(essaim.CodeNotFound, "check the gateway's URL", "%s does not answer as an essaim gateway", base)
}

func badAnswer(err error) error {
	return essaim.Errorf(essaim.CodeInternal, "the gateway may be of another version", "the gateway's answer cannot be read: %w", err)
}

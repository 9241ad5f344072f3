package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim/gateway"
)

// TestConnectionsAreBounded opens more connections than a gateway has, and expects those above the limit to be told when to
// come again, those below it to be served, and all to be served in the end.
func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(c *gateway.Config) { c.Listener, c.Connections = l, 4 })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.gateway.Run(ctx) }()
	ask := func(c net.Conn) *http.Response {
		t.Helper()
		body := strings.Repeat(" ", 32<<10) + "{}" // more than the server reads at once
		if _, err := fmt.Fprintf(c, "POST /v1/embeddings HTTP/1.1\r\nHost: g\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var open []net.Conn
	for i := range 4 {
		c := dial()
		open = append(open, c)
		resp := ask(c)
		if resp.StatusCode != http.StatusUnauthorized || resp.Close != (i == 3) {
			t.Fatalf("connection %d: %s, closed %v", i, resp.Status, resp.Close)
		}
	}
	open[3] = dial() // it was closed with its answer
	idle := dial()
	resp := ask(idle)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("above the limit: %s, %v", resp.Status, resp.Header)
	}
	for _, c := range append(open, idle) {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for { // the server notices in its time
		c := dial()
		resp := ask(c)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusUnauthorized {
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// deadlines is a listener that notes until when its connections may be written to.
type deadlines struct {
	net.Listener
	noted chan time.Time
}

func (d deadlines) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	return noting{c, d.noted}, err
}

type noting struct {
	net.Conn
	noted chan<- time.Time
}

func (n noting) SetWriteDeadline(at time.Time) error {
	if !at.IsZero() {
		n.noted <- at
	}
	return n.Conn.SetWriteDeadline(at)
}

// TestAnswersHaveTheirTime: a connection that takes nothing of an answer is held for a quarter of an hour, not for ever.
func TestAnswersHaveTheirTime(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := deadlines{inner, make(chan time.Time, 16)}
	r := newRig(t, func(c *gateway.Config) { c.Listener = l })
	r.url = "http://" + inner.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.gateway.Run(ctx) }()
	before := time.Now()
	if resp, b := r.send(t, "GET", "/healthz", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if at := <-l.noted; at.Before(before.Add(15*time.Minute)) || at.After(time.Now().Add(15*time.Minute)) {
		t.Errorf("an answer may take until %v, the request came after %v", at, before)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

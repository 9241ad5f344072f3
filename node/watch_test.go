package node

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

func TestProfilesStayHere(t *testing.T) {
	for _, a := range []string{"0.0.0.0:0", ":6060", "192.168.1.1:6060", "localhost:1", "nonsense"} {
		if err := profile(t.Context(), a); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s: %v", a, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- profile(ctx, address) }()
	var body []byte
	for body == nil { // until it listens
		resp, err := http.Get("http://" + address + "/debug/pprof/")
		if err != nil {
			continue
		}
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	if !strings.Contains(string(body), "goroutine") {
		t.Errorf("%s", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

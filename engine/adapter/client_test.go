package adapter_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/essaim/essaim/engine/adapter"
)

// TestConnectionsAreKept: tasks that are under way at the same time have a connection each, and those after them the same ones.
func TestConnectionsAreKept(t *testing.T) {
	const together = 64
	var opened atomic.Int64
	var arrived sync.WaitGroup // of a round: nobody is answered before all are there
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		arrived.Done()
		arrived.Wait()
		_, _ = w.Write([]byte(`{"answer":1}`))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c, err := adapter.Dial(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round := range 3 {
		arrived.Add(together)
		var asking sync.WaitGroup
		for range together {
			asking.Go(func() {
				var out struct{ Answer int }
				if err := c.Post(t.Context(), "/", struct{}{}, 1<<10, &out); err != nil || out.Answer != 1 {
					t.Errorf("%+v, %v", out, err)
				}
			})
		}
		asking.Wait()
		if n := opened.Load(); n != together {
			t.Errorf("round %d: %d connections were opened for %d tasks at a time", round, n, together)
		}
	}
}

// TestCalledOffWithTheRestHere: whoever calls a stream off while it is read is told so, even when all of it has arrived already.
func TestCalledOffWithTheRestHere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("1\n2\n3\n"))
	}))
	defer server.Close()
	c, err := adapter.Dial(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, at := range []string{"1", "2", "3"} {
		ctx, cancel := context.WithCancel(t.Context())
		last := ""
		err := c.Lines(ctx, "/", struct{}{}, func(line []byte) (bool, error) {
			if last = string(line); last == at {
				cancel()
			}
			return last == "3", nil
		})
		if cancel(); !errors.Is(err, context.Canceled) || last != at {
			t.Errorf("called off at line %s: read to line %s, error %v", at, last, err)
		}
	}
}

package gateway

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/gateway/openai"
)

const (
	// Connections that are open at most if the configuration does not say: with a task waiting on each they take some 140 MB.
	defaultConnections = 1024

	// refusing is how many connections above that are told so at a time. Who comes after them waits in the kernel,
	// where it costs no memory of ours.
	refusing = 64

	refuseTime = time.Second // to read the body of a request that is refused
	refuseBody = 64 << 10    // of it
)

// crowd bounds the open connections, each of which takes memory whether it asks for something or not.
type crowd struct {
	most int64
	open atomic.Int64
}

// count is told of every change of a connection.
func (c *crowd) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.open.Add(-1)
	}
}

// wrap refuses requests on connections above the limit. From three quarters of it on, connections end with their
// answer, so that those who are idle do not keep others out.
func (c *crowd) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		open := c.open.Load()
		if open > c.most*3/4 {
			w.Header().Set("Connection", "close")
		}
		if open <= c.most {
			next.ServeHTTP(w, r)
			return
		}
		desk.SetReadDeadline(w, time.Now().Add(refuseTime))
		_, _ = io.CopyN(io.Discard, r.Body, refuseBody) // a connection that is closed with something unread cuts the answer
		w.Header().Set("Retry-After", "1")
		err := essaim.Errorf(essaim.CodeUnavailable, "come again in a second", "too many connections are open")
		if openAIPath(r) {
			status, fault := desk.FaultOf(err)
			openai.WriteFault(w, status, fault)
			return
		}
		desk.WriteJSON(w, http.StatusServiceUnavailable, client.ErrorBodyOf(err))
	})
}

//go:build unix

package peers

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"
)

// modelName is what the engine calls its model.
const modelName = "stub"

// tokens of an answer that is not streamed, and of one that is.
const (
	answerTokens = 16
	streamTokens = 200
)

// gap is the time between two tokens of a stream.
const gap = 2 * time.Millisecond

// listen serves HTTP until ctx ends, and says on standard output that it does.
func listen(ctx context.Context, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	fmt.Println("ready")
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// serveEngine is an engine with OpenAI's interface that does nothing: an answer is there at once; a streamed one comes
// token by token, each of which says when it was written (Unix nanoseconds).
func serveEngine(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("engine", flag.ExitOnError)
	addr := f.String("listen", "127.0.0.1:0", "address")
	busy := f.Duration("busy", 0, "how long an answer takes")
	_ = f.Parse(args)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"`+modelName+`","object":"model","created":1,"owned_by":"bench"}]}`)
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Stream bool
			Max    int `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if *busy > 0 {
			time.Sleep(*busy)
		}
		switch {
		case !q.Stream:
			whole(w)
		case q.Max == answerTokens:
			stream(w, answerTokens, 0)
		default:
			stream(w, streamTokens, gap)
		}
	})
	return listen(ctx, *addr, mux)
}

// usage has as many tokens as an answer says.
func usage(n int) string {
	return fmt.Sprintf(`"usage":{"prompt_tokens":4,"completion_tokens":%d,"total_tokens":%d}`, n, n+4)
}

func whole(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	text := ""
	for range answerTokens {
		text += "stone "
	}
	_, _ = fmt.Fprintf(w, `{"id":"c1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],%s}`,
		modelName, text, usage(answerTokens))
}

func stream(w http.ResponseWriter, n int, gap time.Duration) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	head := fmt.Sprintf(`{"id":"c1","object":"chat.completion.chunk","created":1,"model":%q,"choices":`, modelName)
	next := time.Now()
	for range n {
		if gap > 0 {
			next = next.Add(gap)
			time.Sleep(time.Until(next))
		}
		word := "stone"
		if gap > 0 {
			word = strconv.FormatInt(time.Now().UnixNano(), 10)
		}
		if _, err := fmt.Fprintf(w, "data: %s[{\"index\":0,\"delta\":{\"content\":\"%s \"}}]}\n\n", head, word); err != nil {
			return
		}
		if gap > 0 && out.Flush() != nil {
			return
		}
	}
	_, _ = fmt.Fprintf(w, "data: %s[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n", head)
	_, _ = fmt.Fprintf(w, "data: %s[],%s}\n\ndata: [DONE]\n\n", head, usage(n))
}

// serveProxy is Go's reverse proxy, which does nothing but pass on: the floor.
func serveProxy(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("proxy", flag.ExitOnError)
	addr, to := f.String("listen", "127.0.0.1:0", "address"), f.String("to", "", "URL")
	_ = f.Parse(args)
	u, err := url.Parse(*to)
	if err != nil {
		return err
	}
	p := httputil.NewSingleHostReverseProxy(u)
	p.Transport = &http.Transport{MaxIdleConnsPerHost: 512}
	return listen(ctx, *addr, p)
}

package comfyui

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/url"
	"sync"

	"github.com/coder/websocket"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// The binary messages that hold a picture: an event's number and, in the first, the format's, or, in the second, the length
// of a JSON object that comes before it; each 4 bytes, big-endian.
const (
	eventPreview     = 1
	eventPreviewWith = 4
	head             = 8
)

// watch reports what the server tells a client of a request, until stop is called, which waits for the last report. A
// server that does not speak so only reports nothing.
func (e *Engine) watch(ctx context.Context, client string, r engine.Request, progress func(engine.Progress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	opened := make(chan struct{})
	done.Go(func() {
		soon, enough := context.WithTimeout(ctx, e.client.Idle)
		conn, err := e.client.Socket(soon, "/ws?clientId="+url.QueryEscape(client))
		enough()
		close(opened) // what is asked before is told nobody
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }() // there is nothing to say at the end
		w := watcher{r: r, tell: progress}
		for {
			kind, message, err := conn.Read(ctx)
			if err != nil {
				return
			}
			if kind == websocket.MessageText {
				w.text(message)
			} else {
				w.picture(message)
			}
		}
	})
	select {
	case <-opened:
	case <-ctx.Done():
	}
	return func() { cancel(); done.Wait() }
}

// watcher makes steps of messages. The server says that a step is done, and then shows it: the next step tells of it.
type watcher struct {
	r     engine.Request
	tell  func(engine.Progress)
	last  int    // step that was told
	shown []byte // the newest picture; nil: none since the step before
}

func (w *watcher) text(message []byte) {
	var got struct {
		Type string
		Data struct {
			Value, Max int
			Node       string
		}
	}
	if json.Unmarshal(message, &got) != nil || got.Type != "progress" || got.Data.Node != "" && got.Data.Node != sampler {
		return
	}
	// The server tells its own number of steps, of which a sampler may take fewer than it was asked for.
	if d := got.Data; d.Value > w.last && d.Value <= d.Max && d.Max <= w.r.Steps {
		w.last = d.Value
		p := engine.Progress{Step: d.Value, Steps: d.Max}
		if w.r.Previews && w.shown != nil {
			p.Preview = adapter.Preview(w.shown)
		}
		w.shown = nil
		w.tell(p)
	}
}

func (w *watcher) picture(message []byte) {
	if len(message) < head {
		return
	}
	switch binary.BigEndian.Uint32(message) {
	case eventPreview:
		w.shown = message[head:]
	case eventPreviewWith:
		if n := uint64(binary.BigEndian.Uint32(message[4:])); n <= uint64(len(message)-head) {
			w.shown = message[head+n:]
		}
	}
}

// Package comfyui is the driver of ComfyUI: pictures by one plain graph of its own nodes, text to
// picture, with a checkpoint that the server lists.
//
// A graph of another shape would be another model; this driver runs the one that is in workflow.go, which may begin with
// a picture. Progress and previews come over a websocket of the request's own (watch.go); whether the picture is there is
// asked, since a socket that breaks says nothing.
//
// The package must not interrupt what others have asked of the server: it takes its own request from
// the queue, and interrupts only what runs under its own number.
package comfyui

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// Name of the engine.
const Name = "comfyui"

const (
	maxModels = 500
	look      = 200 * time.Millisecond
	stopTime  = 5 * time.Second // to withdraw a picture that nobody wants any more
)

// Engine is one server. Use New.
type Engine struct {
	client  *adapter.Client
	catalog adapter.Catalog
	sizes   []engine.Size
	look    time.Duration
	stop    time.Duration // as stopTime; changed by tests before first use
}

var _ engine.Engine = (*Engine)(nil)

// New names a server, such as http://127.0.0.1:8188, or with the sizes that it draws, http://127.0.0.1:8188?sizes=512x512.
// Nothing is sent yet.
func New(address string) (*Engine, error) {
	client, err := adapter.Dial(address)
	if err != nil {
		return nil, err
	}
	sizes, err := adapter.SizesAt(address)
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", Name, err)
	}
	e := &Engine{client: client, sizes: sizes, look: look, stop: stopTime}
	e.catalog.List = e.list
	return e, nil
}

// Name is "comfyui".
func (e *Engine) Name() string { return Name }

// Close drops the connections that are not in use.
func (e *Engine) Close() error { e.client.Close(); return nil }

// Version is the server's own.
func (e *Engine) Version(ctx context.Context) (string, error) {
	var got struct {
		System struct {
			Version string `json:"comfyui_version"`
		}
	}
	err := e.client.Get(ctx, "/system_stats", adapter.MaxSmall, &got)
	return got.System.Version, err
}

// Models asks the server for its checkpoints.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) { return e.catalog.Models(ctx) }

func (e *Engine) list(ctx context.Context) ([]engine.Model, error) {
	var got map[string]struct {
		Input struct {
			Required struct {
				Names []any `json:"ckpt_name"` // the list of names, or a word and an object that has them as its options
			}
		}
	}
	if err := e.client.Get(ctx, "/object_info/"+loader, adapter.MaxSmall, &got); err != nil {
		return nil, err
	}
	node, ok := got[loader]
	if !ok || len(node.Input.Required.Names) == 0 {
		return nil, fmt.Errorf("%w: it does not list its checkpoints", adapter.ErrBroken)
	}
	names, ok := node.Input.Required.Names[0].([]any)
	if !ok && len(node.Input.Required.Names) > 1 {
		more, _ := node.Input.Required.Names[1].(map[string]any)
		names, _ = more["options"].([]any)
	}
	var out []engine.Model
	for _, n := range names[:min(len(names), maxModels)] {
		name, ok := n.(string)
		if !ok || name == "" {
			continue
		}
		m := adapter.Describe(Name, name, essaim.KindImage, essaim.MeterPixelStep, "")
		m.Sizes, m.MinSteps, m.MaxSteps, m.Steps = e.sizes, 1, 100, 20
		m.Inits = true
		out = append(out, m)
	}
	return out, nil
}

// Run draws a picture.
func (e *Engine) Run(ctx context.Context, r engine.Request, progress func(engine.Progress)) (engine.Result, error) {
	m, r, err := e.catalog.Fit(ctx, r)
	if err != nil {
		return engine.Result{}, err
	}
	init := ""
	if r.Init != "" {
		if init, err = e.upload(ctx, r.Init); err != nil {
			return engine.Result{}, err
		}
	}
	id := rand.Text()
	stop := e.watch(ctx, id, r, progress)
	file, err := e.draw(ctx, map[string]any{"prompt": workflow(m.Name, r, init), "client_id": id})
	stop()
	if err == nil {
		err = ctx.Err() // progress may have called it off as the picture came
	}
	if errors.Is(err, engine.ErrBadRequest) && e.gone(ctx, m) {
		err = fmt.Errorf("%w: the checkpoint was removed", engine.ErrNoModel)
	}
	if err != nil {
		return engine.Result{}, err
	}
	return adapter.Picture(file, r, r.Steps)
}

// gone reports whether the server lists a model no more: it refuses a graph with it as it does any other bad one.
func (e *Engine) gone(ctx context.Context, m engine.Model) bool {
	list, err := e.list(ctx)
	return err == nil && !slices.ContainsFunc(list, func(l engine.Model) bool { return l.Digest == m.Digest })
}

// draw has a graph run and returns its picture.
func (e *Engine) draw(ctx context.Context, ask map[string]any) ([]byte, error) {
	var queued struct {
		ID     string         `json:"prompt_id"`
		Errors map[string]any `json:"node_errors"`
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ours := number() // older servers give it a number of their own
	ask["prompt_id"] = ours
	// Whoever calls it off meanwhile still has to be told what there is to withdraw.
	told, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(e.stop, cancel) })()
	if err := e.client.Post(told, "/prompt", ask, adapter.MaxSmall, &queued); err != nil {
		if gone := ctx.Err(); gone != nil {
			e.withdraw(context.WithoutCancel(ctx), ours) // it may have come through
			return nil, gone
		}
		return nil, err
	}
	if queued.ID == "" || len(queued.Errors) > 0 {
		return nil, fmt.Errorf("%w: it does not queue the graph", adapter.ErrBroken)
	}
	file, err := e.await(ctx, queued.ID)
	if err != nil {
		e.withdraw(context.WithoutCancel(ctx), queued.ID)
	} else {
		e.forget(context.WithoutCancel(ctx), queued.ID)
	}
	return file, err
}

// number is a request's own, a random UUID.
func number() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// forget has the server drop a finished request, which it would keep with its prompt until it ends.
func (e *Engine) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, e.stop)
	defer cancel()
	_ = e.client.Post(ctx, "/history", map[string]any{"delete": []string{id}}, adapter.MaxSmall, nil) // the picture is there all the same
}

// upload gives the server a picture to begin with, among its temporary files, and returns its name in a graph. One that is
// there already has the same name and the same bytes.
func (e *Engine) upload(ctx context.Context, file string) (string, error) {
	var got given
	name := "essaim-" + essaim.DigestOf([]byte(file)).String() + ".png"
	err := e.client.Upload(ctx, "/upload/image", "image", name, []byte(file), map[string]string{"type": "temp", "overwrite": "true"}, &got)
	switch {
	case err != nil:
		return "", err
	case got.Name == "" || got.Type != "temp":
		return "", fmt.Errorf("%w: it does not keep the picture to begin with", adapter.ErrBroken)
	}
	return path.Join(got.Subfolder, got.Name) + " [temp]", nil
}

// given is a picture as the server names it that it was given.
type given struct {
	Name      string `json:"name"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

// saved is a picture as the history names it.
type saved struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"`
}

// await asks until the picture is there, and fetches it.
func (e *Engine) await(ctx context.Context, id string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, e.client.Wait)
	defer cancel()
	tick := time.NewTicker(e.look)
	defer tick.Stop()
	for {
		var history map[string]struct {
			Outputs map[string]struct{ Images []saved }
			Status  struct {
				Text string `json:"status_str"`
			}
		}
		if err := e.client.Get(limited, "/history/"+url.PathEscape(id), adapter.MaxSmall, &history); err != nil {
			return nil, e.late(ctx, limited, err)
		}
		if h, ok := history[id]; ok {
			images := h.Outputs[saver].Images
			if h.Status.Text == "error" || len(images) != 1 {
				return nil, fmt.Errorf("%w: the graph ends without its picture", adapter.ErrBroken)
			}
			q := url.Values{"filename": {images[0].Filename}, "subfolder": {images[0].Subfolder}, "type": {images[0].Type}}
			file, err := e.client.Bytes(limited, http.MethodGet, "/view?"+q.Encode(), nil, adapter.MaxPicture)
			if err != nil {
				return nil, e.late(ctx, limited, err)
			}
			return file, nil
		}
		select {
		case <-tick.C:
		case <-limited.Done():
			return nil, e.late(ctx, limited, limited.Err())
		}
	}
}

// late says whose patience has ended.
func (e *Engine) late(ctx, limited context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%w: no picture in %v", adapter.ErrBroken, e.client.Wait)
	}
	return err
}

// withdraw takes a request from the queue, or interrupts it if it is the one that runs.
func (e *Engine) withdraw(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, e.stop)
	defer cancel()
	var queue struct {
		Running [][]any `json:"queue_running"` // each: number, prompt ID, …
	}
	if e.client.Post(ctx, "/queue", map[string]any{"delete": []string{id}}, adapter.MaxSmall, nil) != nil ||
		e.client.Get(ctx, "/queue", adapter.MaxPicture, &queue) != nil {
		return // it ends by itself, only later
	}
	for _, q := range queue.Running {
		if len(q) > 1 && q[1] == id {
			_ = e.client.Post(ctx, "/interrupt", map[string]string{"prompt_id": id}, adapter.MaxSmall, nil) // older servers interrupt what runs by now
		}
	}
}

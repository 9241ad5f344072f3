// Package exec is the driver of engines that are a program in whatever language: it starts the
// program and the two exchange lines of JSON, one object a line, by standard input and output.
// docs/extend/engine.md has the fields and an example.
//
// Requests run at the same time, told apart by a number. A program that ends is started again with
// the next request; what it was running fails. It is stopped with Close.
//
// The package must not run anything but the program it was given, with no shell between.
package exec

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/adapter"
)

// Name of the engine.
const Name = "exec"

// Prefix is what programs on the path are called that are engines.
const Prefix = "essaim-engine-"

const (
	maxLine   = adapter.MaxPicture
	stopTime  = 5 * time.Second // for a program to end when its input does
	firstTime = time.Minute     // for it to list its models
)

// Engine is one program. Use New.
type Engine struct {
	program string
	args    []string
	catalog adapter.Catalog

	mu     sync.Mutex
	child  *child // nil: none runs; guarded by mu
	closed bool   // guarded by mu
}

var _ engine.Engine = (*Engine)(nil)

// New names a program and its arguments, separated by spaces. It is started with the first request.
//
// Errors: if there is no such program.
func New(command string) (*Engine, error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil, errors.New("an engine's program is written like essaim-engine-NAME or /path/to/it ARGUMENTS")
	}
	program, err := exec.LookPath(words[0])
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", Name, err)
	}
	e := &Engine{program: program, args: words[1:]}
	e.catalog.List = e.list
	return e, nil
}

// Name is the program's, without the prefix.
func (e *Engine) Name() string {
	base := filepath.Base(e.program)
	return strings.TrimPrefix(strings.TrimSuffix(base, filepath.Ext(base)), Prefix)
}

// Close ends the program, and all that it runs.
func (e *Engine) Close() error {
	e.mu.Lock()
	c := e.child
	e.child, e.closed = nil, true
	e.mu.Unlock()
	if c != nil {
		c.stop()
	}
	return nil
}

// child is a program that runs.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	done chan struct{} // closed when its output has ended

	writing sync.Mutex // of in

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]*waiter // guarded by mu; nil: it has ended
}

// waiter is a request under way.
type waiter struct {
	id      uint64
	replies chan reply
	gone    chan struct{} // closed when nobody reads replies any more
}

func (e *Engine) running() (*child, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("%w: it was closed", adapter.ErrBroken)
	}
	if e.child != nil {
		select {
		case <-e.child.done:
		default:
			return e.child, nil
		}
	}
	c, err := start(e.program, e.args)
	if err != nil {
		return nil, fmt.Errorf("%w: %s does not start", adapter.ErrBroken, filepath.Base(e.program))
	}
	e.child = c
	return c, nil
}

func start(program string, args []string) (*child, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr // its own words, for whoever has started it; they are in no log of ours
	cmd.WaitDelay = stopTime
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, in: in, done: make(chan struct{}), waiting: map[uint64]*waiter{}}
	go c.read(out)
	return c, nil
}

// read hands out the replies until there are no more.
func (c *child) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var r reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			break // from here on nothing can be made of it
		}
		c.mu.Lock()
		w := c.waiting[r.ID]
		c.mu.Unlock()
		if w == nil {
			continue // nobody waits for it any more
		}
		select {
		case w.replies <- r:
		case <-w.gone:
		}
	}
	c.mu.Lock()
	for _, w := range c.waiting {
		close(w.replies)
	}
	c.waiting = nil
	c.mu.Unlock()
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	close(c.done)
}

// stop ends the program: its input ends first, and if that does not help, it does.
func (c *child) stop() {
	_ = c.in.Close()
	select {
	case <-c.done:
	case <-time.After(stopTime):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// ask sends a request and returns where its replies come.
func (c *child) ask(ctx context.Context, q request) (*waiter, error) {
	w := &waiter{replies: make(chan reply), gone: make(chan struct{})}
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: the program has ended", adapter.ErrBroken)
	}
	c.next++
	w.id, q.ID = c.next, c.next
	c.waiting[w.id] = w
	c.mu.Unlock()
	told := make(chan error, 1)
	go func() { told <- c.tell(q) }() // it ends when the program reads, or has ended
	select {
	case err := <-told:
		return w, err
	case <-ctx.Done():
		return w, ctx.Err()
	}
}

func (c *child) tell(q request) error {
	line, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("%w: what is asked cannot be written as JSON", engine.ErrBadRequest)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%w: the program does not listen", adapter.ErrBroken)
	}
	return nil
}

// leave forgets a request. Replies to it are dropped from now on.
func (c *child) leave(w *waiter) {
	close(w.gone)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, w.id)
}

// converse sends a request and calls each for its replies until one is the last.
func (e *Engine) converse(ctx context.Context, q request, each func(reply) (last bool, err error)) error {
	c, err := e.running()
	if err != nil {
		return err
	}
	w, err := c.ask(ctx, q)
	if w != nil {
		defer c.leave(w)
	}
	if err != nil {
		return err
	}
	for {
		select {
		case r, ok := <-w.replies:
			if !ok {
				return fmt.Errorf("%w: the program has ended", adapter.ErrBroken)
			}
			last, err := each(r)
			if last && err == nil {
				return ctx.Err() // each may have called it off
			}
			if last || err != nil {
				return err
			}
		case <-ctx.Done():
			go func() { _ = c.tell(request{ID: w.id, Method: "cancel"}) }() // one that does not hear it works for nobody
			return ctx.Err()
		}
	}
}

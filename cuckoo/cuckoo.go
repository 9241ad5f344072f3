// Package cuckoo speaks the coordinator's wire of the Cuckoo network: JSON-RPC 2.0 over
// HTTP, by default on port 6387. A machine with a GPU and a miner written for that network
// polls it for tasks; to this network the exchange looks like a server of stable
// diffusion's web interface, so that engine/a1111 is all that a miner here needs to have
// its tasks drawn there. Money is this network's: the miner that runs the exchange signs
// the receipts, and what it owes its machines is between their owners.
//
// What that network's own coordinator gets wrong is not copied: a task is with one machine
// at a time and never offered to two, a poll without a signature of these minutes is refused, a result
// counts only from the wallet that has the task and only with a signature of that very
// result, and what a machine claims to be decides nothing.
//
// cuckoo.go is who has which task, rpc.go the wire, apps.go what asks for pictures. The
// package must not know the ledger, and keeps prompts in memory only while their task is
// under way.
package cuckoo

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

// DefaultListen is where miners of that network look.
const DefaultListen = "127.0.0.1:6387"

const (
	providerAge = 2 * time.Minute  // a machine that has not polled for so long is gone
	silence     = 30 * time.Second // one with a task that does not poll for so long has lost it
	clockSlack  = 6 * time.Minute  // of a signed date: miners of that network sign one anew every five
	maxTasks    = 1000             // under way; more are turned away
	maxMachines = 10_000           // that poll
	maxOffers   = 3                // machines that a task is given to, one after the other
	maxBody     = 20 << 20         // bytes
)

// Config says whose machines are served.
type Config struct {
	Wallets []essaim.Address // that may poll; empty: any that signs
	Token   string           // apps elsewhere show it as a bearer; "": only programs on this machine may ask
	Models  []string         // the checkpoints that the machines have, as their owner says; at least one
	TaskTTL time.Duration    // for a task to be done; default 5 min
	Now     func() time.Time // nil: the clock
}

// Exchange gives tasks to machines that poll. Make it with New; it is safe for concurrent
// use.
type Exchange struct {
	cfg Config
	mux *http.ServeMux

	mu        sync.Mutex
	providers map[essaim.Address]*provider
	tasks     map[string]*task
	queue     []*task // nobody has them; the first is next
}

// provider is a machine that polls.
type provider struct {
	info   map[string]any // as it says of itself
	wallet essaim.Address
	since  time.Time
	polled time.Time
	task   *task // that it has; nil: none
}

// task is one under way.
type task struct {
	id      string
	path    string
	body    []byte // JSON
	max     string // maxOfferPrice, as the app says
	with    *provider
	offers  int
	refused map[essaim.Address]bool // had it and lost it
	done    chan struct{}           // closed when the next two are set
	result  []byte                  // JSON
	err     error
}

// New makes an exchange. It starts nothing.
//
// Errors: CodeBadInput.
func New(cfg Config) (*Exchange, error) {
	if len(cfg.Models) == 0 {
		return nil, essaim.Errorf(essaim.CodeBadInput, "name the checkpoint that the machines have", "an exchange needs a model")
	}
	if cfg.TaskTTL == 0 {
		cfg.TaskTTL = 5 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	x := &Exchange{cfg: cfg, providers: map[essaim.Address]*provider{}, tasks: map[string]*task{}, mux: http.NewServeMux()}
	x.routes()
	return x, nil
}

// ServeHTTP answers miners and apps.
func (x *Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	x.mux.ServeHTTP(w, r)
}

var errNoMachine = essaim.Errorf(essaim.CodeUnavailable, "start a miner that polls this exchange", "no machine has taken the task")

// do has a task done and returns what the machine has answered.
//
// Errors: CodeConflict for an ID that is in use, CodeUnavailable if there is too much to do or nobody does it in time,
// the context's.
func (x *Exchange) do(ctx context.Context, t *task) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, x.cfg.TaskTTL, errNoMachine)
	defer cancel()
	t.done, t.refused = make(chan struct{}), map[essaim.Address]bool{}
	x.mu.Lock()
	switch {
	case x.tasks[t.id] != nil:
		x.mu.Unlock()
		return nil, essaim.Errorf(essaim.CodeConflict, "choose another ID", "a task with this ID is under way")
	case len(x.tasks) >= maxTasks:
		x.mu.Unlock()
		return nil, essaim.Errorf(essaim.CodeUnavailable, "try again later", "%d tasks are under way", maxTasks)
	}
	x.tasks[t.id] = t
	x.queue = append(x.queue, t)
	x.mu.Unlock()
	defer x.forget(t)
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// forget ends a task: whoever has it works for nothing, and gets the next one.
func (x *Exchange) forget(t *task) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.tasks, t.id)
	x.queue = slices.DeleteFunc(x.queue, func(o *task) bool { return o == t })
	if t.with != nil {
		t.with.task, t.with = nil, nil
	}
}

// poll notes that a machine is there and gives it what it is to do: the task that it has,
// or the next one; nil: nothing.
//
// Errors: CodeUnavailable if too many machines poll.
func (x *Exchange) poll(p *provider) (*task, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.cfg.Now()
	x.sweep(now)
	have := x.providers[p.wallet]
	if have == nil {
		if len(x.providers) >= maxMachines {
			return nil, essaim.Errorf(essaim.CodeUnavailable, "try again later", "%d machines poll", maxMachines)
		}
		have = &provider{wallet: p.wallet, since: now}
		x.providers[p.wallet] = have
	}
	have.info, have.polled = p.info, now
	if have.task != nil {
		return have.task, nil
	}
	for i, t := range x.queue {
		if t.refused[p.wallet] {
			continue
		}
		x.queue = slices.Delete(x.queue, i, i+1)
		t.with, have.task = have, t
		t.offers++
		return t, nil
	}
	return nil, nil
}

// sweep forgets machines that are gone; what they had is for the next. The lock is held.
func (x *Exchange) sweep(now time.Time) {
	for k, p := range x.providers {
		if p.task != nil && now.Sub(p.polled) > silence {
			x.giveBack(p)
		}
		if p.task == nil && now.Sub(p.polled) > providerAge {
			delete(x.providers, k)
		}
	}
}

// giveBack takes a task from a machine that has lost it or failed. The lock is held.
func (x *Exchange) giveBack(p *provider) {
	t := p.task
	p.task, t.with = nil, nil
	t.refused[p.wallet] = true
	if t.offers < maxOffers {
		x.queue = append([]*task{t}, x.queue...)
		return
	}
	t.err = essaim.Errorf(essaim.CodeUnavailable, "try again later", "%d machines have failed at the task", t.offers)
	close(t.done)
}

// submit takes a machine's result.
//
// Errors: CodeNotFound, CodeRefused if another machine has the task.
func (x *Exchange) submit(wallet essaim.Address, id, status string, payload []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.tasks[id]
	switch {
	case t == nil:
		return essaim.Errorf(essaim.CodeNotFound, "", "no such task is under way")
	case t.with == nil || t.with.wallet != wallet:
		return essaim.Errorf(essaim.CodeRefused, "submit results of your own tasks", "the task is not with this wallet")
	}
	p := t.with
	p.polled = x.cfg.Now()
	switch status {
	case statusInProgress:
	case statusFailed:
		x.giveBack(p)
	case statusCompleted:
		p.task, t.with = nil, nil
		t.result = payload
		close(t.done)
	default:
		return essaim.Errorf(essaim.CodeBadInput, "InProgress, Completed or Failed", "status %.20q is not known", status)
	}
	return nil
}

// Package gateway is the role that takes requests in over HTTP and answers with
// pictures and texts.
//
// The essaim dialect (essaim.go) is for clients that hold their own session: the
// gateway passes on what they sign and seal, and sees sizes, not words. The other
// dialects are packages, gateway/openai, gateway/ollama, gateway/a1111 and gateway/horde, for every
// program that has an API key: there the gateway itself holds the session, seals the
// prompt and opens the result (gateway/desk). Whoever runs it could read such
// prompts, so users must trust them; this program neither keeps nor logs prompts, nor the
// texts that answer them. Pictures and receipts of those dialects are public under their
// CID (ipfs.go).
//
// Batches of requests that outlive the program are gateway/batch.
//
// What is found out later of the tasks of API keys' users is in doubts.go, what every
// request goes through in middleware.go; the sessions that pay for those users are package
// purse, the keys and the books of what they spend package apikey.
//
// The package must not match, dispatch or settle tasks, import the coordinator or
// the chain, and must not trust a client's or a miner's text. A Gateway is safe for
// concurrent use.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/gateway/a1111"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/gateway/batch"
	"github.com/essaim/essaim/gateway/desk"
	"github.com/essaim/essaim/gateway/horde"
	"github.com/essaim/essaim/gateway/jobs"
	"github.com/essaim/essaim/gateway/ollama"
	"github.com/essaim/essaim/gateway/openai"
	"github.com/essaim/essaim/gateway/purse"
	"github.com/essaim/essaim/gateway/relay"
	"github.com/essaim/essaim/internal/durable"
	"github.com/essaim/essaim/internal/tracing"
)

const (
	headerTime  = 10 * time.Second // to read a request's header
	bodyTime    = 30 * time.Second // to read a request's body
	answerTime  = 15 * time.Minute // to answer a request; a stream has as much for each event as desk.WriteTime
	idleTime    = 2 * time.Minute
	stopTime    = 10 * time.Second // for requests under way when the gateway stops
	headerBytes = 64 << 10
)

// Config says what a gateway works with. Coordinator and Blobs are needed, the rest
// has a default.
type Config struct {
	Coordinator client.Coordinator
	Blobs       blob.Store // holds pictures and receipts for /ipfs

	Keys  *apikey.Store // API keys; nil: the OpenAI dialect draws nothing
	Payer purse.Payer   // opens the sessions that pay for API-key users; needed with Keys
	Roll  purse.Roll    // when a new session is opened

	// Owners know which of several instances has a key; nil: this one has all.
	Owners relay.Owners

	// Batches is the folder of batches' files, which are sealed with the 32 bytes of BatchKey; "": there are none.
	// Of several instances they are in BatchRows, with batch.Schema, instead.
	Batches   string
	BatchRows durable.DB
	BatchKey  []byte

	// Guests serves requests without an API key, on one of the operator's; nil: they are refused.
	Guests *desk.Guests

	// Filter refuses prompts of API keys' users that it finds something in; nil: none.
	Filter *censor.List

	Tracer    *tracing.Tracer // of requests; nil: none
	LedgerURL string          // told to clients if the coordinator names none
	// PrivateHooks lets webhooks go to private networks, and by plain HTTP.
	PrivateHooks bool

	PublicURL string // of this gateway, in links to pictures; "": as the request has it

	Page http.Handler // what people see at / and what it asks for; nil: nothing

	Listener net.Listener // Run serves it and closes it; nil: the caller serves Handler

	// Connections of the listener that are open at most; who comes above that is refused with status 503, or waits
	// to be accepted. 0: 1024.
	Connections int

	Logger   *slog.Logger         // nil: nothing is logged
	Registry *prometheus.Registry // nil: one of the gateway's own
}

// Gateway is the role. Make it with New.
type Gateway struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	purse   *purse.Purse // nil without a Payer
	jobs    *jobs.Jobs
	horde   *horde.API
	batch   *batch.API   // nil without a folder
	relay   *relay.Relay // nil: there is one instance only
	handler http.Handler
	crowd   crowd
	halt    context.Context // ends when requests under way must end
	stop    context.CancelFunc
}

// New checks the configuration. It starts nothing and asks nobody.
//
// Errors: CodeBadInput.
func New(cfg Config) (*Gateway, error) {
	switch {
	case cfg.Coordinator == nil || cfg.Blobs == nil:
		return nil, essaim.Errorf(essaim.CodeBadInput, "", "a gateway needs a coordinator and a blob store")
	case cfg.Keys != nil && cfg.Payer == nil:
		return nil, essaim.Errorf(essaim.CodeBadInput, "name the account that pays for API-key users", "API keys need a payer")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	m, err := newMetrics(cfg.Registry, cfg.Coordinator)
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "give each gateway its own registry", "register the metrics: %w", err)
	}
	if cfg.Connections <= 0 {
		cfg.Connections = defaultConnections
	}
	g := &Gateway{cfg: cfg, log: cfg.Logger, metrics: m, crowd: crowd{most: int64(cfg.Connections)}}
	g.halt, g.stop = context.WithCancel(context.Background())
	if cfg.Payer != nil {
		g.purse = purse.New(cfg.Payer, cfg.Keys, cfg.Roll, cfg.Logger)
	}
	mux, err := g.routes()
	if err != nil {
		return nil, err
	}
	g.handler = g.wrap(g.crowd.wrap(g.relayed(mux)))
	return g, nil
}

// Handler answers every request of the gateway. It works only as long as Run runs
// where sessions are to be closed.
func (g *Gateway) Handler() http.Handler { return g.handler }

func (g *Gateway) routes() (*http.ServeMux, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+client.PathInfo, g.info)
	mux.HandleFunc("POST "+client.PathQuote, g.quote)
	mux.HandleFunc("POST "+client.PathTasks, g.submit)
	mux.HandleFunc("GET "+client.PathTasks+"/{digest}", g.task)
	mux.HandleFunc("GET "+client.PathTasks+"/{digest}"+client.PathChecks, g.checks)
	mux.HandleFunc("POST "+client.PathTasks+"/{digest}"+client.PathChecks, g.shareInput)
	mux.HandleFunc("GET "+client.PathTasks+"/{digest}"+client.PathStanding, g.standing)
	mux.HandleFunc("POST "+client.PathTasks+"/{digest}"+client.PathCancel, g.cancel)
	mux.HandleFunc("POST "+client.PathAcknowledge, g.acknowledge)
	mux.HandleFunc("POST "+client.PathClose, g.closeSession)
	d := desk.New(desk.Config{
		Coordinator: g.cfg.Coordinator, Blobs: g.cfg.Blobs, Keys: g.cfg.Keys, Purse: g.purse, PublicURL: g.cfg.PublicURL, Log: g.log,
		Tasks: g.metrics.tasks, Spent: g.metrics.spent, Halt: g.halt, Filter: g.cfg.Filter, Guests: g.cfg.Guests,
	})
	dialects := http.NewServeMux()
	openai.New(d).Routes(dialects)
	ollama.New(d).Routes(dialects)
	a1111.New(d).Routes(dialects)
	g.horde = horde.New(horde.Config{Desk: d, Coordinator: g.cfg.Coordinator, Halt: g.halt, Shared: g.cfg.Owners != nil})
	g.horde.Routes(dialects)
	if (g.cfg.Batches != "" || g.cfg.BatchRows != nil) && g.cfg.Keys != nil {
		var err error
		if g.batch, err = batch.Open(batch.Config{Dir: g.cfg.Batches, DB: g.cfg.BatchRows, Key: g.cfg.BatchKey, Desk: d, Keys: g.cfg.Keys, Next: dialects, Halt: g.halt, Log: g.log}); err != nil {
			return nil, err
		}
		g.batch.Routes(mux)
	}
	g.jobs = jobs.New(jobs.Config{
		Authenticate: d.Authenticate, Repeat: g.repeat, Coordinator: g.cfg.Coordinator, Halt: g.halt, Log: g.log, Private: g.cfg.PrivateHooks,
	})
	g.jobs.Routes(mux)
	for _, below := range []string{"/v1/", "/api/", "/sdapi/"} {
		mux.Handle(below, g.jobs.Wrap(dialects))
	}
	mux.HandleFunc("GET /ipfs/{cid}", g.ipfs)
	mux.HandleFunc("GET /healthz", g.healthz)
	mux.HandleFunc("GET /readyz", g.readyz)
	mux.Handle("GET /metrics", g.metrics.handler)
	mux.HandleFunc("/", g.unknown)
	if g.cfg.Page != nil {
		mux.Handle(client.PathLedger, g.cfg.Page)
		mux.Handle(client.PathFaucet, g.cfg.Page)
		mux.Handle(client.PathGallery, g.cfg.Page)
		mux.Handle(client.PathGallery+"/", g.cfg.Page)
		mux.Handle(client.PathProofKey, g.cfg.Page)
	}
	return mux, nil
}

// Run takes up the sessions that an earlier run has left, serves the listener, if there
// is one, and rolls and closes the sessions of API-key users until the context ends. It
// then lets the requests under way finish, settles the sessions, and returns when all its
// goroutines have.
func (g *Gateway) Run(ctx context.Context) error {
	defer g.stop()
	g.takeUp(ctx)
	var group sync.WaitGroup
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if g.purse != nil {
		group.Go(func() { g.purse.Run(life) })
	}
	if g.cfg.Keys != nil {
		group.Go(func() { g.decideOften(life) })
	}
	err := g.serve(ctx)
	g.stop() // jobs whose clients have left end now
	g.jobs.Wait()
	g.horde.Wait()
	if g.batch != nil {
		g.batch.Wait()
	}
	g.leave()
	end()
	group.Wait()
	return err
}

// takeUp goes on where an earlier run has ended, however it did.
func (g *Gateway) takeUp(ctx context.Context) {
	if g.purse != nil {
		g.purse.Restore(ctx, g.cfg.Owners == nil) // what other instances had under way ends with its session
	}
	if g.cfg.Keys != nil {
		g.decide(ctx)
		g.forget()
	}
	if g.batch != nil {
		g.batch.Resume()
	}
}

func (g *Gateway) serve(ctx context.Context) error {
	if g.cfg.Listener == nil {
		<-ctx.Done()
		return nil
	}
	server := &http.Server{
		Handler: g.handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: headerBytes,
		BaseContext: func(net.Listener) context.Context { return g.halt },
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		ConnState:   g.crowd.count, WriteTimeout: answerTime,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(netutil.LimitListener(g.cfg.Listener, g.cfg.Connections+refusing)) }()
	select {
	case err := <-failed:
		return essaim.Errorf(essaim.CodeInternal, "", "serve HTTP: %w", err)
	case <-ctx.Done():
	}
	// Two chances: requests under way may finish, then their contexts end.
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		g.stop()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		err = server.Shutdown(last)
	}
	<-failed
	if err != nil {
		_ = server.Close() // what does not end by itself is cut
		return essaim.Errorf(essaim.CodeInternal, "", "stop serving HTTP: %w", err)
	}
	return nil
}

// Package web is the page for people: the built files of web/app and what they ask of the
// ledger, over HTTP.
//
// It exists so that a person needs a browser and nothing else. The page is a client of its
// own (web/app/src/lib): it makes keys, seals prompts, signs tasks and transactions and checks
// every answer; this package sees what is public anyway, and a signed transaction before the
// ledger does. What it shows of the ledger is its node's word: no proof goes with it.
//
// The package must not hold a user's key, see a prompt, or know the gateway, the coordinator
// or the chain's software. A Page is safe for concurrent use.
package web

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/essaim/essaim"
)

//go:embed all:dist
var dist embed.FS

// checker is package web/certificate for browsers, gzipped, and what Go's runtime needs there: `make checker` builds
// both. The page loads them when it has a proof to check.
//
//go:embed certificate/built/checker.wasm.gz
var checker []byte

//go:embed certificate/built/wasm_exec.js
var runtime []byte

// Ledger is what the page shows and where it sends transactions.
type Ledger interface {
	// Head says which chain it is and how far.
	Head(ctx context.Context) (Head, error)

	// Account tells what an account has; one that the ledger does not know has nothing.
	Account(ctx context.Context, a essaim.Address) (Account, error)

	// Stakes lists what an account has put on actors.
	Stakes(ctx context.Context, a essaim.Address) ([]Stake, error)

	// Actor returns a registered miner or coordinator.
	//
	// Errors: CodeNotFound.
	Actor(ctx context.Context, k essaim.NodeKey) (essaim.Actor, error)

	// Actors lists miners and coordinators, by falling stake.
	Actors(ctx context.Context) ([]essaim.Actor, error)

	// Models lists the registered models.
	Models(ctx context.Context) ([]essaim.Model, error)

	// Session returns a session, open or not.
	//
	// Errors: CodeNotFound.
	Session(ctx context.Context, id essaim.SessionID) (essaim.Session, error)

	// Broadcast hands in a signed transaction and returns once it is in a block, with the
	// encoded answer to its one message.
	//
	// Errors: the ledger's reason to refuse it.
	Broadcast(ctx context.Context, tx []byte) (essaim.Tx, []byte, error)
}

// Head is where a ledger stands.
type Head struct {
	ChainID string `json:"chain_id"`
	Height  int64  `json:"height"`
	BlockMs int64  `json:"block_ms"` // a block took lately; 0: not known

	Faucet      essaim.Amount `json:"faucet"`       // what newcomers are given; 0: nothing
	FaucetHours int           `json:"faucet_hours"` // until the next time
}

// Account is what a transaction commits to and what can be spent.
type Account struct {
	Address  essaim.Address `json:"address"`
	Balance  essaim.Amount  `json:"balance"`
	Known    bool           `json:"known"`         // it has received coins before, so it can send
	Number   uint64         `json:"number,string"` // any 64 bits, more than numbers of JavaScript hold
	Sequence uint64         `json:"sequence"`
}

// Stake is what an account has put on an actor.
type Stake struct {
	NodeKey essaim.NodeKey `json:"node_key"`
	Amount  essaim.Amount  `json:"amount"`  // today's value
	Rewards essaim.Amount  `json:"rewards"` // that can be claimed
}

// Config says what a page works with.
type Config struct {
	Ledger Ledger
	Faucet *Faucet // nil: nobody is given coins

	// Views answers more questions about the ledger, by their path below its own; nil: none.
	Views map[string]View

	History *History // nil: the past is not told
	Gallery *Gallery // nil: nobody shows pictures to everybody

	// ProofKey is the public part of a model's weights, with which its proofs are checked; nil: none are.
	//
	// Errors: CodeNotFound for a model that has none.
	ProofKey func(model essaim.Digest) ([]byte, error)

	Logger *slog.Logger // nil: nothing is logged
}

// Page answers requests for the page's files and for the ledger. Make it with New.
type Page struct {
	cfg   Config
	files fs.FS
	mux   *http.ServeMux
	index string // the file at /
}

// New makes a page.
func New(cfg Config) *Page {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	p := &Page{cfg: cfg, files: files, mux: http.NewServeMux(), index: "index.html"}
	p.routes()
	return p
}

// ServeHTTP answers.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// policy lets the page run its own scripts and talk to its own server, and nothing else. Its
// proof checker is WebAssembly.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " +
	"manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file serves one of the page's files. Their names carry a hash of what is in them, but for
// the first.
func (p *Page) file(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	cache := "public, max-age=31536000, immutable"
	if name == "" || strings.HasSuffix(name, ".html") {
		name, cache = p.index, "no-cache"
	}
	b, err := p.read(name)
	if err != nil {
		p.fail(w, essaim.Errorf(essaim.CodeNotFound, "open the page at /; the documentation lists the gateway's paths", "nothing is at %s %.100q", r.Method, r.URL.Path))
		return
	}
	h := w.Header()
	if name == checkerFile {
		h.Set("Content-Encoding", "gzip") // all browsers take it
	}
	if strings.HasPrefix(name, "check/") {
		cache = "no-cache"
	}
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Cache-Control", cache)
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	_, _ = w.Write(b) // a browser that has left needs no answer
}

const (
	checkerFile = "check/checker.wasm"
	runtimeFile = "check/wasm_exec.js"
)

func (p *Page) read(name string) ([]byte, error) {
	switch name {
	case checkerFile:
		return checker, nil
	case runtimeFile:
		return runtime, nil
	}
	return fs.ReadFile(p.files, name)
}

package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/essaim/essaim"
)

// PathOwn is where an owner's page asks of its miners.
const PathOwn = "/essaim/v1/own"

// Own is a miner as its owner looks at it.
type Own struct {
	Miner     essaim.NodeKey `json:"miner"`
	Dir       string         `json:"dir"`
	State     string         `json:"state"`          // serving, dialling, maintenance or stopping
	Idle      string         `json:"idle,omitempty"` // why nothing runs
	Since     time.Time      `json:"since"`          // when this run began
	Connected int            `json:"connected"`      // coordinators
	Models    int            `json:"models"`
	Capacity  int            `json:"capacity"`
	Jobs      []OwnJob       `json:"jobs"`
	Acked     uint64         `json:"acked"`   // receipts of this run
	Refused   uint64         `json:"refused"` // by a coordinator
	Failed    uint64         `json:"failed"`  // attempts that came to nothing
	Unpaid    uint64         `json:"unpaid"`  // promises that were not kept
	Earned    essaim.Amount  `json:"earned"`  // this run, before royalty and fees
}

// OwnJob is an attempt under way.
type OwnJob struct {
	Task  essaim.Digest `json:"task"`
	Model string        `json:"model"`
	Price essaim.Amount `json:"price"` // at most
	Step  int           `json:"step"`
	Steps int           `json:"steps"` // 0: not known
	Since time.Time     `json:"since"`
}

// OwnBooks is what a miner has earned, and what others see of it.
type OwnBooks struct {
	Earnings any            `json:"earnings"` // as package miner/income has them
	Standing any            `json:"standing"` // on the ledger; nil: not registered
	Limit    int            `json:"limit"`    // of unacknowledged receipts to a coordinator, at which it is served no more
	Names    []essaim.Model `json:"names"`    // registered models
	Settings string         `json:"settings"` // node.toml
}

// Owner answers for the miners of one machine.
type Owner interface {
	// Look tells how they are doing.
	Look(ctx context.Context) []Own

	// Books tells what a miner has earned.
	//
	// Errors: CodeNotFound for one that is not here.
	Books(ctx context.Context, miner essaim.NodeKey) (OwnBooks, error)

	// Toggle puts a miner into maintenance, or ends that.
	//
	// Errors: CodeNotFound for one that is not here.
	Toggle(ctx context.Context, miner essaim.NodeKey) error
}

// NewOwn makes the page for the owner of this machine's miners. Whoever reaches it sees their earnings and can stop
// them, so it answers only to names of this machine, which keeps away pages that have their own name point here, and to
// no other site's forms. Listen on a loopback address.
func NewOwn(o Owner, log *slog.Logger) http.Handler {
	p := New(Config{Logger: log})
	p.index, p.mux = "own.html", http.NewServeMux()
	p.mux.HandleFunc("GET "+PathOwn, func(w http.ResponseWriter, r *http.Request) {
		p.write(w, http.StatusOK, o.Look(r.Context()))
	})
	p.mux.HandleFunc("GET "+PathOwn+"/{miner}", func(w http.ResponseWriter, r *http.Request) {
		var out OwnBooks
		k, err := nodeKey(r.PathValue("miner"))
		if err == nil {
			out, err = o.Books(r.Context(), k)
		}
		p.answer(w, out, err)
	})
	p.mux.HandleFunc("POST "+PathOwn+"/{miner}/maintenance", func(w http.ResponseWriter, r *http.Request) {
		k, err := nodeKey(r.PathValue("miner"))
		if err == nil {
			err = o.Toggle(r.Context(), k)
		}
		p.answer(w, struct{}{}, err)
	})
	p.mux.HandleFunc("GET /", p.file)
	inner := http.NewCrossOriginProtection().Handler(p.mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !here(r.Host) {
			p.fail(w, essaim.Errorf(essaim.CodeRefused, "open it at http://127.0.0.1 on the miner's machine", "this page does not answer to the name %.100q", r.Host))
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// here says whether a Host header names this machine alone.
func here(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func nodeKey(s string) (essaim.NodeKey, error) {
	k, err := essaim.ParseNodeKey(s)
	if err != nil {
		return k, essaim.Errorf(essaim.CodeBadInput, "a node key has 64 hex digits", "%.100q is not a node key", s)
	}
	return k, nil
}

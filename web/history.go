package web

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/essaim/essaim"
)

const (
	historyLook  = time.Second      // between looks for new blocks
	historyStep  = 10 * time.Second // between points
	historySpan  = 24 * time.Hour   // that points are kept
	historyTxs   = 200              // the newest transactions
	historyStart = 300              // blocks that are read when it begins
	historyMost  = 300              // points of an answer
)

// Block is a block and what was done in it.
type Block struct {
	Height int64     `json:"height"`
	Time   time.Time `json:"time"`
	Txs    []Tx      `json:"txs"`
}

// Tx is one transaction of a block.
type Tx struct {
	Hash     string    `json:"hash"`
	Height   int64     `json:"height"`
	Time     time.Time `json:"time"`
	Messages []string  `json:"messages"`
	Refused  bool      `json:"refused"` // it changed nothing but its sender's sequence
}

// Point is where the network stood.
type Point struct {
	Time     int64                    `json:"time"` // seconds since 1970
	Height   int64                    `json:"height"`
	Tasks    uint64                   `json:"tasks"`    // this coordinator has delivered since its program began
	Paid     essaim.Amount            `json:"paid"`     // by all settlements
	Escrowed essaim.Amount            `json:"escrowed"` // of all sessions
	Stake    essaim.Amount            `json:"stake"`
	Prices   map[string]essaim.Amount `json:"prices"` // the cheapest offer of a unit, by model's name
	Judged   uint64                   `json:"judged"` // results that this coordinator has had compared
	Wrong    uint64                   `json:"wrong"`  // of these
}

// Chain is what a History follows.
type Chain interface {
	// Block returns the block of a height, 0 being the newest.
	//
	// Errors: CodeNotFound for one that the node does not keep.
	Block(ctx context.Context, height int64) (Block, error)

	// Now tells where the network stands; the time is filled in by the History.
	Now(ctx context.Context) (Point, error)
}

// History follows the ledger, so that any number of browsers may look at what has happened lately and the ledger's
// node is asked once. It keeps nothing over a restart. It is safe for concurrent use.
type History struct {
	chain Chain
	log   *slog.Logger

	mu     sync.Mutex
	height int64
	txs    []Tx    // oldest first
	points []Point // oldest first
}

// NewHistory makes a history that knows nothing yet; Run fills it.
func NewHistory(c Chain, log *slog.Logger) *History { return &History{chain: c, log: log} }

// Run follows the ledger until ctx ends. A node that does not answer is asked again.
func (h *History) Run(ctx context.Context) error {
	look, step := time.NewTicker(historyLook), time.NewTicker(historyStep)
	defer look.Stop()
	defer step.Stop()
	h.point(ctx)
	for {
		if err := h.follow(ctx); err != nil && ctx.Err() == nil {
			h.log.Debug("page: the ledger cannot be followed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-step.C:
			h.point(ctx)
		case <-look.C:
		}
	}
}

// follow reads the blocks that are new.
func (h *History) follow(ctx context.Context) error {
	newest, err := h.chain.Block(ctx, 0)
	if err != nil {
		return err
	}
	from := max(h.height+1, newest.Height-historyStart, 1)
	for at := from; at <= newest.Height; at++ {
		b := newest
		if at < newest.Height {
			if b, err = h.chain.Block(ctx, at); err != nil && essaim.CodeOf(err) != essaim.CodeNotFound {
				return err
			}
		}
		h.mu.Lock()
		h.height = at
		h.txs = append(h.txs, b.Txs...)
		h.txs = h.txs[max(0, len(h.txs)-historyTxs):]
		h.mu.Unlock()
	}
	return nil
}

func (h *History) point(ctx context.Context) {
	p, err := h.chain.Now(ctx)
	if err != nil {
		return // a gap, which a chart shows
	}
	now := time.Now()
	p.Time = now.Unix()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.points = append(h.points, p)
	for len(h.points) > 0 && h.points[0].Time < now.Add(-historySpan).Unix() {
		h.points = h.points[1:]
	}
}

// Txs are the newest transactions, the newest first.
func (h *History) Txs() []Tx {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Tx, len(h.txs))
	for i, t := range h.txs {
		out[len(out)-1-i] = t
	}
	return out
}

// Points are at most some hundred points of the last day, evenly spread, the first and the newest among them.
func (h *History) Points() []Point {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.points) <= historyMost {
		return append([]Point{}, h.points...)
	}
	out := make([]Point, historyMost)
	for i := range out {
		out[i] = h.points[i*(len(h.points)-1)/(historyMost-1)]
	}
	return out
}

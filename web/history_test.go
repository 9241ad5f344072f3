package web_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/web"
)

// past is a chain with one transaction a block and a node that has thrown the first blocks away.
type past struct {
	height atomic.Int64
	kept   int64
	asked  atomic.Int64
	dead   atomic.Bool
}

func (c *past) Block(_ context.Context, at int64) (web.Block, error) {
	c.asked.Add(1)
	if c.dead.Load() {
		return web.Block{}, essaim.Errorf(essaim.CodeUnavailable, "", "dead")
	}
	if at == 0 {
		at = c.height.Load()
	}
	if at < c.kept {
		return web.Block{}, essaim.Errorf(essaim.CodeNotFound, "", "gone")
	}
	return web.Block{Height: at, Txs: []web.Tx{{Height: at}}}, nil
}

func (c *past) Now(context.Context) (web.Point, error) {
	if c.dead.Load() {
		return web.Point{}, essaim.Errorf(essaim.CodeUnavailable, "", "dead")
	}
	return web.Point{Height: c.height.Load()}, nil
}

// TestHistory: every block is read once, in order, also those that came while the node was away; what a node has
// thrown away is passed over; the oldest are forgotten.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &past{kept: 40}
		c.height.Store(50)
		h := web.NewHistory(c, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		heights := func(first int64, n int) {
			t.Helper()
			synctest.Wait()
			txs := h.Txs()
			if len(txs) != n {
				t.Fatalf("%d transactions, want %d", len(txs), n)
			}
			for i, x := range txs {
				if x.Height != first-int64(i) {
					t.Fatalf("transaction %d is of height %d, want %d", i, x.Height, first-int64(i))
				}
			}
		}
		heights(50, 11)
		c.dead.Store(true)
		c.height.Store(70)
		time.Sleep(30 * time.Second) // of the bubble
		heights(50, 11)
		c.dead.Store(false)
		time.Sleep(2 * time.Second)
		heights(70, 31)
		asked := c.asked.Load()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := c.asked.Load() - asked; n > 11 {
			t.Errorf("%d questions in 10 s without a new block", n)
		}
		c.height.Store(400)
		time.Sleep(2 * time.Second)
		heights(400, 200)

		time.Sleep(26 * time.Hour)
		synctest.Wait()
		points := h.Points()
		first, last := points[0], points[len(points)-1]
		if now := time.Now().Unix(); len(points) != 300 || last.Time < now-20 || first.Time < now-24*3600-20 || first.Time > now-23*3600 {
			t.Errorf("%d points from %d to %d, now is %d", len(points), first.Time, last.Time, now)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestViews: what a node adds answers below the ledger's path, with the errors of all.
func TestViews(t *testing.T) {
	views := map[string]web.View{"things/{name}": func(_ context.Context, value func(string) string) (any, error) {
		if value("name") != "a" {
			return nil, essaim.Errorf(essaim.CodeNotFound, "try a", "no thing %s", value("name"))
		}
		return []int{1, 2}, nil
	}}
	page := web.New(web.Config{Ledger: ledger{}, Views: views, History: web.NewHistory(&past{}, slog.New(slog.DiscardHandler))})
	for path, want := range map[string]string{"things/a": "[1,2]", "things/b": "try a", "transactions": "[]", "points": "[]"} {
		if _, b := askPage(t, page, "GET", "/essaim/v1/ledger/"+path, ""); !strings.Contains(b, want) {
			t.Errorf("%s: %s", path, b)
		}
	}
}

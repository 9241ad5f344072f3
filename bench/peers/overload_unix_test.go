//go:build unix

package peers

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/essaim/essaim/bench/proc"
)

// flood is an overload.
type flood struct {
	last     time.Duration // how long
	times    float64       // how much more than the network can do
	slow     time.Duration // what the engine takes for an answer
	capacity int           // answers that a miner works at at a time; there are three
	keys     int           // API keys
}

// flooded is what became of it.
type flooded struct {
	alone, under, after *tally // as many clients as can be served at once; the overload; and as before
	books               final
}

// answers is how many the clients have had.
func (f flooded) answers() int { return len(f.alone.took) + len(f.under.took) + len(f.after.took) }

// overload asks for three times as much as the network can do, whether answers come or not, and says what became of it:
// how many were served, what the others were told, what memory the coordinator held, and whether what was
// delivered is what the keys were charged and the ledger was told.
func overload(ctx context.Context, args []string) error {
	var o flood
	f := flag.NewFlagSet("overload", flag.ExitOnError)
	f.DurationVar(&o.last, "for", 10*time.Minute, "how long")
	f.Float64Var(&o.times, "times", 3, "how much more than the network can do")
	f.DurationVar(&o.slow, "busy", 100*time.Millisecond, "what the engine takes for an answer")
	f.IntVar(&o.capacity, "capacity", 8, "answers that a miner works at at a time; there are three")
	f.IntVar(&o.keys, "keys", 64, "API keys")
	_ = f.Parse(args)
	out, err := o.run(ctx, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	if err != nil {
		return err
	}
	fmt.Printf("clients have %d answers; books and ledger: %+v\n", out.answers(), out.books)
	return nil
}

func (o flood) run(ctx context.Context, say func(format string, args ...any)) (out flooded, err error) {
	b, err := newBench(ctx, o.last, "-busy", o.slow.String())
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	w, world, err := b.essaim(3, func(w *world) { w.Capacity, w.Keys = o.capacity, o.keys })
	if err != nil {
		return out, err
	}
	a := newAsker(w.target, o.keys*busy)
	alone := 3 * o.capacity
	out.alone = a.closed(ctx, alone, min(10*time.Second, o.last))
	can := float64(len(out.alone.took)) / out.alone.lasted.Seconds()
	say("the network alone: %.0f answers a second with %d clients, p50 %v, p99 %v; now %.0f a second are asked for, for %v",
		can, alone, out.alone.percentile(50), out.alone.percentile(99), can*o.times, o.last)
	out.under = a.open(ctx, can*o.times, o.last, func(n int, t *tally) {
		now, peak := proc.Memory(w.front.cmd.Process.Pid)
		say("%6.0f s: %d asked, statuses %v, failed %v, RSS %d MB, at most %d", t.lasted.Seconds(), n, t.statuses, t.failed, now, peak)
	})
	t := out.under
	say("answered %d in %v: p50 %v, p99 %v; statuses %v, of the refused %d with Retry-After; failed %v", len(t.took), t.lasted, t.percentile(50), t.percentile(99), t.statuses, t.advised, t.failed)
	for why, n := range t.why {
		say("%8d × %s", n, why)
	}
	out.after = a.closed(ctx, alone, min(10*time.Second, o.last))
	say("afterwards: %.0f answers a second, p50 %v; statuses %v", float64(len(out.after.took))/out.after.lasted.Seconds(), out.after.percentile(50), out.after.statuses)
	now, peak := proc.Memory(w.front.cmd.Process.Pid)
	say("RSS of coordinator and gateway: %d MB, at most %d", now, peak)
	if err := w.front.stop(); err != nil { // it settles its sessions
		return out, err
	}
	sums, err := os.ReadFile(world.path("sums.json"))
	if err != nil {
		return out, err
	}
	return out, json.Unmarshal(sums, &out.books)
}

// open asks at a rate for a while, each request by a client of its own.
func (a *asker) open(ctx context.Context, rate float64, last time.Duration, report func(n int, t *tally)) *tally {
	out, began := newTally(), time.Now()
	var mu sync.Mutex
	var g sync.WaitGroup
	next := began.Add(last / 20)
	n := 0
	for ; time.Since(began) < last && ctx.Err() == nil; n++ {
		time.Sleep(time.Until(began.Add(time.Duration(float64(n) / rate * float64(time.Second)))))
		g.Go(func() {
			got := a.ask(ctx, n)
			mu.Lock()
			defer mu.Unlock()
			out.add(got)
		})
		if time.Now().After(next) {
			next = next.Add(last / 20)
			mu.Lock()
			out.lasted = time.Since(began)
			report(n, out)
			mu.Unlock()
		}
	}
	g.Wait()
	out.lasted = time.Since(began)
	slices.Sort(out.took)
	return out
}

// TestOverload asks for more than the network can do, with every role a process of its own: who is not served is told when to come
// again, and nothing that was accepted is lost, charged twice or left in doubt.
func TestOverload(t *testing.T) {
	out, err := flood{last: 2 * time.Second, times: 5, slow: 50 * time.Millisecond, capacity: 2, keys: 2}.run(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for status, n := range out.under.statuses {
		switch status {
		case http.StatusOK:
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			refused += n
		default:
			t.Errorf("%d answers with status %d", n, status)
		}
	}
	if len(out.under.failed) > 0 || refused == 0 || refused != out.under.advised || len(out.under.took) == 0 {
		t.Errorf("%d answers, %d refusals, %d with Retry-After, %v failed", len(out.under.took), refused, out.under.advised, out.under.failed)
	}
	if len(out.after.took) == 0 || len(out.after.statuses) != 1 {
		t.Errorf("afterwards: %v", out.after.statuses)
	}
	if b, n := out.books, out.answers(); b.Captured != n || b.Ledger.Tasks != uint64(n) || b.Ledger.Paid != b.Spent || b.Doubts != 0 || b.Ledger.Settled != b.Ledger.Sessions {
		t.Errorf("the clients have %d answers; books and ledger: %+v", n, b)
	}
}

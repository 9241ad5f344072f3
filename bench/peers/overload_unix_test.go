//go:build unix

package peers

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// overload asks for three times as much as the network can do, whether answers come or not, and says what became of it:
// how many were served, what the others were told, what memory the coordinator held, and whether what was
// delivered is what the keys were charged and the ledger was told.
func overload(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("overload", flag.ExitOnError)
	last := f.Duration("for", 10*time.Minute, "how long")
	times := f.Float64("times", 3, "how much more than the network can do")
	slow := f.Duration("busy", 100*time.Millisecond, "what the engine takes for an answer")
	capacity := f.Int("capacity", 8, "answers that a miner works at at a time; there are three")
	keys := f.Int("keys", 64, "API keys")
	_ = f.Parse(args)
	b, err := newBench(ctx, *last, "-busy", slow.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	w, world, err := b.essaim(3, func(w *world) { w.Capacity, w.Keys = *capacity, *keys })
	if err != nil {
		return err
	}
	a := newAsker(w.target, *keys*busy)
	alone := a.closed(ctx, 3**capacity, min(10*time.Second, *last))
	can := float64(len(alone.took)) / alone.lasted.Seconds()
	fmt.Printf("the network alone: %.0f answers a second with %d clients, p50 %v, p99 %v; now %.0f a second are asked for, for %v\n",
		can, 3**capacity, alone.percentile(50), alone.percentile(99), can**times, *last)
	t := a.open(ctx, can**times, *last, func(n int, t *tally) {
		now, peak := w.front.memory()
		fmt.Printf("%6.0f s: %d asked, statuses %v, failed %v, RSS %d MB, at most %d\n", t.lasted.Seconds(), n, t.statuses, t.failed, now, peak)
	})
	fmt.Printf("answered %d in %v: p50 %v, p99 %v; statuses %v, of the refused %d with Retry-After; failed %v\n",
		len(t.took), t.lasted, t.percentile(50), t.percentile(99), t.statuses, t.advised, t.failed)
	for why, n := range t.why {
		fmt.Printf("%8d × %s\n", n, why)
	}
	after := a.closed(ctx, 3**capacity, min(10*time.Second, *last))
	fmt.Printf("afterwards: %.0f answers a second, p50 %v; statuses %v\n", float64(len(after.took))/after.lasted.Seconds(), after.percentile(50), after.statuses)
	now, peak := w.front.memory()
	fmt.Printf("RSS of coordinator and gateway: %d MB, at most %d\n", now, peak)
	if err := w.front.stop(); err != nil {
		return err
	}
	sums, err := os.ReadFile(world.path("sums.json"))
	fmt.Printf("clients have %d answers; books and ledger: %s\n", len(alone.took)+len(t.took)+len(after.took), sums)
	return err
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

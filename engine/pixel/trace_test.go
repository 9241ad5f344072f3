package pixel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
)

var updateTraces = flag.Bool("update.traces", false, "write testdata/traces.tsv anew")

func newEngine(t testing.TB, options ...Option) *Engine {
	t.Helper()
	e, err := New(options...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// traced are requests whose traces' roots are in testdata/traces.tsv.
func traced(e *Engine) []engine.Request {
	d := e.model.Digest
	return []engine.Request{
		{Model: d, Prompt: "red apple", Width: 64, Height: 64},
		{Model: d, Prompt: "red apple", Seed: 1, Width: 64, Height: 64},
		{Model: d, Prompt: "une fusée bleue et deux chats", Seed: 2, Width: 64, Height: 64},
		{Model: d, Prompt: "number", Seed: 3, Width: 256, Height: 256},
	}
}

func TestTraceGolden(t *testing.T) {
	const file = "testdata/traces.tsv"
	for _, workers := range []int{1, 3} {
		e := newEngine(t, WithWorkers(workers))
		var got strings.Builder
		for _, r := range traced(e) {
			var hash quant.TraceHash
			ops := 0
			for op, err := range e.Trace(t.Context(), r) {
				if err != nil {
					t.Fatal(err)
				}
				hash.Add(op)
				ops++
			}
			fmt.Fprintf(&got, "%x\t%d\t%d\t%d\t%d\t%s\n", hash.Root(), ops, r.Seed, r.Steps, r.Width, r.Prompt)
		}
		if *updateTraces {
			if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%d workers: traces are\n%swant\n%s", workers, got.String(), want)
		}
	}
}

// TestTraceHangsTogether: every operator's output follows from its inputs, every input is
// an earlier output or a constant, nothing but the result is left over, and that is the
// picture which Run draws.
func TestTraceHangsTogether(t *testing.T) {
	e := newEngine(t)
	kinds := map[string]int{}
	for _, r := range traced(e) {
		var ops []quant.Op
		used := map[int]bool{}
		for op, err := range e.Trace(t.Context(), r) {
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, op)
			name := fmt.Sprintf("%q: operator %d, %s of %s, step %d", r.Prompt, op.Out.ID, op.Operator.Kind(), op.Layer, op.Step)
			if op.Out.ID != len(ops) {
				t.Errorf("%s: it is number %d", name, len(ops))
			}
			if !op.Holds() {
				t.Errorf("%s: its output does not follow from its inputs", name)
			}
			for _, in := range op.In {
				switch {
				case in.ID == 0:
				case in.ID >= op.Out.ID:
					t.Fatalf("%s: it reads %d", name, in.ID)
				case !in.Equal(ops[in.ID-1].Out):
					t.Errorf("%s: it read something else than %d put out", name, in.ID)
				}
				used[in.ID] = true
			}
			kinds[op.Operator.Kind()]++
		}
		for _, op := range ops[:len(ops)-1] {
			if !used[op.Out.ID] {
				t.Errorf("%q: nobody reads operator %d, %s of %s", r.Prompt, op.Out.ID, op.Operator.Kind(), op.Layer)
			}
		}
		want, err := e.Run(t.Context(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		var rgb []byte
		for _, v := range ops[len(ops)-1].Out.Narrow {
			rgb = append(rgb, byte(v))
		}
		if got := sha256.Sum256(rgb); hex.EncodeToString(got[:]) != want.PixelsDigest.String() {
			t.Errorf("%q: the trace ends with pixels %x, the picture has %s", r.Prompt, got, want.PixelsDigest)
		}
	}
	all := []string{"activate", "double", "enlarge", "gather", "lookup", "pixels", "pose", "product", "rescale", "smooth", "sum", "take", "times16", "words"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, all) {
		t.Errorf("kinds are %v, want %v", got, all)
	}
}

// TestTraceShowsAnAlteredValue changes one value of each operator's output.
func TestTraceShowsAnAlteredValue(t *testing.T) {
	e := newEngine(t)
	for op, err := range e.Trace(t.Context(), traced(e)[0]) {
		if err != nil {
			t.Fatal(err)
		}
		var before, after quant.TraceHash
		before.Add(op)
		op.Out.Wide, op.Out.Narrow = slices.Clone(op.Out.Wide), slices.Clone(op.Out.Narrow)
		if i := op.Out.Elements() / 2; op.Out.Wide != nil {
			op.Out.Wide[i]++
		} else {
			op.Out.Narrow[i]++
		}
		after.Add(op)
		if op.Holds() || before.Root() == after.Root() {
			t.Errorf("operator %d, %s of %s: an altered output goes unnoticed", op.Out.ID, op.Operator.Kind(), op.Layer)
		}
	}
}

func TestTraceStops(t *testing.T) {
	e := newEngine(t)
	n := 0
	for _, err := range e.Trace(t.Context(), traced(e)[0]) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 30 {
			break
		}
	}
	if n != 30 {
		t.Errorf("%d operators after a stop at 30", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var last error
	for _, err := range e.Trace(ctx, traced(e)[0]) {
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("cancelled: error %v", last)
	}
	for _, err := range e.Trace(t.Context(), engine.Request{Prompt: "no such model"}) {
		last = err
	}
	if !errors.Is(last, engine.ErrNoModel) {
		t.Errorf("unknown model: error %v", last)
	}
}

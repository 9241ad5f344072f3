package pixel_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
)

// TestBatchIsTheSame draws more pictures than go together, of all sizes and numbers of things,
// at once and one by one.
func TestBatchIsTheSame(t *testing.T) {
	for _, workers := range []int{1, 3} {
		e, m := open(t, pixel.WithWorkers(workers))
		var rs []engine.Request
		count := 39
		if testing.Short() {
			count = 5
		}
		for i := range count {
			r := goldenRequests[i%len(goldenRequests)]
			r.Model, r.Seed = m.Digest, r.Seed+uint64(i)
			if i%5 > 0 {
				r.Width, r.Height = 64, 64
			}
			rs = append(rs, r)
		}
		got, err := e.RunBatch(t.Context(), rs)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rs {
			want, err := e.Run(t.Context(), r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got[i].Data, want.Data) {
				t.Errorf("%+v is another picture in a batch", r)
			}
			if got[i].Data, want.Data = nil, nil; !reflect.DeepEqual(got[i], want) {
				t.Errorf("%+v: %+v in a batch, %+v alone", r, got[i], want)
			}
		}
	}
}

func TestBatchOfNoneAndOfBad(t *testing.T) {
	e, m := open(t)
	if got, err := e.RunBatch(t.Context(), nil); len(got) != 0 || err != nil {
		t.Errorf("none: %v, %v", got, err)
	}
	good := engine.Request{Model: m.Digest, Prompt: "dog"}
	if _, err := e.RunBatch(t.Context(), []engine.Request{good, {Model: m.Digest}}); !errors.Is(err, engine.ErrBadRequest) {
		t.Errorf("an empty prompt: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.RunBatch(ctx, []engine.Request{good}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// FuzzRun: any prompt and seed give the same picture twice, alone and in a batch, or the
// same refusal.
func FuzzRun(f *testing.F) {
	f.Add("red apple", uint64(0), uint8(1))
	f.Add("l'œuf d’or, fluent\x00", uint64(1)<<63, uint8(0))
	f.Add("\xff\xfe", uint64(7), uint8(1))
	f.Add("cats ssss xxxx 猫 zorbify zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", ^uint64(0), uint8(9))
	e, m := open(f)
	f.Fuzz(func(t *testing.T, prompt string, seed uint64, steps uint8) {
		r := engine.Request{Model: m.Digest, Prompt: prompt, Seed: seed, Steps: int(steps), Width: 64, Height: 64}
		one, err := e.Run(t.Context(), r, nil)
		both, batchErr := e.RunBatch(t.Context(), []engine.Request{r, r})
		if err != nil {
			if !errors.Is(err, engine.ErrBadRequest) || !errors.Is(batchErr, engine.ErrBadRequest) {
				t.Fatalf("errors %v, %v", err, batchErr)
			}
			return
		}
		if batchErr != nil || both[0].PixelsDigest != one.PixelsDigest || both[1].PixelsDigest != one.PixelsDigest {
			t.Fatalf("three runs, several pictures: %v, %v, %v", one.PixelsDigest, both, batchErr)
		}
	})
}

// BenchmarkBatch64 draws pictures without writing PNG files, which RunBatch would; see
// BenchmarkDraw for one.

package enginetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

func TestFakeConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return &enginetest.Fake{} })
}

func request() engine.Request {
	return engine.Request{Model: enginetest.FakeModel().Digest, Prompt: "x", Steps: 3}
}

func TestFakeHooks(t *testing.T) {
	boom := errors.New("boom")
	f := &enginetest.Fake{Fail: func(context.Context, engine.Request) error { return boom }}
	if _, err := f.Run(t.Context(), request(), nil); !errors.Is(err, boom) || f.Runs() != 1 {
		t.Errorf("error %v after %d runs", err, f.Runs())
	}
	f = &enginetest.Fake{Spoil: func(_ engine.Request, r *engine.Result) { r.PixelsDigest = essaim.Digest{1} }}
	if r, err := f.Run(t.Context(), request(), nil); err != nil || r.PixelsDigest != (essaim.Digest{1}) {
		t.Errorf("digest %s, error %v", r.PixelsDigest, err)
	}
}

func TestFakeTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, start := &enginetest.Fake{Delay: time.Second}, time.Now()
		if _, err := f.Run(t.Context(), request(), nil); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("took %v, error %v", time.Since(start), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := f.Run(ctx, request(), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want that of the deadline", err)
		}
	})
}

package quality_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/quality"
)

var (
	miner = essaim.NodeKey{1}
	model = essaim.DigestOf([]byte("m"))
	other = essaim.DigestOf([]byte("n"))
)

// TestLeftOutForLonger: each failure beyond those that are tolerated doubles the time, up to ten minutes; a
// success ends it, and another model is another matter.
func TestLeftOutForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := quality.New(nil, quality.FirstPause)
		fail := func() { b.Note(miner, model, quality.Failed, 0, time.Now()) }
		for range quality.Tolerated {
			fail()
		}
		if err := b.LeftOut(miner, model, time.Now()); err != nil {
			t.Fatalf("after %d failures: %v", quality.Tolerated, err)
		}
		want := 5 * time.Second
		for range 12 {
			fail()
			err := b.LeftOut(miner, model, time.Now())
			if essaim.CodeOf(err) != essaim.CodeUnavailable || !strings.Contains(err.Error(), want.String()) || !strings.Contains(err.Error(), "in a row") {
				t.Fatalf("%v, want %v", err, want)
			}
			if b.LeftOut(miner, other, time.Now()) != nil || b.Out(time.Now()) != 1 {
				t.Fatal("left out of another model")
			}
			time.Sleep(want - time.Nanosecond)
			if b.LeftOut(miner, model, time.Now()) == nil {
				t.Fatalf("back before %v", want)
			}
			time.Sleep(time.Nanosecond)
			if err := b.LeftOut(miner, model, time.Now()); err != nil {
				t.Fatalf("not back after %v: %v", want, err)
			}
			want = min(2*want, 10*time.Minute)
		}
		b.Note(miner, model, quality.Done, time.Second, time.Now())
		fail()
		if b.LeftOut(miner, model, time.Now()) != nil {
			t.Error("one failure after a success has consequences")
		}
	})
}

// TestOneAccident: a miner that works at eight tasks when its connection breaks has failed once.
func TestOneAccident(t *testing.T) {
	b, now := quality.New(nil, quality.FirstPause), time.Unix(100, 0)
	for range 8 {
		b.Note(miner, model, quality.Failed, time.Second, now)
	}
	if r := b.Of(miner, model); r.Failures != 1 || b.LeftOut(miner, model, now) != nil {
		t.Errorf("%d failures", r.Failures)
	}
	b.Note(miner, model, quality.Failed, time.Second, now.Add(2*time.Second))
	if r := b.Of(miner, model); r.Failures != 2 {
		t.Errorf("%d failures after a task that has begun later", r.Failures)
	}
}

// TestWrongAtOnce: a receipt that does not stand the checks is no accident.
func TestWrongAtOnce(t *testing.T) {
	b, now := quality.New(nil, quality.FirstPause), time.Unix(1, 0)
	b.Note(miner, model, quality.Wrong, time.Second, now)
	if err := b.LeftOut(miner, model, now); err == nil || !strings.Contains(err.Error(), "does not stand the checks") {
		t.Error(err)
	}
}

// TestFactor: whatever happened, a factor is in (0, 1], more success never lowers it, and nothing but more than twice
// the usual time does for one that never fails.
func TestFactor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := quality.New(nil, quality.FirstPause), time.Unix(1, 0)
		miners := []essaim.NodeKey{{1}, {2}, {3}}
		for range rapid.IntRange(0, 60).Draw(t, "attempts") {
			m := rapid.SampledFrom(miners).Draw(t, "miner")
			r := quality.Result(rapid.IntRange(0, 2).Draw(t, "result"))
			b.Note(m, model, r, time.Duration(rapid.IntRange(1, 100).Draw(t, "ms"))*time.Millisecond, now)
			f := b.Factor(m, model)
			if f < quality.Floor || f > 1 {
				t.Fatalf("factor %v", f)
			}
			if rec := b.Of(m, model); rec.Good+rec.Wrong > rec.Every+1e-9 {
				t.Fatalf("%+v", rec)
			}
		}
	})
	b, now := quality.New(nil, quality.FirstPause), time.Unix(1, 0)
	fast, slow := essaim.NodeKey{8}, essaim.NodeKey{9}
	for range 40 {
		for range 5 {
			b.Note(fast, model, quality.Done, time.Second, now)
		}
		b.Note(slow, model, quality.Done, 20*time.Second, now)
	}
	if f := b.Factor(fast, model); f < 0.999 {
		t.Errorf("the fast one has %v", f)
	}
	if f := b.Factor(slow, model); f > 0.8 || f < 0.24 {
		t.Errorf("the slow one has %v", f)
	}
	if f := b.Factor(slow, other); f < 0.999 {
		t.Errorf("with a model that it was not tried with it has %v", f)
	}
}

// TestWhatIsWritten: a miner's own measure outlives the program, and is where its models begin.
func TestWhatIsWritten(t *testing.T) {
	b, now := quality.New(nil, quality.FirstPause), time.Unix(1, 0)
	for range 50 {
		b.Note(miner, model, quality.Failed, time.Second, now)
	}
	kept := b.Changed()
	if len(b.Changed()) != 0 || len(kept) != 1 {
		t.Fatalf("kept %v", kept)
	}
	again := quality.New(kept, quality.FirstPause)
	if f := again.Factor(miner, other); f > 0.06 {
		t.Errorf("factor %v after a restart", f)
	}
	if again.LeftOut(miner, model, now) != nil {
		t.Error("left out after a restart")
	}
}

func TestMeasureRecovers(t *testing.T) {
	var q quality.Measure
	if q.Ratio() != 1 {
		t.Errorf("ratio of a miner that nobody has seen is %v", q.Ratio())
	}
	for range 50 {
		q.Note(false)
	}
	low := q.Ratio()
	for range 50 {
		q.Note(true)
	}
	if q.Ratio() < 0.85 || low > 0.1 {
		t.Errorf("ratio %v after failures, %v after as many successes", low, q.Ratio())
	}
}

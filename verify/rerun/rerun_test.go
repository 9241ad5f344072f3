package rerun_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/freivalds"
	"github.com/essaim/essaim/verify/rerun"
)

// embedding is a finished task of the text engine, with its trace.
func embedding(t *testing.T, e *text.Engine, prompt string) verify.Case {
	t.Helper()
	models, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	input := essaim.Input{Prompt: prompt, Salt: make([]byte, 16)}
	task := essaim.NewTask("essaim-test", 1, 1)
	task.Kind, task.Model, task.Input, task.MaxPrice = essaim.KindEmbed, models[0].Digest, input.Digest(), 9
	c := verify.Case{Task: task, Input: input, Receipt: essaim.NewReceipt(task)}
	result, err := e.RunTraced(t.Context(), engine.Request{Model: task.Model, Prompt: prompt, Trace: true}, func(o quant.Op) {
		c.Trace = o.AppendRecord(c.Trace)
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Receipt.Trace, c.Receipt.Units = result.Trace, task.Units()
	return with(c, result.Data)
}

// with binds other data to a case.
func with(c verify.Case, data []byte) verify.Case {
	c.Output = essaim.Output{MediaType: engine.MediaEmbedding, Data: data}
	c.Receipt.Output, c.Receipt.Size, c.Receipt.MediaType = essaim.DigestOf(data), uint64(len(data)), engine.MediaEmbedding
	return c
}

// TestEmbeddings: what is no picture is compared byte by byte.
func TestEmbeddings(t *testing.T) {
	e, err := text.New()
	if err != nil {
		t.Fatal(err)
	}
	right := embedding(t, e, "a red apple")
	change := func(at int, by byte) verify.Case {
		data := bytes.Clone(right.Output.Data)
		data[at] += by
		return with(right, data)
	}
	foreign := embedding(t, e, "a house")
	trace := right
	trace.Receipt.Trace[3]++
	for _, m := range []verify.Method{rerun.Method{Runner: rerun.With(e)}, freivalds.New(e)} {
		near := m.About().Name == rerun.Name
		for _, c := range []struct {
			why  string
			c    verify.Case
			want essaim.VerdictResult
			near bool
		}{
			{"the right one", right, essaim.VerdictValid, false},
			{"one number off by one", change(7, 1), essaim.VerdictInvalid, near},
			{"one number off by 100", change(7, 100), essaim.VerdictInvalid, false},
			{"cut short", with(right, right.Output.Data[:100]), essaim.VerdictInvalid, false},
			{"another text's", with(right, foreign.Output.Data), essaim.VerdictInvalid, false},
			{"another trace", trace, essaim.VerdictInvalid, false},
		} {
			f, err := m.Check(t.Context(), c.c)
			if err != nil || f.Result != c.want || f.Near != c.near {
				t.Errorf("%s: %s: %+v, error %v", m.About().Name, c.why, f, err)
			}
		}
	}
}

// TestWhoIsToBlame: an engine's own fault says nothing of the miner; a result of a task that can have none
// does.
func TestWhoIsToBlame(t *testing.T) {
	fault := errors.New("out of memory")
	for _, c := range []struct {
		why  string
		fail error
		want error
	}{
		{"the verifier's fault", fault, fault},
		{"a task that no engine runs", engine.ErrBadRequest, verify.ErrNever},
		{"cancelled", context.Canceled, context.Canceled},
	} {
		e := &enginetest.Fake{Fail: func(context.Context, engine.Request) error { return c.fail }}
		task := essaim.NewTask("essaim-test", 1, 1)
		task.Model = enginetest.FakeModel().Digest
		_, err := rerun.With(e).Again(t.Context(), verify.Case{Task: task, Input: essaim.Input{Prompt: "x"}})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: error %v", c.why, err)
		}
	}
	task := essaim.NewTask("essaim-test", 1, 1)
	task.Model = essaim.DigestOf([]byte("nobody's"))
	if _, err := rerun.With(&enginetest.Fake{}).Again(t.Context(), verify.Case{Task: task}); !errors.Is(err, verify.ErrCannot) {
		t.Errorf("a model that is not here: error %v", err)
	}
}

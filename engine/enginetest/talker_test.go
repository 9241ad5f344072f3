package enginetest_test

import (
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/enginetest"
)

func TestTalkerConforms(t *testing.T) {
	enginetest.Run(t, func() engine.Engine { return &enginetest.Talker{} })
}

func TestTalkerStopsWhereItIsTold(t *testing.T) {
	f := &enginetest.Talker{}
	ask := engine.Chat{Messages: []engine.Message{{Role: "user", Content: "one two three"}}}.Encode()
	got, err := f.Run(t.Context(), engine.Request{Model: enginetest.TalkerModels()[0].Digest, Prompt: ask, Steps: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := engine.ParseAnswer(got.Data)
	if err != nil || a != (engine.Answer{Content: "You said: one ", Finish: engine.FinishLength, Read: 3, Written: 3}) || got.Units != 4 || f.Runs() != 1 {
		t.Errorf("%+v of %d units: %v", a, got.Units, err)
	}
}

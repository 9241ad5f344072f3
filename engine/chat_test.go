package engine_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

func TestChatsComeBackAsTheyWere(t *testing.T) {
	hot := 1.5
	c := engine.Chat{Messages: []engine.Message{{Role: "system", Content: "Be <brief> & kind"}, {Role: "user", Content: "é\n\"x\""}}, Temperature: &hot, Stop: []string{"END"}}
	got, err := engine.ParseChat(c.Encode())
	if err != nil || got.Encode() != c.Encode() || *got.Temperature != hot {
		t.Fatalf("%+v: %v", got, err)
	}
	for _, bad := range []string{
		``, `red apple`, `{}`, `{"messages":[]}`, `{"messages":[{"role":"tool","content":"x"}]}`, `{"messages":[{"role":"user","content":"x"}],"tools":[]}`,
		c.Encode() + "{}", `{"messages":[{"role":"user","content":"x"}],"temperature":3}`, `{"messages":[{"role":"user","content":"x"}],"top_p":0}`,
		`{"messages":[{"role":"user","content":"x"}],"stop":[""]}`, "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
	} {
		if _, err := engine.ParseChat(bad); !errors.Is(err, engine.ErrBadRequest) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	a := engine.Answer{Content: "hello", Finish: engine.FinishStop, Read: 9, Written: 2}
	r := a.Result()
	if got, err := engine.ParseAnswer(r.Data); err != nil || got != a || r.Units != 5 || r.Steps != 2 {
		t.Errorf("%+v of %d units: %v", got, r.Units, err)
	}
	for _, bad := range []string{``, `{}`, `{"finish":"later"}`, `{"finish":"stop","written":9999999}`} {
		if _, err := engine.ParseAnswer([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestEmbeddings(t *testing.T) {
	want := []float32{1, -0.5, 0}
	if got, err := engine.ParseEmbedding(engine.MediaFloats, engine.Floats(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %v", got, err)
	}
	if got, err := engine.ParseEmbedding(engine.MediaEmbedding, []byte{1, 255}); err != nil || !slices.Equal(got, []float32{1, -1}) {
		t.Errorf("%v: %v", got, err)
	}
	for _, bad := range [][]byte{nil, {1, 2, 3}, make([]byte, 8), engine.Floats([]float32{float32(math.NaN())}), engine.Floats([]float32{1, float32(math.Inf(1))})} {
		if _, err := engine.ParseEmbedding(engine.MediaFloats, bad); err == nil {
			t.Errorf("%x is taken", bad)
		}
	}
	if _, err := engine.ParseEmbedding(engine.MediaChat, []byte("x")); err == nil {
		t.Error("another media type is taken")
	}
	if essaim.KindChat.CheckPrompt("") == nil || essaim.KindChat.CheckPrompt(string(make([]byte, essaim.MaxChat))) != nil || essaim.CheckPrompt(string(make([]byte, essaim.MaxPrompt+1))) == nil {
		t.Error("the bounds of prompts are other ones")
	}
}

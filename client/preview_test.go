package client_test

import (
	"bytes"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/client/clienttest"
)

// TestPreview: what is shown before the picture is what the miner has sealed at that step, and a
// coordinator that changes it, shows it at another step, or loses it changes nothing else.
func TestPreview(t *testing.T) {
	for name, c := range map[string]struct {
		ask   uint32
		shown int
		spoil func(*essaim.Progress) bool
	}{
		"asked for":          {ask: 2, shown: 1},
		"not asked for":      {ask: 0},
		"changed":            {ask: 2, spoil: func(p *essaim.Progress) bool { p.Part[len(p.Part)-1]++; return false }},
		"of another step":    {ask: 2, spoil: func(p *essaim.Progress) bool { p.Step++; return false }},
		"of another attempt": {ask: 2, spoil: func(p *essaim.Progress) bool { p.Attempt++; return false }},
		"lost":               {ask: 2, spoil: func(*essaim.Progress) bool { return true }},
	} {
		n := clienttest.New(t, 1)
		n.OnPart = c.spoil
		var shown [][]byte
		p, err := n.Open(t, 10*clienttest.Price).Draw(t.Context(), client.Request{
			Model: n.Model.Digest, Prompt: "a red apple", Seed: 3, Previews: c.ask, Preview: func(file []byte) { shown = append(shown, file) },
		}, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(shown) != c.shown || c.shown == 1 && !bytes.Equal(shown[0], clienttest.Preview("a red apple", 3)) {
			t.Errorf("%s: %d previews", name, len(shown))
		}
		if want, _ := clienttest.Draw("a red apple", 3); !bytes.Equal(p.Data, want) {
			t.Errorf("%s: another picture", name)
		}
	}
}

// TestInitIsBounded: what cannot be sent is refused before anything is paid.
func TestInitIsBounded(t *testing.T) {
	n := clienttest.New(t, 1)
	s := n.Open(t, 10*clienttest.Price)
	for name, r := range map[string]client.Request{
		"too large":   {Init: make([]byte, essaim.MaxInit+1), Strength: 500},
		"no strength": {Init: []byte{1}},
		"too strong":  {Init: []byte{1}, Strength: 1001},
	} {
		r.Model, r.Prompt = n.Model.Digest, "x"
		if _, err := s.Draw(t.Context(), r, nil); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n.Submits() != 0 {
		t.Errorf("%d tasks were handed in", n.Submits())
	}
}

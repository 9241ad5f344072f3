package once_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/once"
)

// TestDecide: what is done of a request, by what its tasks came to.
func TestDecide(t *testing.T) {
	asked, other := essaim.DigestOf([]byte("a")), essaim.DigestOf([]byte("b"))
	a, b := essaim.DigestOf([]byte("receipt 1")), essaim.DigestOf([]byte("receipt 2"))
	failed, lost, doubted := once.Task{Asked: asked}, once.Task{Asked: asked, Captured: true}, once.Task{Asked: asked, Doubted: true}
	one, two := once.Task{Asked: asked, Captured: true, Receipt: a}, once.Task{Asked: asked, Captured: true, Receipt: b}
	for name, c := range map[string]struct {
		have []once.Task
		code essaim.Code // "": none
		gone bool
		done []essaim.Digest
	}{
		"never sent":                   {},
		"nothing came of it":           {have: []once.Task{failed, failed}},
		"another's name":               {have: []once.Task{{Asked: other}}, code: essaim.CodeConflict},
		"another's, and done":          {have: []once.Task{{Asked: other, Captured: true, Receipt: a}}, code: essaim.CodeConflict},
		"done":                         {have: []once.Task{one, two}, done: []essaim.Digest{a, b}},
		"done in part":                 {have: []once.Task{failed, two}, done: []essaim.Digest{b}},
		"done, and one is lost":        {have: []once.Task{one, lost}, done: []essaim.Digest{a}},
		"done and lost":                {have: []once.Task{failed, lost}, code: essaim.CodeConflict, gone: true},
		"in doubt":                     {have: []once.Task{failed, doubted}, code: essaim.CodeUnavailable},
		"in doubt beside what is done": {have: []once.Task{one, doubted}, code: essaim.CodeUnavailable},
	} {
		r := &once.Request{Asked: asked, Done: []essaim.Digest{other}}
		err := r.Decide(c.have)
		code := essaim.Code("")
		if err != nil {
			code = essaim.CodeOf(err)
		}
		if code != c.code || errors.Is(err, once.ErrGone) != c.gone {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !slices.Equal(r.Done, c.done) {
			t.Errorf("%s: done %v", name, r.Done)
		}
	}
}

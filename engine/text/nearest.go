package text

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/essaim/essaim/quant"
)

// Concept is one of the things that the model was trained on.
type Concept struct {
	Emoji string
	Name  string // in English
}

// Near is a concept and how near it is.
type Near struct {
	Concept
	Cosine int // in 1/1000, rounded down
}

// Nearest finds the n concepts nearest to a text of any of the model's languages, the
// nearest first.
//
// Errors: wraps engine.ErrBadRequest if the text has no words.
func (e *Engine) Nearest(text string, n int) ([]Near, error) {
	v, _, err := e.embed(text, new(quant.Tape))
	if err != nil {
		return nil, err
	}
	own := dot(v, v)
	type scored struct {
		concept int
		cosine  int64 // in 1/2²⁰
	}
	all := make([]scored, len(e.concepts))
	for i := range all {
		all[i] = scored{i, dot(v, e.weights.concepts[i*size:][:size]) << 20 / max(squareRoot(uint64(own*e.lengths[i])), 1)}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.cosine, a.cosine) })
	out := make([]Near, 0, min(max(n, 0), len(all)))
	for _, s := range all[:cap(out)] {
		out = append(out, Near{e.concepts[s.concept], int(s.cosine * 1000 >> 20)})
	}
	return out, nil
}

func dot(a, b []int8) (sum int64) {
	b = b[:len(a)]
	for i, v := range a {
		sum += int64(v) * int64(b[i])
	}
	return sum
}

// squareRoot is the largest r with r·r <= n.
func squareRoot(n uint64) int64 {
	if n == 0 {
		return 0
	}
	r := uint64(1) << ((bits.Len64(n) + 1) / 2) // not below the root
	for {
		next := (r + n/r) / 2
		if next >= r {
			return int64(r)
		}
		r = next
	}
}

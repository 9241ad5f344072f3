// Package logprob compares how two machines ran a language model on the same tokens: by the
// log-probabilities of the likeliest tokens, or by a fingerprint of hidden states.
//
// A verifier does not generate the text again, which floating point would let come out
// otherwise; it reads the miner's tokens in one pass ("prefill"), a hundredth of the cost,
// and compares what both saw at each place. It exists as pure functions: no engine in this
// repository is a language model or gives hidden states yet, so there is no verify.Method
// here and the thresholds are those that others have published, not our measurements.
//
// Neither comparison proves that the tokens were sampled as asked: a miner may write any text
// and let the right model read it. [Transcript.Surprise] tells how unlikely the text was.
// Nothing here may be held against a miner on one audit; that is what verify/trust counts.
package logprob

import (
	"fmt"
	"math"
)

// Choice is one token and its log-probability, in millionths of a nat: at most 0.
type Choice struct {
	Token uint32
	Micro int64
}

// Place is one generated token and the likeliest tokens at its place, the likeliest first.
type Place struct {
	Token uint32
	Top   []Choice
}

// Transcript is a generated text, place by place.
type Transcript []Place

// Accept is the least Similarity of two honest machines, in millionths, as Gonka has it.
const Accept = 990_000

// absent stands for the log-probability of a token that a list does not have: the last one of
// the list, and a nat less.
const absent = 1_000_000

// Similarity is how alike two machines' views of the same tokens are, in millionths:
// 1 minus the mean of |a-b| / (|a|+|b|) over the tokens of the miner's lists, which is 1 for
// the same lists and 0 for lists that have nothing in common. The shape is Gonka's.
//
// Errors: the transcripts are of different tokens, or a list is empty.
func Similarity(miner, verifier Transcript) (millionths uint64, err error) {
	if len(miner) != len(verifier) || len(miner) == 0 {
		return 0, fmt.Errorf("transcripts have %d and %d places", len(miner), len(verifier))
	}
	sum, n := uint64(0), uint64(0)
	for i, p := range miner {
		q := verifier[i]
		if p.Token != q.Token || len(p.Top) == 0 || len(q.Top) == 0 {
			return 0, fmt.Errorf("place %d: tokens %d and %d, lists of %d and %d", i, p.Token, q.Token, len(p.Top), len(q.Top))
		}
		for _, c := range p.Top {
			sum += apart(c.Micro, find(q.Top, c.Token))
			n++
		}
	}
	return 1_000_000 - sum/n, nil
}

// apart is |a-b| / (|a|+|b|) in millionths.
func apart(a, b int64) uint64 {
	a, b = max(min(a, 0), -1<<40), max(min(b, 0), -1<<40)
	if a == b {
		return 0
	}
	return uint64(max(a-b, b-a)) * 1_000_000 / uint64(-a-b)
}

func find(top []Choice, token uint32) int64 {
	for _, c := range top {
		if c.Token == token {
			return c.Micro
		}
	}
	return top[len(top)-1].Micro - absent
}

// Surprise is the mean of minus the log-probability of the tokens of the text, in millionths of a
// nat: for text that was sampled at temperature 1 it is near the model's entropy, for
// text from elsewhere far above.
func (t Transcript) Surprise() uint64 {
	sum, n := uint64(0), uint64(0)
	for _, p := range t {
		if len(p.Top) == 0 {
			continue
		}
		sum += uint64(-max(min(find(p.Top, p.Token), 0), math.MinInt32))
		n++
	}
	return sum / max(n, 1)
}

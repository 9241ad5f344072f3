// Package chance is the arithmetic of who gets a task: draws by weight, and what they come to
// for those who were drawn before. It knows numbers only: what is weighed is the
// coordinator's matter, and it must not be used where a draw has to be shown to others.
package chance

import (
	"math/rand/v2"
	"slices"
)

// Spin returns a random index in proportion to the weights.
func Spin(weights []float64) int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	at, i := rand.Float64()*total, 0
	for ; i < len(weights)-1 && at >= weights[i]; i++ {
		at -= weights[i]
	}
	return i
}

// First turns the weights of a set that was drawn without replacement into the chances
// that each was drawn first; all is the weight of everybody in the draw.
func First(weights []float64, all float64) []float64 {
	var orders func(left []float64, all float64) float64
	orders = func(left []float64, all float64) float64 {
		if len(left) == 0 {
			return 1
		}
		sum := 0.0
		for i, w := range left {
			sum += orders(without(left, i), all-w)
		}
		return sum / max(all, slices.Max(left)) // more than all of them only by rounding
	}
	out := make([]float64, len(weights))
	for i, w := range weights {
		out[i] = orders(without(weights, i), all-w)
	}
	return out
}

func without(list []float64, i int) []float64 {
	return slices.Delete(slices.Clone(list), i, i+1)
}

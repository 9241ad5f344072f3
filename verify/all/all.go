// Package all lists the verification methods in this binary: explicitly, one line each.
// Methods do not register themselves.
//
// It must not hold anything but the list.
package all

import (
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/freivalds"
	"github.com/essaim/essaim/verify/phash"
	"github.com/essaim/essaim/verify/receipt"
	"github.com/essaim/essaim/verify/replica"
	"github.com/essaim/essaim/verify/rerun"
)

// Tools are what methods work with.
type Tools struct {
	Runner verify.Runner                  // runs tasks again
	Exact  func(model essaim.Digest) bool // whether a model gives the same bits everywhere
	Walk   []freivalds.Walker             // engines that compute in integers
}

// Methods lists the methods, the cheapest first.
func Methods(t Tools) []verify.Method {
	return []verify.Method{
		receipt.Method{},
		phash.Method{Runner: t.Runner},
		replica.Method{Exact: t.Exact},
		freivalds.New(t.Walk...),
		rerun.Method{Runner: t.Runner},
	}
}

// Find looks one of the methods up by its name.
func Find(methods []verify.Method, name string) (verify.Method, bool) {
	i := slices.IndexFunc(methods, func(m verify.Method) bool { return m.About().Name == name })
	if i < 0 {
		return nil, false
	}
	return methods[i], true
}

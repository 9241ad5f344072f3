// Package vet says whether what a miner hands in fits what it was offered. It looks at
// what is signed only: whether the work was done rightly is checked elsewhere, and nothing
// is kept here.
package vet

import (
	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/transport"
)

// Receipt runs every check of a receipt that needs no verification of the work
// itself: of a miner that was offered the task by a coordinator.
//
// Errors: CodeRefused or CodeBadInput, naming the first check that failed.
func Receipt(coordinator essaim.NodeKey, t essaim.Task, miner essaim.NodeKey, o transport.Offer, res transport.Result) (essaim.Receipt, error) {
	r, signature, err := essaim.ReadReceipt(res.Receipt)
	if err == nil {
		err = signature.CheckOnce()
	}
	if err != nil {
		return r, err
	}
	if err := r.Binds(t); err != nil {
		return r, err
	}
	price, ok := o.UnitPrice.Mul(r.Units)
	refuse := func(format string, args ...any) (essaim.Receipt, error) {
		return r, essaim.Errorf(essaim.CodeRefused, "upgrade the miner", "receipt: "+format, args...)
	}
	switch {
	case len(res.Receipt) > receipts.MaxSigned:
		return refuse("of %d bytes, at most %d", len(res.Receipt), receipts.MaxSigned)
	case r.Miner != miner:
		return refuse("by miner %s, the task was offered to %s", r.Miner.Short(), miner.Short())
	case r.Coordinator != coordinator:
		return refuse("for coordinator %s, this is %s", r.Coordinator.Short(), coordinator.Short())
	case r.Attempt != o.Attempt:
		return refuse("of attempt %d, this is %d", r.Attempt, o.Attempt)
	case !ok || r.Price != price:
		return refuse("price %d uaim, offered were %d", r.Price, price)
	case r.Sealed != essaim.DigestOf(res.Sealed):
		return refuse("the sealed result is another one")
	}
	return r, nil
}

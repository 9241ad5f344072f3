package verifier

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/essaim/essaim"
)

// Causes of an accusation, as the ledger's table of slashes spells them.
const (
	CauseStatistical = "statistical" // a sequential test over many results has rejected honesty
	CauseMissedDuty  = "missed_duty" // one over audits that were not answered has
)

// Accusation is what speaks against a miner and no ledger can judge by itself: a proposal to slash is made of it, and
// people vote.
type Accusation struct {
	Miner    essaim.NodeKey
	Model    essaim.Digest
	Cause    string
	Method   string   // in words
	Evidence []string // CIDs, the latest maxEvidence
	Heights  []int64  // of the beacons that had drawn the miner, if one had
}

// miss is the evidence that a duty was missed. That the miner was drawn anyone can compute from the receipt, the beacon
// and the ledger's miners; that it was asked is the coordinator's word.
type miss struct {
	Miner   essaim.NodeKey `json:"miner"`
	Receipt essaim.Digest  `json:"receipt"` // that was to be checked
	Height  int64          `json:"height"`  // of the beacon
	Place   int            `json:"place"`   // in the draw, from 0
	Why     essaim.Code    `json:"why"`
}

// answered counts whether a miner that was drawn and is connected did what it was asked for. Whatever else went wrong
// is not its fault.
func (v *Verifier) answered(ctx context.Context, a *audit, m essaim.Actor, place int, err error) {
	code := essaim.CodeOf(err)
	missed := err != nil && (code == essaim.CodeUnavailable || code == essaim.CodeExpired)
	if ctx.Err() != nil || err != nil && !missed {
		return
	}
	cid := ""
	if missed {
		text, _ := json.Marshal(miss{m.NodeKey, a.Receipt.Digest(), a.height, place, code}) // cannot fail
		cid = v.put(text)
	}
	s := subject{m.NodeKey, a.Receipt.Model}
	v.mu.Lock()
	k := v.records[s]
	if missed {
		k.Missed, k.Heights = latest(append(k.Missed, cid)), latest(append(k.Heights, a.height))
	}
	was := k.Duties
	absent := k.Duties.Drawn(!missed)
	accusation := Accusation{
		Miner: s.Miner, Model: s.Model, Cause: CauseMissedDuty, Evidence: k.Missed, Heights: k.Heights,
		Method: fmt.Sprintf("sequential test, 10 %% against 50 %%: %d of %d audits were not answered", was.Missed+1, was.Asked+1),
	}
	if absent || k.Duties.Asked > 0 && k.Duties.Evidence == 0 {
		k.Missed, k.Heights = nil, nil // the test begins anew
	}
	v.records[s] = k
	v.mu.Unlock()
	v.save(s, k)
	if absent {
		v.accuse(accusation)
	}
}

func latest[T any](list []T) []T { return list[max(0, len(list)-maxEvidence):] }

func (v *Verifier) accuse(a Accusation) {
	v.log.Warn("a miner is accused: governance may slash it", "miner", a.Miner.String(), "model", a.Model.Short(), "cause", a.Cause, "evidence", len(a.Evidence))
	v.cfg.Accuse(a)
}

package verifier

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/trust"
)

// A result is what receipts of an exact model can be compared by.
type result struct{ result, trace essaim.Digest }

func resultOf(r essaim.Receipt) result { return result{r.Result(), r.Trace} }

// right is the result that most miners with a voice got, if at least two did, and more than any other. Where they differ,
// one that the beacon has drawn must be among them: who was asked beforehand could have been chosen.
// Miners of an audit are drawn after the first has signed, and none has seen another's
// result; whoever is said to be wrong can still dispute it, and the ledger computes.
func right(first essaim.Receipt, others []answer) (result, bool) {
	votes, drawn := map[result]int{resultOf(first): 1}, map[result]bool{}
	for _, o := range others {
		if r := resultOf(o.receipt); !o.void {
			votes[r]++
			drawn[r] = drawn[r] || !o.asked
		}
	}
	var best result
	most, tie := 0, false
	for r, n := range votes {
		if n > most {
			best, most, tie = r, n, false
		} else if n == most {
			tie = true
		}
	}
	return best, most >= 2 && !tie && (len(votes) == 1 || drawn[best])
}

func decided(first essaim.Receipt, others []answer) bool {
	_, ok := right(first, others)
	return ok
}

// judge states what the results say of each other, and of their miners.
func (v *Verifier) judge(ctx context.Context, a *audit, input []byte) {
	truth, known := right(a.Receipt, a.others)
	reason, near := "", false
	switch {
	case !known:
		reason = "miners disagree, and too few could be asked who is right"
	case resultOf(a.Receipt) != truth:
		reason, near = "the result is not what the model gives", v.odd(ctx, a.whole(), a.Receipt.Miner)
	}
	for _, o := range a.others {
		r := essaim.VerdictUnclear
		switch {
		case verify.Agree(a.Receipt, o.receipt):
			r = essaim.VerdictValid
		case known && resultOf(o.receipt) == truth:
			r = essaim.VerdictInvalid
		}
		v.state(a, o, r, near && r == essaim.VerdictInvalid)
	}
	all := append([]answer{{receipt: a.Receipt, file: a.File}}, a.others...)
	for i, o := range all {
		if !known || o.asked { // a sibling is judged in its own audit
			continue
		}
		v.count(o, truth, all, input, near && i == 0 || i > 0 && resultOf(o.receipt) != truth && v.odd(ctx, a.whole(), o.receipt.Miner))
	}
	v.conclude(ctx, a, essaim.AuditDone, reason)
}

// state signs a verdict of the comparison with one answer.
func (v *Verifier) state(a *audit, o answer, r essaim.VerdictResult, near bool) {
	f := verify.Finding{Method: o.method, Result: r, Near: near, Evidence: o.receipt.Digest()}
	height := a.height
	if o.asked {
		height = 0 // no beacon has drawn it
	}
	signed, err := essaim.SignVerdict(f.Verdict(a.Receipt, v.key, height), v.cfg.Key)
	if err != nil {
		v.log.Error("a verdict cannot be signed", "err", err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	a.checks = append(a.checks, essaim.Check{Verdict: signed, Rerun: o.file.Encode()})
}

// count notes whether a miner was right. The model is exact, so that one wrong result
// is proof: unless its machine is odd, the miner gets no more tasks of the model, and the
// fault goes to whoever can take it to the ledger.
func (v *Verifier) count(by answer, truth result, all []answer, input []byte, odd bool) {
	s := subject{by.receipt.Miner, by.receipt.Model}
	if resultOf(by.receipt) == truth {
		v.note(s, trust.Right, nil)
		return
	}
	fault := verify.Fault{File: by.file}
	for _, o := range all {
		if resultOf(o.receipt) == truth {
			fault.Right = o.file
		}
	}
	if odd {
		v.note(s, trust.Near, &fault)
		return
	}
	v.note(s, trust.Wrong, &fault)
	fault.Input = input // from here on for who disputes it, and never kept
	v.convict(s, fault)
}

// maxEvidence is how many pieces a slash may name.
const maxEvidence = 16

// note counts an outcome for or against a miner. What speaks against it is kept as evidence.
func (v *Verifier) note(s subject, o trust.Outcome, f *verify.Fault) {
	cid := ""
	if f != nil && (o == trust.Wrong || o == trust.Near) {
		cid = v.keep(*f)
	}
	v.mu.Lock()
	k := v.records[s]
	if cid != "" {
		k.Evidence = latest(append(k.Evidence, cid))
	}
	failed, audits := k.Wrongs+1, k.Audits+1
	action := k.Audited(o)
	k.Barred = k.Barred || action == trust.Unlist || action == trust.Convict
	v.records[s] = k
	v.mu.Unlock()
	switch action {
	case trust.Warn, trust.Unlist:
		v.log.Warn("a miner's results are doubtful", "miner", s.Miner.Short(), "model", s.Model.Short(), "action", string(action), "audits", k.Audits, "wrong", k.Wrongs, "near", k.Nears)
	}
	v.save(s, k)
	if action == trust.Convict && !v.cfg.Exact(s.Model) {
		v.accuse(Accusation{
			Miner: s.Miner, Model: s.Model, Cause: CauseStatistical, Evidence: k.Evidence,
			Method: fmt.Sprintf("sequential test, 1 %% against 10 %%: %d of %d results were wrong", failed, audits),
		})
	}
}

// keep stores evidence and names it.
func (v *Verifier) keep(f verify.Fault) string {
	text, err := json.Marshal(f)
	if err != nil {
		v.log.Error("evidence cannot be written", "err", err)
		return ""
	}
	return v.put(text)
}

func (v *Verifier) put(evidence []byte) string {
	if v.cfg.Evidence == nil {
		return ""
	}
	d, err := v.cfg.Evidence.Put(context.Background(), evidence)
	if err != nil {
		v.log.Error("evidence cannot be kept", "err", err)
		return ""
	}
	return essaim.CIDOf(d)
}

// convict acts on a result that is proven wrong.
func (v *Verifier) convict(s subject, f verify.Fault) {
	v.mu.Lock()
	k := v.records[s]
	k.Barred = true
	v.records[s] = k
	v.mu.Unlock()
	v.save(s, k)
	v.log.Warn("a result is wrong: the miner gets no more tasks of the model", "miner", s.Miner.Short(), "model", s.Model.Short())
	v.cfg.Fault(f)
}

func (v *Verifier) save(s subject, k kept) {
	if err := v.book.put(s, k); err != nil {
		v.log.Error("what is known of a miner cannot be stored", "err", err)
	}
}

// round is what the replicas of one request share.
type round struct {
	session essaim.SessionID
	input   essaim.Digest
	seed    uint64
	model   essaim.Digest
}

func roundOf(r essaim.Receipt) round { return round{r.Session, r.Input, r.Seed, r.Model} }

// replicas reads a task's wish for k miners of different owners.
func replicas(wish string) (k int, ok bool) {
	n, found := strings.CutPrefix(wish, "replica:")
	k, err := strconv.Atoi(n)
	return k, found && err == nil && k >= 2
}

// compare judges a task that several miners were paid for: their results are compared, and
// if they differ, others are drawn.
func (v *Verifier) compare(ctx context.Context, a *audit, k int) {
	key := roundOf(a.Receipt)
	t := time.NewTicker(v.cfg.Poll)
	defer t.Stop()
	for end := time.Now().Add(v.cfg.Patience); ; {
		a.others = v.siblings(key, a)
		if len(a.others) >= k-1 || time.Now().After(end) {
			break
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
	if decided(a.Receipt, a.others) {
		v.judge(ctx, a, v.agreed(a))
		return
	}
	v.audit(ctx, a)
}

// siblings are the other miners' answers of a round.
func (v *Verifier) siblings(key round, a *audit) (out []answer) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, w := range v.rounds[key] {
		if w.Receipt.Miner != a.Receipt.Miner {
			out = append(out, answer{receipt: w.Receipt, file: w.File, method: "replica", asked: true})
		}
	}
	return out
}

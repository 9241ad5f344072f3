package verifier

import (
	"context"
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

// right is the result that most miners got, if at least two did, and more than any other.
// Miners of an audit are drawn after the first has signed, and none has seen another's
// result; whoever is said to be wrong can still dispute it, and the ledger computes.
func right(first essaim.Receipt, others []answer) (result, bool) {
	votes := map[result]int{resultOf(first): 1}
	for _, o := range others {
		votes[resultOf(o.receipt)]++
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
	return best, most >= 2 && !tie
}

func decided(first essaim.Receipt, others []answer) bool {
	_, ok := right(first, others)
	return ok
}

// judge states what the results say of each other, and of their miners.
func (v *Verifier) judge(ctx context.Context, a *audit, input []byte) {
	truth, known := right(a.Receipt, a.others)
	reason := ""
	if !known {
		reason = "miners disagree, and too few could be asked who is right"
	}
	for _, o := range a.others {
		r := essaim.VerdictUnclear
		switch {
		case verify.Agree(a.Receipt, o.receipt):
			r = essaim.VerdictValid
		case known && resultOf(o.receipt) == truth:
			r, reason = essaim.VerdictInvalid, "the result is not what the model gives"
		}
		v.state(a, o, r)
	}
	if known {
		all := append([]answer{{receipt: a.Receipt, file: a.File}}, a.others...)
		for _, o := range all {
			if !o.asked { // a sibling is judged in its own audit
				v.count(o.receipt, o.file, truth, all, input)
			}
		}
	}
	v.conclude(ctx, a, essaim.AuditDone, reason)
}

// state signs a verdict of the comparison with one answer.
func (v *Verifier) state(a *audit, o answer, r essaim.VerdictResult) {
	f := verify.Finding{Method: o.method, Result: r, Evidence: o.receipt.Digest()}
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
// is proof: it gets no more tasks of the model, and the fault goes to whoever can take it
// to the ledger.
func (v *Verifier) count(r essaim.Receipt, file essaim.ReceiptFile, truth result, all []answer, input []byte) {
	if resultOf(r) == truth {
		v.note(r, trust.Right)
		return
	}
	fault := verify.Fault{File: file, Input: input}
	for _, o := range all {
		if resultOf(o.receipt) == truth {
			fault.Right = o.file
		}
	}
	v.note(r, trust.Wrong)
	v.convict(r, fault)
}

// note counts an outcome for or against a miner.
func (v *Verifier) note(r essaim.Receipt, o trust.Outcome) {
	s := subject{r.Miner, r.Model}
	v.mu.Lock()
	record := v.records[s]
	action := record.Audited(o)
	v.records[s] = record
	if action == trust.Unlist || action == trust.Convict {
		v.barred[s] = true
	}
	k := kept{record, v.barred[s]}
	v.mu.Unlock()
	if action != trust.Nothing {
		v.log.Warn("a miner's results", "miner", r.Miner.Short(), "model", r.Model.Short(), "action", string(action), "audits", record.Audits, "wrong", record.Wrongs, "near", record.Nears)
	}
	if err := v.book.put(s, k); err != nil {
		v.log.Error("what is known of a miner cannot be stored", "err", err)
	}
}

// convict acts on a result that is proven wrong.
func (v *Verifier) convict(r essaim.Receipt, f verify.Fault) {
	s := subject{r.Miner, r.Model}
	v.mu.Lock()
	v.barred[s] = true
	k := kept{v.records[s], true}
	v.mu.Unlock()
	if err := v.book.put(s, k); err != nil {
		v.log.Error("what is known of a miner cannot be stored", "err", err)
	}
	v.log.Warn("a result is wrong", "miner", r.Miner.Short(), "receipt", r.Digest().Short(), "model", r.Model.Short())
	v.cfg.Fault(f)
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
		v.judge(ctx, a, nil)
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
			out = append(out, answer{w.Receipt, w.File, "replica", true})
		}
	}
	return out
}

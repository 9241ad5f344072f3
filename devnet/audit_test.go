package devnet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/verify"
)

// TestReceiptsAreAudited on a whole network: of clients that stay, of one that agrees
// beforehand, and of one that leaves without a word.
func TestReceiptsAreAudited(t *testing.T) {
	r := start(t, Config{Miners: 3, Audit: &node.Audit{Budget: 1_000_000, Patience: node.Duration(time.Second), Poll: node.Duration(50 * time.Millisecond)}})
	s := r.open(1*essaim.AIM, 2000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	draw := func(consent bool) *client.Picture {
		t.Helper()
		p, err := s.Draw(ctx, client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: "a red apple", Seed: 7, Consent: consent}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	auditor := r.Coordinator().(client.Auditor)
	audited := func(p *client.Picture, c essaim.Checked, method string) {
		t.Helper()
		if c.State != essaim.AuditDone || len(c.Checks) != 1 || c.Height == 0 || c.Share != essaim.BpsWhole {
			t.Fatalf("checked: %+v; a new miner's first receipts are all audited", c)
		}
		v, rerun, err := verify.Examine(p.Receipt, c.Checks[0])
		if err != nil || v.Result != essaim.VerdictValid || v.Height != c.Height {
			t.Fatalf("%+v: %v", v, err)
		}
		if method != "" && v.Method != method {
			t.Errorf("checked by %s, want %s", v.Method, method)
		}
		if rerun.Session == p.Receipt.Session {
			t.Errorf("the payer of the task has paid for its audit")
		}
	}
	p := draw(false)
	c, err := s.Attend(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	audited(p, c, "rerun")

	later := func(p *client.Picture) (c essaim.Checked) {
		t.Helper()
		r.eventually("the audit ends", func() bool {
			c, err = auditor.Checked(ctx, p.Receipt.Task)
			return err == nil && (c.State == essaim.AuditDone || c.State == essaim.AuditNone)
		})
		return c
	}
	p = draw(true)
	audited(p, later(p), "rerun")
	p = draw(false)
	audited(p, later(p), "replica") // the other candidates of the quote have the input
	both, same, err := s.Replicas(ctx, client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: "a blue house", Seed: 8}, 2, nil)
	if err != nil || !same || len(both) != 2 || both[0].Receipt.Miner == both[1].Receipt.Miner {
		t.Fatalf("%d replicas, same %v: %v", len(both), same, err)
	}
	for i, p := range both {
		v, other, err := verify.Examine(p.Receipt, later(p).Checks[0])
		if err != nil || v.Method != "replica" || v.Height != 0 || v.Result != essaim.VerdictValid || other.Miner != both[1-i].Receipt.Miner {
			t.Errorf("replica %d: %+v: %v", i, v, err)
		}
	}
	if _, err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// broken is an engine that always fails.
type broken struct{ *pixel.Engine }

func (broken) Run(context.Context, engine.Request, func(engine.Progress)) (engine.Result, error) {
	return engine.Result{}, errors.New("out of order")
}

// TestMissedDuties: a miner that takes audits and never answers is not held for wrong, gets no slash, and is proposed for
// one by itself, with evidence that both houses can look at.
func TestMissedDuties(t *testing.T) {
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Miners: 2, Audit: &node.Audit{Budget: 1_000_000, Poll: node.Duration(50 * time.Millisecond), Propose: true},
		Instead: func(i int) []engine.Engine { return []engine.Engine{[]engine.Engine{e, broken{e}}[i]} }})
	absent, err := NodeKey(r.MinerDirs()[1])
	if err != nil {
		t.Fatal(err)
	}
	s := r.open(1*essaim.AIM, 2000)
	for i := range uint64(6) {
		p, err := s.Draw(t.Context(), client.Request{Model: essaim.DigestOf(pixel.Manifest()), Prompt: "a red apple", Seed: i, Width: 64, Height: 64, Consent: true, MaxPrice: 1000}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := s.Attend(t.Context(), p); err != nil || c.State != essaim.AuditNone {
			t.Fatalf("%+v: %v", c, err)
		}
	}
	r.eventually("a slash is proposed", func() bool {
		p, err := r.Chain().Proposal(t.Context(), 1)
		return err == nil && strings.Contains(p.Title, absent.Short()) && strings.Contains(p.Title, "missed_duty")
	})
	if record, err := r.Chain().Record(t.Context(), absent); err != nil || record.Slashes != 0 {
		t.Errorf("it is slashed without a vote: %+v, %v", record, err)
	}
	if _, err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

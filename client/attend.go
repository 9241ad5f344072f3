package client

import (
	"context"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
)

// Auditor is a Coordinator that says what is checked of its receipts, and takes part in it.
type Auditor interface {
	// Checked says what is known of a task's receipt beyond its signatures.
	//
	// Errors: CodeNotFound if the task is not known, or was not looked at.
	Checked(ctx context.Context, task essaim.Digest) (essaim.Checked, error)

	// Share hands in a task's input, sealed to the miner that Checked has named.
	//
	// Errors: CodeConflict if it is not asked for, or no more.
	Share(ctx context.Context, task essaim.Digest, sealed []byte) error
}

// attendTick is how often Attend asks.
const attendTick = 100 * time.Millisecond

// Attend stays until it is known what is checked of a picture that this session has
// drawn. If a verifier is drawn, the input is sealed to it and to nobody else, after its key
// was compared with the ledger's. It returns as soon as the beacon has passed the picture
// over, and otherwise with what the check came to.
//
// Errors: CodeUnavailable if the coordinator audits nothing, the context's, else the
// coordinator's.
func (s *Session) Attend(ctx context.Context, p *Picture) (essaim.Checked, error) {
	auditor, ok := s.cfg.Coordinator.(Auditor)
	if !ok {
		return essaim.Checked{}, essaim.Errorf(essaim.CodeUnavailable, "use another coordinator", "the coordinator has nothing checked")
	}
	shared := map[essaim.NodeKey]bool{}
	for {
		c, err := auditor.Checked(ctx, p.Receipt.Task)
		if err != nil {
			return c, err
		}
		switch c.State {
		case essaim.AuditPassed, essaim.AuditDone, essaim.AuditNone:
			return c, nil
		case essaim.AuditDrawn:
			if c.Ask == nil || shared[c.Ask.Miner] || p.input == nil {
				break
			}
			shared[c.Ask.Miner] = true
			if err := s.share(ctx, auditor, p, *c.Ask); err != nil {
				return c, err
			}
		}
		select {
		case <-time.After(attendTick):
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// share seals the input to a verifier that is on the ledger with that key.
func (s *Session) share(ctx context.Context, to Auditor, p *Picture, who essaim.Candidate) error {
	if err := s.registry.check(ctx, s.cfg.Ledger, who); err != nil {
		return err
	}
	sealed, err := seal.Seal(p.input, p.Task.Input[:], who.HPKEKey)
	if err != nil {
		return err
	}
	err = to.Share(ctx, p.Receipt.Task, sealed)
	if essaim.CodeOf(err) == essaim.CodeConflict {
		return nil // it took another way in the meantime
	}
	return err
}

// consent is the input sealed to the coordinator, which may then have it checked when
// the client is gone.
func (d *drawing) consent(ctx context.Context) ([]byte, error) {
	a, err := d.s.cfg.Ledger.Actor(ctx, d.s.record.Coordinator)
	if err != nil {
		return nil, err
	}
	if len(a.HPKEKey) == 0 {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "stay until it is checked instead", "coordinator %s has no sealing key on the ledger", a.NodeKey.Short())
	}
	return seal.Seal(d.input, d.task.Input[:], a.HPKEKey)
}

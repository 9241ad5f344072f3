package miner_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/transport"
)

// proving proves whatever an engine has made.
type proving struct{}

func (proving) Run(ctx context.Context, e engine.Engine, t essaim.Task, r engine.Request, progress func(engine.Progress)) (engine.Result, []byte, error) {
	out, err := e.Run(ctx, r, progress)
	return out, []byte("proof of " + t.Digest().String()), err
}

// TestProof: a task that asks for a proof gets one beside the result, named by the receipt; where none are made, it goes
// to another miner.
func TestProof(t *testing.T) {
	asked := func(t *essaim.Task, _ *essaim.Input, _ *transport.Offer) { t.Verify = essaim.VerifyProof }
	d := newDesk(t, &fake{}, func(c *miner.Config) { c.Proofs = proving{} })
	conn := d.conn()
	for seq, spoil := range []func(*essaim.Task, *essaim.Input, *transport.Offer){nil, asked} {
		o, task := d.offer(uint64(seq+1), spoil)
		last, _ := d.end(d.send(conn, o))
		if last.Result == nil {
			t.Fatalf("failure %+v", last.Failure)
		}
		r, err := essaim.OpenReceipt(last.Result.Receipt)
		if err != nil {
			t.Fatal(err)
		}
		digest := task.Digest()
		plain, err := d.reply.Open(last.Result.Sealed, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		out, err := essaim.DecodeOutput(plain)
		want, named := []byte(nil), essaim.Digest{}
		if spoil != nil {
			want = []byte("proof of " + digest.String())
			named = essaim.DigestOf(want)
		}
		if err != nil || !bytes.Equal(out.Proof, want) || r.Proof != named || r.Binds(task) != nil {
			t.Errorf("task %d: a proof %q, named %s: %v", seq+1, out.Proof, r.Proof, err)
		}
	}
	bare := newDesk(t, &fake{}, nil)
	o, _ := bare.offer(1, asked)
	if last, _ := bare.end(bare.send(bare.conn(), o)); last.Failure == nil || last.Failure.Kind != transport.FailEngine {
		t.Errorf("no proofs are made here: %+v", last)
	}
}

package chain_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/essaim/essaim"
	xdispute "github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/proof/builtin"
)

// disproof is a miner's receipt of a proven picture as the payer shows it; change alters what the miner signs, and what
// it sends, before it does.
func (x *trial) disproof(t testing.TB, change func(r *essaim.Receipt, proof *[]byte)) *disputev1.MsgDisprove {
	t.Helper()
	x.seq++
	in := essaim.Input{Prompt: "red apple", Salt: make([]byte, 16), ReplyKey: []byte{1}}
	task := essaim.NewTask(chainID, 1, x.seq)
	task.Kind, task.Model, task.Input, task.Verify = essaim.KindImage, essaim.DigestOf(pixel.Manifest()), in.Digest(), essaim.VerifyProof
	task.Seed, task.Width, task.Height, task.Steps, task.Plan = 7, 64, 64, 1, x.plan
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	request := engine.Request{Model: task.Model, Prompt: in.Prompt, Seed: 7, Width: 64, Height: 64, Steps: 1}
	out, b, err := builtin.Proofs{}.Run(t.Context(), e, task, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := essaim.NewReceipt(task)
	r.Attempt, r.Miner, r.Coordinator, r.Engine, r.Output = 1, public("m1"), public("c"), pixel.Name, essaim.DigestOf(out.Data)
	r.Pixels, r.Price, r.Units = out.PixelsDigest, picturePrice, 1
	if change != nil {
		change(&r, &b)
	}
	r.Proof = essaim.DigestOf(b)
	signedTask, err1 := essaim.SignTask(task, nodeKey("session"))
	signed, err2 := essaim.SignReceipt(r, nodeKey("m1"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return &disputev1.MsgDisprove{Challenger: challenger.String(), Receipt: signed, Task: signedTask, Input: in.Encode(), Proof: b}
}

func (x *trial) disprove(t testing.TB, m *disputev1.MsgDisprove) disputev1.Dispute {
	t.Helper()
	var r disputev1.MsgDisproveResponse
	if err := r.Unmarshal(x.must(t, m).Data); err != nil {
		t.Fatal(err)
	}
	if err := x.app.Dispute.CheckInvariant(x.ctx); err != nil {
		t.Error(err)
	}
	return x.state(t).Disputes[r.Dispute-1]
}

// TestABadProofConvicts: whatever is wrong with a proof that a miner has signed, the payer shows it and has its money
// back in that transaction.
func TestABadProofConvicts(t *testing.T) {
	x := settledTrial(t)
	flip := func(at func(n int) int) func(*essaim.Receipt, *[]byte) {
		return func(_ *essaim.Receipt, b *[]byte) { c := bytes.Clone(*b); c[at(len(c))] ^= 1; *b = c }
	}
	for why, change := range map[string]func(*essaim.Receipt, *[]byte){
		"a wrong pixel":          func(r *essaim.Receipt, _ *[]byte) { r.Pixels[0] ^= 1 },
		"another seed":           func(r *essaim.Receipt, _ *[]byte) { r.Seed++ },
		"a size that none has":   func(r *essaim.Receipt, _ *[]byte) { r.Width, r.Height = 63, 63 },
		"a trace of its own":     func(r *essaim.Receipt, _ *[]byte) { r.Trace = essaim.Digest{1} },
		"no bytes":               func(_ *essaim.Receipt, b *[]byte) { *b = nil },
		"cut off":                func(_ *essaim.Receipt, b *[]byte) { *b = (*b)[:len(*b)-1] },
		"a changed activation":   flip(func(int) int { return 1000 }),
		"a changed round":        flip(func(n int) int { return n - 185_920 - 100 }),
		"a changed commitment":   flip(func(n int) int { return n - 185_920 + 100 }),
		"a changed column":       flip(func(n int) int { return n - 185_920 + 5_000 }),
		"a changed rest":         flip(func(n int) int { return n - 155*448 - 1_000 }),
		"a changed row":          flip(func(n int) int { return n - 300 }),
		"a changed path":         flip(func(n int) int { return n - 1 }),
		"another proof's ending": func(_ *essaim.Receipt, b *[]byte) { *b = append(bytes.Clone(*b), 0) },
	} {
		x := x.on(x.branch())
		had, stake := x.balance(challenger), x.stakeOf(t, "m1")
		d := x.disprove(t, x.disproof(t, change))
		if d.Verdict != disputev1.Verdict_VERDICT_MINER_WRONG || d.Slash != 1 || !d.Proof || d.Restitution != picturePrice || d.Deadline != 0 {
			t.Errorf("%s: %+v", why, d)
		}
		if x.stakeOf(t, "m1") != stake-stake/20 || x.balance(challenger) != had {
			t.Errorf("%s: the stake is %d of %d, the challenger's balance %d of %d", why, x.stakeOf(t, "m1"), stake, x.balance(challenger), had)
		}
	}
}

// TestAGoodProofDoesNot: who shows a proof that holds loses the bond, half of it to the miner's owner.
func TestAGoodProofDoesNot(t *testing.T) {
	x := settledTrial(t)
	m := x.disproof(t, nil)
	had, owner, stake := x.balance(challenger), x.balance(minerOwner), x.stakeOf(t, "m1")
	d := x.disprove(t, m)
	if d.Verdict != disputev1.Verdict_VERDICT_CHALLENGER_WRONG || d.Slash != 0 || d.Restitution != 0 {
		t.Errorf("%+v", d)
	}
	if x.balance(challenger) != had-disputeBond || x.balance(minerOwner) != owner+disputeBond/2 || x.stakeOf(t, "m1") != stake {
		t.Error("the bond did not go to the miner's owner, or stake was taken")
	}
}

// TestDisprovingIsBound: only what the miner has signed can be shown, once, by who knows what was asked for.
func TestDisprovingIsBound(t *testing.T) {
	x := settledTrial(t)
	wrong := func(r *essaim.Receipt, _ *[]byte) { r.Pixels[0] ^= 1 }
	m := x.disproof(t, wrong)
	for why, c := range map[string]struct {
		change func(*disputev1.MsgDisprove)
		want   error
	}{
		"another proof": {func(m *disputev1.MsgDisprove) { m.Proof = m.Proof[1:] }, xdispute.ErrReceipt},
		"another input": {func(m *disputev1.MsgDisprove) { m.Input = essaim.Input{Prompt: "red apple"}.Encode() }, xdispute.ErrReceipt},
		"no input":      {func(m *disputev1.MsgDisprove) { m.Input = nil }, xdispute.ErrReceipt},
		"another task":  {func(m *disputev1.MsgDisprove) { m.Task = x.receipt(t, [32]byte{}, nil).Task }, xdispute.ErrReceipt},
		"no proof named": {func(m *disputev1.MsgDisprove) {
			f := x.receipt(t, [32]byte{}, nil)
			m.Receipt, m.Task = f.Receipt, f.Task
		}, xdispute.ErrReceipt},
		"too large":     {func(m *disputev1.MsgDisprove) { m.Proof = make([]byte, essaim.MaxProof+1) }, xdispute.ErrReceipt},
		"nobody's bond": {func(m *disputev1.MsgDisprove) { m.Challenger = "nobody" }, xdispute.ErrAddress},
		"an unknown model": {func(m *disputev1.MsgDisprove) {
			*m = *x.disproof(t, func(r *essaim.Receipt, _ *[]byte) { r.Model = essaim.Digest{1} })
		}, nil},
	} {
		changed := *m
		c.change(&changed)
		if _, err := x.branch().do(&changed); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", why, err)
		}
	}
	x.disprove(t, m)
	if _, err := x.do(m); !errors.Is(err, xdispute.ErrDisputed) {
		t.Errorf("twice: %v", err)
	}
}

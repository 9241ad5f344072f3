package dispute

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/quant/dispute"
)

// Disprove checks the proof that a receipt names, and ends the dispute with that.
//
// The miner has signed the proof's digest beside everything that the proof is of, but for the prompt, which the task
// names by the input's digest. So one proof and one statement are possible, and a miner whose proof holds cannot be
// convicted, whoever asks.
func (s msgServer) Disprove(ctx context.Context, m *disputev1.MsgDisprove) (*disputev1.MsgDisproveResponse, error) {
	challenger, err := essaim.ParseAddress(m.Challenger)
	if err != nil {
		return nil, ErrAddress.Wrap(err.Error())
	}
	if len(m.Proof) > essaim.MaxProof || len(m.Input) > maxInput {
		return nil, ErrReceipt.Wrapf("a proof of %d bytes, at most %d; an input of %d, at most %d", len(m.Proof), essaim.MaxProof, len(m.Input), maxInput)
	}
	r, prompt, err := s.proven(ctx, m)
	if err != nil {
		return nil, err
	}
	d, err := s.claim(ctx, r, essaim.Digest{})
	if err != nil {
		return nil, err
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gasPerProof, "check a proof")
	holds, why, err := s.Proofs.Holds(r, prompt, m.Proof)
	if err != nil {
		return nil, ErrModel.Wrap(err.Error())
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Bank.SendCoinsFromAccountToModule(ctx, challenger[:], Name, coins(p.Bond)); err != nil {
		return nil, err
	}
	if d.Id, err = s.next.Next(ctx); err != nil {
		return nil, err
	}
	verdict := dispute.MinerWrong
	if holds {
		verdict = dispute.ChallengerWrong
	} else {
		sdk.UnwrapSDKContext(ctx).Logger().Info("a proof does not hold", "dispute", d.Id, "miner", d.Miner, "why", why)
	}
	d.Challenger, d.Bond, d.Opened, d.Proof = challenger.String(), p.Bond, height(ctx), true
	if err := s.end(ctx, &d, verdict); err != nil {
		return nil, err
	}
	return &disputev1.MsgDisproveResponse{Dispute: d.Id, Verdict: d.Verdict}, s.put(ctx, d, 0)
}

// proven opens a signed receipt that names the proof, and says which prompt it is of.
func (s msgServer) proven(ctx context.Context, m *disputev1.MsgDisprove) (essaim.Receipt, string, error) {
	r, _, err := s.receipt(ctx, &disputev1.MsgDispute{Receipt: m.Receipt, Task: m.Task})
	if err != nil {
		return r, "", err
	}
	in, err := essaim.DecodeInput(m.Input)
	switch {
	case err != nil:
		return r, "", ErrReceipt.Wrap(err.Error())
	case in.Digest() != r.Input:
		return r, "", ErrReceipt.Wrap("the input is not the one that its task names")
	case r.Proof.IsZero():
		return r, "", ErrReceipt.Wrap("it names no proof")
	case essaim.DigestOf(m.Proof) != r.Proof:
		return r, "", ErrReceipt.Wrap("the proof is not the one that it names")
	}
	return r, in.Prompt, nil
}

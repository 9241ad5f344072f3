package dispute

import (
	"context"
	"encoding/json"
	"errors"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

type msgServer struct{ Keeper }

var _ disputev1.MsgServer = msgServer{}

// Dispute opens a game about a receipt.
func (s msgServer) Dispute(ctx context.Context, m *disputev1.MsgDispute) (*disputev1.MsgDisputeResponse, error) {
	challenger, err := essaim.ParseAddress(m.Challenger)
	if err != nil {
		return nil, ErrAddress.Wrap(err.Error())
	}
	r, plan, err := s.receipt(ctx, m)
	if err != nil {
		return nil, err
	}
	d, err := s.claim(ctx, r, plan)
	if err != nil {
		return nil, err
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
	d.Challenger, d.Bond, d.Opened, d.Deadline = challenger.String(), p.Bond, height(ctx), height(ctx)+int64(p.MoveBlocks)
	if err := s.put(ctx, d, 0); err != nil {
		return nil, err
	}
	return &disputev1.MsgDisputeResponse{Dispute: d.Id, Deadline: d.Deadline}, emit(ctx, &disputev1.EventOpened{
		Dispute: d.Id, Miner: d.Miner, Challenger: d.Challenger, Receipt: d.Receipt, Deadline: d.Deadline,
	})
}

// receipt opens a signed receipt that can be disputed, and says what its task's plan is.
func (s msgServer) receipt(ctx context.Context, m *disputev1.MsgDispute) (r essaim.Receipt, plan essaim.Digest, err error) {
	if n := len(m.Receipt) + len(m.Task); n > MaxReceipt {
		return r, plan, ErrReceipt.Wrapf("with its task %d bytes, at most %d", n, MaxReceipt)
	}
	r, err1 := essaim.OpenReceipt(m.Receipt)
	t, _, err2 := essaim.OpenTask(m.Task)
	if err := errors.Join(err1, err2); err != nil {
		return r, plan, ErrReceipt.Wrap(err.Error())
	}
	digest := r.Digest()
	known, err := s.receipts.Has(ctx, digest[:])
	switch {
	case err != nil:
		return r, plan, err
	case known:
		return r, plan, ErrDisputed.Wrap(digest.Short())
	case r.ChainID != sdk.UnwrapSDKContext(ctx).ChainID():
		return r, plan, ErrReceipt.Wrapf("it is for chain %q", r.ChainID)
	case r.Task != t.Digest():
		return r, plan, ErrReceipt.Wrap("it is about another task")
	case r.Width != r.Height:
		return r, plan, ErrReceipt.Wrap("only square pictures have traces")
	}
	return r, t.Plan, nil
}

// claim is the dispute that a receipt makes possible.
func (s msgServer) claim(ctx context.Context, r essaim.Receipt, plan essaim.Digest) (d disputev1.Dispute, err error) {
	miner, ok, err := s.Registry.Actor(ctx, r.Miner)
	switch {
	case err != nil:
		return d, err
	case !ok || miner.Role != essaim.RoleMiner:
		return d, ErrMiner.Wrap(r.Miner.String())
	}
	payer, _, err := s.Market.Paid(ctx, r.Session, r.Miner, r.Model)
	if err != nil {
		return d, err
	}
	root, engine, err := s.root(ctx, r.Model)
	if err != nil {
		return d, err
	}
	result := r.Pixels
	if result.IsZero() {
		result = r.Output
	}
	game, err := dispute.New(dispute.Claim{
		Trace: quant.Hash(r.Trace), Result: quant.Hash(result), Model: quant.Hash(root), Plan: quant.Hash(plan),
	}).Encode()
	digest := r.Digest()
	return disputev1.Dispute{
		Receipt: digest[:], Miner: miner.NodeKey.String(), Signer: r.Miner.String(), Payer: payer.String(), Session: uint64(r.Session), Model: r.Model[:],
		Price: uint64(r.Price), Game: game, Engine: engine, Seed: r.Seed, Width: r.Width,
	}, err
}

// root is what a model's manifest says of its weights.
func (s msgServer) root(ctx context.Context, digest essaim.Digest) (root essaim.Digest, engine string, err error) {
	m, ok, err := s.Models.Model(ctx, digest)
	if err != nil {
		return root, "", err
	}
	var f struct{ Root essaim.Digest }
	if !ok || json.Unmarshal(m.Manifest, &f) != nil || f.Root.IsZero() {
		return root, "", ErrModel.Wrapf("%s: it is not registered, or states no root", digest.Short())
	}
	if !program.Known(m.Engine) {
		return root, "", ErrModel.Wrapf("%s: what engine %q computes is not known here", digest.Short(), m.Engine)
	}
	return f.Root, m.Engine, nil
}

// Move makes the move of the side whose turn it is.
func (s msgServer) Move(ctx context.Context, m *disputev1.MsgMove) (*disputev1.MsgMoveResponse, error) {
	d, err := s.dispute(ctx, m.Dispute)
	if err != nil {
		return nil, err
	}
	if d.Deadline == 0 || d.Deadline < height(ctx) {
		return nil, ErrEnded.Wrapf("%d", d.Id)
	}
	g, err := dispute.DecodeGame(d.Game)
	if err != nil {
		return nil, ErrState.Wrap(err.Error())
	}
	if err := s.mayMove(ctx, d, g.Turn(), m); err != nil {
		return nil, err
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(gasPerMove, "judge a move")
	move, err := dispute.DecodeMove(m.Move)
	if err == nil {
		err = g.Move(rules(d), move)
	}
	if err != nil {
		return nil, ErrMove.Wrap(err.Error())
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	was := d.Deadline
	d.Turn, d.Deadline = d.Turn+1, height(ctx)+int64(p.MoveBlocks)
	if g.Stage == dispute.Over {
		err = s.end(ctx, &d, g.Verdict)
	} else if d.Game, err = g.Encode(); err == nil {
		err = emit(ctx, &disputev1.EventMoved{Dispute: d.Id, Turn: d.Turn, Deadline: d.Deadline})
	}
	if err != nil {
		return nil, err
	}
	return &disputev1.MsgMoveResponse{Verdict: d.Verdict, Deadline: d.Deadline}, s.put(ctx, d, was)
}

// mayMove refuses a move by anybody but the side whose turn it is. What the miner says must be its own word: not all
// of it can be checked against what it committed to before.
func (s msgServer) mayMove(ctx context.Context, d disputev1.Dispute, turn dispute.Side, m *disputev1.MsgMove) error {
	if turn == dispute.TheChallenger {
		by, err := essaim.ParseAddress(m.Submitter)
		switch {
		case err != nil:
			return ErrAddress.Wrap(err.Error())
		case by.String() != d.Challenger:
			return ErrChallenger.Wrapf("it is %s", d.Challenger)
		}
		return nil
	}
	miner, err := s.machine(ctx, d)
	if err != nil {
		return err
	}
	if !miner.Verify(essaim.MoveBytes(sdk.UnwrapSDKContext(ctx).ChainID(), d.Id, d.Turn, m.Move, miner), m.Signature) {
		return ErrSignature
	}
	return nil
}

// machine is the node key that speaks for the miner now: one that was replaced since the dispute began does not any more. A
// miner that has left keeps the one it had.
func (k Keeper) machine(ctx context.Context, d disputev1.Dispute) (essaim.NodeKey, error) {
	a, ok, err := k.miner(ctx, d)
	if err != nil || ok {
		return a.NodeKey, err
	}
	key, err := essaim.ParseNodeKey(d.Miner)
	if err != nil {
		return key, ErrState.Wrap(err.Error())
	}
	return key, nil
}

// UpdateParams is for governance.
func (s msgServer) UpdateParams(ctx context.Context, m *disputev1.MsgUpdateParams) (*disputev1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	return &disputev1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

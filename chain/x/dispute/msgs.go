package dispute

import (
	"context"
	"encoding/json"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
)

type msgServer struct{ Keeper }

var _ disputev1.MsgServer = msgServer{}

// Dispute opens a game about a receipt.
func (s msgServer) Dispute(ctx context.Context, m *disputev1.MsgDispute) (*disputev1.MsgDisputeResponse, error) {
	challenger, err := essaim.ParseAddress(m.Challenger)
	if err != nil {
		return nil, ErrAddress.Wrap(err.Error())
	}
	r, err := s.receipt(ctx, m.Receipt)
	if err != nil {
		return nil, err
	}
	d, err := s.claim(ctx, r)
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
	if err := s.reserve(ctx, d, func(sum uint64) uint64 { return sum + d.Restitution }); err != nil {
		return nil, err
	}
	return &disputev1.MsgDisputeResponse{Dispute: d.Id, Deadline: d.Deadline}, emit(ctx, &disputev1.EventOpened{
		Dispute: d.Id, Miner: d.Miner, Challenger: d.Challenger, Receipt: d.Receipt, Deadline: d.Deadline,
	})
}

// receipt opens a signed receipt that can be disputed.
func (s msgServer) receipt(ctx context.Context, signed []byte) (essaim.Receipt, error) {
	if len(signed) > MaxReceipt {
		return essaim.Receipt{}, ErrReceipt.Wrapf("%d bytes, at most %d", len(signed), MaxReceipt)
	}
	r, err := essaim.OpenReceipt(signed)
	if err != nil {
		return r, ErrReceipt.Wrap(err.Error())
	}
	digest := r.Digest()
	known, err := s.receipts.Has(ctx, digest[:])
	switch {
	case err != nil:
		return r, err
	case known:
		return r, ErrDisputed.Wrap(digest.Short())
	case r.ChainID != sdk.UnwrapSDKContext(ctx).ChainID():
		return r, ErrReceipt.Wrapf("it is for chain %q", r.ChainID)
	case r.Trace.IsZero():
		return r, ErrReceipt.Wrap("it commits to no trace")
	case r.Width != r.Height:
		return r, ErrReceipt.Wrap("only square pictures have traces")
	}
	return r, nil
}

// claim is the dispute that a receipt makes possible.
func (s msgServer) claim(ctx context.Context, r essaim.Receipt) (d disputev1.Dispute, err error) {
	miner, ok, err := s.Registry.Actor(ctx, r.Miner)
	switch {
	case err != nil:
		return d, err
	case !ok || miner.Role != essaim.RoleMiner:
		return d, ErrMiner.Wrap(r.Miner.String())
	}
	payer, paid, err := s.Market.Paid(ctx, r.Session, r.Miner, r.Model)
	if err != nil {
		return d, err
	}
	back, err := s.restoredOf(ctx, collections.Join3(uint64(r.Session), r.Miner[:], r.Model[:]))
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
	game, err := dispute.New(quant.Hash(r.Trace), quant.Hash(result), quant.Hash(root)).Encode()
	digest := r.Digest()
	return disputev1.Dispute{
		Receipt: digest[:], Miner: miner.NodeKey.String(), Signer: r.Miner.String(), Payer: payer.String(), Session: uint64(r.Session), Model: r.Model[:],
		Restitution: min(uint64(r.Price), paid-min(paid, back)), Game: game, Engine: engine, Seed: r.Seed, Width: r.Width,
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
		err = s.end(ctx, &d, g)
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
	miner, err := essaim.ParseNodeKey(d.Miner)
	if err != nil {
		return ErrState.Wrap(err.Error())
	}
	if !miner.Verify(essaim.MoveBytes(sdk.UnwrapSDKContext(ctx).ChainID(), d.Id, d.Turn, m.Move, miner), m.Signature) {
		return ErrSignature
	}
	return nil
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

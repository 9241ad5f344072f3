package dispute

import (
	"context"
	"errors"
	"fmt"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

// rules are what is known of a disputed run.
func rules(d disputev1.Dispute) dispute.Rules {
	run := program.Run{Engine: d.Engine, Seed: d.Seed, Width: int(d.Width)}
	return dispute.Rules{
		Program: func(words quant.Header) (dispute.Program, error) { return program.Of(run, words) },
		Kinds:   program.Kinds(),
	}
}

var verdicts = map[dispute.Verdict]disputev1.Verdict{
	dispute.MinerWrong:      disputev1.Verdict_VERDICT_MINER_WRONG,
	dispute.ChallengerWrong: disputev1.Verdict_VERDICT_CHALLENGER_WRONG,
	dispute.Undecided:       disputev1.Verdict_VERDICT_UNDECIDED,
}

// end settles a dispute that is decided. The caller puts it.
func (k Keeper) end(ctx context.Context, d *disputev1.Dispute, verdict dispute.Verdict) error {
	d.Verdict, d.Ended, d.Deadline, d.Game = verdicts[verdict], height(ctx), 0, nil
	var err error
	if verdict == dispute.ChallengerWrong {
		err = k.forfeit(ctx, *d)
	} else {
		err = k.release(ctx, *d)
	}
	if err == nil && verdict == dispute.MinerWrong {
		err = k.convict(ctx, d)
	}
	return errors.Join(err, emit(ctx, &disputev1.EventEnded{
		Dispute: d.Id, Verdict: d.Verdict, Silent: d.Silent, Slash: d.Slash, Bond: d.Bond, Restitution: d.Restitution,
	}))
}

// release gives the challenger its bond back.
func (k Keeper) release(ctx context.Context, d disputev1.Dispute) error {
	to, err := essaim.ParseAddress(d.Challenger)
	if err != nil {
		return ErrState.Wrap(err.Error())
	}
	return k.Bank.SendCoinsFromModuleToAccount(ctx, Name, to[:], coins(d.Bond))
}

// forfeit gives half of the bond to the owner of the miner, for its trouble, and burns the rest: all of it if the miner
// has left.
func (k Keeper) forfeit(ctx context.Context, d disputev1.Dispute) error {
	miner, ok, err := k.miner(ctx, d)
	if err != nil {
		return err
	}
	half := uint64(0)
	if ok {
		half = d.Bond / 2
	}
	if half > 0 {
		if err := k.Bank.SendCoinsFromModuleToAccount(ctx, Name, miner.Owner[:], coins(half)); err != nil {
			return err
		}
	}
	return k.Bank.BurnCoins(ctx, Name, coins(d.Bond-half))
}

func (k Keeper) miner(ctx context.Context, d disputev1.Dispute) (essaim.Actor, bool, error) {
	node, err := essaim.ParseNodeKey(d.Miner)
	if err != nil {
		return essaim.Actor{}, false, ErrState.Wrap(err.Error())
	}
	return k.Registry.Actor(ctx, node)
}

// convict takes the miner's stake, first for the payer, once for a receipt. A miner that has left has no stake any more:
// then the verdict stands alone.
func (k Keeper) convict(ctx context.Context, d *disputev1.Dispute) error {
	known, err := k.receipts.Has(ctx, d.Receipt)
	if err != nil || known {
		return err
	}
	if err := k.receipts.Set(ctx, d.Receipt, d.Id); err != nil {
		return err
	}
	miner, ok, err := k.miner(ctx, *d)
	if err != nil || !ok {
		return err
	}
	payer, err1 := essaim.ParseAddress(d.Payer)
	signer, err2 := essaim.ParseNodeKey(d.Signer)
	if err := errors.Join(err1, err2); err != nil {
		return ErrState.Wrap(err.Error())
	}
	cached, write := sdk.UnwrapSDKContext(ctx).CacheContext()
	back, err := k.Market.Restore(cached, essaim.SessionID(d.Session), signer, essaim.Digest(d.Model), d.Price)
	if err != nil {
		return err
	}
	f := Fault{
		Miner: miner.NodeKey, Receipt: essaim.Digest(d.Receipt), Height: d.Opened, Method: fmt.Sprintf("dispute %d: a number of its trace is wrong", d.Id),
		Wronged: payer, Restitution: back,
	}
	switch {
	case d.Silent:
		f.Method = fmt.Sprintf("dispute %d: it did not answer", d.Id)
	case d.Proof:
		f.Method = fmt.Sprintf("dispute %d: the proof that its receipt names does not hold", d.Id)
	}
	slash, err := k.Registry.Wrong(cached, f)
	if err != nil {
		return nil // as where the table of slashes has no such row: the end of a block must not fail for it
	}
	d.Slash, d.Restitution = slash, back
	write()
	return nil
}

// endBlock ends the games of sides that did not move in time.
func (k Keeper) endBlock(ctx context.Context) error {
	now := uint64(height(ctx))
	var due []uint64
	if err := k.deadlines.Walk(ctx, nil, func(key collections.Pair[uint64, uint64]) (bool, error) {
		if key.K1() >= now || len(due) == endsPerBlock {
			return true, nil
		}
		due = append(due, key.K2())
		return false, nil
	}); err != nil {
		return err
	}
	for _, id := range due {
		if err := k.timeout(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (k Keeper) timeout(ctx context.Context, id uint64) error {
	d, err := k.disputes.Get(ctx, id)
	if err != nil {
		return err
	}
	g, err := dispute.DecodeGame(d.Game)
	if err != nil {
		return ErrState.Wrap(err.Error())
	}
	was := d.Deadline
	g.Timeout()
	d.Silent = true
	if err := k.end(ctx, &d, g.Verdict); err != nil {
		return err
	}
	return k.put(ctx, d, was)
}

package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Causes of slashes in the default table.
const (
	CauseWrongResult   = "wrong_result"   // proven: the result is not what the model gives
	CauseStatistical   = "statistical"    // a sequential test over many samples has rejected honesty
	CauseFalseOpening  = "false_opening"  // a coordinator settled what its receipts do not say
	CauseUnpaidReceipt = "unpaid_receipt" // a coordinator acknowledged a receipt and did not settle it
	CauseMissedDuty    = "missed_duty"    // an audit that an actor had accepted
)

// DefaultParams suit a public network with blocks of five seconds: a day has 17,280.
func DefaultParams() registryv1.Params {
	const day = 17_280
	return registryv1.Params{
		MinBondMiner:        uint64(1_000 * essaim.AIM),
		MinBondCoordinator:  uint64(20_000 * essaim.AIM),
		UnbondingBlocks:     300_000,
		CommissionChangeBps: 100,
		EpochBlocks:         day,
		EmissionPerEpoch:    uint64(100_000 * essaim.AIM),
		EmissionBps:         8_000,
		Slashes: []registryv1.SlashRule{
			{Cause: CauseWrongResult, MinBps: 500, MaxBps: 500, JailBlocks: 7 * day, Refutes: true},
			{Cause: CauseStatistical, MinBps: 500, MaxBps: 2_000, JailBlocks: 7 * day, Refutes: true},
			{Cause: CauseFalseOpening, MinBps: 1_000, MaxBps: 1_000, JailBlocks: 7 * day, Refutes: true},
			{Cause: CauseUnpaidReceipt, MinBps: 1_000, MaxBps: 1_000, JailBlocks: day},
			{Cause: CauseMissedDuty, MinBps: 10, MaxBps: 10},
		},
		AppealBlocks:     3 * day,
		ExtensionBlocks:  10 * day,
		MissedMax:        20,
		MissedBlocks:     day,
		MissedJailBlocks: day / 24,
		AwayBlocks:       3 * day,
		AwayNoticeBlocks: 60,
		CoverCoordinator: 10,
		CoverMinerBps:    5_000,
		AuditBlocks:      day / 4,
		RotationBlocks:   7 * day,
	}
}

// DefaultGenesis has no actors.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	return cdc.MustMarshalJSON(&registryv1.GenesisState{Params: DefaultParams()})
}

// ValidateGenesis refuses malformed and repeated actors, and numbers that clash. Whether
// all adds up is for InitGenesis, which can ask the bank.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g registryv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := cmp.Or(checkParams(g.Params), checkDeterrence(g.Params)); err != nil {
		return err
	}
	keys, ids := map[string]bool{"": true}, map[uint64]bool{0: true}
	for i := range g.Actors {
		a := &g.Actors[i]
		_, err := check(a)
		switch {
		case err != nil:
			return err
		case keys[a.NodeKey] || ids[a.Id] || a.Id >= g.NextActor || a.OldKey != "" && keys[a.OldKey]:
			return ErrRegistered.Wrapf("actor %d, %s", a.Id, a.NodeKey)
		case (a.RetiredAt == 0) != (a.ReleaseAt == 0):
			return ErrRetired.Wrapf("%s is retired at %d but released at %d", a.NodeKey, a.RetiredAt, a.ReleaseAt)
		}
		keys[a.NodeKey], ids[a.Id] = true, true
		if a.OldKey != "" {
			keys[a.OldKey] = true
		}
	}
	for _, d := range g.Delegations {
		if _, err := essaim.ParseAddress(d.Delegator); err != nil || !ids[d.Actor] {
			return ErrStake.Wrapf("delegation of %s on actor %d", d.Delegator, d.Actor)
		}
	}
	for _, e := range g.Exits {
		if _, err := essaim.ParseAddress(e.Delegator); err != nil || !ids[e.Actor] || e.Id >= g.NextExit {
			return ErrStake.Wrapf("exit %d of %s from actor %d", e.Id, e.Delegator, e.Actor)
		}
	}
	for _, s := range g.Slashes {
		if s.Id == 0 || s.Id >= g.NextSlash || registryv1.SlashState_name[int32(s.State)] == "" {
			return ErrSlash.Wrapf("%d", s.Id)
		}
	}
	return nil
}

// InitGenesis writes the state; x/bank's genesis must hold the coins already.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g registryv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.load(ctx, g); err != nil {
		panic(err)
	}
}

func (k Keeper) load(ctx context.Context, g registryv1.GenesisState) error {
	if g.Emission.Epoch == 0 {
		g.Emission = registryv1.EmissionState{Epoch: 1, NextPaid: 1, StartedAt: height(ctx)}
	}
	err := errors.Join(k.params.Set(ctx, g.Params), k.emission.Set(ctx, g.Emission), k.nextActor.Set(ctx, max(1, g.NextActor)),
		k.nextExit.Set(ctx, max(1, g.NextExit)), k.nextSlash.Set(ctx, max(1, g.NextSlash)))
	for _, a := range g.Actors {
		err = errors.Join(err, k.loadActor(ctx, a))
	}
	for _, d := range g.Delegations {
		who, bad := essaim.ParseAddress(d.Delegator)
		err = errors.Join(err, bad, k.stakes.Set(ctx, collections.Join(d.Actor, who[:]), d),
			k.holders.Set(ctx, collections.Join(who[:], d.Actor)))
	}
	for _, e := range g.Exits {
		who, bad := essaim.ParseAddress(e.Delegator)
		err = errors.Join(err, bad, k.putExit(ctx, e, who))
	}
	for _, s := range g.Slashes {
		err = errors.Join(err, k.putSlash(ctx, s))
	}
	for _, w := range g.Windows {
		err = errors.Join(err, k.windows.Set(ctx, collections.Join(uint64(w.DueAt), w.Actor), w))
	}
	for _, c := range g.Credits {
		err = errors.Join(err, k.credits.Set(ctx, collections.Join(c.Epoch, c.Actor), c.Fee))
	}
	for _, e := range g.Epochs {
		err = errors.Join(err, k.epochs.Set(ctx, e.Number, e))
	}
	if err != nil {
		return err
	}
	return k.CheckInvariant(ctx)
}

func (k Keeper) loadActor(ctx context.Context, a registryv1.Actor) error {
	node, err := check(&a)
	if err != nil {
		return err
	}
	if a.OldKey != "" {
		old, err := essaim.ParseNodeKey(a.OldKey)
		if err != nil {
			return err
		}
		if err := errors.Join(k.keys.Set(ctx, old[:], a.Id), k.keyEnds.Set(ctx, collections.Join(uint64(a.OldKeyUntil), old[:]))); err != nil {
			return err
		}
	}
	if a.Closed {
		if err := k.closing.Set(ctx, a.Id); err != nil {
			return err
		}
	}
	return errors.Join(k.keys.Set(ctx, node[:], a.Id), k.put(ctx, a))
}

// ExportGenesis reads everything back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.dump(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}

func (k Keeper) dump(ctx context.Context) (g registryv1.GenesisState, err error) {
	var bad [5]error
	g.Params, bad[0] = k.params.Get(ctx)
	g.Emission, bad[1] = k.emission.Get(ctx)
	g.NextActor, bad[2] = k.nextActor.Peek(ctx)
	g.NextExit, bad[3] = k.nextExit.Peek(ctx)
	g.NextSlash, bad[4] = k.nextSlash.Peek(ctx)
	return g, errors.Join(append(bad[:],
		k.actors.Walk(ctx, nil, collect[uint64](&g.Actors)),
		k.stakes.Walk(ctx, nil, collect[ofActor](&g.Delegations)),
		k.exits.Walk(ctx, nil, collect[uint64](&g.Exits)),
		k.slashes.Walk(ctx, nil, collect[uint64](&g.Slashes)),
		k.windows.Walk(ctx, nil, collect[byHeight](&g.Windows)),
		k.epochs.Walk(ctx, nil, collect[uint64](&g.Epochs)),
		k.credits.Walk(ctx, nil, func(key ofNumber, fee uint64) (bool, error) {
			g.Credits = append(g.Credits, registryv1.Credit{Epoch: key.K1(), Actor: key.K2(), Fee: fee})
			return false, nil
		}),
	)...)
}

// collect makes a walk append what it sees.
func collect[K, V any](to *[]V) func(K, V) (bool, error) {
	return func(_ K, v V) (bool, error) {
		*to = append(*to, v)
		return false, nil
	}
}

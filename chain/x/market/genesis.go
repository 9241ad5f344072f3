package market

import (
	"encoding/json"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// DefaultParams suit a public network with blocks of a few seconds.
func DefaultParams() marketv1.Params {
	return marketv1.Params{ProtocolFeeBps: 100, MaxSessionBlocks: 2_000_000}
}

// DefaultGenesis has no sessions.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	zero := math.ZeroInt()
	return cdc.MustMarshalJSON(&marketv1.GenesisState{
		Params: DefaultParams(), NextSession: 1,
		Totals: marketv1.Totals{Deposited: zero, Paid: zero, Refunded: zero, Escrowed: zero},
	})
}

// ValidateGenesis refuses malformed and repeated sessions. Whether the money is there is
// for InitGenesis, which can ask the bank.
func (Module) ValidateGenesis(cdc codec.JSONCodec, _ client.TxEncodingConfig, bz json.RawMessage) error {
	var g marketv1.GenesisState
	if err := cdc.UnmarshalJSON(bz, &g); err != nil {
		return err
	}
	if err := checkParams(g.Params); err != nil {
		return err
	}
	for _, total := range []math.Int{g.Totals.Deposited, g.Totals.Paid, g.Totals.Refunded, g.Totals.Escrowed} {
		if total.IsNil() || total.IsNegative() {
			return ErrParams.Wrap("totals must be given and not negative")
		}
	}
	settled := map[uint64]bool{} // session to: has the state settled
	for _, s := range g.Sessions {
		if _, seen := settled[s.Id]; seen || s.Id == 0 || s.Id >= g.NextSession {
			return ErrNotFound.Wrapf("session %d is repeated or not below the next one, %d", s.Id, g.NextSession)
		}
		if err := checkStored(s); err != nil {
			return err
		}
		settled[s.Id] = s.State == marketv1.State_STATE_SETTLED
	}
	for _, s := range g.Settlements {
		if !settled[s.Session] || len(s.Root) != len(essaim.SumRoot{}) {
			return ErrSettlement.Wrapf("session %d is not settled, or its root is malformed", s.Session)
		}
	}
	return nil
}

// checkStored refuses a session that no message could have made.
func checkStored(s marketv1.Session) error {
	if _, err := essaim.ParseAddress(s.Payer); err != nil {
		return ErrPayer.Wrap(err.Error())
	}
	if _, err := essaim.ParseNodeKey(s.Coordinator); err != nil {
		return ErrCoordinator.Wrap(err.Error())
	}
	switch {
	case s.Deposit == 0:
		return ErrDeposit.Wrapf("session %d", s.Id)
	case s.FeeBps > maxStoredFee:
		return ErrParams.Wrapf("session %d has a coordinator fee of %d basis points", s.Id, s.FeeBps)
	case s.Expiry <= s.Opened:
		return ErrExpiry.Wrapf("session %d", s.Id)
	case marketv1.State_name[int32(s.State)] == "" || s.State == marketv1.State_STATE_UNSPECIFIED:
		return ErrClosed.Wrapf("session %d has no state", s.Id)
	}
	return nil
}

// InitGenesis writes the sessions; x/bank's genesis must hold the open deposits already.
func (m Module) InitGenesis(ctx sdk.Context, cdc codec.JSONCodec, bz json.RawMessage) {
	var g marketv1.GenesisState
	cdc.MustUnmarshalJSON(bz, &g)
	if err := m.keeper.load(ctx, g); err != nil {
		panic(err)
	}
}

func (k Keeper) load(ctx sdk.Context, g marketv1.GenesisState) error {
	if err := k.params.Set(ctx, g.Params); err != nil {
		return err
	}
	if err := k.next.Set(ctx, g.NextSession); err != nil {
		return err
	}
	if err := k.totals.Set(ctx, g.Totals); err != nil {
		return err
	}
	for _, s := range g.Sessions {
		if err := k.put(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range g.Settlements {
		if err := k.settlements.Set(ctx, s.Session, s); err != nil {
			return err
		}
	}
	return k.CheckInvariant(ctx)
}

// ExportGenesis reads everything back.
func (m Module) ExportGenesis(ctx sdk.Context, cdc codec.JSONCodec) json.RawMessage {
	g, err := m.keeper.dump(ctx)
	if err != nil {
		panic(err)
	}
	return cdc.MustMarshalJSON(&g)
}

func (k Keeper) dump(ctx sdk.Context) (g marketv1.GenesisState, err error) {
	if g.Params, err = k.params.Get(ctx); err != nil {
		return g, err
	}
	if g.NextSession, err = k.next.Peek(ctx); err != nil {
		return g, err
	}
	if g.Totals, err = k.totals.Get(ctx); err != nil {
		return g, err
	}
	if err = k.sessions.Walk(ctx, nil, func(_ uint64, s marketv1.Session) (bool, error) {
		g.Sessions = append(g.Sessions, s)
		return false, nil
	}); err != nil {
		return g, err
	}
	err = k.settlements.Walk(ctx, nil, func(_ uint64, s marketv1.Settlement) (bool, error) {
		g.Settlements = append(g.Settlements, s)
		return false, nil
	})
	return g, err
}

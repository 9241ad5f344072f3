package market

import (
	"encoding/json"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// DefaultParams suit a public network with blocks of a few seconds.
func DefaultParams() marketv1.Params {
	return marketv1.Params{ProtocolFeeBps: 100, MaxSessionBlocks: 2_000_000, ClaimBlocks: 50_000}
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
	settled, over := map[uint64]bool{}, map[uint64]bool{} // session to: has the state settled; is not open
	for _, s := range g.Sessions {
		if _, seen := settled[s.Id]; seen || s.Id == 0 || s.Id >= g.NextSession {
			return ErrNotFound.Wrapf("session %d is repeated or not below the next one, %d", s.Id, g.NextSession)
		}
		if err := checkStored(s); err != nil {
			return err
		}
		settled[s.Id], over[s.Id] = s.State == marketv1.State_STATE_SETTLED, s.State != marketv1.State_STATE_OPEN
	}
	for _, s := range g.Settlements {
		if !settled[s.Session] || len(s.Root) != len(essaim.SumRoot{}) {
			return ErrSettlement.Wrapf("session %d is not settled, or its root is malformed", s.Session)
		}
		if n := len(s.Receipts); n != 0 && n != len(essaim.Digest{}) {
			return ErrSettlement.Wrapf("session %d names its receipts with %d bytes", s.Session, n)
		}
	}
	return checkWord(g, settled, over)
}

// checkWord refuses lines, claims and records that no message could have made.
func checkWord(g marketv1.GenesisState, settled, over map[uint64]bool) error {
	shape := func(miner, model []byte) bool {
		return len(miner) == len(essaim.NodeKey{}) && len(model) == len(essaim.Digest{})
	}
	for _, l := range g.Lines {
		if !settled[l.Session] || !shape(l.Line.Miner, l.Line.Model) {
			return ErrSettlement.Wrapf("a line of session %d, which is not settled, or a malformed one", l.Session)
		}
	}
	for _, c := range g.Claims {
		if !over[c.Session] || !shape(c.Miner, c.Model) || c.Unpaid == 0 {
			return ErrAck.Wrapf("a claim about session %d, which is open, or a malformed one", c.Session)
		}
	}
	seen := map[string]bool{}
	for _, r := range g.Records {
		node, err := essaim.ParseNodeKey(r.Coordinator)
		if err != nil || seen[node.String()] || r.Paid.IsNil() || r.Paid.IsNegative() || r.OpenDeposits != 0 {
			return ErrParams.Wrapf("record of %q is malformed or repeated", r.Coordinator)
		}
		seen[node.String()] = true
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
	case s.Expiry <= s.Opened || (s.Ended == 0) != (s.State == marketv1.State_STATE_OPEN) || s.ContestUntil < s.Ended:
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
		index := k.contest // one that can be forgotten already is, at the end of a block
		if s.State == marketv1.State_STATE_OPEN {
			index = k.opened
		}
		if err := index(ctx, s); err != nil {
			return err
		}
	}
	for _, s := range g.Settlements {
		if err := k.settlements.Set(ctx, s.Session, s); err != nil {
			return err
		}
	}
	if err := k.loadWord(ctx, g); err != nil {
		return err
	}
	return k.CheckInvariant(ctx)
}

// loadWord writes what is kept of promises.
func (k Keeper) loadWord(ctx sdk.Context, g marketv1.GenesisState) error {
	for _, l := range g.Lines {
		if err := k.lines.Set(ctx, collections.Join3(l.Session, l.Line.Miner, l.Line.Model), l.Line); err != nil {
			return err
		}
	}
	for _, c := range g.Claims {
		if err := k.claims.Set(ctx, collections.Join3(c.Session, c.Miner, c.Model), c); err != nil {
			return err
		}
	}
	for _, r := range g.Records {
		if err := k.count(ctx, r.Coordinator, func(have *marketv1.Record) { *have = r }); err != nil {
			return err
		}
	}
	return nil
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
	if err = k.settlements.Walk(ctx, nil, func(_ uint64, s marketv1.Settlement) (bool, error) {
		g.Settlements = append(g.Settlements, s)
		return false, nil
	}); err != nil {
		return g, err
	}
	if err = k.lines.Walk(ctx, nil, func(key ofSession, l marketv1.Line) (bool, error) {
		g.Lines = append(g.Lines, marketv1.SettledLine{Session: key.K1(), Line: l})
		return false, nil
	}); err != nil {
		return g, err
	}
	if err = k.claims.Walk(ctx, nil, func(_ ofSession, c marketv1.Claim) (bool, error) {
		g.Claims = append(g.Claims, c)
		return false, nil
	}); err != nil {
		return g, err
	}
	err = k.records.Walk(ctx, nil, func(_ []byte, r marketv1.Record) (bool, error) {
		g.Records = append(g.Records, r)
		return false, nil
	})
	return g, err
}

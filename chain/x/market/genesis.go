package market

import (
	"context"
	"encoding/json"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/marketv1"
)

// DefaultParams suit a public network with blocks of five seconds: a day has 17,280. A day
// is enough for a payer who sleeps, and a miner waits no longer for what a payer does not
// acknowledge. The beacon asks about every twentieth settlement, so that sessions have two
// transactions and a fifth, and gives an hour to answer.
func DefaultParams() marketv1.Params {
	const day = 17_280
	return marketv1.Params{
		ProtocolFeeBps: 100, MaxSessionBlocks: 2_000_000, ClaimBlocks: 50_000,
		ChallengeBlocks: day, OpeningBlocks: day / 24, OpeningBps: 500, Openings: 4,
	}
}

// DefaultGenesis has no sessions.
func (Module) DefaultGenesis(cdc codec.JSONCodec) json.RawMessage {
	zero := math.ZeroInt()
	return cdc.MustMarshalJSON(&marketv1.GenesisState{
		Params: DefaultParams(), NextSession: 1,
		Totals: marketv1.Totals{Deposited: zero, Paid: zero, Refunded: zero, Escrowed: zero, Burned: zero},
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
	for _, total := range []math.Int{g.Totals.Deposited, g.Totals.Paid, g.Totals.Refunded, g.Totals.Escrowed, g.Totals.Burned} {
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
	if err := checkWord(g, settled, over); err != nil {
		return err
	}
	return checkWaiting(g, settled, over)
}

// checkWord refuses lines, claims and records that no message could have made.
func checkWord(g marketv1.GenesisState, settled, over map[uint64]bool) error {
	shape := func(miner, model []byte) bool {
		return len(miner) == len(essaim.NodeKey{}) && len(model) == len(essaim.Digest{})
	}
	for _, l := range g.Lines {
		if !over[l.Session] || !shape(l.Line.Miner, l.Line.Model) || l.Voided > l.Line.Amount || l.Restored > l.Line.Amount-l.Voided {
			return ErrSettlement.Wrapf("a line of session %d, which is open, or a malformed one", l.Session)
		}
		for _, s := range l.Shares {
			if len(s.To) != len(essaim.Address{}) || len(s.Node) != 0 && len(s.Node) != len(essaim.NodeKey{}) || s.Paid > s.Amount {
				return ErrSettlement.Wrapf("a line of session %d has a malformed share", l.Session)
			}
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

// checkWaiting refuses questions, convictions and claims that nothing could have made.
func checkWaiting(g marketv1.GenesisState, settled, over map[uint64]bool) error {
	for _, d := range g.Draws {
		if !settled[d.Session] || d.Due <= 0 {
			return ErrDraw.Wrapf("a draw of session %d, which is not settled, or a malformed one", d.Session)
		}
	}
	for _, a := range g.Asks {
		if !settled[a.Session] || a.Height <= 0 {
			return ErrDraw.Wrapf("the beacon is asked about session %d, which is not settled", a.Session)
		}
	}
	for _, c := range g.Convictions {
		if !settled[c.Session] || c.Fault == "" {
			return ErrOpening.Wrapf("a conviction in session %d, which is not settled, or a malformed one", c.Session)
		}
	}
	for _, l := range g.Lapses {
		if !over[l.Session] || settled[l.Session] {
			return ErrLapsed.Wrapf("%d", l.Session)
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
	case s.Expiry <= s.Opened || (s.Ended == 0) != (s.State == marketv1.State_STATE_OPEN) || s.ContestUntil < s.Ended ||
		s.State == marketv1.State_STATE_LAPSED && s.Final < s.Ended:
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
		if s.State == marketv1.State_STATE_LAPSED {
			if err := k.finals.Set(ctx, collections.Join(uint64(s.Final), s.Id)); err != nil {
				return err
			}
		}
	}
	for _, s := range g.Settlements {
		if err := k.settlements.Set(ctx, s.Session, s); err != nil {
			return err
		}
		if s.Pending > 0 {
			if err := k.releases.Set(ctx, collections.Join(uint64(s.ChallengeUntil), s.Session)); err != nil {
				return err
			}
		}
	}
	if err := k.loadWord(ctx, g); err != nil {
		return err
	}
	if err := k.loadWaiting(ctx, g); err != nil {
		return err
	}
	return k.CheckInvariant(ctx)
}

// loadWord writes what is kept of promises.
func (k Keeper) loadWord(ctx sdk.Context, g marketv1.GenesisState) error {
	for _, l := range g.Lines {
		if err := k.putLine(ctx, l); err != nil {
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

// loadWaiting writes what the ledger has asked for and been shown.
func (k Keeper) loadWaiting(ctx sdk.Context, g marketv1.GenesisState) error {
	for _, d := range g.Draws {
		s, err := k.sessions.Get(ctx, d.Session)
		if err != nil {
			return err
		}
		if err := k.putDraw(ctx, s, d); err != nil {
			return err
		}
	}
	for _, a := range g.Asks {
		if err := k.asks.Set(ctx, collections.Join(uint64(a.Height), a.Session)); err != nil {
			return err
		}
	}
	for _, c := range g.Convictions {
		if err := k.convictions.Set(ctx, collections.Join(c.Session, c.Index), c); err != nil {
			return err
		}
	}
	for _, l := range g.Lapses {
		if err := k.lapses.Set(ctx, l.Session, l); err != nil {
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
	if g.Sessions, err = all(ctx, k.sessions); err != nil {
		return g, err
	}
	if g.Settlements, err = all(ctx, k.settlements); err != nil {
		return g, err
	}
	if g.Lines, err = all(ctx, k.lines); err != nil {
		return g, err
	}
	if g.Claims, err = all(ctx, k.claims); err != nil {
		return g, err
	}
	if g.Records, err = all(ctx, k.records); err != nil {
		return g, err
	}
	if g.Draws, err = all(ctx, k.draws); err != nil {
		return g, err
	}
	if g.Convictions, err = all(ctx, k.convictions); err != nil {
		return g, err
	}
	if g.Lapses, err = all(ctx, k.lapses); err != nil {
		return g, err
	}
	return g, k.asks.Walk(ctx, nil, func(key collections.Pair[uint64, uint64]) (bool, error) {
		g.Asks = append(g.Asks, marketv1.Ask{Session: key.K2(), Height: int64(key.K1())})
		return false, nil
	})
}

// all are a map's values in the order of their keys.
func all[K, V any](ctx context.Context, m collections.Map[K, V]) (out []V, err error) {
	err = m.Walk(ctx, nil, func(_ K, v V) (bool, error) {
		out = append(out, v)
		return false, nil
	})
	return out, err
}

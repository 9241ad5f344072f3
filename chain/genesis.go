package chain

import (
	"encoding/json"
	"fmt"
	"time"

	"cosmossdk.io/math"
	abci "github.com/cometbft/cometbft/abci/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
	"github.com/essaim/essaim/gen/chain/beaconv1"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Genesis says how a chain begins. The same value gives the same document, byte for
// byte, so the nodes of a devnet can each make it without talking.
type Genesis struct {
	ChainID    string
	Time       time.Time
	Validators []Validator // at least one
	Accounts   []Account   // besides the validators' operators
	Models     []Model

	// Plan is how the whole supply is given away, for a public network; nil: the supply is
	// the sum of what is given here. Holders names the accounts of the plan's parts.
	Plan    *Plan
	Holders map[string]essaim.Address

	Emission essaim.Amount // what x/registry may ever pay for work, besides its price

	// Registry and Market are the modules' parameters; nil: their defaults, which are
	// those of a public network.
	Registry *registryv1.Params
	Market   *marketv1.Params
	Tally    *tallyv1.Params
}

// Validator takes part in consensus from the first block.
type Validator struct {
	Name     string
	Key      [32]byte       // Ed25519 public key that signs blocks
	Beacon   [32]byte       // public key that proves for the beacon; zero: none yet
	Operator essaim.Address // owns the stake
	Stake    essaim.Amount  // at least 1 AIM, which is one vote
	Balance  essaim.Amount  // what the operator holds besides
}

// Account holds coins from the beginning.
type Account struct {
	Address essaim.Address
	Balance essaim.Amount
}

// Model is registered from the beginning.
type Model struct {
	Manifest  []byte
	Owner     essaim.Address
	UnitPrice essaim.Amount
	Royalty   essaim.Bps
	Data      []essaim.DataShare // who gets a part of each price because the model was made from their data
}

// signedBlocksWindow and minSigned are sized for blocks of a fraction of a second: a
// validator that restarts is not jailed, one that is away for hours is.
const signedBlocksWindow = 20_000

var minSigned = math.LegacyNewDecWithPrec(5, 2)

// Doc builds and validates the document. No coins are ever minted unless governance
// changes the mint module's parameters: the supply is the sum of what is given here.
func (g Genesis) Doc() (*cmttypes.GenesisDoc, error) {
	a, err := New(Options{DB: dbm.NewMemDB()})
	if err != nil {
		return nil, err
	}
	defer a.Close()
	state := a.basics.DefaultGenesis(a.Codec)
	if err := g.money(a, state); err != nil {
		return nil, err
	}
	g.modules(a, state)
	if err := a.basics.ValidateGenesis(a.Codec, a.Signed, state); err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	bz, err := json.Marshal(state)
	if err != nil {
		return nil, err
	}
	params := cmttypes.DefaultConsensusParams()
	params.ABCI.VoteExtensionsEnableHeight = extensionsFrom
	doc := &cmttypes.GenesisDoc{
		ChainID: g.ChainID, GenesisTime: g.Time.UTC(), InitialHeight: 1,
		ConsensusParams: params, AppState: bz,
	}
	return doc, doc.ValidateAndComplete()
}

// money writes accounts, balances and stakes. Validators enter as unbonded with their
// tokens in the unbonded pool: staking then bonds them itself and calls the hooks that
// slashing and distribution need. No gentx, no genutil.
func (g Genesis) money(a *App, state map[string]json.RawMessage) error {
	b := book{}
	stakes := stakingtypes.DefaultGenesisState()
	stakes.Params.BondDenom = essaim.Denom
	for _, v := range g.Validators {
		b.account(v.Operator, v.Balance)
		packed, err := codectypes.NewAnyWithValue(&ed25519.PubKey{Key: v.Key[:]})
		if err != nil {
			return err
		}
		operator := sdk.ValAddress(v.Operator[:]).String()
		tokens := math.NewIntFromUint64(uint64(v.Stake))
		stakes.Validators = append(stakes.Validators, stakingtypes.Validator{
			OperatorAddress:   operator,
			ConsensusPubkey:   packed,
			Status:            stakingtypes.Unbonded,
			Tokens:            tokens,
			DelegatorShares:   math.LegacyNewDecFromInt(tokens),
			Description:       stakingtypes.Description{Moniker: v.Name},
			UnbondingTime:     time.Unix(0, 0).UTC(),
			Commission:        stakingtypes.NewCommission(math.LegacyNewDecWithPrec(5, 2), math.LegacyOneDec(), math.LegacyOneDec()),
			MinSelfDelegation: math.OneInt(),
		})
		stakes.Delegations = append(stakes.Delegations, stakingtypes.NewDelegation(v.Operator.String(), operator, math.LegacyNewDecFromInt(tokens)))
		b.fund(authtypes.NewModuleAddress(stakingtypes.NotBondedPoolName), v.Stake)
	}
	for _, acc := range g.Accounts {
		b.account(acc.Address, acc.Balance)
	}
	if g.Emission > 0 {
		b.fund(authtypes.NewModuleAddress(registry.EmissionName), g.Emission)
	}
	if g.Plan != nil {
		pool, err := g.Plan.fill(g, &b, b.total())
		if err != nil {
			return err
		}
		d := distrtypes.DefaultGenesisState()
		d.FeePool.CommunityPool = sdk.NewDecCoins(sdk.NewDecCoin(essaim.Denom, math.NewIntFromUint64(uint64(pool))))
		state[distrtypes.ModuleName] = a.Codec.MustMarshalJSON(d)
	}
	accounts, balances, supply := b.sums()
	state[stakingtypes.ModuleName] = a.Codec.MustMarshalJSON(stakes)
	state[authtypes.ModuleName] = a.Codec.MustMarshalJSON(authtypes.NewGenesisState(authtypes.DefaultParams(), accounts))
	state[banktypes.ModuleName] = a.Codec.MustMarshalJSON(banktypes.NewGenesisState(banktypes.DefaultParams(), balances, supply, metadata, nil))
	return nil
}

// modules writes what the other modules begin with.
func (g Genesis) modules(a *App, state map[string]json.RawMessage) {
	zero := math.LegacyZeroDec()
	mint := minttypes.DefaultGenesisState()
	mint.Minter.Inflation = zero
	mint.Params.InflationMin, mint.Params.InflationMax, mint.Params.InflationRateChange = zero, zero, zero
	state[minttypes.ModuleName] = a.Codec.MustMarshalJSON(mint)

	slash := slashingtypes.DefaultGenesisState()
	slash.Params.SignedBlocksWindow, slash.Params.MinSignedPerWindow = signedBlocksWindow, minSigned
	state[slashingtypes.ModuleName] = a.Codec.MustMarshalJSON(slash)

	var models modelv1.GenesisState
	for _, m := range g.Models {
		x := modelv1.Model{Manifest: m.Manifest, Owner: m.Owner.String(), UnitPrice: uint64(m.UnitPrice), RoyaltyBps: uint32(m.Royalty)}
		for _, d := range m.Data {
			x.Data = append(x.Data, modelv1.DataShare{Owner: d.Owner.String(), RoyaltyBps: uint32(d.Royalty)})
		}
		models.Models = append(models.Models, x)
	}
	state[model.Name] = a.Codec.MustMarshalJSON(&models)
	draws := beaconv1.GenesisState{Params: beacon.DefaultParams()}
	for _, v := range g.Validators {
		if v.Beacon != [32]byte{} {
			draws.Keys = append(draws.Keys, beaconv1.Key{Operator: v.Operator.String(), Key: beacon.Public(v.Beacon).String()})
		}
	}
	state[beacon.Name] = a.Codec.MustMarshalJSON(&draws)
	if g.Registry != nil {
		state[registry.Name] = a.Codec.MustMarshalJSON(&registryv1.GenesisState{Params: *g.Registry})
	}
	voting := govv1.DefaultParams()
	setVoting(&voting, g.Registry, g.tally())
	state[govtypes.ModuleName] = a.Codec.MustMarshalJSON(govv1.NewGenesisState(govv1.DefaultStartingProposalID, voting))
	var counting tallyv1.GenesisState
	a.Codec.MustUnmarshalJSON(state[tally.Name], &counting)
	counting.Params = g.tally()
	state[tally.Name] = a.Codec.MustMarshalJSON(&counting)
	if g.Market != nil {
		var m marketv1.GenesisState
		a.Codec.MustUnmarshalJSON(state[market.Name], &m)
		m.Params = *g.Market
		state[market.Name] = a.Codec.MustMarshalJSON(&m)
	}
}

// tally is how votes are counted.
func (g Genesis) tally() tallyv1.Params {
	if g.Tally != nil {
		return *g.Tally
	}
	return tally.DefaultParams()
}

// setVoting makes votes end before stake that has voted can leave: a network whose bonds
// go back after seconds, for tests, also votes in seconds. See checkPeriods.
func setVoting(p *govv1.Params, r *registryv1.Params, t tallyv1.Params) {
	blocks := registry.DefaultParams().UnbondingBlocks
	if r != nil {
		blocks = r.UnbondingBlocks
	}
	locked := time.Duration(blocks) * time.Duration(t.MinBlockMs) * time.Millisecond
	if locked < *p.VotingPeriod {
		half := locked / 2
		p.VotingPeriod, p.ExpeditedVotingPeriod = &locked, &half
	}
}

// metadata tells wallets how to show the coin.
var metadata = []banktypes.Metadata{{
	Description: "the coin of the network", Base: essaim.Denom, Display: "aim", Name: "AIM", Symbol: "AIM",
	DenomUnits: []*banktypes.DenomUnit{{Denom: essaim.Denom, Exponent: 0}, {Denom: "aim", Exponent: 6}},
}}

// book adds up balances in the order of their first mention.
type book struct {
	accounts []authtypes.GenesisAccount
	balances []banktypes.Balance
	at       map[string]int // address to place in balances
}

// account opens an account, once, and funds it.
func (b *book) account(a essaim.Address, amount essaim.Amount) {
	if _, known := b.at[sdk.AccAddress(a[:]).String()]; !known {
		b.accounts = append(b.accounts, authtypes.NewBaseAccount(a[:], nil, uint64(len(b.accounts)), 0))
	}
	b.fund(a[:], amount)
}

func (b *book) fund(to sdk.AccAddress, amount essaim.Amount) {
	if b.at == nil {
		b.at = map[string]int{}
	}
	name := to.String()
	if _, known := b.at[name]; !known {
		b.at[name] = len(b.balances)
		b.balances = append(b.balances, banktypes.Balance{Address: name})
	}
	coin := sdk.NewCoin(essaim.Denom, math.NewIntFromUint64(uint64(amount)))
	b.balances[b.at[name]].Coins = b.balances[b.at[name]].Coins.Add(coin)
}

// total is what the book holds so far.
func (b *book) total() essaim.Amount {
	_, _, supply := b.sums()
	return essaim.Amount(supply.AmountOf(essaim.Denom).Uint64())
}

func (b *book) sums() ([]authtypes.GenesisAccount, []banktypes.Balance, sdk.Coins) {
	var supply sdk.Coins
	for _, x := range b.balances {
		supply = supply.Add(x.Coins...)
	}
	return b.accounts, b.balances, supply
}

// initChain writes the first state.
func (a *App) initChain(ctx sdk.Context, request *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	var state map[string]json.RawMessage
	if err := json.Unmarshal(request.AppStateBytes, &state); err != nil {
		return nil, err
	}
	if err := a.basics.ValidateGenesis(a.Codec, a.Signed, state); err != nil {
		return nil, err
	}
	if err := a.upgrade.SetModuleVersionMap(ctx, a.modules.GetVersionMap()); err != nil {
		return nil, err
	}
	response, err := a.modules.InitGenesis(ctx, a.Codec, state)
	if err != nil {
		return nil, err
	}
	return response, a.checkPeriods(ctx)
}

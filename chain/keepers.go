package chain

import (
	"context"
	"errors"

	"github.com/cosmos/cosmos-sdk/runtime"
	authkeeper "github.com/cosmos/cosmos-sdk/x/auth/keeper"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	authzkeeper "github.com/cosmos/cosmos-sdk/x/authz/keeper"
	bankkeeper "github.com/cosmos/cosmos-sdk/x/bank/keeper"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensuskeeper "github.com/cosmos/cosmos-sdk/x/consensus/keeper"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrkeeper "github.com/cosmos/cosmos-sdk/x/distribution/keeper"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencekeeper "github.com/cosmos/cosmos-sdk/x/evidence/keeper"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantkeeper "github.com/cosmos/cosmos-sdk/x/feegrant/keeper"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	mintkeeper "github.com/cosmos/cosmos-sdk/x/mint/keeper"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingkeeper "github.com/cosmos/cosmos-sdk/x/slashing/keeper"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingkeeper "github.com/cosmos/cosmos-sdk/x/staking/keeper"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/names"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
	"github.com/essaim/essaim/chain/x/trail"
)

// storeNames lists the parts of the state. A new one needs an upgrade handler on chains
// that already run.
var storeNames = []string{
	authtypes.StoreKey, banktypes.StoreKey, stakingtypes.StoreKey, slashingtypes.StoreKey, distrtypes.StoreKey,
	minttypes.StoreKey, govtypes.StoreKey, feegrant.StoreKey, authzkeeper.StoreKey, upgradetypes.StoreKey,
	evidencetypes.StoreKey, consensustypes.StoreKey, model.Name, registry.Name, market.Name,
	tally.Name, trail.Name, beacon.Name, dispute.Name, names.Name,
}

// moduleAccounts lists the accounts that modules own and what each may do.
var moduleAccounts = map[string][]string{
	authtypes.FeeCollectorName:     nil,
	distrtypes.ModuleName:          nil, // holds the community pool, where protocol fees go
	minttypes.ModuleName:           nil, // holds the staking emission; nothing is minted
	stakingtypes.BondedPoolName:    {authtypes.Burner, authtypes.Staking},
	stakingtypes.NotBondedPoolName: {authtypes.Burner, authtypes.Staking},
	govtypes.ModuleName:            {authtypes.Burner},
	registry.Name:                  {authtypes.Burner}, // holds the stake, and burns what is slashed for good
	registry.EmissionName:          nil,                // pays for work, as long as genesis left something in it
	market.Name:                    {authtypes.Burner}, // holds the deposits, and burns a part of the protocol fee
	dispute.Name:                   {authtypes.Burner}, // holds the bonds of challengers, and burns half of those that are lost
}

// keepers are the parts of the state machine. Those with an exported name are for tests
// and tools; the ledger itself goes through messages and queries.
type keepers struct {
	Account  authkeeper.AccountKeeper
	Bank     bankkeeper.BaseKeeper
	Staking  *stakingkeeper.Keeper
	Model    model.Keeper
	Registry registry.Keeper
	Market   market.Keeper
	Tally    tally.Keeper
	Gov      *govkeeper.Keeper
	Beacon   beacon.Keeper
	Dispute  dispute.Keeper
	Names    names.Keeper

	slashing     slashingkeeper.Keeper
	distribution distrkeeper.Keeper
	mint         mintkeeper.Keeper
	feegrant     feegrantkeeper.Keeper
	authz        authzkeeper.Keeper
	upgrade      *upgradekeeper.Keeper
	evidence     *evidencekeeper.Keeper
	consensus    consensuskeeper.Keeper
	trail        trail.Keeper
}

// newKeepers connects them: each gets only those it needs, so the order is forced.
func (a *App) newKeepers(o Options) (k keepers) {
	governance := authtypes.NewModuleAddress(govtypes.ModuleName).String()
	k.consensus = consensuskeeper.NewKeeper(a.Codec, a.kv(consensustypes.StoreKey), governance, runtime.EventService{})
	k.Account = authkeeper.NewAccountKeeper(a.Codec, a.kv(authtypes.StoreKey), authtypes.ProtoBaseAccount, moduleAccounts, a.Accounts,
		essaim.AddressPrefix, governance)
	k.Bank = bankkeeper.NewBaseKeeper(a.Codec, a.kv(banktypes.StoreKey), k.Account, blocked(), governance, a.Logger())

	k.Staking = stakingkeeper.NewKeeper(a.Codec, a.kv(stakingtypes.StoreKey), k.Account, k.Bank, governance, a.Validators, a.Consensus)
	k.mint = mintkeeper.NewKeeper(a.Codec, a.kv(minttypes.StoreKey), k.Staking, k.Account, k.Bank, authtypes.FeeCollectorName, governance,
		mintkeeper.WithMintFn(payStakers(k.Bank, k.Account)))
	k.distribution = distrkeeper.NewKeeper(a.Codec, a.kv(distrtypes.StoreKey), k.Account, k.Bank, k.Staking, authtypes.FeeCollectorName, governance)
	k.slashing = slashingkeeper.NewKeeper(a.Codec, a.Amino, a.kv(slashingtypes.StoreKey), k.Staking, governance)
	k.evidence = evidencekeeper.NewKeeper(a.Codec, a.kv(evidencetypes.StoreKey), k.Staking, k.slashing, a.Accounts, runtime.ProvideCometInfoService())
	k.evidence.SetRouter(evidencetypes.NewRouter()) // double votes come from CometBFT; no other kind yet
	k.Beacon = beacon.NewKeeper(a.Codec, a.kv(beacon.Name), k.Staking, governance)
	k.Staking.SetHooks(stakingtypes.NewMultiStakingHooks(k.distribution.Hooks(), k.slashing.Hooks(), beacon.NewHooks(k.Beacon)))

	k.feegrant = feegrantkeeper.NewKeeper(a.Codec, a.kv(feegrant.StoreKey), k.Account)
	k.authz = authzkeeper.NewKeeper(a.kv(authzkeeper.StoreKey), a.Codec, a.MsgServiceRouter(), k.Account)
	k.upgrade = upgradekeeper.NewKeeper(nil, a.kv(upgradetypes.StoreKey), a.Codec, o.Home, a.BaseApp, governance)

	k.Model = model.NewKeeper(a.Codec, a.kv(model.Name), k.Bank)
	k.Registry = registry.NewKeeper(a.Codec, a.kv(registry.Name), k.Bank, k.Model, governance)
	k.Tally = tally.NewKeeper(a.Codec, a.kv(tally.Name), governance, validators{k.Staking}, k.Registry)
	k.Market = market.NewKeeper(a.Codec, a.kv(market.Name), market.Neighbours{
		Bank: k.Bank, Treasury: k.distribution, Registry: stakes{k.Registry, k.Tally}, Models: k.Model, Beacon: k.Beacon,
	}, governance)

	k.Names = names.NewKeeper(a.Codec, a.kv(names.Name), k.Bank, k.distribution, governance)
	k.Dispute = dispute.NewKeeper(a.Codec, a.kv(dispute.Name), dispute.Neighbours{
		Bank: k.Bank, Registry: court{k.Registry}, Models: k.Model, Market: k.Market, Proofs: proofs{},
	}, governance)

	k.Gov = govkeeper.NewKeeper(a.Codec, a.kv(govtypes.StoreKey), k.Account, k.Bank, k.distribution, a.MsgServiceRouter(),
		govtypes.DefaultConfig(), governance, k.Tally.Result)
	k.Gov.SetHooks(tally.NewHooks(k.Tally, k.Gov))
	k.trail = trail.NewKeeper(a.kv(trail.Name))
	return k
}

// stakes is x/registry as x/market sees it.
type stakes struct {
	registry.Keeper
	tally tally.Keeper
}

// Income pays an actor's pool, and credits its owner with the protocol fee that was paid
// on the work: that is its say in the house of work.
func (s stakes) Income(ctx context.Context, from string, node essaim.NodeKey, amount, fee uint64) error {
	if err := s.Keeper.Income(ctx, from, node, amount, fee); err != nil {
		return err
	}
	actor, ok, err := s.Actor(ctx, node)
	if err != nil || !ok {
		return err
	}
	return s.tally.Credit(ctx, actor.Owner, fee)
}

// Unpaid slashes a coordinator that did not keep its word.
func (s stakes) Unpaid(ctx context.Context, f market.Fault) (uint64, error) {
	return s.Slash(ctx, registry.Slash{
		Node: f.Coordinator, Cause: registry.CauseUnpaidReceipt, Evidence: []string{essaim.CIDOf(f.Evidence)}, Heights: []int64{f.Height},
		Method:  "the signed acknowledgement promises more than the session's settlement pays",
		Wronged: f.Wronged, Restitution: uint64(f.Restitution),
	})
}

// Convict slashes a coordinator that settled what is not true.
func (s stakes) Convict(ctx context.Context, f market.Fault, fault string) (uint64, error) {
	return s.Slash(ctx, registry.Slash{
		Node: f.Coordinator, Cause: registry.CauseFalseOpening, Evidence: []string{essaim.CIDOf(f.Evidence)}, Heights: []int64{f.Height},
		Method:  "a leaf of the session's settlement is false: " + fault,
		Wronged: f.Wronged, Restitution: uint64(f.Restitution),
	})
}

// Silent counts a missed duty, and slashes by the table's row for it. Governance may take
// the row out: then only the count is left, which jails in the end. A coordinator that has
// left has nothing to lose.
func (s stakes) Silent(ctx context.Context, f market.Fault) (uint64, error) {
	switch _, ok, err := s.Actor(ctx, f.Coordinator); {
	case err != nil || !ok:
		return 0, err
	}
	if err := s.Missed(ctx, f.Coordinator); err != nil {
		return 0, err
	}
	id, err := s.Slash(ctx, registry.Slash{
		Node: f.Coordinator, Cause: registry.CauseMissedDuty, Evidence: []string{essaim.CIDOf(f.Evidence)}, Heights: []int64{f.Height},
		Method: "the beacon's draws about the session's settlement were not answered",
	})
	if errors.Is(err, registry.ErrSlash) {
		err = nil
	}
	return id, err
}

// court is x/registry as x/dispute sees it.
type court struct{ registry.Keeper }

// Wrong slashes a miner that signed a wrong result.
func (c court) Wrong(ctx context.Context, f dispute.Fault) (uint64, error) {
	return c.Slash(ctx, registry.Slash{
		Node: f.Miner, Cause: registry.CauseWrongResult, Evidence: []string{essaim.CIDOf(f.Receipt)}, Heights: []int64{f.Height},
		Method: f.Method, Wronged: f.Wronged, Restitution: f.Restitution, OwnersPart: true,
	})
}

// blocked lists the module accounts that nobody may send coins to by hand: their
// balances are other modules' books. Governance may be given money.
func blocked() map[string]bool {
	m := map[string]bool{}
	for name := range moduleAccounts {
		m[authtypes.NewModuleAddress(name).String()] = true
	}
	delete(m, authtypes.NewModuleAddress(govtypes.ModuleName).String())
	return m
}

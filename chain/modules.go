package chain

import (
	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/x/auth"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	authzmodule "github.com/cosmos/cosmos-sdk/x/authz/module"
	"github.com/cosmos/cosmos-sdk/x/bank"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/consensus"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distr "github.com/cosmos/cosmos-sdk/x/distribution"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	"github.com/cosmos/cosmos-sdk/x/evidence"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	feegrantmodule "github.com/cosmos/cosmos-sdk/x/feegrant/module"
	"github.com/cosmos/cosmos-sdk/x/gov"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"github.com/cosmos/cosmos-sdk/x/mint"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	"github.com/cosmos/cosmos-sdk/x/slashing"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	"github.com/cosmos/cosmos-sdk/x/staking"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/names"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
	"github.com/essaim/essaim/chain/x/trail"
)

// order serves genesis, begin and end of block: who writes first stands first. Mint
// comes before distribution, which shares what was minted; evidence and slashing before
// staking would remove a validator that they still ask for.
var order = []string{
	authtypes.ModuleName, banktypes.ModuleName, minttypes.ModuleName, distrtypes.ModuleName, stakingtypes.ModuleName,
	slashingtypes.ModuleName, evidencetypes.ModuleName, govtypes.ModuleName, feegrant.ModuleName, authz.ModuleName,
	upgradetypes.ModuleName, consensustypes.ModuleName, model.Name, registry.Name, market.Name,
	tally.Name, beacon.Name, dispute.Name, names.Name,
}

// wire builds the modules on their keepers. The manager's map form asks less of a module
// than NewManager does: see registry.Module.
func (a *App) wire() error {
	k := a.keepers
	a.modules = module.NewManagerFromMap(map[string]appmodule.AppModule{
		authtypes.ModuleName:      auth.NewAppModule(a.Codec, k.Account, nil, nil),
		banktypes.ModuleName:      bank.NewAppModule(a.Codec, k.Bank, k.Account, nil),
		stakingtypes.ModuleName:   staking.NewAppModule(a.Codec, k.Staking, k.Account, k.Bank, nil),
		slashingtypes.ModuleName:  slashing.NewAppModule(a.Codec, k.slashing, k.Account, k.Bank, k.Staking, nil, a.Types),
		distrtypes.ModuleName:     distr.NewAppModule(a.Codec, k.distribution, k.Account, k.Bank, k.Staking, nil),
		minttypes.ModuleName:      mint.NewAppModule(a.Codec, k.mint, k.Account, nil, nil),
		govtypes.ModuleName:       gov.NewAppModule(a.Codec, k.Gov, k.Account, k.Bank, nil),
		feegrant.ModuleName:       feegrantmodule.NewAppModule(a.Codec, k.Account, k.Bank, k.feegrant, a.Types),
		authz.ModuleName:          authzmodule.NewAppModule(a.Codec, k.authz, k.Account, k.Bank, a.Types),
		upgradetypes.ModuleName:   upgradeModule{k.upgrade},
		evidencetypes.ModuleName:  evidence.NewAppModule(*k.evidence),
		consensustypes.ModuleName: consensus.NewAppModule(a.Codec, k.consensus),
		model.Name:                model.NewModule(k.Model),
		registry.Name:             registry.NewModule(k.Registry),
		market.Name:               market.NewModule(k.Market),
		tally.Name:                tally.NewModule(k.Tally, k.Gov),
		trail.Name:                trail.NewModule(k.trail),
		beacon.Name:               beacon.NewModule(k.Beacon),
		dispute.Name:              dispute.NewModule(k.Dispute),
		names.Name:                names.NewModule(k.Names),
	})
	a.basics = module.NewBasicManagerFromManager(a.modules, nil)
	a.basics.RegisterLegacyAminoCodec(a.Amino)
	a.modules.SetOrderPreBlockers(upgradetypes.ModuleName, authtypes.ModuleName) // migrate before anything runs
	a.modules.SetOrderBeginBlockers(order...)
	a.modules.SetOrderEndBlockers(order...)
	a.modules.SetOrderInitGenesis(order...)
	a.modules.SetOrderExportGenesis(order...)
	a.services = module.NewConfigurator(a.Codec, checked{a.MsgServiceRouter(), a.checkPeriods}, a.GRPCQueryRouter())
	return a.modules.RegisterServices(a.services)
}

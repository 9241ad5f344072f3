package chain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	upgradekeeper "github.com/cosmos/cosmos-sdk/x/upgrade/keeper"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"

	"github.com/essaim/essaim/gen/chain/trailv1"
)

// Upgrade is a change of programs that governance plans by name and height.
type Upgrade struct {
	Name   string
	Stores []string // that it adds to the state
	// Migrate changes the state at the height, before the modules' own migrations; nil:
	// only those run.
	Migrate func(context.Context, *App) error
}

// allStores are the parts of the state, with those that upgrades add.
func allStores(upgrades []Upgrade) []string {
	out := slices.Clone(storeNames)
	for _, u := range upgrades {
		out = append(out, u.Stores...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// setUpgrades makes the upgrades known. The stores of the one that the old program stopped
// for are added while the state is loaded, once.
func (a *App) setUpgrades(upgrades []Upgrade) error {
	if len(upgrades) == 0 {
		return nil
	}
	stopped, err := a.upgrade.ReadUpgradeInfoFromDisk()
	if err != nil {
		return err
	}
	for _, u := range upgrades {
		a.upgrade.SetUpgradeHandler(u.Name, func(ctx context.Context, _ upgradetypes.Plan, from module.VersionMap) (module.VersionMap, error) {
			if u.Migrate != nil {
				if err := u.Migrate(ctx, a); err != nil {
					return nil, err
				}
			}
			return a.modules.RunMigrations(ctx, a.services, from)
		})
		if u.Name == stopped.Name {
			a.SetStoreLoader(upgradetypes.UpgradeStoreLoader(stopped.Height, &storetypes.StoreUpgrades{Added: u.Stores}))
		}
	}
	return nil
}

// upgradeModule runs x/upgrade's keeper. The SDK's own module would do, but its package
// also holds a command that downloads binaries, and with it the SDKs of two clouds.
type upgradeModule struct{ keeper *upgradekeeper.Keeper }

var (
	_ appmodule.AppModule        = upgradeModule{}
	_ appmodule.HasServices      = upgradeModule{}
	_ appmodule.HasPreBlocker    = upgradeModule{}
	_ module.HasConsensusVersion = upgradeModule{}
)

func (upgradeModule) IsOnePerModuleType() {}
func (upgradeModule) IsAppModule()        {}

// ConsensusVersion is that of the SDK's module.
func (upgradeModule) ConsensusVersion() uint64 { return 2 }

// RegisterServices routes governance's messages and everybody's queries.
func (m upgradeModule) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&upgradetypes.Msg_serviceDesc, upgradekeeper.NewMsgServerImpl(m.keeper))
	r.RegisterService(&upgradetypes.Query_serviceDesc, m.keeper)
	return nil
}

// PreBlock switches programs at the planned height, exactly: the old program stops there
// and leaves word for whoever starts the new one, and the new one migrates there and
// refuses to run before.
func (m upgradeModule) PreBlock(ctx context.Context) (appmodule.ResponsePreBlock, error) {
	k, sdkCtx := m.keeper, sdk.UnwrapSDKContext(ctx)
	same := &sdk.ResponsePreBlock{}
	plan, err := k.GetUpgradePlan(ctx)
	planned := err == nil
	if err != nil && !errors.Is(err, upgradetypes.ErrNoUpgradePlanFound) {
		return nil, err
	}
	due := planned && plan.ShouldExecute(sdkCtx.BlockHeight())
	if !due {
		if err := m.checkProgram(ctx); err != nil {
			return nil, err
		}
	}
	switch known := planned && k.HasHandler(plan.Name); {
	case !planned, !due && !known:
		return same, nil
	case !due:
		return nil, fmt.Errorf("this program is for upgrade %q, which is due %s: start the program before it", plan.Name, plan.DueAt())
	case !known:
		if err := k.DumpUpgradeInfoToDisk(sdkCtx.BlockHeight(), plan); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("upgrade %q is due: start the program that knows it (%s)", plan.Name, plan.Info)
	}
	if err := k.ApplyUpgrade(sdkCtx.WithBlockGasMeter(storetypes.NewInfiniteGasMeter()), plan); err != nil {
		return nil, err
	}
	if err := sdkCtx.EventManager().EmitTypedEvent(&trailv1.EventUpgraded{Name: plan.Name, Info: plan.Info}); err != nil {
		return nil, err
	}
	return &sdk.ResponsePreBlock{ConsensusParamsChanged: true}, nil
}

// checkProgram refuses, once, to run a program that is older than the state.
func (m upgradeModule) checkProgram(ctx context.Context) error {
	if m.keeper.DowngradeVerified() {
		return nil
	}
	m.keeper.SetDowngradeVerified(true)
	last, _, err := m.keeper.GetLastCompletedUpgrade(ctx)
	if err != nil || last == "" || m.keeper.HasHandler(last) {
		return err
	}
	return fmt.Errorf("this program does not know upgrade %q, which the chain has made: start a newer one", last)
}

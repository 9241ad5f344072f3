package tally

import (
	"context"

	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	govkeeper "github.com/cosmos/cosmos-sdk/x/gov/keeper"

	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Module is the wiring the application needs. The module manager finds all but the two
// marker methods by type assertion, so the assertions below keep them spelled right.
type Module struct {
	keeper Keeper
	gov    *govkeeper.Keeper
}

var (
	_ appmodule.AppModule        = Module{}
	_ appmodule.HasServices      = Module{}
	_ module.HasGenesis          = Module{} // not appmodule.HasGenesis: RunMigrations ignores it for a new module
	_ module.HasConsensusVersion = Module{}
	_ appmodule.HasEndBlocker    = Module{}
)

// NewModule wraps the keeper, which counts for gov.
func NewModule(k Keeper, gov *govkeeper.Keeper) Module { return Module{k, gov} }

// IsOnePerModuleType marks the type as a module.
func (Module) IsOnePerModuleType() {}

// IsAppModule marks the type as a module.
func (Module) IsAppModule() {}

// ConsensusVersion grows by one with each change of the stored state.
func (Module) ConsensusVersion() uint64 { return 1 }

// RegisterInterfaces makes the messages known to the transaction decoder.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	msgservice.RegisterMsgServiceDesc(r, &tallyv1.Msg_serviceDesc)
}

// RegisterServices routes transactions and queries to the keeper.
func (m Module) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&tallyv1.Msg_serviceDesc, msgServer{m.keeper})
	r.RegisterService(&tallyv1.Query_serviceDesc, queryServer{m.keeper})
	return nil
}

// EndBlock forgets the ballots of proposals that are decided.
func (m Module) EndBlock(ctx context.Context) error { return m.keeper.sweep(ctx, m.gov) }

package dispute

import (
	"context"

	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim/gen/chain/disputev1"
)

// Module is the wiring the application needs. The module manager finds all but the two
// marker methods by type assertion, so the assertions below keep them spelled right.
type Module struct{ keeper Keeper }

var (
	_ appmodule.AppModule        = Module{}
	_ appmodule.HasServices      = Module{}
	_ module.HasGenesis          = Module{} // not appmodule.HasGenesis: RunMigrations ignores it for a new module
	_ module.HasConsensusVersion = Module{}
	_ appmodule.HasEndBlocker    = Module{}
)

// NewModule wraps the keeper.
func NewModule(k Keeper) Module { return Module{k} }

// IsOnePerModuleType marks the type as a module.
func (Module) IsOnePerModuleType() {}

// IsAppModule marks the type as a module.
func (Module) IsAppModule() {}

// ConsensusVersion grows by one with each change of the stored state.
func (Module) ConsensusVersion() uint64 { return 1 }

// RegisterInterfaces makes the messages known to the transaction decoder.
func (Module) RegisterInterfaces(r codectypes.InterfaceRegistry) {
	msgservice.RegisterMsgServiceDesc(r, &disputev1.Msg_serviceDesc)
}

// RegisterServices routes transactions and queries to the keeper.
func (m Module) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&disputev1.Msg_serviceDesc, msgServer{m.keeper})
	r.RegisterService(&disputev1.Query_serviceDesc, queryServer{m.keeper})
	return nil
}

// EndBlock ends the games of sides that did not move in time.
func (m Module) EndBlock(ctx context.Context) error { return m.keeper.endBlock(ctx) }

func emit(ctx context.Context, event proto.Message) error {
	return sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event)
}

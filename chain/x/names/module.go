package names

import (
	"context"

	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim/gen/chain/namesv1"
)

// Module is the wiring the application needs. With module.NewManagerFromMap the two
// marker methods are all that is compulsory; the rest are picked up by type assertion,
// so the assertions below are what keeps them spelled right.
type Module struct{ keeper Keeper }

var (
	_ appmodule.AppModule        = Module{}
	_ appmodule.HasServices      = Module{}
	_ module.HasGenesis          = Module{} // not appmodule.HasGenesis: RunMigrations ignores it for a new module
	_ module.HasConsensusVersion = Module{}
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
	msgservice.RegisterMsgServiceDesc(r, &namesv1.Msg_serviceDesc)
}

// RegisterServices routes transactions and queries to the keeper.
func (m Module) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&namesv1.Msg_serviceDesc, msgServer{m.keeper})
	r.RegisterService(&namesv1.Query_serviceDesc, queryServer{m.keeper})
	return nil
}

func emit(ctx context.Context, event proto.Message) error {
	return sdk.UnwrapSDKContext(ctx).EventManager().EmitTypedEvent(event)
}

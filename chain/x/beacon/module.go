package beacon

import (
	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/types/module"
	"github.com/cosmos/cosmos-sdk/types/msgservice"

	"github.com/essaim/essaim/gen/chain/beaconv1"
)

// Module is the wiring the application needs, which calls Keeper.Advance itself: a module
// does not see a block's transactions.
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
	msgservice.RegisterMsgServiceDesc(r, &beaconv1.Msg_serviceDesc)
}

// RegisterServices routes transactions and queries to the keeper.
func (m Module) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&beaconv1.Msg_serviceDesc, msgServer{m.keeper})
	r.RegisterService(&beaconv1.Query_serviceDesc, queryServer(m))
	return nil
}

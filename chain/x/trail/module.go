package trail

import (
	"google.golang.org/grpc"

	"cosmossdk.io/core/appmodule"
	"github.com/cosmos/cosmos-sdk/types/module"

	"github.com/essaim/essaim/gen/chain/trailv1"
)

// Module is the wiring the application needs. The application calls Keeper.Write itself, after
// all modules' ends of the block. There is no genesis: a chain that goes on from an
// export begins a new trail, since its headers prove nothing of the old chain's blocks.
type Module struct{ keeper Keeper }

var (
	_ appmodule.AppModule        = Module{}
	_ appmodule.HasServices      = Module{}
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

// RegisterServices routes queries to the keeper.
func (m Module) RegisterServices(r grpc.ServiceRegistrar) error {
	r.RegisterService(&trailv1.Query_serviceDesc, queryServer{m.keeper})
	return nil
}

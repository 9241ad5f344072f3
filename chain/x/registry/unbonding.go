package registry

import "context"

// Unbonding is for how many blocks stake that leaves stays locked.
func (k Keeper) Unbonding(ctx context.Context) (uint32, error) {
	p, err := k.params.Get(ctx)
	return p.UnbondingBlocks, err
}

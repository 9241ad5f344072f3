package gateway

import "context"

// TakeUp is what Run begins with.
func (g *Gateway) TakeUp(ctx context.Context) { g.takeUp(ctx) }

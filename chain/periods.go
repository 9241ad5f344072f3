package chain

import (
	"context"
	"fmt"
	"time"

	gogogrpc "github.com/cosmos/gogoproto/grpc"
	"google.golang.org/grpc"
)

// checkPeriods refuses periods under which one coin could vote twice. A vote's power is
// taken when it is cast; stake that leaves afterwards must still be locked when the vote
// ends, or it could move to another account and vote again. So neither unbonding period
// may be shorter than the voting period. The registry counts blocks: they are taken to
// come no faster than tally's min_block_ms.
func (a *App) checkPeriods(ctx context.Context) error {
	gov, err := a.Gov.Params.Get(ctx)
	if err != nil {
		return err
	}
	staking, err := a.Staking.UnbondingTime(ctx)
	if err != nil {
		return err
	}
	blocks, err := a.Registry.Unbonding(ctx)
	if err != nil {
		return err
	}
	tally, err := a.Tally.Params(ctx)
	if err != nil {
		return err
	}
	registry := time.Duration(blocks) * time.Duration(tally.MinBlockMs) * time.Millisecond
	switch voting := *gov.VotingPeriod; {
	case voting > staking:
		return fmt.Errorf("a vote takes %s and validators' stake is free after %s: a coin could vote twice", voting, staking)
	case voting > registry:
		return fmt.Errorf("a vote takes %s and pools' stake is free after %d blocks, which may be %s: a coin could vote twice", voting, blocks, registry)
	}
	return nil
}

// checked is a message router whose UpdateParams end with a check of what must hold
// between modules. No module can check it alone, since each knows its own parameters. A
// proposal that fails it changes nothing; one that needs several messages puts the longer
// unbonding period first.
type checked struct {
	gogogrpc.Server
	check func(context.Context) error
}

// RegisterService registers a module's messages, with the check after UpdateParams.
func (c checked) RegisterService(d *grpc.ServiceDesc, impl any) {
	desc := *d
	desc.Methods = append([]grpc.MethodDesc(nil), d.Methods...)
	for i, m := range desc.Methods {
		if m.MethodName == "UpdateParams" {
			desc.Methods[i].Handler = c.then(m.Handler)
		}
	}
	c.Server.RegisterService(&desc, impl)
}

// after runs a handler, and then the check.
func (c checked) after(handle grpc.UnaryHandler) grpc.UnaryHandler {
	return func(ctx context.Context, req any) (any, error) {
		resp, err := handle(ctx, req)
		if err == nil {
			err = c.check(ctx)
		}
		return resp, err
	}
}

// then runs the check inside the interceptor, where the context is that of the message.
func (c checked) then(update grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
		return update(srv, ctx, dec, func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			handle = c.after(handle)
			if intercept == nil {
				return handle(ctx, req)
			}
			return intercept(ctx, req, info, handle)
		})
	}
}

package registry

import (
	"context"
	"fmt"
	"math/big"

	"cosmossdk.io/collections"
	"cosmossdk.io/math"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// CheckInvariant reports whether everything adds up: each pool's shares to its
// delegations and exits, its unclaimed rewards to theirs in every bit of fraction, the
// sum of stake to the actors, and the module account to all that it holds for others. It
// reads the whole state: for tests and for genesis.
func (k Keeper) CheckInvariant(ctx context.Context) error {
	var c audit
	c.pools = map[uint64]*sums{}
	if err := c.walk(ctx, k); err != nil {
		return err
	}
	total, err := k.TotalStake(ctx)
	if err != nil {
		return err
	}
	if !c.active.Equal(math.NewIntFromUint64(total)) {
		return fmt.Errorf("registry: actors have %s active, the sum says %d", c.active, total)
	}
	held := k.bank.GetBalance(ctx, authtypes.NewModuleAddress(Name), essaim.Denom).Amount
	if !held.Equal(c.owed) {
		return fmt.Errorf("registry: %s is owed, the module account holds %s", c.owed, held)
	}
	return nil
}

// audit is what one walk over the state adds up.
type audit struct {
	owed, active math.Int
	pools        map[uint64]*sums // by actor; looked up, never walked
}

// sums are of one pool's delegations and exits.
type sums struct {
	active, leaving uint64
	rewards         *big.Int // in 2⁻⁶⁴ uaim
	pool            registryv1.Actor
	obligations     uint32
	held            uint32
	unaudited       uint64
}

func (c *audit) walk(ctx context.Context, k Keeper) error {
	c.owed, c.active = math.ZeroInt(), math.ZeroInt()
	var order []*sums
	err := k.actors.Walk(ctx, nil, func(id uint64, a registryv1.Actor) (bool, error) {
		c.owe(a.Pool.Stake)
		c.owe(a.Pool.Unclaimed)
		c.owe(a.Earned)
		c.active = c.active.Add(math.NewIntFromUint64(activeStake(a)))
		s := &sums{rewards: fixed(a.Pool.RestHi, a.Pool.RestLo), pool: a}
		c.pools[id], order = s, append(order, s)
		return false, nil
	})
	if err != nil {
		return err
	}
	if err := c.walkStakes(ctx, k); err != nil {
		return err
	}
	if err := c.walkMoney(ctx, k); err != nil {
		return err
	}
	for _, s := range order {
		if err := s.compare(); err != nil {
			return err
		}
	}
	return nil
}

func (c *audit) owe(uaim uint64) { c.owed = c.owed.Add(math.NewIntFromUint64(uaim)) }

func (c *audit) of(actor uint64) (*sums, error) {
	s, ok := c.pools[actor]
	if !ok {
		return nil, fmt.Errorf("registry: something refers to actor %d, which is not there", actor)
	}
	return s, nil
}

// walkStakes adds up delegations and exits.
func (c *audit) walkStakes(ctx context.Context, k Keeper) error {
	err := k.stakes.Walk(ctx, nil, func(key ofActor, d registryv1.Delegation) (bool, error) {
		s, err := c.of(key.K1())
		if err != nil {
			return true, err
		}
		p, pos := poolOf(s.pool), positionOf(d)
		p.Settle(&pos)
		s.active += d.Shares
		s.rewards.Add(s.rewards, fixed(pos.Pending, pos.Fraction))
		back, err := k.holders.Has(ctx, collections.Join(key.K2(), key.K1()))
		if err == nil && !back {
			err = fmt.Errorf("registry: the delegation of %s on %d is not in its holder's list", d.Delegator, key.K1())
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	return k.exits.Walk(ctx, nil, func(_ uint64, e registryv1.Exit) (bool, error) {
		s, err := c.of(e.Actor)
		if err == nil {
			s.leaving += e.Shares
		}
		return err != nil, err
	})
}

// walkMoney adds up held slashes, deferred income and credits.
func (c *audit) walkMoney(ctx context.Context, k Keeper) error {
	err := k.slashes.Walk(ctx, nil, func(_ uint64, x registryv1.Slash) (bool, error) {
		if x.State != registryv1.SlashState_SLASH_STATE_HELD {
			return false, nil
		}
		c.owe(x.Amount)
		s, err := c.of(x.Actor)
		if err == nil {
			s.held++
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	err = k.windows.Walk(ctx, nil, func(_ byHeight, w registryv1.Window) (bool, error) {
		c.owe(w.Deferred)
		s, err := c.of(w.Actor)
		if err == nil {
			s.obligations++
			s.unaudited += w.Counted
		}
		return err != nil, err
	})
	if err != nil {
		return err
	}
	return k.credits.Walk(ctx, nil, func(key ofNumber, _ uint64) (bool, error) {
		s, err := c.of(key.K2())
		if err == nil {
			s.obligations++
		}
		return err != nil, err
	})
}

// compare checks one pool against the sums.
func (s *sums) compare() error {
	a, p := s.pool, s.pool.Pool
	switch {
	case p.Stake > p.Shares || p.Leaving > p.Shares:
		return fmt.Errorf("registry: pool %d has a stake of %d and %d shares, %d leaving", a.Id, p.Stake, p.Shares, p.Leaving)
	case s.active != p.Shares-p.Leaving || s.leaving != p.Leaving:
		return fmt.Errorf("registry: pool %d has %d shares, %d leaving; its holders %d and %d", a.Id, p.Shares, p.Leaving, s.active, s.leaving)
	case s.rewards.Cmp(fixed(p.Unclaimed, 0)) != 0:
		return fmt.Errorf("registry: pool %d holds rewards of %d, its holders have %s/2⁶⁴", a.Id, p.Unclaimed, s.rewards)
	case s.obligations != a.Obligations || s.held != a.Held || s.unaudited != a.Unaudited:
		return fmt.Errorf("registry: actor %d counts %d obligations, %d held slashes, %d unaudited; there are %d, %d, %d",
			a.Id, a.Obligations, a.Held, a.Unaudited, s.obligations, s.held, s.unaudited)
	}
	return nil
}

// fixed is hi·2⁶⁴ + lo.
func fixed(hi, lo uint64) *big.Int {
	x := new(big.Int).Lsh(new(big.Int).SetUint64(hi), 64)
	return x.Add(x, new(big.Int).SetUint64(lo))
}

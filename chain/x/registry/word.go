package registry

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry/pool"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Word turns an actor, as a query answers it, into the network's word for it.
func Word(a registryv1.Actor) (essaim.Actor, error) {
	node, err := essaim.ParseNodeKey(a.NodeKey)
	if err != nil {
		return essaim.Actor{}, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return essaim.Actor{}, err
	}
	out := essaim.Actor{
		Role: roleWord(a.Role), NodeKey: node, Owner: owner, HPKEKey: a.HpkeKey, Bond: essaim.Amount(a.Bond),
		Stake: essaim.Amount(a.ActiveStake), Unaudited: essaim.Amount(a.Unaudited), Commission: essaim.Bps(a.CommissionBps), CommissionChange: essaim.Bps(a.CommissionChangeBps),
		Fee: essaim.Bps(a.FeeBps), URL: a.Url, RetiredAt: a.RetiredAt,
		JailedUntil: a.JailedUntil, AwayFrom: a.AwayFrom, AwayUntil: a.AwayUntil,
	}
	for _, o := range a.Offers {
		d, err := essaim.ParseDigest(o.Model)
		if err != nil {
			return essaim.Actor{}, err
		}
		out.Offers = append(out.Offers, essaim.Offer{Model: d, UnitPrice: essaim.Amount(o.UnitPrice)})
	}
	return out, nil
}

func roleWord(r registryv1.Role) essaim.Role {
	if r == registryv1.Role_ROLE_COORDINATOR {
		return essaim.RoleCoordinator
	}
	return essaim.RoleMiner
}

// present fills what an answer has and the state has not.
func (k Keeper) present(ctx context.Context, a *registryv1.Actor) error {
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return err
	}
	d, err := k.stake(ctx, a.Id, owner)
	if err != nil {
		return err
	}
	a.Bond, a.ActiveStake = poolOf(*a).Value(d.Shares+a.RetiredShares), activeStake(*a)
	return nil
}

// activeStake is what may vote, and what matching counts: nothing of an actor that has
// retired, because its pool is paid out at once when the bond goes back, and a coin that
// has voted must not be free before the vote ends.
func activeStake(a registryv1.Actor) uint64 {
	if a.RetiredAt != 0 {
		return 0
	}
	p := poolOf(a)
	return p.Value(p.Active())
}

// backing is what answers for an actor's work: its active stake and a retired bond.
func backing(a registryv1.Actor) uint64 {
	p := poolOf(a)
	return p.Value(p.Active() + a.RetiredShares)
}

// poolOf and setPool translate the stored form of a pool; positionOf and setPosition that
// of a delegation.
func poolOf(a registryv1.Actor) pool.Pool {
	p := a.Pool
	return pool.Pool{
		Stake: p.Stake, Shares: p.Shares, Leaving: p.Leaving, Unclaimed: p.Unclaimed,
		Index: pool.Fixed{Hi: p.IndexHi, Lo: p.IndexLo}, Rest: pool.Fixed{Hi: p.RestHi, Lo: p.RestLo},
	}
}

func setPool(a *registryv1.Actor, p pool.Pool) {
	a.Pool = registryv1.Pool{
		Stake: p.Stake, Shares: p.Shares, Leaving: p.Leaving, Unclaimed: p.Unclaimed,
		IndexHi: p.Index.Hi, IndexLo: p.Index.Lo, RestHi: p.Rest.Hi, RestLo: p.Rest.Lo,
	}
}

func positionOf(d registryv1.Delegation) pool.Position {
	return pool.Position{Shares: d.Shares, Seen: pool.Fixed{Hi: d.SeenHi, Lo: d.SeenLo}, Pending: d.Pending, Fraction: d.Fraction}
}

func setPosition(d *registryv1.Delegation, p pool.Position) {
	d.Shares, d.SeenHi, d.SeenLo, d.Pending, d.Fraction = p.Shares, p.Seen.Hi, p.Seen.Lo, p.Pending, p.Fraction
}

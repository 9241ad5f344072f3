package registry

import (
	"context"
	"errors"

	"cosmossdk.io/collections"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/registry/pool"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Delegate stakes on an actor that works.
func (s msgServer) Delegate(ctx context.Context, m *registryv1.MsgDelegate) (*registryv1.MsgDelegateResponse, error) {
	who, a, err := s.holder(ctx, m.Delegator, m.NodeKey)
	if err != nil {
		return nil, err
	}
	if err := s.admits(ctx, a, who, m.Amount); err != nil {
		return nil, err
	}
	if err := s.escrow(ctx, who, m.Amount); err != nil {
		return nil, err
	}
	if err := s.join(ctx, &a, who, m.Amount, &m.Compound); err != nil {
		return nil, err
	}
	return &registryv1.MsgDelegateResponse{}, s.put(ctx, a)
}

// Undelegate begins to take stake back.
func (s msgServer) Undelegate(ctx context.Context, m *registryv1.MsgUndelegate) (*registryv1.MsgUndelegateResponse, error) {
	e, err := s.leave(ctx, m.Delegator, m.NodeKey, m.Amount, 0)
	return &registryv1.MsgUndelegateResponse{Exit: e.Id, DueAt: e.DueAt}, err
}

// Redelegate begins to move stake to another actor. On the way it stays in the pool that
// it leaves, so that it cannot flee a slash.
func (s msgServer) Redelegate(ctx context.Context, m *registryv1.MsgRedelegate) (*registryv1.MsgRedelegateResponse, error) {
	to, err := s.get(ctx, m.To)
	switch {
	case err != nil:
		return nil, err
	case to.RetiredAt != 0:
		return nil, ErrRetired.Wrapf("%s, since height %d", to.NodeKey, to.RetiredAt)
	}
	e, err := s.leave(ctx, m.Delegator, m.NodeKey, m.Amount, to.Id)
	return &registryv1.MsgRedelegateResponse{Exit: e.Id, DueAt: e.DueAt}, err
}

// SetCompound says what a claim does.
func (s msgServer) SetCompound(ctx context.Context, m *registryv1.MsgSetCompound) (*registryv1.MsgSetCompoundResponse, error) {
	who, a, err := s.holder(ctx, m.Delegator, m.NodeKey)
	if err != nil {
		return nil, err
	}
	d, err := s.stake(ctx, a.Id, who)
	if err != nil {
		return nil, err
	}
	if d.Shares == 0 {
		return nil, ErrStake.Wrapf("%s has none on %s", who, a.NodeKey)
	}
	d.Compound = m.Compound
	return &registryv1.MsgSetCompoundResponse{}, s.stakes.Set(ctx, collections.Join(a.Id, who[:]), d)
}

// Claim pays the rewards of one delegation or of all of an account's, and to an owner the
// commission.
func (s msgServer) Claim(ctx context.Context, m *registryv1.MsgClaim) (*registryv1.MsgClaimResponse, error) {
	who, err := essaim.ParseAddress(m.Delegator)
	if err != nil {
		return nil, ErrOwner.Wrap(err.Error())
	}
	var ids []uint64
	if m.NodeKey == "" {
		if ids, err = s.backed(ctx, who); err != nil {
			return nil, err
		}
	} else {
		a, err := s.get(ctx, m.NodeKey)
		if err != nil {
			return nil, err
		}
		ids = []uint64{a.Id}
	}
	out := &registryv1.MsgClaimResponse{}
	for _, id := range ids {
		paid, compounded, err := s.claim(ctx, id, who)
		if err != nil {
			return nil, err
		}
		out.Paid, out.Compounded = out.Paid+paid, out.Compounded+compounded
	}
	return out, nil
}

// claim empties one delegation's rewards. If they cannot join the pool, they are paid.
func (k Keeper) claim(ctx context.Context, id uint64, who essaim.Address) (paid, compounded uint64, err error) {
	a, err := k.actors.Get(ctx, id)
	if err != nil {
		return 0, 0, err
	}
	d, err := k.stake(ctx, id, who)
	if err != nil {
		return 0, 0, err
	}
	p, pos := poolOf(a), positionOf(d)
	amount := p.Take(&pos)
	setPool(&a, p)
	setPosition(&d, pos)
	if a.Owner == who.String() {
		amount, a.Earned = amount+a.Earned, 0
	}
	if amount == 0 {
		return 0, 0, nil
	}
	if err := k.putStake(ctx, &a, d, who); err != nil {
		return 0, 0, err
	}
	event := &registryv1.EventClaimed{NodeKey: a.NodeKey, Delegator: who.String(), Amount: amount}
	if event.Compounded = d.Compound && k.admits(ctx, a, who, amount) == nil; event.Compounded {
		compounded = amount
		err = k.join(ctx, &a, who, amount, nil)
	} else {
		paid = amount
		err = k.pay(ctx, event.Delegator, amount)
	}
	if err != nil {
		return 0, 0, err
	}
	return paid, compounded, errors.Join(k.put(ctx, a), emit(ctx, event))
}

// admits says why an account cannot stake an amount on an actor, or nil. An owner may
// top up the bond of a jailed actor.
func (k Keeper) admits(ctx context.Context, a registryv1.Actor, who essaim.Address, amount uint64) error {
	switch {
	case a.RetiredAt != 0:
		return ErrRetired.Wrapf("since height %d", a.RetiredAt)
	case a.JailedUntil != 0 && a.Owner != who.String():
		return ErrJailed.Wrapf("until height %d or later", a.JailedUntil)
	case a.Held > 0:
		return ErrFrozen.Wrapf("until height %d: a slash may still be reversed", a.FrozenUntil)
	}
	if err := poolOf(a).Joinable(amount); err != nil {
		return ErrStake.Wrap(err.Error())
	}
	if known, err := k.stakes.Has(ctx, collections.Join(a.Id, who[:])); err != nil || known {
		return err
	}
	ids, err := k.backed(ctx, who)
	if err == nil && len(ids) >= MaxDelegations {
		err = ErrStake.Wrapf("one account backs at most %d actors", MaxDelegations)
	}
	return err
}

// join adds coins that the module account holds to a pool. The caller puts the actor.
func (k Keeper) join(ctx context.Context, a *registryv1.Actor, who essaim.Address, amount uint64, compound *bool) error {
	d, err := k.stake(ctx, a.Id, who)
	if err != nil {
		return err
	}
	p, pos := poolOf(*a), positionOf(d)
	if err := p.Join(&pos, amount); err != nil {
		return ErrStake.Wrap(err.Error())
	}
	setPool(a, p)
	setPosition(&d, pos)
	if compound != nil {
		d.Compound = *compound
	}
	if err := k.putStake(ctx, a, d, who); err != nil {
		return err
	}
	return emit(ctx, &registryv1.EventDelegated{NodeKey: a.NodeKey, Delegator: d.Delegator, Amount: amount})
}

// leave begins an exit of an amount in today's value, 0 for all.
func (s msgServer) leave(ctx context.Context, delegator, nodeKey string, amount, to uint64) (e registryv1.Exit, err error) {
	who, a, err := s.holder(ctx, delegator, nodeKey)
	if err != nil {
		return e, err
	}
	d, err := s.stake(ctx, a.Id, who)
	if err != nil {
		return e, err
	}
	params, err := s.params.Get(ctx)
	if err != nil {
		return e, err
	}
	p := poolOf(a)
	shares := d.Shares
	if amount > 0 {
		shares = p.SharesFor(amount, d.Shares)
	}
	switch {
	case shares == 0:
		return e, ErrStake.Wrapf("%s has none on %s", who, a.NodeKey)
	case amount > p.Value(d.Shares):
		return e, ErrStake.Wrapf("%s has %s on %s", who, essaim.Amount(p.Value(d.Shares)), a.NodeKey)
	case to == a.Id:
		return e, ErrStake.Wrap("it is there already")
	case d.Exits >= MaxExits:
		return e, ErrStake.Wrapf("%d exits are under way, at most %d", d.Exits, MaxExits)
	case a.Owner == who.String() && p.Value(d.Shares-shares) < least(params, a.Role):
		return e, ErrBond.Wrapf("%s must stay, or retire", essaim.Amount(least(params, a.Role)))
	}
	return s.exit(ctx, &a, d, who, shares, to, params.UnbondingBlocks)
}

// exit moves shares from active to leaving. Rewards are paid along if no share stays.
func (k Keeper) exit(ctx context.Context, a *registryv1.Actor, d registryv1.Delegation, who essaim.Address, shares, to uint64, blocks uint32) (e registryv1.Exit, err error) {
	p, pos := poolOf(*a), positionOf(d)
	if err := p.Leave(&pos, shares); err != nil {
		return e, err
	}
	if pos.Shares == 0 {
		if err := k.pay(ctx, who.String(), p.Take(&pos)); err != nil {
			return e, err
		}
	}
	setPool(a, p)
	setPosition(&d, pos)
	d.Exits++
	id, err := k.nextExit.Next(ctx)
	if err != nil {
		return e, err
	}
	now := height(ctx)
	e = registryv1.Exit{
		Id: id, Actor: a.Id, Delegator: who.String(), Shares: shares, RequestedAt: now, DueAt: now + int64(blocks), To: to,
		Bond: a.RetiredAt != 0 && a.Owner == who.String(),
	}
	if err := errors.Join(k.putStake(ctx, a, d, who), k.putExit(ctx, e, who), k.put(ctx, *a)); err != nil {
		return e, err
	}
	return e, emit(ctx, &registryv1.EventLeaving{
		NodeKey: a.NodeKey, Delegator: e.Delegator, Exit: id, Value: p.Value(shares), DueAt: e.DueAt, To: to,
	})
}

// holder parses who stakes and loads the actor.
func (k Keeper) holder(ctx context.Context, account, nodeKey string) (essaim.Address, registryv1.Actor, error) {
	who, err := essaim.ParseAddress(account)
	if err != nil {
		return who, registryv1.Actor{}, ErrOwner.Wrap(err.Error())
	}
	a, err := k.get(ctx, nodeKey)
	return who, a, err
}

// stake loads a delegation; without one, an empty one.
func (k Keeper) stake(ctx context.Context, actor uint64, who essaim.Address) (registryv1.Delegation, error) {
	d, err := or(k.stakes.Get(ctx, collections.Join(actor, who[:])))
	d.Actor, d.Delegator = actor, who.String()
	return d, err
}

// putStake writes a delegation, or forgets an empty one. The caller puts the actor.
func (k Keeper) putStake(ctx context.Context, a *registryv1.Actor, d registryv1.Delegation, who essaim.Address) error {
	key, back := collections.Join(a.Id, who[:]), collections.Join(who[:], a.Id)
	if d.Shares > 0 || d.Pending > 0 || d.Exits > 0 {
		return errors.Join(k.stakes.Set(ctx, key, d), k.holders.Set(ctx, back))
	}
	p, pos := poolOf(*a), positionOf(d)
	p.Drop(&pos)
	setPool(a, p)
	return errors.Join(k.stakes.Remove(ctx, key), k.holders.Remove(ctx, back))
}

func (k Keeper) putExit(ctx context.Context, e registryv1.Exit, who essaim.Address) error {
	return errors.Join(
		k.exits.Set(ctx, e.Id, e),
		k.exitsOf.Set(ctx, collections.Join(who[:], e.Id)),
		k.exitsDue.Set(ctx, collections.Join(uint64(e.DueAt), e.Id)),
	)
}

// backed lists the actors that an account backs: at most MaxDelegations.
func (k Keeper) backed(ctx context.Context, who essaim.Address) (ids []uint64, err error) {
	err = k.holders.Walk(ctx, collections.NewPrefixedPairRange[[]byte, uint64](who[:]), func(key byHolder) (bool, error) {
		ids = append(ids, key.K2())
		return false, nil
	})
	return ids, err
}

// lowBond reports whether the owner's own active stake is below the least bond.
func (k Keeper) lowBond(ctx context.Context, a registryv1.Actor) (bool, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return false, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return false, err
	}
	d, err := k.stake(ctx, a.Id, owner)
	return poolOf(a).Value(d.Shares) < least(params, a.Role), err
}

// release ends an exit: the stake leaves the pool for good. While the pool is frozen the
// exit waits, since a reversal must find everybody where the slash did.
func (k Keeper) release(ctx context.Context, e registryv1.Exit) error {
	a, err := k.actors.Get(ctx, e.Actor)
	if err != nil {
		return err
	}
	who, err := essaim.ParseAddress(e.Delegator)
	if err != nil {
		return err
	}
	if err := k.exitsDue.Remove(ctx, collections.Join(uint64(e.DueAt), e.Id)); err != nil {
		return err
	}
	if a.Held > 0 {
		return k.delay(ctx, a, e, who)
	}
	p := poolOf(a)
	amount, err := p.Release(e.Shares)
	if err != nil {
		return err
	}
	setPool(&a, p)
	if err := k.unlink(ctx, &a, e, who); err != nil {
		return err
	}
	to, err := k.arrive(ctx, e, who, amount)
	if err != nil {
		return err
	}
	if err := emit(ctx, &registryv1.EventLeft{NodeKey: a.NodeKey, Delegator: e.Delegator, Exit: e.Id, Amount: amount, To: to}); err != nil {
		return err
	}
	if e.Bond {
		return k.close(ctx, a, amount)
	}
	if err := k.put(ctx, a); err != nil {
		return err
	}
	return k.tidy(ctx, a)
}

// delay looks at an exit again when the pool may have thawed.
func (k Keeper) delay(ctx context.Context, a registryv1.Actor, e registryv1.Exit, who essaim.Address) error {
	e.DueAt = max(a.FrozenUntil, height(ctx)+1)
	if e.Bond {
		a.ReleaseAt = e.DueAt
		if err := k.put(ctx, a); err != nil {
			return err
		}
	}
	return k.putExit(ctx, e, who)
}

// unlink forgets an exit. The delegation may be gone, if the actor is.
func (k Keeper) unlink(ctx context.Context, a *registryv1.Actor, e registryv1.Exit, who essaim.Address) error {
	if err := errors.Join(k.exits.Remove(ctx, e.Id), k.exitsOf.Remove(ctx, collections.Join(who[:], e.Id))); err != nil {
		return err
	}
	d, err := k.stakes.Get(ctx, collections.Join(a.Id, who[:]))
	if errors.Is(err, collections.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d.Exits--
	return k.putStake(ctx, a, d, who)
}

// arrive brings what left a pool to where it goes: another actor's pool if that takes it,
// and the account otherwise. It returns the actor, or 0.
func (k Keeper) arrive(ctx context.Context, e registryv1.Exit, who essaim.Address, amount uint64) (uint64, error) {
	if e.To != 0 {
		to, err := k.actors.Get(ctx, e.To)
		switch {
		case errors.Is(err, collections.ErrNotFound):
		case err != nil:
			return 0, err
		case k.admits(ctx, to, who, amount) == nil:
			return to.Id, errors.Join(k.join(ctx, &to, who, amount, nil), k.put(ctx, to))
		}
	}
	return 0, k.pay(ctx, e.Delegator, amount)
}

// close marks a retired actor whose bond has gone back. Its pool is paid out.
func (k Keeper) close(ctx context.Context, a registryv1.Actor, bond uint64) error {
	if err := k.pay(ctx, a.Owner, a.Earned); err != nil {
		return err
	}
	a.Closed, a.Earned, a.RetiredShares = true, 0, 0
	return errors.Join(k.closing.Set(ctx, a.Id), k.put(ctx, a),
		emit(ctx, &registryv1.EventReleased{NodeKey: a.NodeKey, Owner: a.Owner, Amount: bond}))
}

// payOut empties at most budget delegations of an actor that is gone, and returns what
// is left of the budget.
func (k Keeper) payOut(ctx context.Context, id uint64, budget int) (int, error) {
	var who []essaim.Address
	err := k.stakes.Walk(ctx, collections.NewPrefixedPairRange[uint64, []byte](id), func(key ofActor, _ registryv1.Delegation) (bool, error) {
		who = append(who, essaim.Address(key.K2()))
		return len(who) > budget, nil
	})
	if err != nil {
		return 0, err
	}
	a, err := k.actors.Get(ctx, id)
	if err != nil {
		return 0, err
	}
	p := poolOf(a)
	for _, holder := range who[:min(len(who), budget)] {
		if err := k.payHolder(ctx, &p, a, holder); err != nil {
			return 0, err
		}
	}
	setPool(&a, p)
	if len(who) <= budget {
		if err := k.closing.Remove(ctx, id); err != nil {
			return 0, err
		}
	}
	if err := k.put(ctx, a); err != nil {
		return 0, err
	}
	return max(budget-max(len(who), 1), 0), k.tidy(ctx, a)
}

// payHolder pays one delegation of an actor that is gone, at once: the owner's unbonding
// period was everybody's.
func (k Keeper) payHolder(ctx context.Context, p *pool.Pool, a registryv1.Actor, who essaim.Address) error {
	d, err := k.stake(ctx, a.Id, who)
	if err != nil {
		return err
	}
	pos := positionOf(d)
	shares := pos.Shares
	reward := p.Take(&pos)
	if err := p.Leave(&pos, shares); err != nil {
		return err
	}
	amount, err := p.Release(shares)
	if err != nil {
		return err
	}
	p.Drop(&pos)
	if err := errors.Join(k.stakes.Remove(ctx, collections.Join(a.Id, who[:])), k.holders.Remove(ctx, collections.Join(who[:], a.Id))); err != nil {
		return err
	}
	if err := k.pay(ctx, d.Delegator, reward+amount); err != nil {
		return err
	}
	return emit(ctx, &registryv1.EventLeft{NodeKey: a.NodeKey, Delegator: d.Delegator, Amount: amount})
}

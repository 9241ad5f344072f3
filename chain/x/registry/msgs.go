package registry

import (
	"cmp"
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

type msgServer struct{ Keeper }

var _ registryv1.MsgServer = msgServer{}

// RegisterMiner checks the message, escrows the bond and records the miner.
func (s msgServer) RegisterMiner(ctx context.Context, m *registryv1.MsgRegisterMiner) (*registryv1.MsgRegisterMinerResponse, error) {
	return &registryv1.MsgRegisterMinerResponse{}, s.register(ctx, registryv1.Actor{
		Role: registryv1.Role_ROLE_MINER, NodeKey: m.NodeKey, Owner: m.Owner, HpkeKey: m.HpkeKey, Offers: m.Offers,
		CommissionBps: m.CommissionBps, CommissionChangeBps: m.CommissionChangeBps,
	}, m.Bond, m.Possession)
}

// RegisterCoordinator checks the message, escrows the bond and records the coordinator.
func (s msgServer) RegisterCoordinator(ctx context.Context, m *registryv1.MsgRegisterCoordinator) (*registryv1.MsgRegisterCoordinatorResponse, error) {
	return &registryv1.MsgRegisterCoordinatorResponse{}, s.register(ctx, registryv1.Actor{
		Role: registryv1.Role_ROLE_COORDINATOR, NodeKey: m.NodeKey, Owner: m.Owner, HpkeKey: m.HpkeKey, Offers: m.Offers,
		FeeBps: m.FeeBps, Url: m.Url, CommissionBps: m.CommissionBps, CommissionChangeBps: m.CommissionChangeBps,
	}, m.Bond, m.Possession)
}

func (s msgServer) register(ctx context.Context, a registryv1.Actor, bond uint64, possession []byte) error {
	node, err := check(&a)
	if err != nil {
		return err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return err
	}
	if err := s.checkKey(ctx, a, owner, node, possession); err != nil {
		return err
	}
	if err := s.checkModels(ctx, a.Offers); err != nil {
		return err
	}
	params, err := s.params.Get(ctx)
	if err != nil {
		return err
	}
	if bond < least(params, a.Role) {
		return ErrBond.Wrapf("%s, at least %s", essaim.Amount(bond), essaim.Amount(least(params, a.Role)))
	}
	if bond > 0 {
		if err := s.admits(ctx, a, owner, bond); err != nil {
			return err
		}
	}
	if err := s.escrow(ctx, owner, bond); err != nil {
		return err
	}
	if err := s.enter(ctx, a, owner, node, bond); err != nil {
		return err
	}
	return emit(ctx, &registryv1.EventRegistered{Role: string(roleWord(a.Role)), NodeKey: a.NodeKey, Owner: a.Owner, Bond: bond})
}

// enter writes a new actor, whose bond the module account holds.
func (k Keeper) enter(ctx context.Context, a registryv1.Actor, owner essaim.Address, node essaim.NodeKey, bond uint64) (err error) {
	if a.Id, err = k.nextActor.Next(ctx); err != nil {
		return err
	}
	epoch, err := k.emission.Get(ctx)
	if err != nil {
		return err
	}
	a.RegisteredAt, a.CommissionBaseBps, a.CommissionEpoch = height(ctx), a.CommissionBps, epoch.Epoch
	if bond > 0 {
		if err := k.join(ctx, &a, owner, bond, nil); err != nil {
			return err
		}
	}
	if err := k.keys.Set(ctx, node[:], a.Id); err != nil {
		return err
	}
	return k.put(ctx, a)
}

// checkKey refuses a node key that is taken, or that has not signed for this owner.
func (k Keeper) checkKey(ctx context.Context, a registryv1.Actor, owner essaim.Address, node essaim.NodeKey, possession []byte) error {
	chainID := sdk.UnwrapSDKContext(ctx).ChainID()
	if !node.Verify(essaim.PossessionBytes(chainID, owner, roleWord(a.Role), node), possession) {
		return ErrPossession
	}
	known, err := k.keys.Has(ctx, node[:])
	if err == nil && known {
		err = ErrRegistered.Wrap(node.String())
	}
	return err
}

// Update replaces keys, offers, fee and URL; node key, owner, bond and commission stay.
func (s msgServer) Update(ctx context.Context, m *registryv1.MsgUpdate) (*registryv1.MsgUpdateResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	a.HpkeKey, a.Offers, a.FeeBps, a.Url = m.HpkeKey, m.Offers, m.FeeBps, m.Url
	if _, err := check(&a); err != nil {
		return nil, err
	}
	if err := s.checkModels(ctx, a.Offers); err != nil {
		return nil, err
	}
	return &registryv1.MsgUpdateResponse{}, s.put(ctx, a)
}

// AddBond is Delegate for the owner.
func (s msgServer) AddBond(ctx context.Context, m *registryv1.MsgAddBond) (*registryv1.MsgAddBondResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return nil, err
	}
	if err := poolOf(a).Joinable(m.Amount); err != nil {
		return nil, ErrBond.Wrapf("cannot add %d: %v", m.Amount, err)
	}
	if err := s.admits(ctx, a, owner, m.Amount); err != nil {
		return nil, err
	}
	if err := s.escrow(ctx, owner, m.Amount); err != nil {
		return nil, err
	}
	if err := s.join(ctx, &a, owner, m.Amount, nil); err != nil {
		return nil, err
	}
	return &registryv1.MsgAddBondResponse{}, s.put(ctx, a)
}

// Retire ends the actor's work now and its bond's lock after the unbonding period.
func (s msgServer) Retire(ctx context.Context, m *registryv1.MsgRetire) (*registryv1.MsgRetireResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	d, err := s.stake(ctx, a.Id, owner)
	if err != nil {
		return nil, err
	}
	a.RetiredAt, a.RetiredShares = height(ctx), d.Shares
	a.ReleaseAt = a.RetiredAt + int64(p.UnbondingBlocks)
	if _, err := s.exit(ctx, &a, d, owner, d.Shares, 0, p.UnbondingBlocks); err != nil {
		return nil, err
	}
	event := &registryv1.EventRetired{NodeKey: a.NodeKey, ReleaseAt: a.ReleaseAt}
	return &registryv1.MsgRetireResponse{ReleaseAt: a.ReleaseAt}, emit(ctx, event)
}

// SetCommission moves the commission, within what the owner promised at registration and
// governance allows for one epoch.
func (s msgServer) SetCommission(ctx context.Context, m *registryv1.MsgSetCommission) (*registryv1.MsgSetCommissionResponse, error) {
	a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	epoch, err := s.emission.Get(ctx)
	if err != nil {
		return nil, err
	}
	if a.CommissionEpoch != epoch.Epoch {
		a.CommissionEpoch, a.CommissionBaseBps = epoch.Epoch, a.CommissionBps
	}
	step := min(p.CommissionChangeBps, a.CommissionChangeBps)
	switch base := a.CommissionBaseBps; {
	case m.CommissionBps > 10_000:
		return nil, ErrCommission.Wrapf("%d basis points", m.CommissionBps)
	case max(m.CommissionBps, base)-min(m.CommissionBps, base) > step:
		return nil, ErrCommission.Wrapf("from %d to %d basis points, at most %d in one epoch", base, m.CommissionBps, step)
	}
	a.CommissionBps = m.CommissionBps
	return &registryv1.MsgSetCommissionResponse{}, s.put(ctx, a)
}

// UpdateParams replaces the parameters. Bonds and periods already running keep theirs.
func (s msgServer) UpdateParams(ctx context.Context, m *registryv1.MsgUpdateParams) (*registryv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := cmp.Or(checkParams(m.Params), checkDeterrence(m.Params)); err != nil {
		return nil, err
	}
	return &registryv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

// active loads an actor that has not retired, for its owner.
func (s msgServer) active(ctx context.Context, nodeKey, owner string) (registryv1.Actor, error) {
	a, err := s.get(ctx, nodeKey)
	if err != nil {
		return a, err
	}
	by, err := essaim.ParseAddress(owner)
	switch {
	case err != nil:
		return a, ErrOwner.Wrap(err.Error())
	case by.String() != a.Owner:
		return a, ErrNotOwner.Wrapf("it belongs to %s", a.Owner)
	case a.RetiredAt != 0:
		return a, ErrRetired.Wrapf("since height %d", a.RetiredAt)
	}
	return a, nil
}

package registry

import (
	"context"
	"crypto/ed25519"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

type msgServer struct{ Keeper }

var _ registryv1.MsgServer = msgServer{}

// RegisterMiner checks the message, escrows the bond and records the miner.
func (s msgServer) RegisterMiner(ctx context.Context, m *registryv1.MsgRegisterMiner) (*registryv1.MsgRegisterMinerResponse, error) {
	return &registryv1.MsgRegisterMinerResponse{}, s.register(ctx, registryv1.Actor{
		Role: registryv1.Role_ROLE_MINER, NodeKey: m.NodeKey, Owner: m.Owner, HpkeKey: m.HpkeKey, Offers: m.Offers, Bond: m.Bond,
	}, m.Possession)
}

// RegisterCoordinator checks the message, escrows the bond and records the coordinator.
func (s msgServer) RegisterCoordinator(ctx context.Context, m *registryv1.MsgRegisterCoordinator) (*registryv1.MsgRegisterCoordinatorResponse, error) {
	return &registryv1.MsgRegisterCoordinatorResponse{}, s.register(ctx, registryv1.Actor{
		Role: registryv1.Role_ROLE_COORDINATOR, NodeKey: m.NodeKey, Owner: m.Owner, HpkeKey: m.HpkeKey, Offers: m.Offers, Bond: m.Bond,
		FeeBps: m.FeeBps, Url: m.Url,
	}, m.Possession)
}

func (s msgServer) register(ctx context.Context, a registryv1.Actor, possession []byte) error {
	node, err := check(&a)
	if err != nil {
		return err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return err
	}
	sdkCtx := sdk.UnwrapSDKContext(ctx)
	if !ed25519.Verify(node[:], essaim.PossessionBytes(sdkCtx.ChainID(), owner, roleWord(a.Role), node), possession) {
		return ErrPossession
	}
	switch known, err := s.actors.Has(ctx, node[:]); {
	case err != nil:
		return err
	case known:
		return ErrRegistered.Wrap(a.NodeKey)
	}
	if err := s.checkModels(ctx, a.Offers); err != nil {
		return err
	}
	if err := s.checkBond(ctx, a); err != nil {
		return err
	}
	if err := s.escrow(ctx, owner, a.Bond); err != nil {
		return err
	}
	a.RegisteredAt = sdkCtx.BlockHeight()
	if err := s.put(ctx, node, a); err != nil {
		return err
	}
	return emit(ctx, &registryv1.EventRegistered{Role: string(roleWord(a.Role)), NodeKey: a.NodeKey, Owner: a.Owner, Bond: a.Bond})
}

// Update replaces keys, offers, fee and URL; node key, owner and bond stay.
func (s msgServer) Update(ctx context.Context, m *registryv1.MsgUpdate) (*registryv1.MsgUpdateResponse, error) {
	_, a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	a.HpkeKey, a.Offers, a.FeeBps, a.Url = m.HpkeKey, m.Offers, m.FeeBps, m.Url
	node, err := check(&a)
	if err != nil {
		return nil, err
	}
	if err := s.checkModels(ctx, a.Offers); err != nil {
		return nil, err
	}
	return &registryv1.MsgUpdateResponse{}, s.put(ctx, node, a)
}

// AddBond escrows more.
func (s msgServer) AddBond(ctx context.Context, m *registryv1.MsgAddBond) (*registryv1.MsgAddBondResponse, error) {
	node, a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	owner, err := essaim.ParseAddress(a.Owner)
	if err != nil {
		return nil, err
	}
	bond, ok := essaim.Amount(a.Bond).Add(essaim.Amount(m.Amount))
	if !ok || m.Amount == 0 {
		return nil, ErrBond.Wrapf("cannot add %d", m.Amount)
	}
	if err := s.escrow(ctx, owner, m.Amount); err != nil {
		return nil, err
	}
	a.Bond = uint64(bond)
	return &registryv1.MsgAddBondResponse{}, s.put(ctx, node, a)
}

// Retire ends the actor's work now and its bond's lock after the unbonding period.
func (s msgServer) Retire(ctx context.Context, m *registryv1.MsgRetire) (*registryv1.MsgRetireResponse, error) {
	node, a, err := s.active(ctx, m.NodeKey, m.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	a.RetiredAt = sdk.UnwrapSDKContext(ctx).BlockHeight()
	a.ReleaseAt = a.RetiredAt + int64(p.UnbondingBlocks)
	if err := s.put(ctx, node, a); err != nil {
		return nil, err
	}
	event := &registryv1.EventRetired{NodeKey: a.NodeKey, ReleaseAt: a.ReleaseAt}
	return &registryv1.MsgRetireResponse{ReleaseAt: a.ReleaseAt}, emit(ctx, event)
}

// UpdateParams replaces the parameters. Bonds and periods already running keep theirs.
func (s msgServer) UpdateParams(ctx context.Context, m *registryv1.MsgUpdateParams) (*registryv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	return &registryv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

// active loads an actor that still works, for its owner.
func (s msgServer) active(ctx context.Context, nodeKey, owner string) (essaim.NodeKey, registryv1.Actor, error) {
	node, a, err := s.get(ctx, nodeKey)
	if err != nil {
		return node, a, err
	}
	by, err := essaim.ParseAddress(owner)
	switch {
	case err != nil:
		return node, a, ErrOwner.Wrap(err.Error())
	case by.String() != a.Owner:
		return node, a, ErrNotOwner.Wrapf("it belongs to %s", a.Owner)
	case a.RetiredAt != 0:
		return node, a, ErrRetired.Wrapf("since height %d", a.RetiredAt)
	}
	return node, a, nil
}

func (s msgServer) checkBond(ctx context.Context, a registryv1.Actor) error {
	p, err := s.params.Get(ctx)
	if err != nil {
		return err
	}
	least := p.MinBondMiner
	if a.Role == registryv1.Role_ROLE_COORDINATOR {
		least = p.MinBondCoordinator
	}
	if a.Bond < least {
		return ErrBond.Wrapf("%s, at least %s", essaim.Amount(a.Bond), essaim.Amount(least))
	}
	return nil
}

func (s msgServer) escrow(ctx context.Context, owner essaim.Address, uaim uint64) error {
	if uaim == 0 { // a devnet may ask for no bond
		return nil
	}
	return s.bank.SendCoinsFromAccountToModule(ctx, owner[:], Name, coins(uaim))
}

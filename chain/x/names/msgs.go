package names

import (
	"context"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/namesv1"
)

type msgServer struct{ Keeper }

var _ namesv1.MsgServer = msgServer{}

// Register takes a name that is free. One that has expired and looks like it goes.
func (s msgServer) Register(ctx context.Context, m *namesv1.MsgRegister) (*namesv1.MsgRegisterResponse, error) {
	owner, err := s.owner(m.Owner)
	if err != nil {
		return nil, err
	}
	if err := check(m.Name); err != nil {
		return nil, err
	}
	other, free, err := s.alike(ctx, m.Name)
	switch {
	case err != nil:
		return nil, err
	case !free && other.Name == m.Name:
		return nil, ErrTaken.Wrap(m.Name)
	case !free:
		return nil, ErrAlike.Wrapf("%s looks like %s", m.Name, other.Name)
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	fee := price(p, m.Name)
	if err := s.pay(ctx, owner, fee, m.MaxFee); err != nil {
		return nil, err
	}
	if other.Name != "" {
		if err := s.drop(ctx, other); err != nil {
			return nil, err
		}
	}
	n := namesv1.Name{Name: m.Name, Owner: owner.String(), Expires: sdk.UnwrapSDKContext(ctx).BlockHeight() + p.PeriodBlocks}
	if err := s.put(ctx, n); err != nil {
		return nil, err
	}
	event := &namesv1.EventRegistered{Name: n.Name, Owner: n.Owner, Expires: n.Expires}
	return &namesv1.MsgRegisterResponse{Expires: n.Expires, Fee: fee}, emit(ctx, event)
}

// Renew adds a period: to what is paid for, or from now on in the grace.
func (s msgServer) Renew(ctx context.Context, m *namesv1.MsgRenew) (*namesv1.MsgRenewResponse, error) {
	n, owner, err := s.owned(ctx, m.Name, m.Owner)
	if err != nil {
		return nil, err
	}
	p, err := s.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx).BlockHeight()
	switch {
	case now >= n.Expires+p.GraceBlocks:
		return nil, ErrNotFound.Wrapf("%s is free again since height %d: register it", n.Name, n.Expires+p.GraceBlocks)
	case n.Expires+p.PeriodBlocks > now+MaxPeriods*p.PeriodBlocks:
		return nil, ErrPeriods.Wrapf("%s is paid for until height %d", n.Name, n.Expires)
	}
	fee := price(p, n.Name)
	if err := s.pay(ctx, owner, fee, m.MaxFee); err != nil {
		return nil, err
	}
	n.Expires = max(n.Expires, now) + p.PeriodBlocks
	if err := s.names.Set(ctx, n.Name, n); err != nil {
		return nil, err
	}
	event := &namesv1.EventRegistered{Name: n.Name, Owner: n.Owner, Expires: n.Expires}
	return &namesv1.MsgRenewResponse{Expires: n.Expires, Fee: fee}, emit(ctx, event)
}

// Transfer gives a name away. What has expired cannot be given.
func (s msgServer) Transfer(ctx context.Context, m *namesv1.MsgTransfer) (*namesv1.MsgTransferResponse, error) {
	n, owner, err := s.owned(ctx, m.Name, m.Owner)
	if err != nil {
		return nil, err
	}
	if sdk.UnwrapSDKContext(ctx).BlockHeight() >= n.Expires {
		return nil, ErrNotFound.Wrapf("%s has expired: renew it first", n.Name)
	}
	to, err := s.owner(m.NewOwner)
	if err != nil {
		return nil, err
	}
	if err := s.owners.Remove(ctx, collections.Join(owner[:], n.Name)); err != nil {
		return nil, err
	}
	n.Owner = to.String()
	if err := s.put(ctx, n); err != nil {
		return nil, err
	}
	return &namesv1.MsgTransferResponse{}, emit(ctx, &namesv1.EventTransferred{Name: n.Name, Owner: n.Owner})
}

// UpdateParams replaces the parameters.
func (s msgServer) UpdateParams(ctx context.Context, m *namesv1.MsgUpdateParams) (*namesv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	return &namesv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

// owner reads an account that may own a name: one that can receive coins.
func (s msgServer) owner(text string) (essaim.Address, error) {
	a, err := essaim.ParseAddress(text)
	if err != nil {
		return a, ErrOwner.Wrap(err.Error())
	}
	if a.IsZero() || s.bank.BlockedAddr(a[:]) {
		return a, ErrOwner.Wrapf("%s cannot receive coins", a)
	}
	return a, nil
}

// owned loads a name for its owner.
func (s msgServer) owned(ctx context.Context, name, owner string) (namesv1.Name, essaim.Address, error) {
	n, err := s.get(ctx, name)
	if err != nil {
		return n, essaim.Address{}, err
	}
	by, err := essaim.ParseAddress(owner)
	if err != nil {
		return n, by, ErrOwner.Wrap(err.Error())
	}
	if by.String() != n.Owner {
		return n, by, ErrNotOwner.Wrapf("it belongs to %s", n.Owner)
	}
	return n, by, nil
}

// checkParams bounds what governance may set, so that heights do not overflow.
func checkParams(p namesv1.Params) error {
	const longest = 1 << 40
	if p.PeriodBlocks < 1 || p.PeriodBlocks > longest || p.GraceBlocks < 0 || p.GraceBlocks > longest || p.Fee > 1<<50 {
		return ErrParams.Wrapf("fee %d, period %d, grace %d", p.Fee, p.PeriodBlocks, p.GraceBlocks)
	}
	return nil
}

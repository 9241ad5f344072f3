package beacon

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gen/chain/beaconv1"
)

type msgServer struct{ Keeper }

var _ beaconv1.MsgServer = msgServer{}

// RegisterKey gives a validator its key. The key before stays in use until the new one is.
func (s msgServer) RegisterKey(ctx context.Context, m *beaconv1.MsgRegisterKey) (*beaconv1.MsgRegisterKeyResponse, error) {
	operator, err := essaim.ParseAddress(m.Operator)
	if err != nil {
		return nil, ErrAddress.Wrap(err.Error())
	}
	key, err := ParsePublic(m.Key)
	if err != nil {
		return nil, err
	}
	validator, err := s.consensusOf(ctx, operator)
	if err != nil {
		return nil, err
	}
	now := sdk.UnwrapSDKContext(ctx)
	now.GasMeter().ConsumeGas(verifyGas, "proof of possession")
	if _, ok := key.Verify(possession(now.ChainID(), operator), m.Possession); !ok {
		return nil, ErrPossession.Wrapf("of %s for %s", key, operator)
	}
	old, err := s.keys.Get(ctx, validator)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	if old.From > now.BlockHeight() {
		return nil, ErrPending.Wrapf("it is from height %d on", old.From)
	}
	next := beaconv1.Key{Operator: operator.String(), Key: key.String(), From: now.BlockHeight() + Delay, Previous: old.Key}
	if err := s.keys.Set(ctx, validator, next); err != nil {
		return nil, err
	}
	if err := now.EventManager().EmitTypedEvent(&beaconv1.EventKeyRegistered{Operator: next.Operator, Key: next.Key, From: next.From}); err != nil {
		return nil, err
	}
	return &beaconv1.MsgRegisterKeyResponse{From: next.From}, nil
}

// consensusOf is the address under which consensus knows an operator's validator.
func (k Keeper) consensusOf(ctx context.Context, operator essaim.Address) (sdk.ConsAddress, error) {
	v, err := k.validators.GetValidator(ctx, operator[:])
	if errors.Is(err, stakingtypes.ErrNoValidatorFound) {
		return nil, ErrValidator.Wrap(operator.String())
	}
	if err != nil {
		return nil, err
	}
	return v.GetConsAddr()
}

// UpdateParams replaces the parameters.
func (s msgServer) UpdateParams(ctx context.Context, m *beaconv1.MsgUpdateParams) (*beaconv1.MsgUpdateParamsResponse, error) {
	if m.Authority != s.authority {
		return nil, ErrAuthority.Wrapf("%s is not %s", m.Authority, s.authority)
	}
	if err := checkParams(m.Params); err != nil {
		return nil, err
	}
	return &beaconv1.MsgUpdateParamsResponse{}, s.params.Set(ctx, m.Params)
}

func checkParams(p beaconv1.Params) error {
	if p.KeepBlocks < MinKeep || p.KeepBlocks > MaxKeep {
		return ErrParams.Wrapf("keep_blocks is %d, want %d to %d", p.KeepBlocks, MinKeep, MaxKeep)
	}
	return nil
}

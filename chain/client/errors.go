package client

import (
	"context"
	"fmt"

	errorsmod "cosmossdk.io/errors"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/beacon"
	"github.com/essaim/essaim/chain/x/dispute"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/model"
	"github.com/essaim/essaim/chain/x/names"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
)

// meaning is what a ledger error means to a caller.
type meaning struct {
	code essaim.Code
	hint string
}

// meanings translates the ledger's errors. What is not here was refused for a reason that
// only its text says.
var meanings = func() map[string]meaning {
	m := map[string]meaning{}
	add := func(code essaim.Code, hint string, errs ...*errorsmod.Error) {
		for _, e := range errs {
			m[errorID(e.Codespace(), e.ABCICode())] = meaning{code, hint}
		}
	}
	add(essaim.CodeInsufficient, "send coins to the account first", sdkerrors.ErrInsufficientFunds, sdkerrors.ErrInsufficientFee)
	add(essaim.CodeNotFound, "", sdkerrors.ErrKeyNotFound, sdkerrors.ErrUnknownAddress, registry.ErrNotFound, registry.ErrNoSlash, model.ErrNotFound, market.ErrNotFound,
		tally.ErrNotFound, beacon.ErrNotFound, beacon.ErrValidator, market.ErrDraw, dispute.ErrNotFound)
	add(essaim.CodeConflict, "look at the current state and try again", sdkerrors.ErrWrongSequence, sdkerrors.ErrTxInMempoolCache,
		registry.ErrRegistered, registry.ErrRetired, model.ErrRegistered, market.ErrClosed, market.ErrClaimed, market.ErrOpen,
		market.ErrStale, market.ErrTrue, market.ErrConvicted, market.ErrLapsed,
		registry.ErrStake, registry.ErrJailed, registry.ErrFrozen, registry.ErrNotJailed, registry.ErrRotation, beacon.ErrPending, dispute.ErrDisputed)
	add(essaim.CodeNotFound, "`essaim name show` says what a name costs", names.ErrNotFound)
	add(essaim.CodeConflict, "choose another name", names.ErrTaken, names.ErrAlike)
	add(essaim.CodeConflict, "", names.ErrPeriods)
	add(essaim.CodeInsufficient, "agree to more with --max-fee", names.ErrFee)
	add(essaim.CodeBadInput, "", names.ErrName, names.ErrOwner, names.ErrParams)
	add(essaim.CodeExpired, "", sdkerrors.ErrTxTimeoutHeight, sdkerrors.ErrTxTimeout, market.ErrExpired, market.ErrLate, registry.ErrEnded, dispute.ErrEnded)
	add(essaim.CodeUnavailable, "try again in a moment", sdkerrors.ErrMempoolIsFull, sdkerrors.ErrInvalidHeight, market.ErrCoordinator)
	add(essaim.CodeUnavailable, "try again when the coordinator has settled other sessions, or deposit less", market.ErrCover)
	add(essaim.CodeBadInput, "", sdkerrors.ErrInvalidRequest, sdkerrors.ErrUnknownRequest, sdkerrors.ErrInvalidAddress, sdkerrors.ErrInvalidCoins,
		sdkerrors.ErrTxTooLarge, sdkerrors.ErrTxDecode,
		registry.ErrNodeKey, registry.ErrBond, registry.ErrOffer, registry.ErrHPKEKey, registry.ErrFee, registry.ErrURL, registry.ErrOwner,
		registry.ErrParams, registry.ErrRole, registry.ErrCommission, registry.ErrSlash, registry.ErrEvidence, registry.ErrAway, model.ErrManifest, model.ErrRoyalty, model.ErrDigest, model.ErrOwner, model.ErrData,
		market.ErrDeposit, market.ErrSessionKey, market.ErrExpiry, market.ErrSettlement, market.ErrPayee, market.ErrModel, market.ErrPayer, market.ErrParams, market.ErrAck,
		market.ErrVoucher, market.ErrOpening,
		beacon.ErrParams, beacon.ErrAddress, beacon.ErrKey, beacon.ErrPossession,
		dispute.ErrReceipt, dispute.ErrModel, dispute.ErrMiner, dispute.ErrMove, dispute.ErrSignature, dispute.ErrParams, dispute.ErrAddress)
	return m
}()

func errorID(codespace string, code uint32) string { return fmt.Sprintf("%s %d", codespace, code) }

// refused turns a ledger's answer into an error. what names the request.
func refused(what, codespace string, code uint32, log string) error {
	m, ok := meanings[errorID(codespace, code)]
	if !ok {
		m.code = essaim.CodeRefused
	}
	return essaim.Errorf(m.code, m.hint, "%s: %s (%s %d)", what, log, codespace, code)
}

// unreachable wraps an error of the way to the node, not of the ledger.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ledger: %w", ctx.Err())
	}
	return essaim.Errorf(essaim.CodeUnavailable, "is the node running, and the address right?", "ledger: %w", err)
}

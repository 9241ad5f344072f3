package eip191

import (
	"google.golang.org/protobuf/types/known/anypb"

	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	signingtypes "github.com/cosmos/cosmos-sdk/types/tx/signing"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"

	"github.com/essaim/essaim/chain/ethkey"
)

// VerifyDecorator takes the place of the SDK's SigVerificationDecorator. It
// handles transactions whose signatures are all EIP-191 and leaves the rest to
// the SDK's: mixed transactions, multisig members and unordered transactions in
// this mode are refused there, as an unsupported sign mode.
type VerifyDecorator struct {
	accounts ante.AccountKeeper
	handler  Handler
	stock    sdk.AnteDecorator
}

// NewVerifyDecorator wraps the SDK's decorator.
func NewVerifyDecorator(accounts ante.AccountKeeper, h Handler, stock sdk.AnteDecorator) VerifyDecorator {
	return VerifyDecorator{accounts, h, stock}
}

// AnteHandle checks sequence and signature of each signer.
func (d VerifyDecorator) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	signed, ok := tx.(interface {
		authsigning.Tx
		authsigning.V2AdaptableTx
	})
	if !ok {
		return ctx, sdkerrors.ErrTxDecode.Wrapf("got %T", tx)
	}
	sigs, err := signed.GetSignaturesV2()
	if err != nil {
		return ctx, err
	}
	if unordered, ok := tx.(sdk.TxWithUnordered); !allEIP191(sigs) || ok && unordered.GetUnordered() {
		return d.stock.AnteHandle(ctx, tx, simulate, next)
	}
	signers, err := signed.GetSigners()
	if err != nil {
		return ctx, err
	}
	if len(sigs) != len(signers) {
		return ctx, sdkerrors.ErrUnauthorized.Wrapf("want %d signatures, got %d", len(signers), len(sigs))
	}
	for i, sig := range sigs {
		acc, err := ante.GetSignerAcc(ctx, d.accounts, signers[i])
		if err != nil {
			return ctx, err
		}
		if sig.Sequence != acc.GetSequence() {
			return ctx, sdkerrors.ErrWrongSequence.Wrapf("want %d, got %d", acc.GetSequence(), sig.Sequence)
		}
		if simulate || ctx.IsReCheckTx() || !ctx.IsSigverifyTx() {
			continue
		}
		if err := d.verify(ctx, acc, sig, signed.GetSigningTxData()); err != nil {
			return ctx, err
		}
	}
	return next(ctx, tx, simulate)
}

func (d VerifyDecorator) verify(ctx sdk.Context, acc sdk.AccountI, sig signingtypes.SignatureV2, data signing.TxData) error {
	key, ok := acc.GetPubKey().(*ethkey.PubKey)
	if !ok {
		return sdkerrors.ErrInvalidPubKey.Wrapf("EIP-191 needs an %s key", ethkey.KeyType)
	}
	packed, err := codectypes.NewAnyWithValue(key)
	if err != nil {
		return err
	}
	number := acc.GetAccountNumber()
	if ctx.BlockHeight() == 0 { // genesis transactions are signed before numbers exist
		number = 0
	}
	bz, err := d.handler.GetSignBytes(ctx, signing.SignerData{
		Address:       acc.GetAddress().String(),
		ChainID:       ctx.ChainID(),
		AccountNumber: number,
		Sequence:      sig.Sequence,
		PubKey:        &anypb.Any{TypeUrl: packed.TypeUrl, Value: packed.Value},
	}, data)
	if err != nil {
		return err
	}
	if !key.VerifySignature(bz, sig.Data.(*signingtypes.SingleSignatureData).Signature) {
		return sdkerrors.ErrUnauthorized.Wrapf("EIP-191 signature of account %d (chain %s) does not verify", number, ctx.ChainID())
	}
	return nil
}

func allEIP191(sigs []signingtypes.SignatureV2) bool {
	for _, s := range sigs {
		if d, ok := s.Data.(*signingtypes.SingleSignatureData); !ok || d.SignMode != signingtypes.SignMode_SIGN_MODE_EIP_191 {
			return false
		}
	}
	return len(sigs) > 0
}

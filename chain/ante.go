package chain

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"

	"github.com/essaim/essaim/chain/eip191"
	"github.com/essaim/essaim/chain/ethkey"
)

// anteHandler is the SDK's chain with two changes: what a signature costs, and who
// verifies it. Fees are what each validator asks for; a devnet asks for none.
func (a *App) anteHandler() sdk.AnteHandler {
	stock := ante.NewSigVerificationDecorator(a.Account, a.Signed.SignModeHandler())
	return sdk.ChainAnteDecorators(
		ante.NewSetUpContextDecorator(),
		ante.NewExtensionOptionsDecorator(nil),
		ante.NewValidateBasicDecorator(),
		ante.NewTxTimeoutHeightDecorator(),
		ante.NewValidateMemoDecorator(a.Account),
		ante.NewConsumeGasForTxSizeDecorator(a.Account),
		ante.NewDeductFeeDecorator(a.Account, a.Bank, a.feegrant, nil),
		ante.NewSetPubKeyDecorator(a.Account),
		ante.NewValidateSigCountDecorator(a.Account),
		ante.NewSigGasConsumeDecorator(a.Account, ethkey.ConsumeGas),
		eip191.NewVerifyDecorator(a.Account, a.Personal, stock),
		ante.NewIncrementSequenceDecorator(a.Account),
	)
}

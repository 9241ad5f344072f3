package chain

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"

	"github.com/essaim/essaim/chain/eip191"
	"github.com/essaim/essaim/chain/ethkey"
)

// anteHandler is the SDK's chain with three changes: what a signature costs, who
// verifies it, and at which height a node that has just started checks transactions. Fees are what each validator asks for; a devnet asks for none.
func (a *App) anteHandler() sdk.AnteHandler {
	stock := ante.NewSigVerificationDecorator(a.Account, a.Signed.SignModeHandler())
	return sdk.ChainAnteDecorators(
		atLastHeight{a},
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

// atLastHeight corrects the height at which a node checks transactions between its
// start and its next block: baseapp says 0 there, which x/auth takes for genesis, where
// every account has number 0, so that all other signatures would be refused. It looks at
// CheckTx and simulation only, never at a block.
type atLastHeight struct{ app *App }

func (d atLastHeight) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	if last := d.app.LastBlockHeight(); ctx.BlockHeight() == 0 && last > 0 && (ctx.IsCheckTx() || simulate) {
		ctx = ctx.WithBlockHeight(last)
	}
	return next(ctx, tx, simulate)
}

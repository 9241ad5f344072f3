// Package encoding says how the ledger spells things: the bech32 prefixes, the coin, the
// messages a transaction may carry and the ways to sign one. The application and its
// clients share it, so that both read the same bytes alike.
//
// It holds no state of its own, but the SDK keeps prefixes and denomination in process
// globals, which New sets: whoever touches the ledger goes through New first. It must not
// import a module's keeper.
package encoding

import (
	"sync"

	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/codec"
	codecaddress "github.com/cosmos/cosmos-sdk/codec/address"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/std"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/msgservice"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	vestingtypes "github.com/cosmos/cosmos-sdk/x/auth/vesting/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	consensustypes "github.com/cosmos/cosmos-sdk/x/consensus/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	evidencetypes "github.com/cosmos/cosmos-sdk/x/evidence/types"
	"github.com/cosmos/cosmos-sdk/x/feegrant"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	govv1beta1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1beta1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/ethkey"
	"github.com/essaim/essaim/gen/chain/beaconv1"
	"github.com/essaim/essaim/gen/chain/disputev1"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/namesv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
)

// Bech32 prefixes of validators, which are accounts in another role, and of consensus keys.
const (
	validatorPrefix = essaim.AddressPrefix + "valoper"
	consensusPrefix = essaim.AddressPrefix + "valcons"
)

// Encoding is what New makes. Codec and Tx are safe for concurrent use.
type Encoding struct {
	Codec  codec.Codec
	Amino  *codec.LegacyAmino // only for keepers that still want it
	Types  codectypes.InterfaceRegistry
	Signed client.TxConfig // transactions and their sign modes

	Accounts, Validators, Consensus codecaddress.Bech32Codec
}

// New builds the encoding. modes are ways to sign a transaction beyond the SDK's own.
func New(modes ...func(codectypes.InterfaceRegistry) signing.SignModeHandler) (Encoding, error) {
	setGlobals()
	e := Encoding{
		Accounts:   codecaddress.Bech32Codec{Bech32Prefix: essaim.AddressPrefix},
		Validators: codecaddress.Bech32Codec{Bech32Prefix: validatorPrefix},
		Consensus:  codecaddress.Bech32Codec{Bech32Prefix: consensusPrefix},
	}
	var err error
	e.Types, err = codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles:     proto.HybridResolver,
		SigningOptions: signing.Options{AddressCodec: e.Accounts, ValidatorAddressCodec: e.Validators},
	})
	if err != nil {
		return e, err
	}
	if err := e.Types.SigningContext().Validate(); err != nil { // every message names its signer
		return e, err
	}
	registerInterfaces(e.Types)
	e.Amino = codec.NewLegacyAmino()
	std.RegisterLegacyAminoCodec(e.Amino)
	ethkey.RegisterAmino(e.Amino)
	e.Codec = codec.NewProtoCodec(e.Types)

	var handlers []signing.SignModeHandler
	for _, mode := range modes {
		handlers = append(handlers, mode(e.Types))
	}
	e.Signed = authtx.NewTxConfig(e.Codec, authtx.DefaultSignModes, handlers...)
	return e, nil
}

// registerInterfaces makes every message, account and key known to the decoder.
func registerInterfaces(r codectypes.InterfaceRegistry) {
	for _, register := range []func(codectypes.InterfaceRegistry){
		std.RegisterInterfaces, ethkey.RegisterInterfaces,
		authtypes.RegisterInterfaces, vestingtypes.RegisterInterfaces, banktypes.RegisterInterfaces, stakingtypes.RegisterInterfaces,
		slashingtypes.RegisterInterfaces, distrtypes.RegisterInterfaces, minttypes.RegisterInterfaces,
		govv1.RegisterInterfaces, govv1beta1.RegisterInterfaces, authz.RegisterInterfaces, feegrant.RegisterInterfaces,
		upgradetypes.RegisterInterfaces, evidencetypes.RegisterInterfaces, consensustypes.RegisterInterfaces,
	} {
		register(r)
	}
	msgservice.RegisterMsgServiceDesc(r, &modelv1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &registryv1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &marketv1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &beaconv1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &disputev1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &namesv1.Msg_serviceDesc)
	msgservice.RegisterMsgServiceDesc(r, &tallyv1.Msg_serviceDesc)
}

// setGlobals sets what the SDK reads from process globals. Keyring exports go through
// its global amino codec: without our keys in it, a backup cannot be restored.
var setGlobals = sync.OnceFunc(func() {
	c := sdk.GetConfig()
	c.SetBech32PrefixForAccount(essaim.AddressPrefix, essaim.AddressPrefix+"pub")
	c.SetBech32PrefixForValidator(validatorPrefix, validatorPrefix+"pub")
	c.SetBech32PrefixForConsensusNode(consensusPrefix, consensusPrefix+"pub")
	c.SetCoinType(ethkey.CoinType)
	sdk.DefaultBondDenom = essaim.Denom
	ethkey.RegisterAmino(legacy.Cdc)
})

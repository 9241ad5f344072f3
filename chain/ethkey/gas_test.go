package ethkey_test

import (
	"bytes"
	"testing"

	"github.com/cosmos/cosmos-sdk/crypto/keys/ed25519"
	kmultisig "github.com/cosmos/cosmos-sdk/crypto/keys/multisig"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/crypto/types/multisig"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"

	"github.com/essaim/essaim/chain/ethkey"
)

// TestConsumeGas: our keys may sign, alone and in a multisig; what does not fit its key is
// refused and never read out of bounds.
func TestConsumeGas(t *testing.T) {
	p := authtypes.DefaultParams()
	one := (&ethkey.PrivKey{Key: bytes.Repeat([]byte{1}, 32)}).PubKey()
	two := (&ethkey.PrivKey{Key: bytes.Repeat([]byte{2}, 32)}).PubKey()
	group := kmultisig.NewLegacyAminoPubKey(2, []cryptotypes.PubKey{one, two})
	single := &signing.SingleSignatureData{}
	both := multisig.NewMultisig(2)
	multisig.AddSignature(both, single, 0)
	multisig.AddSignature(both, single, 1)
	short := multisig.NewMultisig(2)
	short.BitArray.SetIndex(0, true) // a bit without a signature
	for name, c := range map[string]struct {
		key  cryptotypes.PubKey
		data signing.SignatureData
		want uint64 // gas; 0: refused
	}{
		"one key":           {one, single, p.SigVerifyCostSecp256k1},
		"two of two":        {group, both, 2 * p.SigVerifyCostSecp256k1},
		"the SDK's key":     {&ed25519.PubKey{Key: make([]byte, 32)}, single, p.SigVerifyCostED25519},
		"no key":            {nil, single, 0},
		"no bits":           {group, &signing.MultiSignatureData{}, 0},
		"too many bits":     {group, multisig.NewMultisig(3), 0},
		"missing signature": {group, short, 0},
		"no multisig data":  {group, single, 0},
	} {
		t.Run(name, func(t *testing.T) {
			meter := storetypes.NewInfiniteGasMeter()
			err := ethkey.ConsumeGas(meter, signing.SignatureV2{PubKey: c.key, Data: c.data}, p)
			if (err == nil) != (c.want > 0) || err == nil && meter.GasConsumed() != c.want {
				t.Fatalf("%d gas, error %v; want %d", meter.GasConsumed(), err, c.want)
			}
		})
	}
}

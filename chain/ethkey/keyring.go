package ethkey

import (
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"

	"github.com/essaim/essaim/internal/ethsig"
)

const (
	// CoinType is Ethereum's number in SLIP-44.
	CoinType = 60

	// HDPath is the first account of every Ethereum wallet.
	HDPath = "m/44'/60'/0'/0/0"
)

// Algo derives eth_secp256k1 keys from a mnemonic. BIP-32 is the same for both
// chains, so the derivation is the SDK's and only the key type differs.
var Algo keyring.SignatureAlgo = algo{}

type algo struct{}

// Name is KeyType.
func (algo) Name() hd.PubKeyType { return KeyType }

// Derive is BIP-39 and BIP-32.
func (algo) Derive() hd.DeriveFn { return hd.Secp256k1.Derive() }

// Generate wraps a derived scalar.
func (algo) Generate() hd.GenerateFn {
	return func(bz []byte) cryptotypes.PrivKey {
		key := make([]byte, ethsig.PrivateKeySize)
		copy(key, bz)
		return &PrivKey{Key: key}
	}
}

// KeyringOption makes a keyring create and import eth_secp256k1 keys only.
func KeyringOption(o *keyring.Options) {
	o.SupportedAlgos = keyring.SigningAlgoList{Algo}
	o.SupportedAlgosLedger = keyring.SigningAlgoList{Algo}
}

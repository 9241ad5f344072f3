// Package ethkey gives the ledger Ethereum's accounts: the same mnemonic, the same HD
// path and the same 20-byte address as MetaMask or a Ledger's Ethereum app show, with the
// key type eth_secp256k1.
//
// It only fits internal/ethsig, which has the cryptography, into the SDK's interfaces:
// keys in transactions, in keyrings and in the gas table. The generated key types
// (keys.pb.go) carry these methods, so they live here and not in gen/.
package ethkey

import (
	"bytes"
	"crypto/subtle"
	"fmt"

	"github.com/cometbft/cometbft/crypto"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"

	"github.com/essaim/essaim/internal/ethsig"
)

// KeyType is the name wallets and keyrings know the algorithm by.
const KeyType = "eth_secp256k1"

var (
	_ cryptotypes.PrivKey  = &PrivKey{}
	_ cryptotypes.PubKey   = &PubKey{}
	_ codec.AminoMarshaler = &PrivKey{}
	_ codec.AminoMarshaler = &PubKey{}
)

// RegisterInterfaces makes the keys decodable inside transactions and accounts.
func RegisterInterfaces(r codectypes.InterfaceRegistry) {
	r.RegisterImplementations((*cryptotypes.PubKey)(nil), &PubKey{})
	r.RegisterImplementations((*cryptotypes.PrivKey)(nil), &PrivKey{})
}

// RegisterAmino makes the keys encodable in amino JSON and in keyring exports. The SDK's
// armour uses its global legacy.Cdc, so that one needs the call too.
func RegisterAmino(cdc *codec.LegacyAmino) {
	cdc.RegisterConcrete(&PubKey{}, "essaim/PubKeyEthSecp256k1", nil)
	cdc.RegisterConcrete(&PrivKey{}, "essaim/PrivKeyEthSecp256k1", nil)
}

// Bytes returns the scalar.
func (k *PrivKey) Bytes() []byte { return k.Key }

// Type returns KeyType.
func (k *PrivKey) Type() string { return KeyType }

// Equals compares in constant time.
func (k *PrivKey) Equals(o cryptotypes.LedgerPrivKey) bool {
	return k.Type() == o.Type() && subtle.ConstantTimeCompare(k.Bytes(), o.Bytes()) == 1
}

// PubKey derives the public key; that of a malformed private key is empty, and verifies
// nothing.
func (k *PrivKey) PubKey() cryptotypes.PubKey {
	public, err := ethsig.PublicKey(k.Key)
	if err != nil {
		return &PubKey{}
	}
	return &PubKey{Key: public}
}

// Sign hashes msg with Keccak-256 and returns the 65 bytes r || s || v.
func (k *PrivKey) Sign(msg []byte) ([]byte, error) { return ethsig.Sign(k.Key, msg) }

// Address is Ethereum's; nil for a malformed key.
func (k *PubKey) Address() crypto.Address {
	a, err := ethsig.Address(k.Key)
	if err != nil {
		return nil
	}
	return a[:]
}

// Bytes returns the compressed point.
func (k *PubKey) Bytes() []byte { return k.Key }

// Type returns KeyType.
func (k *PubKey) Type() string { return KeyType }

// String is for logs.
func (k *PubKey) String() string { return fmt.Sprintf("EthPubKeySecp256k1{%X}", k.Key) }

// Equals compares type and bytes.
func (k *PubKey) Equals(o cryptotypes.PubKey) bool {
	return k.Type() == o.Type() && bytes.Equal(k.Bytes(), o.Bytes())
}

// VerifySignature checks a 64- or 65-byte signature over the hash of msg. v is not looked
// at, so a third party can strip or change it: that alters a transaction's hash, not its
// effect. Follow transactions by account and sequence, not by hash alone.
func (k *PubKey) VerifySignature(msg, sig []byte) bool { return ethsig.Verify(k.Key, msg, sig) }

// Recover returns the key that made a 65-byte signature over the hash of msg. A wallet
// that only signs (personal_sign) never shows its key: the client recovers it here to
// fill in the transaction.
func Recover(msg, sig []byte) (*PubKey, error) {
	public, err := ethsig.Recover(msg, sig)
	if err != nil {
		return nil, err
	}
	return &PubKey{Key: public}, nil
}

// The amino methods encode a key as its bare bytes, in binary and in JSON.

// MarshalAmino writes the scalar.
func (k PrivKey) MarshalAmino() ([]byte, error) { return k.Key, nil }

// MarshalAminoJSON writes the scalar, which amino shows in base64.
func (k PrivKey) MarshalAminoJSON() ([]byte, error) { return k.Key, nil }

// UnmarshalAmino reads the scalar.
func (k *PrivKey) UnmarshalAmino(bz []byte) error {
	return setKey(&k.Key, bz, ethsig.PrivateKeySize)
}

// UnmarshalAminoJSON reads the scalar.
func (k *PrivKey) UnmarshalAminoJSON(bz []byte) error { return k.UnmarshalAmino(bz) }

// MarshalAmino writes the point.
func (k PubKey) MarshalAmino() ([]byte, error) { return k.Key, nil }

// MarshalAminoJSON writes the point, which amino shows in base64.
func (k PubKey) MarshalAminoJSON() ([]byte, error) { return k.Key, nil }

// UnmarshalAmino reads the point.
func (k *PubKey) UnmarshalAmino(bz []byte) error { return setKey(&k.Key, bz, ethsig.PublicKeySize) }

// UnmarshalAminoJSON reads the point.
func (k *PubKey) UnmarshalAminoJSON(bz []byte) error { return k.UnmarshalAmino(bz) }

func setKey(dst *[]byte, bz []byte, size int) error {
	if len(bz) != size {
		return fmt.Errorf("ethkey: key must be %d bytes, got %d", size, len(bz))
	}
	*dst = bz
	return nil
}

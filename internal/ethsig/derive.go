package ethsig

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cosmos/go-bip39"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// hardened marks a BIP-32 step that a parent's public key cannot follow.
const hardened = 1 << 31

// FromMnemonic derives the private key that Ethereum's wallets show as account index of
// a mnemonic without passphrase: BIP-39, then BIP-32 along m/44'/60'/0'/0/index. It
// refuses words whose checksum is wrong.
func FromMnemonic(mnemonic string, index uint32) ([]byte, error) {
	seed, err := bip39.NewSeedWithErrorChecking(mnemonic, "")
	if err != nil {
		return nil, fmt.Errorf("ethsig: mnemonic: %w", err)
	}
	node, err := master(seed)
	if err != nil {
		return nil, err
	}
	for _, step := range []uint32{44 | hardened, 60 | hardened, 0 | hardened, 0, index} {
		if node, err = node.child(step); err != nil {
			return nil, err
		}
	}
	key := node.key.Bytes()
	return key[:], nil
}

// extended is a BIP-32 extended private key.
type extended struct {
	key   secp256k1.ModNScalar
	chain []byte
}

// errUnlucky has a probability of 2^-127; BIP-32 says to take the next index.
var errUnlucky = errors.New("ethsig: the derived key is not valid")

func master(seed []byte) (extended, error) {
	left, right := split([]byte("Bitcoin seed"), seed)
	n := extended{chain: right}
	if n.key.SetByteSlice(left) || n.key.IsZero() {
		return extended{}, errUnlucky
	}
	return n, nil
}

func (n extended) child(index uint32) (extended, error) {
	key := n.key.Bytes()
	data := append([]byte{0}, key[:]...)
	if index&hardened == 0 {
		data = secp256k1.NewPrivateKey(&n.key).PubKey().SerializeCompressed()
	}
	left, right := split(n.chain, binary.BigEndian.AppendUint32(data, index))
	c := extended{chain: right}
	if c.key.SetByteSlice(left) || c.key.Add(&n.key).IsZero() {
		return extended{}, errUnlucky
	}
	return c, nil
}

func split(key, data []byte) (left, right []byte) {
	h := hmac.New(sha512.New, key)
	h.Write(data)
	sum := h.Sum(nil)
	return sum[:32], sum[32:]
}

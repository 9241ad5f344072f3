package essaim

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/cosmos/btcutil/bech32"
	"golang.org/x/crypto/sha3"
)

// AddressPrefix starts every account address in its bech32 spelling.
const AddressPrefix = "essaim"

// Address names an account: the last 20 bytes of the Keccak-256 hash of its
// secp256k1 public key, exactly as Ethereum has it. It has two spellings of one
// value, essaim1… (String) and 0x… (Hex).
type Address [20]byte

// ParseAddress reads either spelling. A 0x address in mixed case must carry a right
// EIP-55 checksum; one in a single case carries none.
func ParseAddress(s string) (Address, error) {
	var a Address
	if !strings.HasPrefix(s, "0x") && !strings.HasPrefix(s, "0X") {
		prefix, five, err := bech32.Decode(s, 90)
		if err != nil || prefix != AddressPrefix {
			return a, fmt.Errorf("address %q: want %s1… or 0x… (%v)", s, AddressPrefix, err)
		}
		b, err := bech32.ConvertBits(five, 5, 8, false)
		if err != nil || len(b) != len(a) {
			return a, fmt.Errorf("address %q: does not hold %d bytes", s, len(a))
		}
		return Address(b), nil
	}
	digits := s[2:]
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(a) {
		return a, fmt.Errorf("address %q: want 0x and %d hex digits", s, 2*len(a))
	}
	a = Address(b)
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && "0x"+digits != a.Hex() {
		return Address{}, fmt.Errorf("address %q: the EIP-55 checksum is wrong, a digit was mistyped", s)
	}
	return a, nil
}

// String spells the address in bech32: essaim1….
func (a Address) String() string {
	five, err := bech32.ConvertBits(a[:], 8, 5, true)
	if err != nil {
		panic(err) // 20 whole bytes always convert
	}
	s, err := bech32.Encode(AddressPrefix, five)
	if err != nil {
		panic(err)
	}
	return s
}

// Hex spells the address as Ethereum wallets do, with the EIP-55 checksum.
func (a Address) Hex() string {
	digits := []byte(hex.EncodeToString(a[:]))
	h := sha3.NewLegacyKeccak256()
	h.Write(digits)
	sum := hex.EncodeToString(h.Sum(nil))
	for i, c := range digits {
		if c >= 'a' && sum[i] >= '8' {
			digits[i] = c - 'a' + 'A'
		}
	}
	return "0x" + string(digits)
}

// IsZero reports whether the address is unset.
func (a Address) IsZero() bool { return a == Address{} }

// MarshalText writes the bech32 spelling.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads either spelling.
func (a *Address) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAddress(string(b))
	return err
}

// NodeKey is the Ed25519 public key of a miner or a coordinator, or of a payer's
// session. A node's key is at once its identity on the peer network and what signs
// its receipts; it can work, never withdraw.
type NodeKey [ed25519.PublicKeySize]byte

// ParseNodeKey reads the 64 hex digits that String writes.
func ParseNodeKey(s string) (NodeKey, error) {
	d, err := ParseDigest(s)
	if err != nil {
		return NodeKey{}, fmt.Errorf("node key %q: want 64 hex digits", s)
	}
	return NodeKey(d), nil
}

// NodeKeyOf is the public half of a private key.
func NodeKeyOf(k ed25519.PrivateKey) NodeKey { return NodeKey(k.Public().(ed25519.PublicKey)) }

// String is lower-case hex.
func (k NodeKey) String() string { return hex.EncodeToString(k[:]) }

// Short is the first eight hex digits, for people only.
func (k NodeKey) Short() string { return hex.EncodeToString(k[:4]) }

// IsZero reports whether the key is unset.
func (k NodeKey) IsZero() bool { return k == NodeKey{} }

// MarshalText writes hex.
func (k NodeKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads hex.
func (k *NodeKey) UnmarshalText(b []byte) (err error) {
	*k, err = ParseNodeKey(string(b))
	return err
}

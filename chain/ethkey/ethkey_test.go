package ethkey_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/std"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/ethkey"
	"github.com/essaim/essaim/internal/ethsig"
)

const (
	mnemonic = "test test test test test test test test test test test junk"
	first    = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
	private  = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
)

func newCodec() codec.Codec {
	r := codectypes.NewInterfaceRegistry()
	std.RegisterInterfaces(r)
	ethkey.RegisterInterfaces(r)
	return codec.NewProtoCodec(r)
}

// TestKeyring follows a key through the SDK's keyring: derived, signing, exported in
// armour and imported again.
func TestKeyring(t *testing.T) {
	cdc := newCodec()
	ethkey.RegisterAmino(legacy.Cdc)
	ring, err := keyring.New("essaim", keyring.BackendTest, t.TempDir(), nil, cdc, ethkey.KeyringOption)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ring.NewAccount("first", mnemonic, keyring.DefaultBIP39Passphrase, ethkey.HDPath, ethkey.Algo)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := rec.GetPubKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := essaim.Address(pub.Address()).Hex(); got != first {
		t.Fatalf("address %s, want %s", got, first)
	}
	msg := []byte("a message")
	sig, pub, err := ring.Sign("first", msg, signing.SignMode_SIGN_MODE_DIRECT)
	if err != nil || len(sig) != ethsig.SignatureSize || !pub.VerifySignature(msg, sig) || pub.VerifySignature(msg[1:], sig) {
		t.Fatal("signature", len(sig), err)
	}
	if p, err := ethkey.Recover(msg, sig); err != nil || !p.Equals(pub) {
		t.Fatal("recover", err)
	}
	if _, words, err := ring.NewMnemonic("second", keyring.English, ethkey.HDPath, "", ethkey.Algo); err != nil || words == "" {
		t.Fatal(err)
	}
	armour, err := ring.ExportPrivKeyArmor("first", "pass")
	if err != nil {
		t.Fatal(err)
	}
	other := keyring.NewInMemory(cdc, ethkey.KeyringOption)
	if err := other.ImportPrivKey("first", armour, "pass"); err != nil {
		t.Fatal("a backup cannot be restored:", err)
	}
	if err := other.ImportPrivKeyHex("hex", private, ethkey.KeyType); err != nil {
		t.Fatal(err)
	}
}

// TestSameDerivation: the keyring's way from mnemonic to key is the wallet's.
func TestSameDerivation(t *testing.T) {
	ring, err := ethkey.Algo.Derive()(mnemonic, "", ethkey.HDPath)
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := ethsig.FromMnemonic(mnemonic, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ring, wallet) || hex.EncodeToString(ring) != private {
		t.Fatalf("keyring %x, wallet %x", ring, wallet)
	}
}

func TestEncoding(t *testing.T) {
	key := newKey(t)
	cdc := newCodec()
	enc, err := cdc.MarshalInterfaceJSON(key.PubKey())
	if err != nil {
		t.Fatal(err)
	}
	var back cryptotypes.PubKey
	if err := cdc.UnmarshalInterfaceJSON(enc, &back); err != nil || !back.Equals(key.PubKey()) {
		t.Fatal(string(enc), err)
	}
	amino := codec.NewLegacyAmino()
	std.RegisterLegacyAminoCodec(amino)
	ethkey.RegisterAmino(amino)
	for _, marshal := range []struct {
		to   func(any) ([]byte, error)
		from func([]byte, any) error
	}{{amino.Marshal, amino.Unmarshal}, {amino.MarshalJSON, amino.UnmarshalJSON}} {
		enc, err := marshal.to(key)
		if err != nil {
			t.Fatal(err)
		}
		var again ethkey.PrivKey
		if err := marshal.from(enc, &again); err != nil || !again.Equals(key) {
			t.Fatalf("%q: %v", enc, err)
		}
	}
	if err := new(ethkey.PubKey).UnmarshalAmino(make([]byte, 32)); err == nil {
		t.Fatal("a short key was accepted")
	}
}

// TestMalformed: keys come from outside, so none may panic.
func TestMalformed(t *testing.T) {
	for _, bz := range [][]byte{nil, make([]byte, 32), make([]byte, 33), make([]byte, 65)} {
		pub := &ethkey.PubKey{Key: bz}
		if pub.Address() != nil || pub.VerifySignature(nil, make([]byte, 65)) {
			t.Errorf("public key %x has an address or verifies", bz)
		}
	}
	if pub := (&ethkey.PrivKey{}).PubKey(); len(pub.Bytes()) != 0 {
		t.Errorf("an empty private key has the public key %x", pub.Bytes())
	}
}

func newKey(t *testing.T) *ethkey.PrivKey {
	t.Helper()
	bz, err := hex.DecodeString(private)
	if err != nil {
		t.Fatal(err)
	}
	return &ethkey.PrivKey{Key: bz}
}

package ethsig_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/essaim/essaim/internal/ethsig"
)

const mnemonic = "test test test test test test test test test test test junk"

// accounts are the first two that Hardhat and Anvil print for the mnemonic.
var accounts = []struct{ key, address string }{
	{"ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", "f39fd6e51aad88f6f4ce6ab8827279cfffb92266"},
	{"59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d", "70997970c51812dc3a010c7d01b50e0d17dc79c8"},
}

func key(t *testing.T, index uint32) (private, public []byte) {
	t.Helper()
	private, err := ethsig.FromMnemonic(mnemonic, index)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = ethsig.PublicKey(private); err != nil {
		t.Fatal(err)
	}
	return private, public
}

func TestFromMnemonic(t *testing.T) {
	for i, want := range accounts {
		private, public := key(t, uint32(i))
		if got := hex.EncodeToString(private); got != want.key {
			t.Errorf("account %d: key %s, want %s", i, got, want.key)
		}
		addr, err := ethsig.Address(public)
		if got := hex.EncodeToString(addr[:]); err != nil || got != want.address {
			t.Errorf("account %d: address %s, want %s (%v)", i, got, want.address, err)
		}
	}
	for _, bad := range []string{"", "test", mnemonic[:len(mnemonic)-4] + "test", mnemonic + " test"} {
		if _, err := ethsig.FromMnemonic(bad, 0); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}

func TestSignature(t *testing.T) {
	private, public := key(t, 0)
	msg := []byte("a message")
	sig, err := ethsig.Sign(private, msg)
	if err != nil || len(sig) != ethsig.SignatureSize || sig[64] > 1 {
		t.Fatalf("signature %x: %v", sig, err)
	}
	wallet := bytes.Clone(sig)
	wallet[64] += 27
	for name, s := range map[string][]byte{"65 bytes": sig, "64 bytes": sig[:64], "a wallet's v": wallet} {
		if !ethsig.Verify(public, msg, s) {
			t.Errorf("%s: refused", name)
		}
	}
	for _, s := range [][]byte{sig, wallet} {
		if got, err := ethsig.Recover(msg, s); err != nil || !bytes.Equal(got, public) {
			t.Errorf("recovered %x, want %x (%v)", got, public, err)
		}
	}
	_, other := key(t, 1)
	for name, bad := range map[string]bool{
		"another message": ethsig.Verify(public, msg[1:], sig),
		"another key":     ethsig.Verify(other, msg, sig),
		"too short":       ethsig.Verify(public, msg, sig[:63]),
		"empty":           ethsig.Verify(public, msg, nil),
		"no key":          ethsig.Verify(nil, msg, sig),
		"high s":          ethsig.Verify(public, msg, flip(sig)),
	} {
		if bad {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := ethsig.Recover(msg, sig[:64]); err == nil {
		t.Error("recovered from 64 bytes")
	}
}

func TestMalformedKeys(t *testing.T) {
	order, _ := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	for _, private := range [][]byte{nil, make([]byte, 32), make([]byte, 31), order} {
		if _, err := ethsig.PublicKey(private); err == nil {
			t.Errorf("accepted private key %x", private)
		}
		if _, err := ethsig.Sign(private, nil); err == nil {
			t.Errorf("signed with %x", private)
		}
	}
	for _, public := range [][]byte{nil, make([]byte, 33), make([]byte, 65)} {
		if _, err := ethsig.Address(public); err == nil {
			t.Errorf("accepted public key %x", public)
		}
	}
}

// flip replaces s by n-s: the same signature to the curve, other bytes to a ledger.
func flip(sig []byte) []byte {
	n, _ := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	out, borrow := bytes.Clone(sig), 0
	for i := 31; i >= 0; i-- {
		v := int(n[i]) - int(sig[32+i]) - borrow
		borrow = 0
		if v < 0 {
			v, borrow = v+256, 1
		}
		out[32+i] = byte(v)
	}
	return out
}

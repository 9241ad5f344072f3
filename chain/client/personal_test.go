package client_test

import (
	"strconv"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"golang.org/x/crypto/sha3"

	sdkclient "github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	signingtypes "github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/ethkey"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// personalSign is a wallet's personal_sign, written here from EIP-191 and not from our
// packages: text in, 65 bytes r || s || v out, v being 27 or 28.
func personalSign(private []byte, text string) []byte {
	h := sha3.NewLegacyKeccak256()
	h.Write([]byte("\x19Ethereum Signed Message:\n" + strconv.Itoa(len(text)) + text))
	c := ecdsa.SignCompact(secp256k1.PrivKeyFromBytes(private), h.Sum(nil), false)
	return append(c[1:], c[0])
}

// TestPersonalSign is a page without any Cosmos code in the wallet: ask the ledger's text
// of the transaction, have it signed, recover the key, send.
func TestPersonalSign(t *testing.T) {
	b, owner := newBench(t), account(t, 0)
	msg := &registryv1.MsgRegisterMiner{
		Owner: owner.Address().String(), NodeKey: public("m1").String(), HpkeKey: []byte{1}, Bond: 1000,
		Possession: possession(owner, essaim.RoleMiner, "m1"),
	}

	// 1. The text needs no public key: the wallet has only shown its address.
	build := b.app.Signed.NewTxBuilder()
	if err := build.SetMsgs(msg); err != nil {
		t.Fatal(err)
	}
	build.SetGasLimit(300_000)
	build.SetMemo("from a browser")
	data := build.GetTx().(authsigning.V2AdaptableTx).GetSigningTxData()
	number, err := dial(t, b).Account(t.Context(), owner.Address())
	if err != nil {
		t.Fatal(err)
	}
	text, err := b.app.Personal.Text(t.Context(), signing.SignerData{Address: msg.Owner, ChainID: chainID, AccountNumber: number.Number}, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"essaim/RegisterMiner"`, msg.NodeKey, `"bond": "1000"`, `"from a browser"`} {
		if !strings.Contains(string(text), want) {
			t.Fatalf("the wallet does not show %s:\n%s", want, text)
		}
	}

	// 2. The wallet signs. 3. The page recovers the key and assembles the transaction.
	sig := personalSign(owner.private, string(text))
	wrapped := "\x19Ethereum Signed Message:\n" + strconv.Itoa(len(text)) + string(text)
	pub, err := ethkey.Recover([]byte(wrapped), sig)
	if err != nil || essaim.Address(pub.Address()) != owner.Address() {
		t.Fatal("recovered", pub, err)
	}
	try := func(sequence uint64, sig []byte) *abci.ResponseCheckTx {
		r, err := b.app.CheckTx(&abci.RequestCheckTx{Tx: personal(t, build, b.app.Signed, pub, sequence, sig), Type: abci.CheckTxType_New})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := try(0, personalSign(owner.private, string(text)+" ")); !strings.Contains(r.Log, "does not verify") {
		t.Fatal("another text's signature:", r.Log)
	}
	if r := try(3, sig); !strings.Contains(r.Log, "sequence") {
		t.Fatal("wrong sequence:", r.Log)
	}
	tx := personal(t, build, b.app.Signed, pub, 0, sig)
	if r, err := b.BroadcastTxSync(t.Context(), tx); err != nil || r.Code != 0 {
		t.Fatal(r, err)
	}
	if m, err := dial(t, b).Miner(t.Context(), public("m1")); err != nil || m.Owner != owner.Address() {
		t.Fatal(m, err)
	}
	if r, err := b.BroadcastTxSync(t.Context(), tx); err != nil || r.Code == 0 {
		t.Fatal("replay accepted", err)
	}
}

// personal assembles a transaction signed by personal_sign.
func personal(t *testing.T, b sdkclient.TxBuilder, cfg sdkclient.TxConfig, pub *ethkey.PubKey, sequence uint64, sig []byte) []byte {
	t.Helper()
	if err := b.SetSignatures(signingtypes.SignatureV2{PubKey: pub, Sequence: sequence, Data: &signingtypes.SingleSignatureData{
		SignMode: signingtypes.SignMode_SIGN_MODE_EIP_191, Signature: sig,
	}}); err != nil {
		t.Fatal(err)
	}
	bz, err := cfg.TxEncoder()(b.GetTx())
	if err != nil {
		t.Fatal(err)
	}
	return bz
}

// TestStockRefuses pins why eip191.VerifyDecorator exists: the SDK's verifier knows the
// mode's name and still refuses it, whatever handlers are registered.
func TestStockRefuses(t *testing.T) {
	b := newBench(t)
	tx := b.app.Signed.NewTxBuilder().GetTx().(authsigning.V2AdaptableTx)
	err := authsigning.VerifySignature(sdk.Context{}, &ethkey.PubKey{Key: account(t, 0).public}, signing.SignerData{},
		&signingtypes.SingleSignatureData{SignMode: signingtypes.SignMode_SIGN_MODE_EIP_191}, b.app.Signed.SignModeHandler(), tx.GetSigningTxData())
	if err == nil || !strings.Contains(err.Error(), "unsupported sign mode") {
		t.Fatal(err)
	}
}

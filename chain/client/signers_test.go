package client_test

import (
	"strings"
	"testing"

	signingv1beta1 "cosmossdk.io/api/cosmos/tx/signing/v1beta1"
	sdkclient "github.com/cosmos/cosmos-sdk/client"
	kmultisig "github.com/cosmos/cosmos-sdk/crypto/keys/multisig"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	"github.com/cosmos/cosmos-sdk/crypto/types/multisig"
	sdk "github.com/cosmos/cosmos-sdk/types"
	signingtypes "github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/ethkey"
)

const (
	personalMode = signingtypes.SignMode_SIGN_MODE_EIP_191
	aminoMode    = signingtypes.SignMode_SIGN_MODE_LEGACY_AMINO_JSON
)

// signBytes is what an account signs of a transaction in a mode.
func (b *bench) signBytes(t *testing.T, tx sdkclient.TxBuilder, mode signingtypes.SignMode, who essaim.Address) []byte {
	t.Helper()
	acc, err := dial(t, b).Account(t.Context(), who)
	if err != nil {
		t.Fatal(err)
	}
	bz, err := b.app.Signed.SignModeHandler().GetSignBytes(t.Context(), signingv1beta1.SignMode(mode), signing.SignerData{
		Address: who.String(), ChainID: chainID, AccountNumber: acc.Number, Sequence: acc.Sequence,
	}, tx.GetTx().(authsigning.V2AdaptableTx).GetSigningTxData())
	if err != nil {
		t.Fatal(err)
	}
	return bz
}

func (b *bench) send(t *testing.T, tx sdkclient.TxBuilder, sigs ...signingtypes.SignatureV2) string {
	t.Helper()
	if err := tx.SetSignatures(sigs...); err != nil {
		t.Fatal(err)
	}
	bz, err := b.app.Signed.TxEncoder()(tx.GetTx())
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.BroadcastTxSync(t.Context(), bz)
	if err != nil {
		t.Fatal(err)
	}
	return r.Log // empty: accepted
}

func (b *bench) pay(t *testing.T, from essaim.Address) sdkclient.TxBuilder {
	t.Helper()
	tx := b.app.Signed.NewTxBuilder()
	coins := sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 1))
	if err := tx.SetMsgs(&banktypes.MsgSend{FromAddress: from.String(), ToAddress: essaim.Address{7}.String(), Amount: coins}); err != nil {
		t.Fatal(err)
	}
	tx.SetGasLimit(300_000)
	return tx
}

// TestFeePayer: two people sign one transaction with their wallets, each its own text. A
// transaction that mixes the ways to sign is refused.
func TestFeePayer(t *testing.T) {
	b, owner, payer := newBench(t), account(t, 0), account(t, 1)
	try := func(modes ...signingtypes.SignMode) string {
		tx := b.pay(t, owner.Address())
		fee := payer.Address()
		tx.SetFeePayer(fee[:])
		tx.SetFeeAmount(sdk.NewCoins(sdk.NewInt64Coin(essaim.Denom, 10)))
		var sigs []signingtypes.SignatureV2
		for i, k := range []key{owner, payer} {
			sig, err := k.Sign(b.signBytes(t, tx, modes[i], k.Address()))
			if err != nil {
				t.Fatal(err)
			}
			acc, err := dial(t, b).Account(t.Context(), k.Address())
			if err != nil {
				t.Fatal(err)
			}
			sigs = append(sigs, signingtypes.SignatureV2{
				PubKey: &ethkey.PubKey{Key: k.public}, Sequence: acc.Sequence,
				Data: &signingtypes.SingleSignatureData{SignMode: modes[i], Signature: sig},
			})
		}
		return b.send(t, tx, sigs...)
	}
	if log := try(personalMode, personalMode); log != "" {
		t.Fatal(log)
	}
	if got, err := dial(t, b).Balance(t.Context(), payer.Address()); err != nil || got != rich-10 {
		t.Fatal(got, err)
	}
	if log := try(personalMode, aminoMode); !strings.Contains(log, "unsupported sign mode") {
		t.Fatal(log)
	}
}

// TestMultisig: a multisig of our keys signs in amino JSON; in personal_sign it is
// refused.
func TestMultisig(t *testing.T) {
	b := newBench(t)
	members := []key{account(t, 0), account(t, 1)}
	var keys []cryptotypes.PubKey
	for _, m := range members {
		keys = append(keys, &ethkey.PubKey{Key: m.public})
	}
	group := kmultisig.NewLegacyAminoPubKey(2, keys)
	address := essaim.Address(group.Address())
	if _, err := dial(t, b).Send(t.Context(), members[0], address, 100); err != nil {
		t.Fatal(err)
	}
	try := func(mode signingtypes.SignMode) string {
		tx := b.pay(t, address)
		data := multisig.NewMultisig(2)
		for i, m := range members {
			sig, err := m.Sign(b.signBytes(t, tx, mode, address))
			if err != nil {
				t.Fatal(err)
			}
			multisig.AddSignature(data, &signingtypes.SingleSignatureData{SignMode: mode, Signature: sig}, i)
		}
		return b.send(t, tx, signingtypes.SignatureV2{PubKey: group, Data: data})
	}
	if log := try(personalMode); log == "" {
		t.Fatal("accepted")
	}
	if log := try(aminoMode); log != "" {
		t.Fatal(log)
	}
}

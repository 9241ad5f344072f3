package node

import (
	"cmp"
	"context"
	"crypto/ed25519"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/wallet"
)

// Payer binds an account to the ledger, as package client wants it.
func Payer(chain *chainclient.Client, account *wallet.Account) client.Ledger {
	return payer{chain, account}
}

type payer struct {
	*chainclient.Client
	account *wallet.Account
}

func (p payer) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, expiry int64) (essaim.SessionID, essaim.Tx, error) {
	return p.Client.OpenSession(ctx, p.account, essaim.Session{Coordinator: coordinator, Deposit: deposit, SessionKey: key, Expiry: expiry})
}

func (p payer) TopUp(ctx context.Context, id essaim.SessionID, amount essaim.Amount) (essaim.Amount, essaim.Tx, error) {
	return p.Client.TopUp(ctx, p.account, id, amount)
}

// settler is the ledger as a coordinator wants it: settlements are submitted by an
// account that pays the fee and has no other right.
type settler struct {
	*chainclient.Client
	account *wallet.Account
}

// Promises is the ledger as a miner wants it. Claims are submitted by an account that has
// no other right, or by nobody if it is nil; the miner's node key says what is claimed.
func Promises(chain *chainclient.Client, submitter *wallet.Account, keys wallet.NodeKeys) miner.Ledger {
	return promises{chain, submitter, keys}
}

type promises struct {
	*chainclient.Client
	account *wallet.Account
	keys    wallet.NodeKeys
}

func (p promises) ClaimUnpaid(ctx context.Context, ack []byte) (essaim.Tx, error) {
	if p.account == nil {
		return essaim.Tx{}, errNobody()
	}
	return p.Client.ClaimUnpaid(ctx, p.account, ack, p.sign(ack))
}

func (p promises) Waiting(ctx context.Context, id essaim.SessionID) (essaim.Amount, error) {
	s, err := p.Client.Settlement(ctx, id)
	return s.Pending, err
}

func (p promises) ClaimLapsed(ctx context.Context, ack, voucher []byte) (essaim.Tx, error) {
	if p.account == nil {
		return essaim.Tx{}, errNobody()
	}
	return p.Client.ClaimLapsed(ctx, p.account, ack, p.sign(ack), voucher)
}

// sign chooses a promise to be shown.
func (p promises) sign(ack []byte) []byte {
	return ed25519.Sign(p.keys.Sign, essaim.ClaimBytes(ack, p.keys.ID()))
}

// courtroom is the ledger as a miner wants it whose receipts are disputed.
type courtroom struct{ p promises }

// Disputes are also those that were opened about the key that the miner had before.
func (c courtroom) Disputes(ctx context.Context, miner essaim.NodeKey) ([]essaim.Dispute, error) {
	var failed error
	list, err := c.p.OpenDisputes(ctx, func(d essaim.Dispute) bool {
		if d.Miner == miner {
			return true
		}
		a, err := c.p.Actor(ctx, d.Miner)
		if err != nil && essaim.CodeOf(err) != essaim.CodeNotFound { // that one has left
			failed = err
		}
		return err == nil && a.NodeKey == miner
	})
	return list, cmp.Or(err, failed)
}

func (c courtroom) Move(ctx context.Context, dispute, turn uint64, move []byte) error {
	chainID, err := c.p.Client.ChainID(ctx)
	if err != nil {
		return err
	}
	signature := ed25519.Sign(c.p.keys.Sign, essaim.MoveBytes(chainID, dispute, turn, move, c.p.keys.ID()))
	_, err = c.p.Client.MoveDispute(ctx, c.p.account, dispute, move, signature)
	return err
}

func errNobody() error {
	return essaim.Errorf(essaim.CodeUnavailable, "use `essaim miner claim`, or name an account key in "+configName, "no account submits claims")
}

func (s settler) Settle(ctx context.Context, settlement essaim.Settlement, sig, voucher []byte) (essaim.Tx, error) {
	return s.Client.Settle(ctx, s.account, settlement, sig, voucher)
}

func (s settler) ShowVoucher(ctx context.Context, id essaim.SessionID, voucher []byte) (essaim.Tx, error) {
	return s.Client.ShowVoucher(ctx, s.account, id, voucher)
}

// Open shows a leaf. That it convicts the coordinator is an error here.
func (s settler) Open(ctx context.Context, d essaim.Draw, o essaim.Opening) (essaim.Tx, error) {
	fault, tx, err := s.Client.Open(ctx, s.account, d.Session, d.Index, o)
	if err == nil && fault != "" {
		err = essaim.Errorf(essaim.CodeRefused, "", "the ledger found the leaf to be false (%s): transaction %s", fault, tx.Hash)
	}
	return tx, err
}

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	ctypes "github.com/cometbft/cometbft/rpc/core/types"

	signingv1beta1 "cosmossdk.io/api/cosmos/tx/signing/v1beta1"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	signingtypes "github.com/cosmos/cosmos-sdk/types/tx/signing"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"
	"github.com/cosmos/cosmos-sdk/x/tx/signing"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/ethkey"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
)

// Signer signs for one account. The wallet's keys are signers.
type Signer interface {
	Address() essaim.Address
	PublicKey() []byte                   // 33 bytes, compressed
	Sign(message []byte) ([]byte, error) // over the Keccak-256 hash of the message: 65 bytes r || s || v
}

const (
	// lifetime is how many blocks a transaction may wait for. After them it can never be
	// included, so the caller knows for certain that nothing happened.
	lifetime = 300

	// indexLag is how many blocks the node's index of transactions may be behind.
	indexLag = 10

	// patience is how long a node may be away while a transaction of ours waits there.
	patience = 30 * time.Second

	// Gas: a ceiling, not a price, with room to spare over what messages use.
	gasBase    = 500_000
	gasPerByte = 60
	gasPerLine = 500_000 // a miner's registration, which holds its pool, is written for each
)

// sender gives out the sequence numbers of one account. The lock is held while one
// transaction is signed and handed to the node, so that they arrive in order; waiting
// for blocks happens outside.
type sender struct {
	mu       sync.Mutex
	known    bool
	number   uint64
	sequence uint64 // the next one
}

func (c *Client) sender(a essaim.Address) *sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.senders[a] == nil {
		c.senders[a] = &sender{}
	}
	return c.senders[a]
}

// send signs one message, hands it to the node and waits for its block.
func (c *Client) send(ctx context.Context, by Signer, msg sdk.Msg) (*ctypes.ResultTx, error) {
	name := sdk.MsgTypeURL(msg)
	name = name[strings.LastIndexByte(name, '.')+1:]
	if c.trial {
		return c.simulate(ctx, by, msg, name)
	}
	s := c.sender(by.Address())
	hash, until, err := c.submit(ctx, s, by, msg, name)
	if err != nil {
		return nil, err
	}
	r, err := c.wait(ctx, hash, until)
	if err != nil {
		s.forget() // this one may or may not have used up its number
		return nil, fmt.Errorf("%s: transaction %X: %w", name, hash, err)
	}
	if r.TxResult.Code != 0 {
		return r, refused(name, r.TxResult.Codespace, r.TxResult.Code, r.TxResult.Log)
	}
	return r, nil
}

// submit returns once the node has taken the transaction. A sequence number that the
// ledger does not expect, because another process uses the account too, is asked for
// again, a few times.
func (c *Client) submit(ctx context.Context, s *sender, by Signer, msg sdk.Msg, name string) (hash []byte, until int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 3 {
		if !s.known {
			acc, err := c.Account(ctx, by.Address())
			if err != nil {
				return nil, 0, err
			}
			s.known, s.number, s.sequence = true, acc.Number, acc.Sequence
		}
		height, err := c.Height(ctx)
		if err != nil {
			return nil, 0, err
		}
		until = height + lifetime
		tx, err := c.sign(ctx, s, by, msg, until)
		if err != nil {
			return nil, 0, err
		}
		r, err := c.rpc.BroadcastTxSync(ctx, tx)
		if err != nil {
			s.known = false
			return nil, 0, unreachable(ctx, err)
		}
		if r.Code == 0 {
			s.sequence++
			return r.Hash, until, nil
		}
		if r.Codespace != sdkerrors.RootCodespace || r.Code != sdkerrors.ErrWrongSequence.ABCICode() {
			return nil, 0, refused(name, r.Codespace, r.Code, r.Log)
		}
		s.known = s.adopt(r.Log)
	}
	return nil, 0, essaim.Errorf(essaim.CodeConflict, "another program sends from this account: try again", "%s: no free sequence number for %s", name, by.Address())
}

// adopt takes the sequence number that the node's mempool expects from its refusal. The
// committed one, which a query gives, is too low while transactions wait.
func (s *sender) adopt(log string) bool {
	_, rest, ok := strings.Cut(log, "account sequence mismatch, expected ")
	if !ok {
		return false
	}
	_, err := fmt.Sscanf(rest, "%d", &s.sequence)
	return err == nil
}

func (s *sender) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = false
}

// sign builds a transaction in SIGN_MODE_DIRECT without fee.
func (c *Client) sign(ctx context.Context, s *sender, by Signer, msg sdk.Msg, until int64) ([]byte, error) {
	chainID, err := c.ChainID(ctx)
	if err != nil {
		return nil, err
	}
	b := c.enc.Signed.NewTxBuilder()
	if err := b.SetMsgs(msg); err != nil {
		return nil, err
	}
	b.SetGasLimit(gas(msg))
	b.SetTimeoutHeight(uint64(until))

	pub := &ethkey.PubKey{Key: by.PublicKey()}
	data := &signingtypes.SingleSignatureData{SignMode: signingtypes.SignMode_SIGN_MODE_DIRECT}
	sig := signingtypes.SignatureV2{PubKey: pub, Data: data, Sequence: s.sequence}
	if err := b.SetSignatures(sig); err != nil { // key and mode are part of what is signed
		return nil, err
	}
	packed, err := codectypes.NewAnyWithValue(pub)
	if err != nil {
		return nil, err
	}
	bz, err := c.enc.Signed.SignModeHandler().GetSignBytes(ctx, signingv1beta1.SignMode_SIGN_MODE_DIRECT, signing.SignerData{
		Address: by.Address().String(), ChainID: chainID, AccountNumber: s.number, Sequence: s.sequence,
		PubKey: &anypb.Any{TypeUrl: packed.TypeUrl, Value: packed.Value},
	}, b.GetTx().(authsigning.V2AdaptableTx).GetSigningTxData())
	if err != nil {
		return nil, err
	}
	if data.Signature, err = by.Sign(bz); err != nil {
		return nil, fmt.Errorf("sign for %s: %w", by.Address(), err)
	}
	if err := b.SetSignatures(sig); err != nil {
		return nil, err
	}
	return c.enc.Signed.TxEncoder()(b.GetTx())
}

// wait returns the transaction once it is in a block, or CodeExpired once it never can
// be. While the node cannot be reached it goes on trying for a while: the transaction is
// on its way.
func (c *Client) wait(ctx context.Context, hash []byte, until int64) (r *ctypes.ResultTx, err error) {
	var last error
	answered := time.Now()
	err = poll(ctx, func() (bool, error) {
		var height int64
		if height, last = c.Height(ctx); last == nil { // before the look-up, so that a late block cannot hide
			r, last = c.rpc.Tx(ctx, hash, false)
		}
		switch {
		case last == nil:
			return true, nil
		case !notFound(last):
			if time.Since(answered) > patience {
				return false, unreachable(ctx, last)
			}
		case height > until+indexLag:
			return false, essaim.Errorf(essaim.CodeExpired, "nothing happened: send it again", "not in a block up to height %d", until)
		default:
			answered = time.Now()
		}
		return false, nil
	})
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(err, last)
	}
	return r, err
}

// notFound tells a transaction that is in no block from a node that cannot say.
func notFound(err error) bool { return err != nil && strings.Contains(err.Error(), "not found") }

func gas(msg sdk.Msg) uint64 {
	n := uint64(gasBase)
	if m, ok := msg.(interface{ Size() int }); ok {
		n += gasPerByte * uint64(m.Size())
	}
	switch m := msg.(type) {
	case *marketv1.MsgSettle:
		n += gasPerLine * uint64(len(m.Lines))
	case *registryv1.MsgClaim:
		if m.NodeKey == "" { // of all actors, and nobody knows here how many
			n += gasPerLine * registry.MaxDelegations
		}
	}
	return n
}

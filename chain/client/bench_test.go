package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/libs/bytes"
	"github.com/cometbft/cometbft/p2p"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/internal/ethsig"
)

const (
	mnemonic = "test test test test test test test test test test test junk"
	chainID  = "essaim-test-1"
	rich     = 1_000_000 * essaim.AIM
)

var begin = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// key is one of the mnemonic's accounts.
type key struct{ private, public []byte }

func account(t testing.TB, index uint32) key {
	t.Helper()
	private, err := ethsig.FromMnemonic(mnemonic, index)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ethsig.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key{private, public}
}

func (k key) Address() essaim.Address {
	a, err := ethsig.Address(k.public)
	if err != nil {
		panic(err)
	}
	return a
}

func (k key) PublicKey() []byte               { return k.public }
func (k key) Sign(msg []byte) ([]byte, error) { return ethsig.Sign(k.private, msg) }

func nodeKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) essaim.NodeKey { return essaim.NodeKeyOf(nodeKey(name)) }

func manifest(name string) []byte {
	return fmt.Appendf(nil, `{"name":%q,"kind":"image","engine":"pixel","licence":"Apache-2.0"}`, name)
}

// bench is the application with a block for each transaction: what a node is to the
// client, without consensus, and the same in every run.
type bench struct {
	client.RPC // what none of its tests asks for
	app        *chain.App

	mu     sync.Mutex
	next   int64 // height of the next block
	found  map[string]*ctypes.ResultTx
	hashes []string // the application's hash after each block
	drop   bool     // lose transactions after CheckTx, as a crashed node does
}

var _ client.RPC = (*bench)(nil)

func newBench(t testing.TB) *bench {
	return newBenchWith(t, registryv1.Params{UnbondingBlocks: 3, MinBondMiner: 1000, MinBondCoordinator: 1000, Slashes: registry.DefaultParams().Slashes[:1]})
}

func newBenchWith(t testing.TB, params registryv1.Params) *bench {
	t.Helper()
	g := chain.Genesis{
		ChainID: chainID, Time: begin,
		Validators: []chain.Validator{{Name: "v", Key: [32]byte(public("v")), Operator: essaim.Address{1}, Stake: 100 * essaim.AIM}},
		Registry:   &params,
	}
	for i := range uint32(3) {
		g.Accounts = append(g.Accounts, chain.Account{Address: account(t, i).Address(), Balance: rich})
	}
	doc, err := g.Doc()
	if err != nil {
		t.Fatal(err)
	}
	return onDoc(t, doc)
}

func onDoc(t testing.TB, doc *cmttypes.GenesisDoc) *bench {
	t.Helper()
	app, err := chain.New(chain.Options{DB: dbm.NewMemDB(), ChainID: chainID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	params := doc.ConsensusParams.ToProto()
	if _, err := app.InitChain(&abci.RequestInitChain{
		ChainId: chainID, Time: begin, InitialHeight: doc.InitialHeight, ConsensusParams: &params, AppStateBytes: doc.AppState,
	}); err != nil {
		t.Fatal(err)
	}
	b := &bench{app: app, next: doc.InitialHeight, found: map[string]*ctypes.ResultTx{}}
	if err := b.block(); err != nil {
		t.Fatal(err)
	}
	return b
}

// block makes the next block.
func (b *bench) block(txs ...[]byte) error {
	height := b.next
	r, err := b.app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: height, Time: begin.Add(time.Duration(height) * time.Second), Txs: txs})
	if err != nil {
		return err
	}
	if _, err := b.app.Commit(); err != nil {
		return err
	}
	b.next++
	b.hashes = append(b.hashes, fmt.Sprintf("%x", r.AppHash))
	for i, tx := range txs {
		hash := cmttypes.Tx(tx).Hash()
		b.found[string(hash)] = &ctypes.ResultTx{Hash: hash, Height: height, TxResult: *r.TxResults[i], Tx: tx}
	}
	return nil
}

func (b *bench) blocks(t testing.TB, n int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		if err := b.block(); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) Status(context.Context) (*ctypes.ResultStatus, error) {
	return &ctypes.ResultStatus{NodeInfo: p2p.DefaultNodeInfo{Network: chainID}}, nil
}

func (b *bench) ABCIInfo(context.Context) (*ctypes.ResultABCIInfo, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := b.app.Info(&abci.RequestInfo{})
	if err != nil {
		return nil, err
	}
	for range 50 {
		if !b.drop { // while it does, time passes quickly
			break
		}
		if err := b.block(); err != nil {
			return nil, err
		}
	}
	return &ctypes.ResultABCIInfo{Response: *r}, nil
}

func (b *bench) ABCIQueryWithOptions(ctx context.Context, path string, data bytes.HexBytes, _ rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := b.app.Query(ctx, &abci.RequestQuery{Path: path, Data: data})
	if err != nil {
		return nil, err
	}
	return &ctypes.ResultABCIQuery{Response: *r}, nil
}

func (b *bench) BroadcastTxSync(_ context.Context, tx cmttypes.Tx) (*ctypes.ResultBroadcastTx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, err := b.app.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
	if err != nil {
		return nil, err
	}
	out := &ctypes.ResultBroadcastTx{Code: r.Code, Codespace: r.Codespace, Log: r.Log, Data: r.Data, Hash: tx.Hash()}
	if r.Code != 0 || b.drop {
		return out, nil
	}
	return out, b.block(tx)
}

func (b *bench) Tx(_ context.Context, hash []byte, _ bool) (*ctypes.ResultTx, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.found[string(hash)]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("tx (%X) not found", hash)
}

// in lists what a block holds: at most one transaction.
func (b *bench) in(height int64) (out []*ctypes.ResultTx) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.found {
		if r.Height == height {
			out = append(out, r)
		}
	}
	return out
}

func (b *bench) Block(_ context.Context, height *int64) (*ctypes.ResultBlock, error) {
	newest := b.app.LastBlockHeight()
	if height == nil {
		height = &newest
	}
	if *height <= 0 || *height > newest {
		return nil, fmt.Errorf("height %d must be less than or equal to the current blockchain height %d", *height, newest) // as CometBFT says it
	}
	block := &cmttypes.Block{Header: cmttypes.Header{Height: *height, Time: begin.Add(time.Duration(*height) * time.Second), ProposerAddress: make([]byte, 20)}}
	for _, r := range b.in(*height) {
		block.Txs = append(block.Txs, r.Tx)
	}
	return &ctypes.ResultBlock{BlockID: cmttypes.BlockID{Hash: make([]byte, 32)}, Block: block}, nil
}

func (b *bench) BlockResults(_ context.Context, height *int64) (*ctypes.ResultBlockResults, error) {
	out := &ctypes.ResultBlockResults{Height: *height}
	for _, r := range b.in(*height) {
		out.TxsResults = append(out.TxsResults, &r.TxResult)
	}
	return out, nil
}

func dial(t testing.TB, b client.RPC) *client.Client {
	t.Helper()
	c, err := client.New(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func possession(owner key, role essaim.Role, name string) []byte {
	return ed25519.Sign(nodeKey(name), essaim.PossessionBytes(chainID, owner.Address(), role, public(name)))
}

// claim is a settlement that adds up, with its signature.
func claim(id essaim.SessionID, signer string, lines ...essaim.Line) (essaim.Settlement, []byte) {
	s := essaim.Settlement{ChainID: chainID, Session: id, Lines: lines, Receipts: essaim.Digest{9}}
	var sum, count uint64
	for _, l := range lines {
		sum, count = sum+uint64(l.Amount), count+l.Tasks
	}
	binary.BigEndian.PutUint64(s.Root[32:], sum)
	binary.BigEndian.PutUint64(s.Root[40:], count)
	return s, ed25519.Sign(nodeKey(signer), s.SignBytes(public(signer)))
}

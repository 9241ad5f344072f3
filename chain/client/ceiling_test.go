package client

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/libs/bytes"
	rpcclient "github.com/cometbft/cometbft/rpc/client"
	ctypes "github.com/cometbft/cometbft/rpc/core/types"
	dbm "github.com/cosmos/cosmos-db"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/internal/ethsig"
)

// owner signs for one of a mnemonic's accounts.
type owner struct{ private, public []byte }

func (o owner) Address() essaim.Address {
	a, err := ethsig.Address(o.public)
	if err != nil {
		panic(err)
	}
	return a
}

func (o owner) PublicKey() []byte               { return o.public }
func (o owner) Sign(msg []byte) ([]byte, error) { return ethsig.Sign(o.private, msg) }

func machine(name string) (ed25519.PrivateKey, essaim.NodeKey) {
	seed := sha256.Sum256([]byte(name))
	k := ed25519.NewKeyFromSeed(seed[:])
	return k, essaim.NodeKeyOf(k)
}

// mill is the application on a disk, with blocks of as many signed transactions as one
// likes, and what they have cost.
type mill struct {
	*Client
	b      *testing.B
	app    *chain.App
	height int64

	cpu   time.Duration // checking and executing transactions, commits included
	bytes int
}

// state answers queries of the application's state, and nothing else.
type state struct {
	RPC
	app *chain.App
}

func (m state) ABCIQueryWithOptions(ctx context.Context, path string, data bytes.HexBytes, _ rpcclient.ABCIQueryOptions) (*ctypes.ResultABCIQuery, error) {
	r, err := m.app.Query(ctx, &abci.RequestQuery{Path: path, Data: data})
	if err != nil {
		return nil, err
	}
	return &ctypes.ResultABCIQuery{Response: *r}, nil
}

func (m *mill) ok(err error) {
	m.b.Helper()
	if err != nil {
		m.b.Fatal(err)
	}
}

func newMill(b *testing.B, accounts []owner, manifest []byte) *mill {
	m := &mill{b: b, height: 1}
	g := chain.Genesis{
		ChainID: "essaim-ceiling", Time: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC),
		Validators: []chain.Validator{{Name: "v", Key: [32]byte(sha256.Sum256([]byte("v"))), Operator: essaim.Address{1}, Stake: 100 * essaim.AIM}},
		Models:     []chain.Model{{Manifest: manifest, Owner: essaim.Address{2}, UnitPrice: 1000, Royalty: 500}},
		Registry:   &registryv1.Params{UnbondingBlocks: 3, MinBondMiner: 1000, MinBondCoordinator: 1000},
	}
	for _, a := range accounts {
		g.Accounts = append(g.Accounts, chain.Account{Address: a.Address(), Balance: 1_000_000 * essaim.AIM})
	}
	doc, err := g.Doc()
	m.ok(err)
	db, err := dbm.NewDB("ceiling", dbm.PebbleDBBackend, b.TempDir())
	m.ok(err)
	m.app, err = chain.New(chain.Options{DB: db, ChainID: g.ChainID})
	m.ok(err)
	b.Cleanup(func() { m.app.Close() })
	params := doc.ConsensusParams.ToProto()
	_, err = m.app.InitChain(&abci.RequestInitChain{ChainId: g.ChainID, Time: g.Time, InitialHeight: 1, ConsensusParams: &params, AppStateBytes: doc.AppState})
	m.ok(err)
	m.Client, err = New(state{app: m.app})
	m.ok(err)
	m.chainID = g.ChainID
	m.block(nil)
	return m
}

// used is the processor time that this process has used.
func (m *mill) used() time.Duration {
	var u syscall.Rusage
	m.ok(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// block checks transactions as a node does when they come, executes and commits them.
func (m *mill) block(txs [][]byte) (out []*abci.ExecTxResult) {
	start := m.used()
	for _, tx := range txs {
		r, err := m.app.CheckTx(&abci.RequestCheckTx{Tx: tx, Type: abci.CheckTxType_New})
		if m.ok(err); r.Code != 0 {
			m.b.Fatal(r.Log)
		}
		m.bytes += len(tx)
	}
	r, err := m.app.FinalizeBlock(&abci.RequestFinalizeBlock{Height: m.height, Time: time.Date(2026, 11, 23, 0, 0, int(m.height), 0, time.UTC), Txs: txs})
	m.ok(err)
	_, err = m.app.Commit()
	m.ok(err)
	m.cpu += m.used() - start
	m.height++
	for _, x := range r.TxResults {
		if x.Code != 0 {
			m.b.Fatal(x.Log)
		}
	}
	return r.TxResults
}

// do puts messages of one account into a block, a transaction each.
func (m *mill) do(by owner, msgs ...sdk.Msg) []*abci.ExecTxResult {
	acc, err := m.Account(context.Background(), by.Address())
	m.ok(err)
	s := &sender{known: true, number: acc.Number, sequence: acc.Sequence}
	var txs [][]byte
	for _, msg := range msgs {
		tx, err := m.sign(context.Background(), s, by, msg, m.height+lifetime)
		m.ok(err)
		txs = append(txs, tx)
		s.sequence++
	}
	return m.block(txs)
}

// open opens sessions of one deposit, and returns their numbers.
func (m *mill) open(payer owner, deposit uint64, n int) (ids []uint64) {
	_, coordinator := machine("c")
	_, session := machine("s")
	var msgs []sdk.Msg
	for range n {
		msgs = append(msgs, &marketv1.MsgOpenSession{Payer: payer.Address().String(), Coordinator: coordinator.String(), Deposit: deposit, SessionKey: session.String(), Expiry: m.height + 1000})
	}
	for _, r := range m.do(payer, msgs...) {
		var opened marketv1.MsgOpenSessionResponse
		m.ok(answer(r.Data, &opened))
		ids = append(ids, opened.Session)
	}
	return ids
}

// settled is a settlement with all acknowledged.
func (m *mill) settled(by owner, id uint64, lines ...essaim.Line) *marketv1.MsgSettle {
	key, coordinator := machine("c")
	s := essaim.Settlement{ChainID: m.chainID, Session: essaim.SessionID(id), Receipts: essaim.Digest{9}, Lines: lines}
	var sum, count uint64
	msg := &marketv1.MsgSettle{Submitter: by.Address().String(), Session: id, Receipts: s.Receipts[:]}
	for _, l := range lines {
		sum, count = sum+uint64(l.Amount), count+l.Tasks
		msg.Lines = append(msg.Lines, marketv1.Line{Miner: l.Miner[:], Model: l.Model[:], Amount: uint64(l.Amount), Tasks: l.Tasks})
	}
	binary.BigEndian.PutUint64(s.Root[32:], sum)
	binary.BigEndian.PutUint64(s.Root[40:], count)
	session, _ := machine("s")
	voucher, err := essaim.SignVoucher(essaim.Voucher{ChainID: m.chainID, Session: s.Session, Coordinator: coordinator, Amount: essaim.Amount(sum), Count: count}, session)
	m.ok(err)
	msg.Root, msg.Voucher, msg.Signature = s.Root[:], voucher, ed25519.Sign(key, s.SignBytes(coordinator))
	return msg
}

// BenchmarkCeiling: the same ledger paying a transaction a task, and a session of a million
// tasks by 100 miners. CPU is what one node spends: transactions are checked, executed in
// blocks of 500 and committed to the disk, all on one core but for the disk's own threads;
// consensus is not in it.
func BenchmarkCeiling(b *testing.B) {
	var accounts []owner
	for i := range uint32(3) {
		private, err := ethsig.FromMnemonic("test test test test test test test test test test test junk", i)
		if err != nil {
			b.Fatal(err)
		}
		public, err := ethsig.PublicKey(private)
		if err != nil {
			b.Fatal(err)
		}
		accounts = append(accounts, owner{private, public})
	}
	payer, submitter, people := accounts[0], accounts[1], accounts[2]
	manifest := []byte(`{"name":"m","kind":"image","engine":"pixel","licence":"Apache-2.0"}`)
	m := newMill(b, accounts, manifest)
	proof := func(by owner, role essaim.Role, name string) (string, []byte) {
		key, node := machine(name)
		return node.String(), ed25519.Sign(key, essaim.PossessionBytes(m.chainID, by.Address(), role, node))
	}
	node, possession := proof(submitter, essaim.RoleCoordinator, "c")
	m.do(submitter, &registryv1.MsgRegisterCoordinator{Owner: submitter.Address().String(), NodeKey: node, Bond: uint64(10_000 * essaim.AIM), Possession: possession})
	var msgs []sdk.Msg
	var lines []essaim.Line
	for i := range 100 {
		name := fmt.Sprintf("m%02d", i)
		node, possession := proof(people, essaim.RoleMiner, name)
		msgs = append(msgs, &registryv1.MsgRegisterMiner{
			Owner: people.Address().String(), NodeKey: node, HpkeKey: []byte{1}, Bond: uint64(100 * essaim.AIM), Possession: possession,
			Offers: []registryv1.Offer{{Model: essaim.DigestOf(manifest).String(), UnitPrice: 1000}},
		})
		_, key := machine(name)
		lines = append(lines, essaim.Line{Miner: key, Model: essaim.DigestOf(manifest), Amount: 10_000_000, Tasks: 10_000})
	}
	slices.SortFunc(lines, essaim.Line.Compare)
	m.do(people, msgs...)

	b.Run("a transaction a task", func(b *testing.B) {
		const block = 500
		m.b, m.cpu, m.bytes = b, 0, 0
		tasks := 0
		for b.Loop() {
			var settle []sdk.Msg
			for i, id := range m.open(payer, 1000, block) {
				l := lines[i%len(lines)]
				l.Amount, l.Tasks = 1000, 1
				settle = append(settle, m.settled(submitter, id, l))
			}
			m.do(submitter, settle...)
			tasks += block
		}
		m.report(tasks)
	})
	b.Run("a session of a million", func(b *testing.B) {
		m.b, m.cpu, m.bytes = b, 0, 0
		tasks := 0
		for b.Loop() {
			m.do(submitter, m.settled(submitter, m.open(payer, 1_000_000_000, 1)[0], lines...))
			tasks += 1_000_000
		}
		m.report(tasks)
	})
}

func (m *mill) report(tasks int) {
	m.b.ReportMetric(float64(m.cpu.Nanoseconds())/1000/float64(tasks), "cpu-µs/task")
	m.b.ReportMetric(float64(tasks)/m.cpu.Seconds(), "tasks/cpu-s")
	m.b.ReportMetric(float64(m.bytes)/float64(tasks)*1e6, "bytes/Mtask")
}

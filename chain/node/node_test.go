package node_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cmttypes "github.com/cometbft/cometbft/types"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/node"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/internal/ethsig"
)

const chainID = "essaim-test-1"

// signer is the first account of the well-known test mnemonic.
type signer struct{ private, public []byte }

func newSigner(t testing.TB) signer {
	t.Helper()
	private, err := ethsig.FromMnemonic("test test test test test test test test test test test junk", 0)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ethsig.PublicKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer{private, public}
}

func (s signer) Address() essaim.Address {
	a, err := ethsig.Address(s.public)
	if err != nil {
		panic(err)
	}
	return a
}

func (s signer) PublicKey() []byte               { return s.public }
func (s signer) Sign(msg []byte) ([]byte, error) { return ethsig.Sign(s.private, msg) }

// single is a new home that validates a chain alone.
func single(t testing.TB) node.Config {
	t.Helper()
	home := t.TempDir()
	id, err := node.Init(home)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := chain.Genesis{
		ChainID: chainID, Time: time.Now().Add(-time.Second),
		Validators: []chain.Validator{{Name: "v0", Key: id.Validator, Beacon: id.Beacon, Operator: essaim.Address{1}, Stake: 100 * essaim.AIM}},
		Accounts:   []chain.Account{{Address: newSigner(t).Address(), Balance: 1_000_000 * essaim.AIM}},
		Registry:   &registryv1.Params{UnbondingBlocks: 1000, Slashes: registry.DefaultParams().Slashes[:1]},
	}.Doc()
	if err != nil {
		t.Fatal(err)
	}
	return node.Config{Home: home, Genesis: doc, TimeoutCommit: 20 * time.Millisecond}
}

func start(t testing.TB, c node.Config) (*node.Node, *client.Client) {
	t.Helper()
	n, err := node.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the folder goes
		if err := n.Stop(); err != nil {
			t.Error(err)
		}
	})
	l, err := client.Local(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.WaitHeight(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return n, l
}

func stop(t testing.TB, n *node.Node) {
	t.Helper()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
}

func nodeKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func register(t testing.TB, l *client.Client, by signer, name string) essaim.Tx {
	t.Helper()
	key := nodeKey(name)
	proof := ed25519.Sign(key, essaim.PossessionBytes(chainID, by.Address(), essaim.RoleMiner, essaim.NodeKeyOf(key)))
	tx, err := l.RegisterMiner(t.Context(), by, essaim.Actor{NodeKey: essaim.NodeKeyOf(key), HPKEKey: []byte{1}, Bond: 1000}, proof)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// TestRestart commits, queries, stops, starts and queries again, on one home in one
// process.
func TestRestart(t *testing.T) {
	c, by := single(t), newSigner(t)
	var height int64
	for round := range 4 {
		began := time.Now()
		n, l := start(t, c)
		if err := l.WaitHeight(t.Context(), height+2); err != nil {
			t.Fatal(err)
		}
		up := time.Since(began)
		for i := range round { // what earlier rounds committed is still there
			if _, err := l.Miner(t.Context(), essaim.NodeKeyOf(nodeKey(fmt.Sprint(i)))); err != nil {
				t.Fatal(err)
			}
		}
		sent := time.Now()
		tx := register(t, l, by, fmt.Sprint(round))
		took := time.Since(sent)
		height = tx.Height
		if m, err := l.Miner(t.Context(), essaim.NodeKeyOf(nodeKey(fmt.Sprint(round)))); err != nil || m.Owner != by.Address() {
			t.Fatal(m, err)
		}
		if found, err := l.Tx(t.Context(), tx.Hash); err != nil || found.Height != tx.Height {
			t.Fatal(found, err)
		}
		stopping := time.Now()
		stop(t, n)
		t.Logf("round %d: +2 blocks after %v, transaction %v, stop %v", round, up, took, time.Since(stopping))
		if _, err := l.Height(t.Context()); essaim.CodeOf(err) != essaim.CodeUnavailable {
			t.Fatal("a stopped node answers:", err)
		}
	}
}

// TestExport stops a chain and goes on from its state as another chain: every account,
// bond and session is where it was, the chain makes blocks, and transactions go through.
func TestExport(t *testing.T) {
	c, by := single(t), newSigner(t)
	n, l := start(t, c)
	register(t, l, by, "before")
	if _, err := l.Send(t.Context(), by, essaim.Address{7}, 5*essaim.AIM); err != nil {
		t.Fatal(err)
	}
	want, err := l.Balance(t.Context(), by.Address())
	if err != nil {
		t.Fatal(err)
	}
	stop(t, n)

	doc, err := node.Export(c.Home, "essaim-test-2", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	next := node.Config{Home: t.TempDir(), Genesis: doc, TimeoutCommit: c.TimeoutCommit}
	copyKey(t, c.Home, next.Home) // the exported state's validator goes on
	n, l = start(t, next)
	if err := l.WaitHeight(t.Context(), doc.InitialHeight+2); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Balance(t.Context(), by.Address()); err != nil || got != want {
		t.Fatalf("balance %d, want %d (%v)", got, want, err)
	}
	if m, err := l.Miner(t.Context(), essaim.NodeKeyOf(nodeKey("before"))); err != nil || m.Bond != 1000 {
		t.Fatal(m, err)
	}
	if _, err := l.Retire(t.Context(), by, essaim.NodeKeyOf(nodeKey("before"))); err != nil {
		t.Fatal(err)
	}
	stop(t, n)
	again, err := node.Export(next.Home, "essaim-test-3", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"model", "market"} { // untouched since: the round trip loses nothing
		if a, b := state(t, doc, module), state(t, again, module); a != b {
			t.Errorf("%s: exported\n%s\nthen\n%s", module, a, b)
		}
	}
}

func copyKey(t *testing.T, from, to string) {
	t.Helper()
	const file = "config/priv_validator_key.json"
	bz, err := os.ReadFile(filepath.Join(from, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(to, "config"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, file), bz, 0o600); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, doc *cmttypes.GenesisDoc, module string) string {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(doc.AppState, &all); err != nil {
		t.Fatal(err)
	}
	return string(all[module])
}

// TestDial reaches a node over HTTP, as another process would.
func TestDial(t *testing.T) {
	c, by := single(t), newSigner(t)
	c.RPC = freeAddress(t)
	_, local := start(t, c)
	l, err := client.Dial("http://" + c.RPC)
	if err != nil {
		t.Fatal(err)
	}
	register(t, l, by, "remote")
	s, err := l.Status(t.Context())
	if err != nil || s.ChainID != chainID || s.Height < 1 || s.CatchingUp || s.Peer == "" || s.Time.IsZero() {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := l.Tx(t.Context(), strings.Repeat("0", 64)); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Fatal(err)
	}
	if _, err := local.Miner(t.Context(), essaim.NodeKeyOf(nodeKey("remote"))); err != nil {
		t.Fatal(err)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		// Below what systems give to whoever wants any port: one of those may be somebody else's before the process listens that it is for.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// TestHomes: what can be wrong with a home is said, not crashed on.
func TestHomes(t *testing.T) {
	code := func(err error, want essaim.Code) {
		t.Helper()
		if essaim.CodeOf(err) != want {
			t.Fatalf("%v: code %s, want %s", err, essaim.CodeOf(err), want)
		}
	}
	_, err := node.Start(node.Config{})
	code(err, essaim.CodeBadInput)
	_, err = node.Start(node.Config{Home: t.TempDir()})
	code(err, essaim.CodeBadInput) // no genesis

	c := single(t)
	n, _ := start(t, c)
	_, err = node.Start(c)
	code(err, essaim.CodeConflict) // it runs already
	stop(t, n)

	other := c
	doc := *c.Genesis
	doc.ChainID, other.Genesis = "essaim-other-1", &doc
	_, err = node.Start(other)
	code(err, essaim.CodeConflict) // the home belongs to another chain

	stateFile := filepath.Join(c.Home, "data", "priv_validator_state.json")
	saved, err := os.ReadFile(stateFile)
	if err := errors.Join(err, os.WriteFile(stateFile, []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, err = node.Start(c)
	code(err, essaim.CodeBadInput) // damaged
	if err := os.Remove(stateFile); err != nil {
		t.Fatal(err)
	}
	_, err = node.Start(c)
	code(err, essaim.CodeConflict) // it may have signed what it would sign again
	if err := os.WriteFile(stateFile, saved, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, c)
}

// TestFirstBlock measures how long a new devnet takes to its first block.
func TestFirstBlock(t *testing.T) {
	began := time.Now()
	c := single(t)
	made := time.Since(began)
	c.TimeoutCommit = 0
	start(t, c)
	t.Logf("keys and genesis %v, first block after %v", made, time.Since(began))
}

// TestSendBeforeTheFirstBlock: a node that has just restarted accepts transactions
// before it has made another block. The SDK checks them at height 0 then, where an
// account's number counts as 0 and every signature but one account's is refused.
func TestSendBeforeTheFirstBlock(t *testing.T) {
	c := single(t)
	n, l := start(t, c)
	to := essaim.Address{9}
	if _, err := l.Send(t.Context(), newSigner(t), to, 1); err != nil {
		t.Fatal(err)
	}
	account, err := l.Account(t.Context(), newSigner(t).Address())
	if err != nil || account.Number == 0 {
		t.Fatalf("account number %d, %v: the test needs another one than 0", account.Number, err)
	}
	stop(t, n)
	c.TimeoutCommit = 2 * time.Second
	_, l = start(t, c)
	if _, err := l.Send(t.Context(), newSigner(t), to, 1); err != nil {
		t.Errorf("send right after the restart: %v", err)
	}
}

// TestBeaconAlone: a lone validator has beacons and they say that it knew them. One that
// has lost its key goes on without contributing, also after a restart.
func TestBeaconAlone(t *testing.T) {
	c := single(t)
	newest := func(l *client.Client, height int64, contributors uint32) {
		t.Helper()
		if err := l.WaitHeight(t.Context(), height); err != nil {
			t.Fatal(err)
		}
		b, err := l.Beacon(t.Context(), 0)
		if err != nil || b.Height < height || b.Contributors != contributors || b.Validators != 1 || b.Unpredictable {
			t.Fatal(b, err)
		}
	}
	n, l := start(t, c)
	newest(l, 3, 1)
	stop(t, n)
	n, l = start(t, c)
	last, err := l.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newest(l, last+3, 1)
	if _, err := l.Beacon(t.Context(), 1_000_000); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Error(err)
	}
	stop(t, n)
	if err := os.Remove(filepath.Join(c.Home, "config", "beacon_key.json")); err != nil {
		t.Fatal(err)
	}
	_, l = start(t, c)
	if last, err = l.Height(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest(l, last+4, 0)
}

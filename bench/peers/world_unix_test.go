//go:build unix

package peers

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/bench/books"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/blob/pack"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/coordinator"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/openai"
	"github.com/essaim/essaim/gateway"
	"github.com/essaim/essaim/gateway/apikey"
	"github.com/essaim/essaim/internal/heap"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/transport"
)

const chainID = "essaim-peers"

// busy is how many requests of one key may be under way.
const busy = 16

// world is what all processes of one network know: its keys and addresses. The ledger is made from it.
type world struct {
	Dir         string // where everything of this run is
	Coordinator []byte // seed of its node key
	Miners      []minerKeys
	Listen      string // the coordinator's multiaddress
	Gateway     string // host:port
	Engine      string // URL
	Keys        int    // API keys
	Capacity    int    // of each miner
	MaxJobs     int    // of the coordinator; 0: as it has it
	Model       engine.Model
}

type minerKeys struct{ Node, Seal []byte }

func newWorld(root string, miners int) (*world, error) {
	w := &world{Dir: root, Coordinator: newSeed(), Keys: 32, Capacity: 64}
	for range miners {
		k, err := seal.GenerateKey()
		if err != nil {
			return nil, err
		}
		w.Miners = append(w.Miners, minerKeys{newSeed(), k.Bytes()})
	}
	return w, nil
}

func newSeed() []byte {
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return k.Seed()
}

func (w *world) save() error {
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return os.WriteFile(w.path("world.json"), b, 0o600)
}

func (w *world) path(name string) string { return filepath.Join(w.Dir, name) }

func readWorld(root string) (*world, error) {
	b, err := os.ReadFile(filepath.Join(root, "world.json"))
	if err != nil {
		return nil, err
	}
	w := new(world)
	return w, json.Unmarshal(b, w)
}

// blobs is a store as a node has it.
func (w *world) blobs() (blob.Store, error) {
	root := w.path("node")
	large, err := dir.Open(root)
	if err != nil {
		return nil, err
	}
	return pack.Open(filepath.Join(root, "small.db"), large)
}

// ledger is what the process of the coordinator takes for one: sessions are known where they are opened.
func (w *world) ledger() (*books.Books, error) {
	m := w.Model
	b := books.New(essaim.Model{Digest: m.Digest, Kind: m.Kind, Manifest: m.Manifest, Name: m.Name})
	key := func(seed []byte) essaim.NodeKey { return essaim.NodeKeyOf(ed25519.NewKeyFromSeed(seed)) }
	b.Enter(essaim.Actor{Role: essaim.RoleCoordinator, NodeKey: key(w.Coordinator)})
	for _, m := range w.Miners {
		k, err := seal.ParsePrivateKey(m.Seal)
		if err != nil {
			return nil, err
		}
		b.Enter(essaim.Actor{Role: essaim.RoleMiner, NodeKey: key(m.Node), HPKEKey: k.PublicKey(), Offers: w.offers()})
	}
	return b, nil
}

func (w *world) offers() []essaim.Offer { return []essaim.Offer{{Model: w.Model.Digest, UnitPrice: 1}} }

// payer opens the sessions that pay for API keys.
type payer struct{ cfg client.Config }

func (p payer) OpenSession(ctx context.Context) (*client.Session, error) {
	return client.Open(ctx, p.cfg, 1<<40)
}

func (p payer) RestoreSession(ctx context.Context, saved []byte) (*client.Session, error) {
	return client.Restore(ctx, p.cfg, saved)
}

// serveNode is a coordinator with its gateway, as `essaim node` runs them in one process.
func serveNode(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("node", flag.ExitOnError)
	root := f.String("world", "", "folder")
	_ = f.Parse(args)
	heap.Floor(heap.Enough)
	w, err := readWorld(*root)
	if err != nil {
		return err
	}
	ledger, err := w.ledger()
	if err != nil {
		return err
	}
	blobs, err := w.blobs()
	if err != nil {
		return err
	}
	c, err := coordinator.New(coordinator.Config{
		Key: ed25519.NewKeyFromSeed(w.Coordinator), ChainID: chainID, Listen: []string{w.Listen}, Ledger: ledger, Blobs: blobs,
		Log: w.path("log.db"), ExpiryAhead: 1 << 40, MaxTasks: 1 << 20, MaxJobs: w.MaxJobs,
	})
	if err != nil {
		return err
	}
	keys, err := w.openKeys(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", w.Gateway)
	if err != nil {
		return err
	}
	g, err := gateway.New(gateway.Config{
		Coordinator: c, Blobs: blobs, Keys: keys, Listener: listener,
		Payer: payer{client.Config{Coordinator: c, Ledger: ledger, ChainID: chainID}},
	})
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(life) }()
	<-c.Ready()
	fmt.Println("ready")
	err = g.Run(ctx) // settles its sessions, and needs the coordinator for that
	if report, fail := audit(keys, ledger); fail == nil {
		err = errors.Join(err, os.WriteFile(w.path("sums.json"), report, 0o600))
	} else {
		err = errors.Join(err, fail)
	}
	stop()
	return errors.Join(err, <-ended, keys.Close())
}

// audit looks them up.
func audit(keys *apikey.Store, ledger *books.Books) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var spent essaim.Amount
	captured := 0
	entries, err := keys.Entries(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Kind == apikey.Capture || e.Kind == apikey.Cover {
			captured++
			spent += e.Amount
		}
	}
	doubts, err := keys.Undecided(ctx)
	if err != nil {
		return nil, err
	}
	return json.Marshal(final{ledger.Sums(), captured, len(doubts), spent})
}

// final is what ledger and keys' books say in the end.
type final struct {
	Ledger           books.Sums
	Captured, Doubts int
	Spent            essaim.Amount
}

// openKeys makes as many API keys as the clients need, and writes their secrets down.
func (w *world) openKeys(ctx context.Context) (*apikey.Store, error) {
	keys, err := apikey.OpenServing(w.path("keys.db"))
	if err != nil {
		return nil, err
	}
	var secrets []string
	for range w.Keys {
		secret, _, err := keys.Create(ctx, "peers", 1<<40)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, secret)
	}
	b, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	return keys, os.WriteFile(w.path("secrets.json"), b, 0o600)
}

// serveMiner is a miner with the engine of the run.
func serveMiner(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("miner", flag.ExitOnError)
	root, n := f.String("world", "", "folder"), f.Int("n", 0, "which")
	_ = f.Parse(args)
	heap.Floor(heap.Enough)
	w, err := readWorld(*root)
	if err != nil {
		return err
	}
	hpke, err := seal.ParsePrivateKey(w.Miners[*n].Seal)
	if err != nil {
		return err
	}
	e, err := openai.New(w.Engine)
	if err != nil {
		return err
	}
	defer e.Close()
	coordinator := essaim.NodeKeyOf(ed25519.NewKeyFromSeed(w.Coordinator))
	at, err := peerAddress(w.Listen, coordinator)
	if err != nil {
		return err
	}
	m, err := miner.New(miner.Config{
		Key: ed25519.NewKeyFromSeed(w.Miners[*n].Node), Seal: hpke, ChainID: chainID, Coordinators: []string{at}, Engines: []engine.Engine{e},
		Offers: w.offers(), Receipts: w.path(fmt.Sprintf("receipts-%d.db", *n)), Capacity: w.Capacity, MaxUnacked: 256,
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return m.Run(ctx)
}

// catalog asks the engine what model it has.
func catalog(ctx context.Context, url string) (engine.Model, error) {
	e, err := openai.New(url)
	if err != nil {
		return engine.Model{}, err
	}
	defer e.Close()
	models, err := e.Models(ctx)
	if err != nil || len(models) != 1 {
		return engine.Model{}, errors.Join(err, fmt.Errorf("%d models", len(models)))
	}
	return models[0], nil
}

// connected asks the gateway how many miners are connected.
func connected(ctx context.Context, gateway string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gateway+"/readyz", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var out struct{ Miners int }
	return out.Miners, json.NewDecoder(resp.Body).Decode(&out)
}

// peerAddress is a multiaddress with the peer that is there.
func peerAddress(at string, k essaim.NodeKey) (string, error) {
	id, err := transport.PeerID(k)
	return at + "/p2p/" + id.String(), err
}

package devnet

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain"
	chainnode "github.com/essaim/essaim/chain/node"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/gen/chain/registryv1"
	"github.com/essaim/essaim/gen/chain/tallyv1"
	"github.com/essaim/essaim/wallet"
)

// What a devnet's people hold and ask. Bonds are the public network's minimum.
const (
	coordinatorBond = 20_000 * essaim.AIM
	minerBond       = 1_000 * essaim.AIM
	validatorStake  = 100_000 * essaim.AIM

	coordinatorFee   essaim.Bps = 1_000
	modelRoyalty     essaim.Bps = 500
	commissionChange essaim.Bps = 100 // in an epoch: as much as the ledger's default allows

	modelPrice essaim.Amount = 1_000 // uaim a unit of work

	unbonding                = 600             // blocks: two minutes of 200 ms; a vote takes as long
	challenges               = 60              // blocks: twelve seconds for objections, and for claims of a lapsed session
	openings                 = 150             // blocks: half a minute to show what the beacon asks for, also after a restart of all
	minerPoll                = 10              // blocks between looks at promises and disputes: several in each of these times
	priceStep  essaim.Amount = 50              // each further miner asks this much more
	faucetGift essaim.Amount = 10 * essaim.AIM // to who opens the page, once a day

	operatorName  = "operator"  // submits settlements, pays for API keys' sessions
	modellerName  = "modeller"  // owns the models, receives their royalty
	validatorName = "validator" // operates the validator
)

func minerPrice(i int) essaim.Amount { return modelPrice + essaim.Amount(i)*priceStep }

// manifests are those of the models in the binary, which every miner runs.
func manifests() [][]byte { return [][]byte{pixel.Manifest(), text.Manifest()} }

// funds is what each account begins with; a miner's is like minerName(0)'s.
func (n *Network) funds() []Fund {
	list := []Fund{
		{User, 10_000 * essaim.AIM},
		{"coordinator", coordinatorBond + 1_000*essaim.AIM},
		{operatorName, 10_000 * essaim.AIM},
		{modellerName, 100 * essaim.AIM},
		{validatorName, 0},
	}
	for i := range n.info.Miners {
		list = append(list, Fund{minerName(i), minerBond + 100*essaim.AIM})
	}
	return append(list, n.cfg.Funds...)
}

// create makes a new home: keys for everybody, and a genesis in which they hold coins
// and the models in the binary are registered.
func (n *Network) create() error {
	if entries, err := os.ReadDir(n.cfg.Home); err == nil && hasNetworkParts(entries) {
		return essaim.Errorf(essaim.CodeBadInput, "restore "+infoName+" from a backup, or start anew in another --home", "home %s is damaged: it has a network's folders and no %s", n.cfg.Home, infoName)
	}
	var id [3]byte
	rand.Read(id[:])
	n.info = Info{ChainID: "essaim-devnet-" + hex.EncodeToString(id[:]), Home: n.cfg.Home, Miners: n.cfg.Miners}
	if err := os.MkdirAll(n.cfg.Home, 0o700); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "choose another --home", "make the home: %w", err)
	}
	models, err := n.findEngines()
	if err != nil {
		return err
	}
	n.accounts = map[string]*wallet.Account{}
	keys := wallet.Open(filepath.Join(n.cfg.Home, "keys"))
	for _, f := range n.funds() {
		a, err := keys.Load(f.Name, "")
		if essaim.CodeOf(err) == essaim.CodeNotFound && err != nil {
			a, _, err = keys.Create(f.Name, "")
		}
		if err != nil {
			return err
		}
		n.accounts[f.Name] = a
	}
	if err := n.writeGenesis(models); err != nil {
		return err
	}
	return n.writeInfo()
}

func hasNetworkParts(entries []os.DirEntry) bool {
	for _, e := range entries {
		if e.Name() == "validator" || e.Name() == "coordinator" {
			return true
		}
	}
	return false
}

// periods are minutes where a public network has weeks, and a vote is not capped: a
// handful of people could not pass anything.
func (n *Network) periods() (*registryv1.Params, *marketv1.Params, *tallyv1.Params) {
	stakes, sessions, votes := registry.DefaultParams(), market.DefaultParams(), tally.DefaultParams()
	sessions.ChallengeBlocks = challenges
	sessions.OpeningBps, sessions.Openings, sessions.OpeningBlocks = uint32(essaim.BpsWhole), 2, openings
	stakes.UnbondingBlocks, stakes.AppealBlocks, stakes.ExtensionBlocks = unbonding, unbonding, unbonding
	votes.CapBps, votes.MinBlockMs = uint32(essaim.BpsWhole), uint32(max(1, n.cfg.BlockTime.Milliseconds()))
	return &stakes, &sessions, &votes
}

func (n *Network) writeGenesis(models []engine.Model) error {
	dir := filepath.Join(n.cfg.Home, "validator")
	id, err := chainnode.Init(dir)
	if err != nil {
		return err
	}
	g := chain.Genesis{
		ChainID: n.info.ChainID, Time: time.Now(),
		Validators: []chain.Validator{{Name: validatorName, Key: id.Validator, Beacon: id.Beacon, Operator: n.accounts[validatorName].Address(), Stake: validatorStake}},
	}
	for _, m := range manifests() {
		g.Models = append(g.Models, chain.Model{Manifest: m, Owner: n.accounts[modellerName].Address(), UnitPrice: modelPrice, Royalty: modelRoyalty})
	}
	for _, m := range models {
		g.Models = append(g.Models, chain.Model{
			Manifest: m.Manifest, Owner: n.accounts[modellerName].Address(), UnitPrice: essaim.Amount(n.info.Prices[m.Digest.String()]), Royalty: modelRoyalty,
		})
	}
	for _, f := range n.funds() {
		if f.Has > 0 {
			g.Accounts = append(g.Accounts, chain.Account{Address: n.accounts[f.Name].Address(), Balance: f.Has})
		}
	}
	g.Registry, g.Market, g.Tally = n.periods()
	if n.cfg.Genesis != nil {
		n.cfg.Genesis(&g)
	}
	doc, err := g.Doc()
	if err != nil {
		return fmt.Errorf("make the genesis: %w", err)
	}
	return doc.SaveAs(filepath.Join(dir, "config", "genesis.json"))
}

// reopen reads the keys of a home that was made before.
func (n *Network) reopen() error {
	n.info.Home = n.cfg.Home
	n.accounts = map[string]*wallet.Account{}
	keys := wallet.Open(filepath.Join(n.cfg.Home, "keys"))
	for _, f := range n.funds() {
		a, err := keys.Load(f.Name, "")
		if err != nil {
			return essaim.Errorf(essaim.CodeBadInput, "restore the home from a backup, or start anew in another --home", "home %s is damaged: %w", n.cfg.Home, err)
		}
		n.accounts[f.Name] = a
	}
	if _, err := os.Stat(filepath.Join(n.cfg.Home, "validator", "config", "genesis.json")); err != nil {
		return essaim.Errorf(essaim.CodeBadInput, "restore the home from a backup, or start anew in another --home", "home %s is damaged: %w", n.cfg.Home, err)
	}
	return nil
}

func (n *Network) writeInfo() error {
	b, err := json.MarshalIndent(n.info, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(n.cfg.Home, infoName)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func unmarshalInfo(b []byte, i *Info) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(i); err != nil {
		return err
	}
	if i.ChainID == "" || i.Miners < 0 {
		return errors.New("chain_id or miners is missing")
	}
	return nil
}

// ports is where a network listens: host:port, and a multiaddress for the miners. Empty
// means nowhere. They are held from the beginning, so that nobody else is given them while
// the network starts.
type ports struct {
	http, rpc, peers, own string
	held                  [4]net.Listener
}

// The places of the ports, from the first on.
const (
	httpPort = iota
	rpcPort
	peersPort
	ownPort // of the page for the miners' owner
)

func choosePorts(cfg Config) (p ports, err error) {
	if !cfg.Serve {
		return ports{peers: "/ip4/127.0.0.1/tcp/0"}, nil
	}
	host, text, err := net.SplitHostPort(cfg.HTTP)
	if err != nil {
		return ports{}, essaim.Errorf(essaim.CodeBadInput, "write it like 127.0.0.1:8420", "--http: %w", err)
	}
	first, err := strconv.ParseUint(text, 10, 16)
	ip := net.ParseIP(host)
	if err != nil || ip == nil || first > 65532 {
		return ports{}, essaim.Errorf(essaim.CodeBadInput, "write it like 127.0.0.1:8420", "--http %s: want an IP address and a port up to 65532", cfg.HTTP)
	}
	var chosen [len(p.held)]string
	for i := range chosen {
		at, port := host, "0"
		if first != 0 {
			port = strconv.FormatUint(first+uint64(i), 10)
		}
		if i == ownPort && !ip.IsLoopback() { // what only the miners' owner shall see
			at = "127.0.0.1"
		}
		l, err := net.Listen("tcp", net.JoinHostPort(at, port))
		if err != nil {
			p.free(httpPort, rpcPort, peersPort, ownPort)
			return ports{}, essaim.Errorf(essaim.CodeConflict, "is another network running? choose other ports with --http", "port taken: %w", err)
		}
		p.held[i] = l
		// Not the listener's own words: Go calls every address of the machine [::].
		chosen[i] = net.JoinHostPort(at, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	family := "ip4"
	if ip.To4() == nil {
		family = "ip6"
	}
	p.http, p.rpc, p.own = chosen[httpPort], chosen[rpcPort], chosen[ownPort]
	p.peers = fmt.Sprintf("/%s/%s/tcp/%d", family, host, p.held[peersPort].Addr().(*net.TCPAddr).Port)
	return p, nil
}

// free gives ports up to who binds them by itself, or to everybody.
func (p *ports) free(places ...int) {
	for _, i := range places {
		if p.held[i] != nil {
			_ = p.held[i].Close() // it may be closed already
		}
	}
}

func (p ports) gatewayURL() string { return url(p.http) }

func (p ports) ledgerURL() string { return url(p.rpc) }

// url is where this machine finds what listens: all of its addresses are none that can be
// opened, so there it is the one that every machine has.
func url(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip.IsUnspecified() {
		if host = "127.0.0.1"; ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

package node

import (
	"context"
	"path/filepath"
	"strconv"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/coordinator/cluster"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/wallet"
	"github.com/essaim/essaim/web"
)

const (
	// FaucetFile is where a coordinator's folder keeps who was given coins.
	FaucetFile = "faucet.jsonl"

	// GalleryDir is where it keeps pictures that are shown to everybody.
	GalleryDir = "gallery"

	faucetPause = 24 * time.Hour
	faucetMost  = 20 // gifts a day to one network address
)

// newPage makes the page for people, with a history that is to be run. The last answer closes its faucet.
func (n *Node) newPage(ctx context.Context, chain *chainclient.Client, account *wallet.Account, m *cluster.Member) (*web.Page, *web.History, func() error, error) {
	ledger := shown{chain}
	history := web.NewHistory(followed{ledger, n}, n.opt.Logger)
	cfg, stop := web.Config{Ledger: ledger, Views: ledger.views(), History: history, ProofKey: builtin.Proofs{}.Key, Logger: n.opt.Logger}, func() error { return nil }
	var err error
	if cfg.Gallery, err = web.OpenGallery(filepath.Join(n.cfg.Dir, GalleryDir), ledger); err != nil {
		return nil, nil, nil, err
	}
	if amount := essaim.Amount(n.cfg.Coordinator.Faucet); amount != 0 {
		list := web.FaucetConfig{
			Give: func(ctx context.Context, to essaim.Address, amount essaim.Amount) (essaim.Tx, error) {
				return chain.Send(ctx, account, to, amount)
			},
			Amount: amount, Pause: faucetPause, Most: faucetMost, File: filepath.Join(n.cfg.Dir, FaucetFile),
		}
		if m != nil {
			if list.Rows, err = m.Beside(ctx, gifts); err != nil {
				return nil, nil, nil, err
			}
		}
		f, err := web.OpenFaucet(list)
		if err != nil {
			return nil, nil, nil, err
		}
		cfg.Faucet, stop = f, f.Close
	}
	return web.New(cfg), history, stop, nil
}

// shown is the ledger as the page shows it.
type shown struct{ *chainclient.Client }

func (s shown) Head(ctx context.Context) (h web.Head, err error) {
	if h.ChainID, err = s.ChainID(ctx); err != nil {
		return h, err
	}
	if h.Height, err = s.Height(ctx); err != nil {
		return h, err
	}
	d, err := s.BlockTime(ctx)
	h.BlockMs = d.Milliseconds()
	return h, err
}

func (s shown) Account(ctx context.Context, a essaim.Address) (web.Account, error) {
	out := web.Account{Address: a}
	known, err := s.Client.Account(ctx, a)
	switch {
	case err != nil && essaim.CodeOf(err) == essaim.CodeInsufficient:
		return out, nil
	case err != nil:
		return out, err
	}
	out.Known, out.Number, out.Sequence = true, known.Number, known.Sequence
	out.Balance, err = s.Balance(ctx, a)
	return out, err
}

func (s shown) Stakes(ctx context.Context, a essaim.Address) ([]web.Stake, error) {
	list, err := s.Delegations(ctx, a)
	var out []web.Stake
	for _, d := range list {
		out = append(out, web.Stake{NodeKey: d.Actor, Amount: d.Value, Rewards: d.Reward})
	}
	return out, err
}

func (s shown) Actors(ctx context.Context) ([]essaim.Actor, error) {
	miners, err := s.Miners(ctx)
	if err != nil {
		return nil, err
	}
	coordinators, err := s.Coordinators(ctx)
	return append(coordinators, miners...), err
}

// views are what the page asks of the ledger besides web.Ledger, as package chain/client tells it.
func (s shown) views() map[string]web.View {
	node := func(answer func(context.Context, essaim.NodeKey) (any, error)) web.View {
		return func(ctx context.Context, value func(string) string) (any, error) {
			k, err := essaim.ParseNodeKey(value("key"))
			if err != nil {
				return nil, essaim.Errorf(essaim.CodeBadInput, "a node key has 64 hex digits", "%.100q is not a node key", value("key"))
			}
			return answer(ctx, k)
		}
	}
	numbered := func(answer func(context.Context, uint64) (any, error)) web.View {
		return func(ctx context.Context, value func(string) string) (any, error) {
			n, err := strconv.ParseUint(value("number"), 10, 63)
			if err != nil {
				return nil, essaim.Errorf(essaim.CodeBadInput, "give a number", "%.40q is not a number", value("number"))
			}
			return answer(ctx, n)
		}
	}
	account := func(answer func(context.Context, essaim.Address) (any, error)) web.View {
		return func(ctx context.Context, value func(string) string) (any, error) {
			a, err := essaim.ParseAddress(value("address"))
			if err != nil {
				return nil, essaim.Errorf(essaim.CodeBadInput, "write it like essaim1… or 0x…", "%.100q is not an address", value("address"))
			}
			return answer(ctx, a)
		}
	}
	return map[string]web.View{
		"proposals":          func(ctx context.Context, _ func(string) string) (any, error) { return s.Proposals(ctx) },
		"slashes":            func(ctx context.Context, _ func(string) string) (any, error) { return s.Slashes(ctx, essaim.NodeKey{}) },
		"nodes/{key}":        node(func(ctx context.Context, k essaim.NodeKey) (any, error) { return s.Standing(ctx, k) }),
		"nodes/{key}/record": node(func(ctx context.Context, k essaim.NodeKey) (any, error) { return s.Record(ctx, k) }),
		"nodes/{key}/backers": node(func(ctx context.Context, k essaim.NodeKey) (any, error) {
			return s.Delegators(ctx, k, mostBackers)
		}),
		"proposals/{number}":   numbered(func(ctx context.Context, n uint64) (any, error) { return s.Proposal(ctx, n) }),
		"blocks/{number}":      numbered(func(ctx context.Context, n uint64) (any, error) { return s.Client.Block(ctx, int64(n)) }),
		"settlements/{number}": numbered(func(ctx context.Context, n uint64) (any, error) { return s.Settlement(ctx, essaim.SessionID(n)) }),
		"transactions/{hash}": func(ctx context.Context, value func(string) string) (any, error) {
			return s.DecodeTx(ctx, value("hash"))
		},
		"names/{name}": func(ctx context.Context, value func(string) string) (any, error) { return s.Name(ctx, value("name")) },
		"names/{name}/fee": func(ctx context.Context, value func(string) string) (any, error) {
			fee, like, err := s.NameFee(ctx, value("name"))
			return map[string]any{"fee": fee, "like": like}, err
		},
		"owned/{address}":     account(func(ctx context.Context, a essaim.Address) (any, error) { return s.Names(ctx, a) }),
		"movements/{address}": account(func(ctx context.Context, a essaim.Address) (any, error) { return s.Movements(ctx, a) }),
		"power/{address}":     account(func(ctx context.Context, a essaim.Address) (any, error) { return s.VotingPower(ctx, a) }),
	}
}

// mostBackers are listed of a node.
const mostBackers = 100

// followed is what the page's history follows: the ledger, and what this coordinator counts.
type followed struct {
	shown
	node *Node
}

func (f followed) Block(ctx context.Context, height int64) (web.Block, error) {
	b, err := f.shown.Client.Block(ctx, height)
	out := web.Block{Height: b.Height, Time: b.Time}
	for _, t := range b.Txs {
		out.Txs = append(out.Txs, web.Tx{Hash: t.Hash, Height: b.Height, Time: b.Time, Messages: t.Messages, Refused: t.Refused})
	}
	return out, err
}

func (f followed) Now(ctx context.Context) (p web.Point, err error) {
	if p.Height, err = f.Height(ctx); err != nil {
		return p, err
	}
	totals, err := f.Totals(ctx)
	if err != nil {
		return p, err
	}
	p.Paid, p.Escrowed = totals.Paid, totals.Escrowed
	if p.Stake, err = f.TotalStake(ctx); err != nil {
		return p, err
	}
	if p.Prices, err = f.cheapest(ctx); err != nil {
		return p, err
	}
	p.Tasks = f.node.coordinator.Stats().Delivered
	if f.node.verifier != nil {
		p.Judged, p.Wrong = f.node.verifier.Totals()
	}
	return p, nil
}

// cheapest is the lowest price of a unit of each model that somebody offers, by name.
func (f followed) cheapest(ctx context.Context) (map[string]essaim.Amount, error) {
	models, err := f.Models(ctx)
	if err != nil {
		return nil, err
	}
	miners, err := f.Miners(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]essaim.Amount{}
	for _, m := range models {
		for _, a := range miners {
			price, offered := a.Price(m.Digest)
			if low, known := out[m.Name]; offered && a.RetiredAt == 0 && (!known || price < low) {
				out[m.Name] = price
			}
		}
	}
	return out, nil
}

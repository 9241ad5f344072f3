package node

import (
	"context"
	"path/filepath"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/wallet"
	"github.com/essaim/essaim/web"
)

const (
	// FaucetFile is where a coordinator's folder keeps who was given coins.
	FaucetFile = "faucet.jsonl"

	faucetPause = 24 * time.Hour
	faucetMost  = 20 // gifts a day to one network address
)

// newPage makes the page for people. The second answer closes its faucet.
func (n *Node) newPage(chain *chainclient.Client, account *wallet.Account) (*web.Page, func() error, error) {
	cfg, stop := web.Config{Ledger: shown{chain}, ProofKey: builtin.Proofs{}.Key, Logger: n.opt.Logger}, func() error { return nil }
	if amount := essaim.Amount(n.cfg.Coordinator.Faucet); amount != 0 {
		f, err := web.OpenFaucet(web.FaucetConfig{
			Give: func(ctx context.Context, to essaim.Address, amount essaim.Amount) (essaim.Tx, error) {
				return chain.Send(ctx, account, to, amount)
			},
			Amount: amount, Pause: faucetPause, Most: faucetMost, File: filepath.Join(n.cfg.Dir, FaucetFile),
		})
		if err != nil {
			return nil, nil, err
		}
		cfg.Faucet, stop = f, f.Close
	}
	return web.New(cfg), stop, nil
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

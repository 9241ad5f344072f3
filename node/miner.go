package node

import (
	"context"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/wallet"
)

func (n *Node) newMiner(keys wallet.NodeKeys) (*miner.Miner, error) {
	blobs, err := dir.Open(filepath.Join(n.cfg.Dir, "blobs"))
	if err != nil {
		return nil, err
	}
	list, err := engines.Engines()
	if err != nil {
		return nil, err
	}
	offers, err := n.offers(list)
	if err != nil {
		return nil, err
	}
	m := n.cfg.Miner
	return miner.New(miner.Config{
		Key: keys.Sign, Seal: keys.HPKE, ChainID: n.cfg.ChainID, Coordinators: m.Coordinators, Engines: list, Blobs: blobs,
		Offers: offers, Receipts: filepath.Join(n.cfg.Dir, "receipts.db"), Capacity: m.Capacity, Pace: time.Duration(m.Pace),
		Version: n.opt.Version, Logger: n.opt.Logger,
	})
}

// offers asks one price for every model that the engines have.
func (n *Node) offers(list []engine.Engine) ([]essaim.Offer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out []essaim.Offer
	for _, e := range list {
		models, err := e.Models(ctx)
		if err != nil {
			return nil, err
		}
		for _, m := range models {
			out = append(out, essaim.Offer{Model: m.Digest, UnitPrice: essaim.Amount(n.cfg.Miner.Price)})
		}
	}
	return out, nil
}

func (n *Node) runMiner(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.miner.Run(ctx) })
	g.Go(func() error {
		if poll(ctx, func() bool { return n.miner.Stats().Connected > 0 }) {
			close(n.ready)
		}
		return nil
	})
	return g.Wait()
}

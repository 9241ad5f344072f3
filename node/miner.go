package node

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/wallet"
)

func (n *Node) newMiner(keys wallet.NodeKeys, blobs blob.Store) (*miner.Miner, error) {
	list, err := engines.Engines()
	if err != nil {
		return nil, err
	}
	offers, err := n.offers(list)
	if err != nil {
		return nil, err
	}
	m := n.cfg.Miner
	blocked, err := nodeKeys("blocked", m.Blocked)
	if err != nil {
		return nil, err
	}
	trusted, err := nodeKeys("trusted", m.Trusted)
	if err != nil {
		return nil, err
	}
	ledger, err := n.promises(keys)
	if err != nil {
		return nil, err
	}
	return miner.New(miner.Config{
		Ledger: ledger, Blocked: blocked, Trusted: trusted, MaxUnacked: m.MaxUnacknowledged, Poll: time.Duration(m.Poll),
		Key: keys.Sign, Seal: keys.HPKE, ChainID: n.cfg.ChainID, Coordinators: m.Coordinators, Engines: list, Blobs: blobs,
		Offers: offers, Receipts: filepath.Join(n.cfg.Dir, ReceiptsFile), Capacity: m.Capacity, Pace: time.Duration(m.Pace),
		Version: n.opt.Version, Logger: n.opt.Logger,
	})
}

// ReceiptsFile is where a miner's folder keeps its receipts and coordinators' promises.
const ReceiptsFile = "receipts.db"

// promises is the miner's view of the ledger; nil if its configuration names none.
func (n *Node) promises(keys wallet.NodeKeys) (miner.Ledger, error) {
	if n.opt.Chain == nil && n.cfg.Ledger == "" {
		return nil, nil
	}
	chain, err := n.ledger()
	if err != nil {
		return nil, err
	}
	var submitter *wallet.Account
	if m := n.cfg.Miner; m.Submitter != "" {
		if submitter, err = wallet.Open(m.Keys).Load(m.Submitter, ""); err != nil {
			return nil, err
		}
	}
	return Promises(chain, submitter, keys), nil
}

func nodeKeys(what string, texts []string) ([]essaim.NodeKey, error) {
	var out []essaim.NodeKey
	for _, t := range texts {
		k, err := essaim.ParseNodeKey(t)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "write node keys as 64 hex digits", "%s: %s: %w", configName, what, err)
		}
		out = append(out, k)
	}
	return out, nil
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

func (n *Node) runMiner(ctx context.Context) (err error) {
	keys, err := wallet.LoadNodeKeys(n.cfg.Dir)
	if err != nil {
		return err
	}
	blobs, err := openBlobs(n.cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blobs.Close()) }()
	m, err := n.newMiner(keys, blobs)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.Run(ctx) })
	g.Go(func() error {
		if poll(ctx, func() bool { return m.Stats().Connected > 0 }) {
			close(n.ready)
		}
		return nil
	})
	return g.Wait()
}

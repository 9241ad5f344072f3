package node

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/censor"
	"github.com/essaim/essaim/engine"
	engines "github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/wallet"
)

func (n *Node) newMiner(keys wallet.NodeKeys, list []engine.Engine) (*miner.Miner, error) {
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
	var court miner.Court
	if p, ok := ledger.(promises); ok && p.account != nil {
		court = courtroom{p}
	}
	declines, err := censor.Open(m.Censor)
	if err != nil {
		return nil, err
	}
	return miner.New(miner.Config{
		Declines: declines,
		Ledger:   ledger, Court: court, Proofs: builtin.Proofs{}, Blocked: blocked, Trusted: trusted, MaxUnacked: m.MaxUnacknowledged, Poll: time.Duration(m.Poll),
		Key: keys.Sign, Seal: keys.HPKE, ChainID: n.cfg.ChainID, Coordinators: m.Coordinators, Engines: list,
		Offers: offers, Receipts: filepath.Join(n.cfg.Dir, ReceiptsFile), Capacity: m.Capacity, Grace: time.Duration(m.Grace), Pace: time.Duration(m.Pace),
		Tracer: n.tracer, Version: n.opt.Version, Logger: n.opt.Logger,
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

// engines opens those that are built in and those that the configuration names. One that does not
// run is opened all the same: the miner offers what the others have.
func (n *Node) engines() ([]engine.Engine, error) {
	if n.opt.Engines != nil {
		return n.opt.Engines, nil
	}
	list, err := engines.Engines()
	if err != nil {
		return nil, err
	}
	for _, s := range n.cfg.Miner.Engines {
		p, err := engines.ParsePlace(s)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "mend the file", "%s: engines: %w", configName, err)
		}
		d, err := engines.Find(p.Driver)
		if err != nil {
			return nil, err
		}
		e, err := d.Open(p.Address)
		if err != nil {
			return nil, errors.Join(essaim.Errorf(essaim.CodeBadInput, "`essaim miner engines` shows what is here", "%s: engines: %w", configName, err), shut(list))
		}
		list = append(list, e)
	}
	return list, nil
}

// shut ends what engines have open.
func shut(list []engine.Engine) error {
	var errs []error
	for _, e := range list {
		if c, ok := e.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// offers asks one price for every model that the engines have, unless it has its own.
func (n *Node) offers(list []engine.Engine) ([]essaim.Offer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var out []essaim.Offer
	for _, e := range list {
		models, err := e.Models(ctx)
		if err != nil {
			n.opt.Logger.Warn("an engine does not answer; its models are not offered until the miner starts again", "engine", e.Name(), "err", err)
			continue
		}
		for _, m := range models {
			if listed := n.cfg.Miner.Offer; len(listed) > 0 && !slices.Contains(listed, m.Digest.String()) {
				continue
			}
			price, ok := n.cfg.Miner.Prices[m.Digest.String()]
			if !ok {
				price = n.cfg.Miner.Price
			}
			out = append(out, essaim.Offer{Model: m.Digest, UnitPrice: essaim.Amount(price)})
		}
	}
	return out, nil
}

func (n *Node) runMiner(ctx context.Context) (err error) {
	keys, err := wallet.LoadNodeKeys(n.cfg.Dir)
	if err != nil {
		return err
	}
	list, err := n.engines()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut(list)) }()
	m, err := n.newMiner(keys, list)
	if err != nil {
		return err
	}
	page := n.opt.HTTP
	if n.cfg.Miner.Page != "" && page == nil {
		if page, err = Here("page", n.cfg.Miner.Page); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.Run(ctx) })
	if page != nil {
		g.Go(func() error { return ServeOwn(ctx, page, n) })
	}
	g.Go(func() error {
		if poll(ctx, func() bool { return m.Stats().Connected > 0 }) {
			n.miner = m
			close(n.ready)
			n.warm(ctx, list)
		}
		return nil
	})
	return g.Wait()
}

// warm begins to make what proofs of pictures are made with, so that the first picture does not wait for it. That cannot be
// stopped halfway and belongs to the process, so nobody waits for its end.
func (n *Node) warm(ctx context.Context, list []engine.Engine) {
	for _, e := range list {
		models, err := e.Models(ctx)
		if err != nil {
			continue // offers has said so
		}
		for _, m := range models {
			if m.Kind == essaim.KindImage && (builtin.Proofs{}).Checks(m.Digest) {
				go n.commit(m)
			}
		}
	}
}

// commit makes the prover of a model.
func (n *Node) commit(m engine.Model) {
	begin := time.Now()
	n.opt.Logger.Info("commits to the model's weights for proofs; a picture that comes before waits", "model", m.Name)
	if _, err := (builtin.Proofs{}).Prover(m.Digest); err != nil {
		n.opt.Logger.Error("cannot prove pictures", "model", m.Name, "err", err)
		return
	}
	n.opt.Logger.Info("ready to prove pictures", "model", m.Name, "after", time.Since(begin).Round(time.Millisecond))
}

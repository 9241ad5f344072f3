package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
)

// network is what a command talks to: a coordinator and the ledger, with an account
// that pays.
type network struct {
	api     client.Coordinator
	chain   *chainclient.Client
	ledger  client.Ledger
	chainID string
	payer   essaim.Address
	close   func()
}

func (n *network) balance(ctx context.Context) (essaim.Amount, error) {
	return n.chain.Balance(ctx, n.payer)
}

// probeTime is how long a gateway may take to say that it is there.
const probeTime = 3 * time.Second

// connect finds the network: the one --gateway names, the one that runs in --home, or
// a new one in this process that ends with the command.
func (c *cli) connect(ctx context.Context, from string, st *status) (*network, error) {
	url := c.gateway
	if url == "" {
		info, err := devnet.ReadInfo(c.home)
		if err == nil && c.answers(ctx, info.Gateway) {
			url = info.Gateway
		}
	}
	if url == "" {
		return c.ephemeral(ctx, st)
	}
	api, err := client.Dial(url)
	if err != nil {
		return nil, err
	}
	info, err := api.Info(ctx)
	if err != nil {
		return nil, err
	}
	if info.LedgerURL == "" {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "ask its operator, or use another gateway", "the gateway %s names no ledger to pay on", url)
	}
	account, err := c.account(from)
	if err != nil {
		return nil, err
	}
	chain, err := chainclient.Dial(info.LedgerURL)
	if err != nil {
		return nil, err
	}
	return &network{api: api, chain: chain, ledger: devnet.Payer(chain, account), chainID: info.ChainID, payer: account.Address(), close: func() {}}, nil
}

// runs reports whether the network of the home answers.
func (c *cli) runs(ctx context.Context) bool {
	info, err := devnet.ReadInfo(c.home)
	return err == nil && info.Gateway != "" && c.answers(ctx, info.Gateway)
}

func (c *cli) answers(ctx context.Context, url string) bool {
	api, err := client.Dial(url)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err = api.Info(ctx)
	return err == nil
}

// ephemeral brings up a network in a temporary folder. Nothing of it remains but the
// files that the command writes.
func (c *cli) ephemeral(ctx context.Context, st *status) (*network, error) {
	home, err := os.MkdirTemp("", "essaim-")
	if err != nil {
		return nil, err
	}
	remove := func() { _ = os.RemoveAll(home) }
	began := time.Now()
	st.set("no network runs here: bringing one up for this picture")
	d, stop, err := startDevnet(ctx, devnet.Config{Home: home, Miners: 3, Logger: c.logger()})
	if err != nil {
		remove()
		return nil, err
	}
	st.set("network of 1 validator, 1 coordinator and 3 miners ready in %.1f s", time.Since(began).Seconds())
	st.keep()
	account := d.Account(devnet.User)
	return &network{
		api: d.Coordinator(), chain: d.Chain(), ledger: devnet.Payer(d.Chain(), account), chainID: d.Info().ChainID, payer: account.Address(),
		close: func() { _ = stop(); remove() },
	}, nil
}

// startDevnet runs a network until stop is called, and returns once it is ready.
func startDevnet(ctx context.Context, cfg devnet.Config) (d *devnet.Network, stop func() error, err error) {
	if d, err = devnet.Open(cfg); err != nil {
		return nil, nil, err
	}
	// The network outlives ctx until stop: an interrupted command still settles on it.
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- d.Run(run) }()
	stop = func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
	select {
	case <-d.Ready():
		return d, stop, nil
	case err := <-done:
		cancel()
		return nil, nil, err
	case <-ctx.Done():
		err := essaim.Errorf(essaim.CodeUnavailable, "", "stopped before the network was ready: %w", context.Cause(ctx))
		return nil, nil, errors.Join(err, stop())
	}
}

// logger logs to stderr with --verbose, else nowhere.
func (c *cli) logger() *slog.Logger {
	if !c.verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/internal/heap"
	"github.com/essaim/essaim/node"
)

func newUpCommand(c *cli) *cobra.Command {
	var miners int
	var http string
	var engines []string
	var audit bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole network on this machine",
		Long: `Runs a validator, a coordinator with its HTTP gateway, and miners of as many owners,
until Ctrl-C. All state is in --home; the next up goes on from there. The number of
miners is fixed when the home is made.

The network is a devnet: real parts, coins without value.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			heap.Floor(heap.Enough)
			if miners < 0 || miners > 32 {
				return essaim.Errorf(essaim.CodeBadInput, "run 0 to 32", "--miners %d is out of range", miners)
			}
			st := newStatus(c.stderr)
			began := time.Now()
			st.set("starting the network in %s", c.home)
			cfg := devnet.Config{Home: c.home, Miners: miners, HTTP: http, Engines: engines, Serve: true, Logger: c.logger()}
			if audit {
				cfg.Audit = &node.Audit{Budget: uint64(essaim.AIM), Poll: node.Duration(200 * time.Millisecond)}
			}
			d, stop, err := startDevnet(cmd.Context(), cfg)
			st.clear()
			if err != nil {
				return err
			}
			if err := c.tellUp(d, time.Since(began)); err != nil {
				return errors.Join(err, stop())
			}
			select {
			case <-cmd.Context().Done():
			case <-d.Done():
			}
			if !c.json {
				fmt.Fprintln(c.stderr, "\nstopping; all state is on disk, `essaim up` goes on from there")
			}
			return stop()
		},
	}
	cmd.Flags().IntVar(&miners, "miners", 3, "miners, each with an owner of its own")
	cmd.Flags().BoolVar(&audit, "audit", false, "have receipts run again by miners that the beacon draws; needs three miners or more to tell who is wrong")
	cmd.Flags().StringVar(&http, "http", "127.0.0.1:8420", "host:port of the gateway; the ledger's RPC, the miners' port and their owner's page are the next three")
	cmd.Flags().StringArrayVar(&engines, "engine", nil, "an engine of all miners besides those that are built in, when the home is made: DRIVER=ADDRESS, see `essaim miner engines`")
	return cmd
}

func (c *cli) tellUp(d *devnet.Network, took time.Duration) error {
	i := d.Info()
	user := d.Account(devnet.User).Address()
	if c.json {
		return term.JSON(c.stdout, map[string]any{
			"chain_id": i.ChainID, "gateway": i.Gateway, "ledger": i.Ledger, "peers": i.Peers, "own": i.Own, "home": i.Home,
			"account": devnet.User, "address": user, "ready_ms": took.Milliseconds(),
		})
	}
	flag := ""
	if home, err := filepath.Abs(c.home); err != nil || home != defaultHome() {
		flag = " --home " + quoted(c.home)
	}
	own := ""
	if i.Own != "" {
		own = "  earnings  " + i.Own + "\n"
	}
	_, err := fmt.Fprintf(c.stdout, `network %s is ready after %.1f s; Ctrl-C ends it

  gateway   %s
  ledger    %s
  miners    %s
%s  account   %s, %s
            %s

open the gateway's address in a browser, or try in another terminal:
  essaim imagine "a red apple"%s
  essaim balance user%s
  essaim query actors%s
  curl %s/v1/images/generations \
    -H "Authorization: Bearer $(essaim apikey create demo%s)" \
    -d '{"prompt":"a blue house","response_format":"url"}'
`, i.ChainID, took.Seconds(), i.Gateway, i.Ledger, i.Peers[0], own, devnet.User, user, user.Hex(), flag, flag, flag, i.Gateway, flag)
	return err
}

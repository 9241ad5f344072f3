package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
)

// dialLedger reaches the ledger of --gateway, or of the network that runs in --home.
func (c *cli) dialLedger(ctx context.Context) (*chainclient.Client, error) {
	if c.gateway != "" {
		api, err := client.Dial(c.gateway)
		if err != nil {
			return nil, err
		}
		info, err := api.Info(ctx)
		if err != nil {
			return nil, err
		}
		return chainclient.Dial(info.LedgerURL)
	}
	info, err := devnet.ReadInfo(c.home)
	if err == nil && info.Ledger != "" {
		chain, err := chainclient.Dial(info.Ledger)
		if err != nil {
			return nil, err
		}
		if _, err := chain.Status(ctx); err == nil {
			return chain, nil
		}
	}
	return nil, essaim.Errorf(essaim.CodeUnavailable, "start one with `essaim up`, or give --gateway", "no network runs in %s", c.home)
}

// nameTime is how long the ledger may take to say whose a name is.
const nameTime = 10 * time.Second

// gatewayURL is --gateway, or the gateway of the network that runs in --home; "" if there
// is none.
func (c *cli) gatewayURL() string {
	if c.gateway != "" {
		return c.gateway
	}
	info, err := devnet.ReadInfo(c.home)
	if err != nil {
		return ""
	}
	return info.Gateway
}

// address reads an address in either spelling, the name of a key, or @name on the ledger.
func (c *cli) address(s string) (essaim.Address, error) {
	if strings.HasPrefix(s, "@") {
		ctx, cancel := context.WithTimeout(context.Background(), nameTime)
		defer cancel()
		chain, err := c.dialLedger(ctx)
		if err != nil {
			return essaim.Address{}, err
		}
		return chain.Resolve(ctx, s)
	}
	if a, err := essaim.ParseAddress(s); err == nil {
		return a, nil
	}
	keys, err := c.wallet().Store().List()
	if err != nil {
		return essaim.Address{}, err
	}
	for _, k := range keys {
		if k.Name == s {
			return k.Address, nil
		}
	}
	_, err = essaim.ParseAddress(s)
	return essaim.Address{}, essaim.Errorf(essaim.CodeBadInput, "give essaim1…, 0x…, @name, or a name from `essaim keys list`", "no key is named %q and it is no address: %w", s, err)
}

func newBalanceCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "balance [ADDRESS|NAME]",
		Short: "Show what an account holds",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who := c.user
			if len(args) > 0 {
				who = args[0]
			}
			a, err := c.address(who)
			if err != nil {
				return err
			}
			chain, err := c.dialLedger(cmd.Context())
			if err != nil {
				return err
			}
			have, err := chain.Balance(cmd.Context(), a)
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"address": a, "hex": a.Hex(), "uaim": uint64(have)})
			}
			_, err = fmt.Fprintf(c.stdout, "%s  %s  (%s)\n", have, a, a.Hex())
			return err
		},
	}
}

func newSendCommand(c *cli) *cobra.Command {
	var from string
	cmd := &cobra.Command{
		Use:   "send TO AMOUNT",
		Short: "Send AIM to an address",
		Example: `  essaim send 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 1.5
  essaim send essaim1… 250uaim --from alice
  essaim send @alice 2`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := c.address(args[0])
			if err != nil {
				return err
			}
			amount, err := essaim.ParseAmount(args[1])
			if err != nil {
				return essaim.Errorf(essaim.CodeBadInput, "write AIM like 1.25, or 1250000uaim", "%w", err)
			}
			by, err := c.desk().Open(cmd.Context(), from)
			if err != nil {
				return err
			}
			tx, err := by.Send(cmd.Context(), by.By, to, amount)
			if err != nil {
				return err
			}
			if c.json {
				return term.JSON(c.stdout, map[string]any{"tx": tx.Hash, "height": tx.Height, "from": by.By.Address(), "to": to, "uaim": uint64(amount)})
			}
			_, err = fmt.Fprintf(c.stdout, "sent %s to %s\nheight %d, transaction %s\n", amount, to, tx.Height, tx.Hash)
			return err
		},
	}
	c.desk().From(cmd, &from, "account key that pays")
	return cmd
}

func newTxCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use:   "tx HASH",
		Short: "Show a transaction",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			chain, err := c.dialLedger(cmd.Context())
			if err != nil {
				return err
			}
			tx, err := chain.DecodeTx(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return term.JSON(c.stdout, tx)
		},
	}
}

// queries are what the query command can show. Each prints JSON: it is for reading by
// programs as much as by people.
var queries = []struct {
	use, short string
	args       int
	ask        func(context.Context, *chainclient.Client, []string) (any, error)
}{
	{"actors", "registered coordinators and miners", 0, func(ctx context.Context, ch *chainclient.Client, _ []string) (any, error) {
		coordinators, err := ch.Coordinators(ctx)
		if err != nil {
			return nil, err
		}
		miners, err := ch.Miners(ctx)
		return map[string]any{"coordinators": coordinators, "miners": miners}, err
	}},
	{"actor NODE_KEY", "one registered node", 1, func(ctx context.Context, ch *chainclient.Client, args []string) (any, error) {
		k, err := essaim.ParseNodeKey(args[0])
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim query actors` shows them", "%w", err)
		}
		return ch.Actor(ctx, k)
	}},
	{"record NODE_KEY", "how a coordinator has kept its word", 1, func(ctx context.Context, ch *chainclient.Client, args []string) (any, error) {
		k, err := essaim.ParseNodeKey(args[0])
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim query actors` shows them", "%w", err)
		}
		return ch.Record(ctx, k)
	}},
	{"models", "registered models", 0, func(ctx context.Context, ch *chainclient.Client, _ []string) (any, error) {
		return ch.Models(ctx)
	}},
	{"model DIGEST", "one registered model", 1, func(ctx context.Context, ch *chainclient.Client, args []string) (any, error) {
		d, err := essaim.ParseDigest(args[0])
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim query models` shows them", "%w", err)
		}
		return ch.Model(ctx, d)
	}},
	{"session ID", "a session's escrow, and its settlement", 1, querySession},
	{"params", "the modules' parameters", 0, func(ctx context.Context, ch *chainclient.Client, _ []string) (any, error) {
		registry, err := ch.Query(ctx, "/essaim.registry.v1.Query/Params", nil)
		if err != nil {
			return nil, err
		}
		market, err := ch.Query(ctx, "/essaim.market.v1.Query/Params", nil)
		return map[string]json.RawMessage{"registry": registry, "market": market}, err
	}},
	{"totals", "what all sessions deposited, paid, refunded and hold", 0, func(ctx context.Context, ch *chainclient.Client, _ []string) (any, error) {
		return ch.Totals(ctx)
	}},
	{"status", "the ledger's chain and height", 0, func(ctx context.Context, ch *chainclient.Client, _ []string) (any, error) {
		return ch.Status(ctx)
	}},
}

func querySession(ctx context.Context, ch *chainclient.Client, args []string) (any, error) {
	var id essaim.SessionID
	if err := json.Unmarshal([]byte(args[0]), &id); err != nil {
		return nil, essaim.Errorf(essaim.CodeBadInput, "sessions are numbered from 1", "%q is no session", args[0])
	}
	s, err := ch.Session(ctx, id)
	if err != nil || s.State != essaim.SessionSettled {
		return map[string]any{"session": s}, err
	}
	settlement, err := ch.Settlement(ctx, id)
	return map[string]any{"session": s, "settlement": settlement}, err
}

func newQueryCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{Use: "query", Short: "Ask the ledger"}
	for _, q := range queries {
		cmd.AddCommand(&cobra.Command{
			Use: q.use, Short: "Show " + q.short, Args: cobra.ExactArgs(q.args),
			RunE: func(cmd *cobra.Command, args []string) error {
				chain, err := c.dialLedger(cmd.Context())
				if err != nil {
					return err
				}
				v, err := q.ask(cmd.Context(), chain, args)
				if err != nil {
					return err
				}
				return term.JSON(c.stdout, v)
			},
		})
	}
	return cmd
}

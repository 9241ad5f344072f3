package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/operator"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/internal/heap"
	"github.com/essaim/essaim/node"
)

func newNodeCommand(c *cli) *cobra.Command {
	db := ""
	cmd := &cobra.Command{
		Use:     "node DIR",
		Aliases: []string{"coordinator"},
		Short:   "Run one role from its folder",
		Long: `Runs what node.toml in DIR says: a validator, a coordinator or a miner, until Ctrl-C.
A devnet's folders are made by ` + "`essaim up`" + `, which runs them all in one process.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			heap.Floor(heap.Enough)
			cfg, err := node.Load(args[0])
			if err != nil {
				return err
			}
			if db != "" {
				if cfg.Coordinator == nil {
					return essaim.Errorf(essaim.CodeBadInput, "leave out --db", "a %s shares no database", cfg.Role)
				}
				cfg.Coordinator.DB = db
			}
			n, err := node.New(cfg, node.Options{Logger: c.logger(), Version: version})
			if err != nil {
				return err
			}
			go func() {
				select {
				case <-n.Ready():
					if c.json {
						_ = term.JSON(c.stdout, map[string]any{"role": cfg.Role, "id": n.ID()}) // who cannot read it will not
						return
					}
					fmt.Fprintf(c.stderr, "%s %s is ready\n", cfg.Role, n.ID())
				case <-cmd.Context().Done():
				}
			}()
			if err := n.Run(cmd.Context()); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&db, "db", "", "of a coordinator of several instances: postgres://… that they share, instead of what node.toml says")
	cmd.AddCommand(operator.NewMove(operators(c)))
	return cmd
}

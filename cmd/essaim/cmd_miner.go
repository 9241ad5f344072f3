package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim/cmd/essaim/mining"
	"github.com/essaim/essaim/cmd/essaim/operator"
)

func newMinerCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "miner",
		Short: "Mine, and see what coordinators owe a miner and whom it serves",
		Long: `A miner keeps what coordinators have promised to pay for its work. These commands read
that file in the miner's folder DIR, whether the miner runs or not.`,
	}
	cmd.AddCommand(mining.Commands(miners(c))...)
	cmd.AddCommand(operator.Engines(operators(c)))
	return cmd
}

// miners is what the command that mines needs.
func miners(c *cli) *mining.Shell {
	return &mining.Shell{
		Stdin: c.stdin, Stdout: c.stdout, JSON: func() bool { return c.json }, Home: func() string { return c.home }, Gateway: c.gatewayURL,
		Desk: c.desk(), Keys: func() string { return filepath.Join(c.home, "keys") }, Logger: c.logger, Version: version,
	}
}

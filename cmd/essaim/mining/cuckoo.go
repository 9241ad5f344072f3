package mining

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/cuckoo"
)

// newCuckoo is essaim miner cuckoo.
func newCuckoo(s *Shell) *cobra.Command {
	var listen string
	var cfg cuckoo.Config
	var wallets []string
	cmd := &cobra.Command{
		Use:   "cuckoo --model NAME",
		Short: "Let machines with a miner of the Cuckoo network draw for a miner of yours",
		Long: `Serves the wire of the Cuckoo network's coordinator: machines poll for tasks, and sign what
they hand in. To a miner here it is an engine:

  essaim miner cuckoo --model sd-xl --wallet 0x… &
  essaim miner run --at a1111=http://127.0.0.1:6387/task/SD --register-models

This network pays the miner; what it owes its machines is between you.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, w := range wallets {
				a, err := essaim.ParseAddress(w)
				if err != nil {
					return err
				}
				cfg.Wallets = append(cfg.Wallets, a)
			}
			x, err := cuckoo.New(cfg)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return essaim.Errorf(essaim.CodeConflict, "choose another port with --listen", "port taken: %w", err)
			}
			poll := "http://" + l.Addr().String()
			engine := "a1111=" + poll + "/task/SD"
			if s.JSON() {
				err = term.JSON(s.Stdout, map[string]any{"poll": poll, "engine": engine})
			} else {
				_, err = fmt.Fprintf(s.Stdout, "machines poll %s, the engine is %s\n", poll, engine)
			}
			if err != nil {
				return errors.Join(err, l.Close())
			}
			return serveHTTP(cmd.Context(), l, x)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", cuckoo.DefaultListen, "host:port; other machines need one that they can reach")
	f.StringArrayVar(&cfg.Models, "model", nil, "a checkpoint that the machines have; may be repeated")
	f.StringArrayVar(&wallets, "wallet", nil, "a machine's wallet that may poll; may be repeated (default: any that signs)")
	f.StringVar(&cfg.Token, "token", "", "lets apps on other machines ask that show it; without it only programs on this one may")
	return cmd
}

const (
	headerTime = 10 * time.Second
	stopTime   = 5 * time.Second
)

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: headerTime, BaseContext: func(net.Listener) context.Context { return ctx }}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := server.Shutdown(last)
	if <-failed; errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// Package mining is the one command that makes a machine a miner: it finds the engines,
// measures their models once, proposes prices, registers the miner, runs it, and shows how
// it is doing. It stands apart from the program's other commands because it is a story of
// its own.
//
// It must not decide what a miner, a coordinator or the ledger decides, and changes nothing
// before its owner has seen what is to be done.
package mining

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	xterm "golang.org/x/term"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/signing"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/engine/all"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
)

// Shell is what the command needs of the program around it.
type Shell struct {
	Stdin        io.Reader
	Stdout       *os.File
	JSON         func() bool
	Home         func() string
	Gateway      func() string // its URL; "": none is known
	Keys         func() string // folder of account keys
	signing.Desk               // whose user owns the miner unless another is named
	Logger       func() *slog.Logger
	Version      string
}

// options are how somebody wants to mine.
type options struct {
	coordinator, dir, owner, bond, hourly string
	page                                  string
	at, allow, deny                       []string
	capacity                              int
	grace                                 time.Duration
	register, models, plain               bool
}

func newRun(s *Shell) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "run [--coordinator URL]",
		Short: "Mine with the engines on this machine: find, measure, price, register, serve",
		Long: `Finds the engines on this machine, runs each model once to see how fast it is (kept in
the miner's folder), proposes prices, and shows what it is going to register. It asks
before it registers; without a terminal it changes nothing unless --yes is given.

The miner dials the coordinator and opens no port. Ctrl-C finishes what is under way;
another one drops it. With a terminal it shows jobs, earnings and why it is idle; type m
and Enter for maintenance, in which nothing new is taken. --page is the same for a
browser, with earnings by model and day; it answers to this machine alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.coordinator, "coordinator", "", "URL of the coordinator's gateway (default: --gateway, or the network in --home)")
	f.StringVar(&o.dir, "dir", "", "the miner's folder (default: miner in --home)")
	f.StringVar(&o.owner, "owner", "", "account key that owns the miner and puts up the bond (default: that of --account)")
	f.StringVar(&o.bond, "bond", "1000", "AIM of the owner's that answer for the miner's work")
	f.StringVar(&o.hourly, "hourly", "0", "AIM that an hour of work must bring at least")
	f.StringArrayVar(&o.at, "at", nil, "look for an engine here, too: DRIVER=ADDRESS")
	f.StringArrayVar(&o.allow, "allow", nil, "offer only models whose name has this in it; may be repeated")
	f.StringArrayVar(&o.deny, "deny", nil, "do not offer models whose name has this in it; may be repeated")
	f.IntVar(&o.capacity, "capacity", 1, "tasks at the same time")
	f.DurationVar(&o.grace, "grace", 2*time.Minute, "for tasks under way after Ctrl-C")
	f.BoolVar(&o.register, "yes", false, "register what is proposed without asking")
	f.BoolVar(&o.models, "register-models", false, "register models that the ledger does not know, too; the owner gets their royalty")
	f.StringVar(&o.page, "page", "127.0.0.1:8430", "address of this machine of a page that shows earnings and work; empty: none")
	f.BoolVar(&o.plain, "plain", false, "print lines instead of the dashboard")
	return cmd
}

func newPause(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "pause DIR", Short: "Put a miner into maintenance: it takes nothing new", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return s.done(withBook(args[0], (*miner.Book).Pause), map[string]any{"dir": args[0], "paused": true})
		},
	}
}

func newResume(s *Shell) *cobra.Command {
	return &cobra.Command{
		Use: "resume DIR", Short: "End a miner's maintenance", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return s.done(withBook(args[0], (*miner.Book).Resume), map[string]any{"dir": args[0], "paused": false})
		},
	}
}

// done tells a program what was done. People see that no error came.
func (s *Shell) done(err error, what map[string]any) error {
	if err != nil || !s.JSON() {
		return err
	}
	return term.JSON(s.Stdout, what)
}

func withBook(dir string, do func(*miner.Book) error) (err error) {
	path := filepath.Join(dir, node.ReceiptsFile)
	if _, err := os.Stat(path); err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "give the folder of a miner that has run", "no receipts in %s", dir)
	}
	b, err := miner.OpenBook(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	return do(b)
}

func (s *Shell) run(ctx context.Context, o options) error {
	url := o.coordinator
	if url == "" {
		url = s.Gateway()
	}
	if url == "" {
		return essaim.Errorf(essaim.CodeUnavailable, "name a coordinator's gateway with --coordinator", "no coordinator is known")
	}
	if o.dir == "" {
		o.dir = filepath.Join(s.Home(), "miner")
	}
	api, err := client.Dial(url)
	if err != nil {
		return err
	}
	info, err := api.Info(ctx)
	if err != nil {
		return err
	}
	chain, err := chainclient.Dial(info.LedgerURL)
	if err != nil {
		return err
	}
	o.owner = cmp.Or(o.owner, s.User())
	owner, err := s.Account(o.owner)
	if err != nil {
		return err
	}
	p, err := makePlan(ctx, chain, info, o)
	if err != nil {
		return err
	}
	if err := s.tellPlan(p); err != nil {
		return err
	}
	if p.changes() {
		ok, err := s.agree(o)
		if !ok || err != nil {
			return err
		}
		if err := p.register(ctx, chain, owner); err != nil {
			return err
		}
	}
	return s.serve(ctx, p, o)
}

// agree asks whether to go on. Without a terminal nobody answers.
func (s *Shell) agree(o options) (bool, error) {
	switch {
	case o.register:
		return true, nil
	case !terminal(s.Stdin) || s.JSON():
		if !s.JSON() {
			fmt.Fprintln(s.Stdout, "nothing was changed; --yes registers this")
		}
		return false, nil
	}
	fmt.Fprint(s.Stdout, "register this? [y/N] ")
	answer, err := bufio.NewReader(s.Stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if strings.EqualFold(strings.TrimSpace(answer), "y") {
		return true, nil
	}
	fmt.Fprintln(s.Stdout, "nothing was changed")
	return false, nil
}

func terminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && xterm.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

func (s *Shell) tellPlan(p plan) error {
	if s.JSON() {
		return term.JSON(s.Stdout, p)
	}
	fmt.Fprintln(s.Stdout, term.Clip(fmt.Sprintf("miner %s in %s, coordinator %s", p.Miner.Short(), p.Dir, p.Coordinator.Short()), term.Width))
	rows := [][]string{{"MODEL", "ENGINE", "UNITS/S", "AIM/UNIT", "AIM/HOUR", "OTHERS ASK", ""}}
	for _, m := range p.Models {
		row := []string{m.Name, m.Engine, "", "", "", "", m.Skipped}
		if m.Skipped == "" {
			row = []string{m.Name, m.Engine, fmt.Sprintf("%.2f", m.Rate), term.Coins(m.Price), term.Coins(m.hour()), "", ""}
			if m.Market > 0 {
				row[5] = term.Coins(m.Market)
			}
			if m.New {
				row[6] = "new"
			}
		}
		rows = append(rows, row)
	}
	term.Table(s.Stdout, "<<>>>><", rows...)
	for _, f := range p.Faults {
		fmt.Fprintln(s.Stdout, term.Clip("cannot be used: "+f, term.Width))
	}
	if what := p.what(); what != "" {
		fmt.Fprintln(s.Stdout, what)
	}
	return nil
}

// serve runs the miner until it is stopped.
func (s *Shell) serve(ctx context.Context, p plan, o options) error {
	cfg := p.config(o, s.Keys())
	options := node.Options{Logger: s.Logger(), Version: s.Version}
	if o.page != "" {
		l, err := node.Here("--page", o.page)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }() // the node has, if it ran
		options.HTTP, o.page = l, l.Addr().String()
	}
	if err := cfg.Save(); err != nil {
		return err
	}
	n, err := node.New(cfg, options)
	if err != nil {
		return err
	}
	// The first Ctrl-C has ended ctx, which drains; the second is what it is elsewhere.
	defer context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })()
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		s.show(ctx, life, n, o)
	}()
	err = n.Run(ctx)
	end()
	<-shown
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// usual are the engines that are looked for.
func usual(at []string) ([]all.Place, error) {
	places := all.Usual()
	for _, a := range at {
		p, err := all.ParsePlace(a)
		if err != nil {
			return nil, essaim.Errorf(essaim.CodeBadInput, "`essaim miner engines --help`", "--at: %w", err)
		}
		places = append(places, p)
	}
	return places, nil
}

package session

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim/chain"
	chainclient "github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/x/market"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

const (
	demoDrawers = 32 // pictures asked for at the same time
	demoBlock   = 200 * time.Millisecond
	demoWindow  = 50 // blocks: until then a settlement can be challenged
	demoSide    = 8  // pixels: the picture's width and height
)

// Demo is essaim demo-settlement.
func Demo(c *Shell) *cobra.Command {
	tasks := 10_000
	cmd := term.StoryCommand("demo-settlement", 5*time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.NewTeller(c.Stdout, c.JSON(), c.No), shell: c, home: home, tasks: tasks}
		return d.play(ctx)
	})
	cmd.Short = "The story of a session: thousands of tasks, two transactions, two lies caught"
	cmd.Long = `Plays the life of a session on a fresh network: ten thousand tasks that cost two
transactions, then two settlements in which the coordinator lies. The payer proves one
false, the beacon draws the other. The engine does no work: it hands out one picture
again and again, so the time is the network's. Every claim it prints is checked; if one
does not hold, it says which and exits with 1.`
	cmd.Flags().IntVar(&tasks, "tasks", tasks, "tasks of the first session")
	return cmd
}

// demo is one telling of the story.
type demo struct {
	term.Teller
	shell *Shell
	home  string
	tasks int

	net      *devnet.Network
	stops    []func() error // in the order in which things were started
	chain    *chainclient.Client
	user     *wallet.Account
	operator *wallet.Account
	liar     wallet.NodeKeys // the coordinator's
	model    engine.Model
	before   essaim.Amount // of the user
	owed     essaim.Amount // what the user has accepted and acknowledged
	doubled  claim
	invented claim
}

func (d *demo) play(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.stop()) }()
	return d.Play(ctx,
		term.Chapter{Title: "A network", Tell: d.network},
		term.Chapter{Title: "A session: two transactions, whatever it holds", Tell: d.session},
		term.Chapter{Title: "Two settlements in which the coordinator lies", Tell: d.lies},
		term.Chapter{Title: "The payer does the sum again", Tell: d.audit},
		term.Chapter{Title: "The beacon asks", Tell: d.asked},
		term.Chapter{Title: "The books", Tell: d.books},
	)
}

// idle is an engine without work: it gives one result for every request. It is used by its address,
// because a miner tells engines apart by comparing them.
type idle struct {
	model  engine.Model
	result engine.Result
}

func (*idle) Name() string { return "idle" }

func (e *idle) Models(context.Context) ([]engine.Model, error) { return []engine.Model{e.model}, nil }

func (e *idle) Run(context.Context, engine.Request, func(engine.Progress)) (engine.Result, error) {
	r := e.result
	r.Data = slices.Clone(r.Data) // the caller owns it
	return r, nil
}

// windows makes days into seconds, and has the beacon ask about every settlement.
func windows(g *chain.Genesis) {
	p := market.DefaultParams()
	p.ChallengeBlocks, p.OpeningBlocks, p.OpeningBps, p.Openings = demoWindow, demoWindow/2, uint32(essaim.BpsWhole), 2
	g.Market = &p
}

func (d *demo) network(ctx context.Context) error {
	log, err := os.Create(filepath.Join(d.home, "log"))
	if err != nil {
		return err
	}
	d.stops = append(d.stops, log.Close)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	net, stop, err := d.shell.Start(ctx, devnet.Config{Home: d.home, Miners: 1, External: true, BlockTime: demoBlock, Genesis: windows, Logger: logger})
	if err != nil {
		return err
	}
	d.stops = append(d.stops, stop)
	d.net, d.chain, d.user, d.operator = net, net.Chain(), net.Account(devnet.User), net.Account("operator")
	if d.liar, err = wallet.LoadNodeKeys(filepath.Join(d.home, "coordinator")); err != nil {
		return err
	}
	if err := d.startMiner(ctx, logger); err != nil {
		return err
	}
	if d.before, err = d.chain.Balance(ctx, d.user.Address()); err != nil {
		return err
	}
	d.Say("a validator, a coordinator, and a miner whose engine does no work: it hands out one blank picture again and again, under the name of the built-in model")
	d.Say("a settlement can be challenged for %d blocks of %s here; the beacon asks about each", demoWindow, demoBlock)
	return nil
}

func (d *demo) startMiner(ctx context.Context, logger *slog.Logger) error {
	blank := image.NewNRGBA(image.Rect(0, 0, demoSide, demoSide))
	var file bytes.Buffer
	if err := png.Encode(&file, blank); err != nil {
		return err
	}
	result := engine.Result{MediaType: "image/png", Data: file.Bytes(), PixelsDigest: essaim.DigestOf(make([]byte, 3*demoSide*demoSide)), Steps: 1, Units: 1}
	d.model = engine.Model{
		Digest: essaim.DigestOf(pixel.Manifest()), Name: "idle", Kind: essaim.KindImage, Exact: true,
		Sizes: []engine.Size{{Width: demoSide, Height: demoSide}}, MinSteps: 1, MaxSteps: 1, Steps: 1,
	}
	dir := d.net.MinerDirs()[0]
	keys, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		return err
	}
	actor, err := d.chain.Actor(ctx, keys.ID())
	if err != nil {
		return err
	}
	m, err := miner.New(miner.Config{
		Key: keys.Sign, Seal: keys.HPKE, ChainID: d.net.Info().ChainID, Coordinators: d.net.Info().Peers[:1],
		Engines: []engine.Engine{&idle{d.model, result}}, Offers: actor.Offers[:1],
		Receipts: filepath.Join(dir, node.ReceiptsFile), Capacity: demoDrawers, MaxUnacked: 4 * demoDrawers, Logger: logger,
	})
	if err != nil {
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- m.Run(run) }()
	d.stops = append(d.stops, func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	return term.Until(ctx, func() (bool, error) { return m.Stats().Connected > 0, nil })
}

// open opens a session whose tasks say nothing of how their prompts are read: the engine reads none.
func (d *demo) open(ctx context.Context, deposit essaim.Amount) (*client.Session, error) {
	return client.Open(ctx, client.Config{Coordinator: d.net.Coordinator(), Ledger: devnet.Payer(d.chain, d.user), ChainID: d.net.Info().ChainID}, deposit)
}

// draw has n pictures drawn in a session, and keeps the receipts in the order of the tasks.
func (d *demo) draw(ctx context.Context, s *client.Session, n int) ([]*client.Picture, error) {
	out := make([]*client.Picture, n)
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(demoDrawers, n) {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				p, err := s.Draw(ctx, client.Request{Model: d.model.Digest, Prompt: "a red apple", Seed: uint64(i)}, nil)
				if err != nil {
					return err
				}
				out[i] = p
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(out, func(a, b *client.Picture) int { return int(a.Task.Seq) - int(b.Task.Seq) })
	return out, nil
}

// sent is how many transactions the user and the coordinator's operator have sent.
func (d *demo) sent(ctx context.Context) (n uint64, err error) {
	for _, a := range []*wallet.Account{d.user, d.operator} {
		x, err := d.chain.Account(ctx, a.Address())
		if err != nil {
			return 0, err
		}
		n += x.Sequence
	}
	return n, nil
}

func (d *demo) session(ctx context.Context) error {
	txs, err := d.sent(ctx)
	if err != nil {
		return err
	}
	s, err := d.open(ctx, 100*essaim.AIM)
	if err != nil {
		return err
	}
	d.Say("the user deposits %s for session %s: transaction %.8s…", s.Record().Deposit, s.Record().ID, s.Tx().Hash)
	began := time.Now()
	pictures, err := d.draw(ctx, s, d.tasks)
	if err != nil {
		return err
	}
	took := time.Since(began)
	for _, p := range pictures {
		d.owed += p.Receipt.Price
	}
	d.Say("%s tasks in %.1f s, %.0f a second: each sealed, signed by the payer, drawn, signed by the miner, checked by coordinator and payer, and on the disk",
		term.Grouped(uint64(len(pictures))), took.Seconds(), float64(len(pictures))/took.Seconds())
	settled, err := s.Close(ctx)
	if err != nil {
		return err
	}
	now, err := d.sent(ctx)
	if err != nil {
		return err
	}
	d.Say("the coordinator settles it: transaction %.8s…, gas %s", settled.Tx.Hash, term.Grouped(settled.Tx.Gas))
	if err := d.OK(now-txs == 2, "the ledger has %d transactions for all of it", now-txs); err != nil {
		return err
	}
	on, err := d.chain.Settlement(ctx, s.Record().ID)
	if err != nil {
		return err
	}
	if err := d.OK(on.Root.Count() == uint64(d.tasks) && on.Root.Sum() == d.owed, "the root on the ledger counts %s receipts and %s: what the user has accepted",
		term.Grouped(on.Root.Count()), on.Root.Sum()); err != nil {
		return err
	}
	return d.OK(on.Pending == 0 && on.Acknowledged == d.owed, "the user's newest voucher covers all of it, so all of it is paid at once")
}

func (d *demo) books(ctx context.Context) error {
	for _, c := range []claim{d.doubled, d.invented} {
		s, err := d.chain.Settlement(ctx, c.session)
		if err != nil {
			return err
		}
		if err := d.chain.WaitHeight(ctx, s.PendingUntil+1); err != nil {
			return err
		}
		if err := term.Until(ctx, func() (bool, error) {
			s, err = d.chain.Settlement(ctx, c.session)
			return s.Pending == 0, err
		}); err != nil {
			return err
		}
	}
	have, err := d.chain.Balance(ctx, d.user.Address())
	if err != nil {
		return err
	}
	d.Say("the coordinator has shown nothing more, so what still waited of sessions %s and %s went back to the payer, honest receipts with it; the miner has the coordinator's promises for those", d.doubled.session, d.invented.session)
	if err := d.OK(have+d.owed == d.before, "the windows are over: the user has paid %s, exactly what it has acknowledged", d.before-have); err != nil {
		return err
	}
	t, err := d.chain.Totals(ctx)
	if err != nil {
		return err
	}
	if err := d.OK(t.Deposited == t.Paid+t.Refunded+t.Escrowed && t.Escrowed == 0, "deposited %s = paid %s + refunded %s", t.Deposited, t.Paid, t.Refunded); err != nil {
		return err
	}
	if err := d.stop(); err != nil {
		return err
	}
	err = devnet.Check(d.home)
	problem := ""
	if err != nil {
		problem = "(" + err.Error() + ")"
	}
	return d.OK(err == nil, "the ledger is stopped and its state recounted: all balances together are the supply %s", problem)
}

func (d *demo) stop() error {
	var errs []error
	for _, stop := range slices.Backward(d.stops) {
		errs = append(errs, stop())
	}
	d.stops = nil
	return errors.Join(errs...)
}

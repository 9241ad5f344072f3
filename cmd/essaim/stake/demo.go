package stake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/essaim/essaim/chain"
	chainclient "github.com/essaim/essaim/chain/client"
	"github.com/essaim/essaim/chain/x/registry"
	"github.com/essaim/essaim/chain/x/tally"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
)

func newDemo(s *Shell) *cobra.Command {
	cmd := term.StoryCommand("demo-stake", 3*time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.NewTeller(s.Stdout, s.JSON(), s.No), shell: s, home: home}
		return d.play(ctx)
	})
	cmd.Short = "The story of stake: rewards, votes, slashes and an appeal, told and checked"
	cmd.Long = `Plays a story of stake on a fresh network whose periods take seconds instead of days:
somebody stakes and earns, one miner is slashed with cause and one without, the second
slash is appealed and reversed, and a whale with 60 % of all stake loses a vote. Every
claim it prints is checked; if one does not hold, it says which and exits with 1.`
	return cmd
}

// demo is one telling of the story.
type demo struct {
	term.Teller
	shell *Shell
	home  string

	net        *devnet.Network
	stopNet    func() error
	chain      *chainclient.Client
	children   []*exec.Cmd
	supply     essaim.Amount
	drawn      client.Request
	picture    *client.Picture // of the miner that is accused in vain
	accused    chainclient.Standing
	before     chainclient.Standing // before it was slashed
	dead       chainclient.Standing // the miner whose process was killed
	statement  []byte               // the coordinator's answer without it
	fair, foul chainclient.Slash
}

const (
	whale      = "whale"
	whaleStake = 192_000 * essaim.AIM // 60 % of all, with what the others stake
	userStake  = 5_000 * essaim.AIM

	blockTime = 200 * time.Millisecond
	unbonding = 30 // blocks
	stakeCap  = essaim.Bps(2_000)
)

// periods makes days into seconds, and lets a handful of people be enough for a vote.
func periods(g *chain.Genesis) {
	p, t := registry.DefaultParams(), tally.DefaultParams()
	p.UnbondingBlocks, p.EpochBlocks, p.AppealBlocks, p.ExtensionBlocks = unbonding, 20, 80, 200
	for i := range p.Slashes {
		p.Slashes[i].JailBlocks = min(p.Slashes[i].JailBlocks, 400)
	}
	t.CapBps, t.MinWork, t.MinBlockMs = uint32(stakeCap), 1, uint32(blockTime.Milliseconds())
	g.Registry, g.Tally, g.Emission = &p, &t, 1_000*essaim.AIM
}

func (d *demo) play(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.stop()) }()
	return d.Play(ctx,
		term.Chapter{Title: "A network", Tell: d.network},
		term.Chapter{Title: "Stake: a coin behind a miner", Tell: d.stake},
		term.Chapter{Title: "Work: the miner draws, and its stakers earn", Tell: d.work},
		term.Chapter{Title: "Three proposals: a slash with cause, one without, and a whale's wish", Tell: d.votes},
		term.Chapter{Title: "An appeal: the slash without cause is reversed", Tell: d.appeal},
		term.Chapter{Title: "The end of an appeal window, and of the user's stake", Tell: d.leave},
		term.Chapter{Title: "The books", Tell: d.books},
	)
}

func (d *demo) network(ctx context.Context) error {
	log, err := os.Create(filepath.Join(d.home, "log"))
	if err != nil {
		return err
	}
	net, stop, err := d.shell.Start(ctx, devnet.Config{
		Home: d.home, Miners: 3, HTTP: "127.0.0.1:0", Serve: true, External: true, BlockTime: blockTime, Genesis: periods,
		Funds:  []devnet.Fund{{Name: whale, Has: whaleStake + 100*essaim.AIM}},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	d.net, d.chain = net, net.Chain()
	d.stopNet = func() error { return errors.Join(stop(), log.Close()) }
	if err := d.startMiners(ctx); err != nil {
		return err
	}
	if d.supply, err = d.total(ctx); err != nil {
		return err
	}
	p, err := d.chain.StakeParams(ctx)
	if err != nil {
		return err
	}
	d.Say("a validator with 100,000 AIM, a coordinator with a bond of 20,000 AIM, and three miners with bonds of %s each; %s in all", aim(p.MinBondMiner), aim(d.supply))
	d.Say("what takes weeks on a public network takes seconds here: stake leaves after %d blocks, a vote takes %.0f s; one account counts at most %s of the stake that votes (a public network has more voters, and 5 %%)",
		p.UnbondingBlocks, (unbonding * blockTime).Seconds(), stakeCap)
	miners, err := d.chain.Standings(ctx, essaim.RoleMiner, 0)
	if err != nil {
		return err
	}
	return d.OK(len(miners) == 3, "three miners of three owners are registered; each is a process of its own")
}

func (d *demo) startMiners(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, dir := range d.net.MinerDirs() {
		cmd := exec.Command(self, "node", dir)
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start a miner: %w", err)
		}
		d.children = append(d.children, cmd)
	}
	return d.connected(ctx, len(d.children))
}

// connected waits until the coordinator has so many miners.
func (d *demo) connected(ctx context.Context, n int) error {
	return term.Until(ctx, func() (bool, error) {
		info, err := d.net.Coordinator().Info(ctx)
		return info.Miners == n, err
	})
}

// miner is the actor in one of the miners' folders.
func (d *demo) miner(ctx context.Context, i int) (chainclient.Standing, error) {
	k, err := devnet.NodeKey(d.net.MinerDirs()[i])
	if err != nil {
		return chainclient.Standing{}, err
	}
	return d.chain.Standing(ctx, k)
}

// vote lets the voters and the whale vote, all at once.
func (d *demo) vote(ctx context.Context, ballots ...ballot) error {
	g, ctx := errgroup.WithContext(ctx)
	cast := func(name string, proposal uint64, option string) {
		g.Go(func() error {
			_, err := d.chain.Vote(ctx, d.net.Account(name), proposal, chainclient.Choice{Option: option, Weight: essaim.BpsWhole})
			if err != nil {
				return fmt.Errorf("%s votes on proposal %d: %w", name, proposal, err)
			}
			return nil
		})
	}
	for _, b := range ballots {
		for _, name := range []string{"validator", "coordinator", "miner-1", "miner-2", "miner-3", devnet.User} {
			cast(name, b.proposal, b.all)
		}
		if b.whale != "" {
			cast(whale, b.proposal, b.whale)
		}
	}
	return g.Wait()
}

// ballot is how everybody votes on a proposal; the whale may stay away.
type ballot struct {
	proposal   uint64
	all, whale string
}

// decided waits for a proposal's end and shows its count.
func (d *demo) decided(ctx context.Context, id uint64) (p chainclient.Proposal, err error) {
	err = term.Until(ctx, func() (bool, error) {
		p, err = d.chain.Proposal(ctx, id)
		return err == nil && p.Status != "voting" && p.Status != "deposit", err
	})
	return p, err
}

func (d *demo) houses(o chainclient.Outcome) error {
	var text strings.Builder
	if err := houses(&text, o); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if !strings.Contains(line, " counts ") {
			fmt.Fprint(d.Out, term.Clip("      "+line, term.Width+1))
		}
	}
	return nil
}

// aim is an amount in groups of three.
func aim(a essaim.Amount) string { return term.Coins(a) + " AIM" }

func problem(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// total is the supply.
func (d *demo) total(ctx context.Context) (essaim.Amount, error) {
	bz, err := d.chain.Query(ctx, "/cosmos.bank.v1beta1.Query/SupplyOf", json.RawMessage(`{"denom":"`+essaim.Denom+`"}`))
	if err != nil {
		return 0, err
	}
	var r struct{ Amount struct{ Amount string } }
	if err := json.Unmarshal(bz, &r); err != nil {
		return 0, err
	}
	return essaim.ParseAmount(r.Amount.Amount + essaim.Denom)
}

func (d *demo) stop() error {
	for _, cmd := range d.children {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	d.children = nil
	if d.stopNet == nil {
		return nil
	}
	stop := d.stopNet
	d.stopNet = nil
	return stop()
}

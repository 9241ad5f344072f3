package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/picture"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	engines "github.com/essaim/essaim/engine/all"
)

func newDemoCommand(c *cli) *cobra.Command {
	cmd := term.StoryCommand("demo", 2*time.Minute, func(ctx context.Context, home string) error {
		d := &demo{Teller: term.NewTeller(c.stdout, c.json, func(err error) error { return errAnswerNo{err} }), cli: c, home: home}
		return d.play(ctx)
	})
	cmd.Short = "The story of one task, told and checked"
	cmd.Long = `Plays the life of one task on a fresh network, in words, with every miner a process
of its own, and kills one in the middle of its work. Every claim it prints is checked;
if one does not hold, it says which and exits with 1.`
	return cmd
}

// demo is one telling of the story.
type demo struct {
	term.Teller
	cli  *cli
	home string

	net      *devnet.Network
	stopNet  func() error
	children map[essaim.NodeKey]*exec.Cmd
	before   map[essaim.Address]essaim.Amount
	session  *client.Session
	picture  *client.Picture
	killed   essaim.NodeKey
	settled  essaim.Settled
}

const (
	// demoPrompt is what is drawn; the story looks for its bytes where they must not be.
	demoPrompt = "a red apple"

	// demoPace slows the miners down, so that one can be killed in the middle of work
	// that takes some 60 ms.
	demoPace = 1200 * time.Millisecond
)

func (d *demo) play(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, d.stop()) }()
	return d.Play(ctx,
		term.Chapter{Title: "A network", Tell: d.network},
		term.Chapter{Title: "A session: money into escrow, once, however many tasks follow", Tell: d.open},
		term.Chapter{Title: "A task: sealed, signed, and its miner killed in the middle", Tell: d.draw},
		term.Chapter{Title: "A receipt: checked with no network at all", Tell: d.receipt},
		term.Chapter{Title: "A settlement: one transaction pays everybody", Tell: d.settle},
		term.Chapter{Title: "The books", Tell: d.books},
	)
}

func (d *demo) network(ctx context.Context) error {
	began := time.Now()
	log, err := os.Create(filepath.Join(d.home, "log"))
	if err != nil {
		return err
	}
	net, stop, err := startDevnet(ctx, devnet.Config{
		Home: d.home, Miners: 3, HTTP: "127.0.0.1:0", Serve: true, External: true,
		Pace: demoPace, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		return errors.Join(err, log.Close())
	}
	d.net, d.children = net, map[essaim.NodeKey]*exec.Cmd{}
	d.stopNet = func() error { return errors.Join(stop(), log.Close()) }
	if err := d.startMiners(ctx); err != nil {
		return err
	}
	miners, err := net.Chain().Miners(ctx)
	if err != nil {
		return err
	}
	d.Say("a ledger with one validator, a coordinator, and three miners, each a process of its own (%.1f s)", time.Since(began).Seconds())
	for _, m := range miners {
		d.Say("miner %s, pid %d, owner %s, bond %s, asks %s a picture", m.NodeKey.Short(), d.children[m.NodeKey].Process.Pid, shortAddress(m.Owner), m.Bond, m.Offers[0].UnitPrice)
	}
	owners := map[essaim.Address]bool{}
	for _, m := range miners {
		owners[m.Owner] = true
	}
	if err := d.OK(len(miners) == 3 && len(owners) == 3, "three miners of three owners have registered and bonded on the ledger"); err != nil {
		return err
	}
	info, err := net.Coordinator().Info(ctx)
	if err != nil {
		return err
	}
	return d.OK(info.Miners == 3, "all three dialled the coordinator themselves; none of them listens on a port")
}

func (d *demo) startMiners(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, dir := range d.net.MinerDirs() {
		log, err := os.Create(filepath.Join(dir, "log"))
		if err != nil {
			return err
		}
		cmd := exec.Command(self, "node", dir, "--verbose")
		cmd.Stderr = log
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start a miner: %w", err)
		}
		_ = log.Close()
		key, err := devnet.NodeKey(dir)
		if err != nil {
			return err
		}
		d.children[key] = cmd
	}
	return term.Until(ctx, func() (bool, error) {
		info, err := d.net.Coordinator().Info(ctx)
		return info.Miners == len(d.children), err
	})
}

func (d *demo) open(ctx context.Context) (err error) {
	if d.before, err = d.balances(ctx); err != nil {
		return err
	}
	user := d.net.Account(devnet.User)
	const deposit = 10_000
	cfg := client.Config{Coordinator: d.net.Coordinator(), Ledger: devnet.Payer(d.net.Chain(), user), ChainID: d.net.Info().ChainID, Plan: engines.Plan}
	if d.session, err = client.Open(ctx, cfg, deposit); err != nil {
		return err
	}
	r := d.session.Record()
	d.Say("the user deposits %s for session %s; transaction %.8s…, height %d", r.Deposit, r.ID, d.session.Tx().Hash, d.session.Tx().Height)
	d.Say("a fresh key may now spend it, with this coordinator only, until height %d", r.Expiry)
	have, err := d.net.Chain().Balance(ctx, user.Address())
	if err != nil {
		return err
	}
	return d.OK(have+deposit == d.before[user.Address()], "the user has exactly %s less", essaim.Amount(deposit))
}

func (d *demo) draw(ctx context.Context) (err error) {
	info, err := d.net.Coordinator().Info(ctx)
	if err != nil {
		return err
	}
	d.Say("“%s” is sealed to three candidate miners; the coordinator carries bytes that it cannot read", demoPrompt)
	var attempts uint64
	var step int
	var noticed time.Time
	d.picture, err = d.session.Draw(ctx, client.Request{Model: info.Models[0].Digest, Prompt: demoPrompt, Seed: 7, Deadline: time.Now().Add(time.Minute)}, func(p essaim.Progress) {
		if p.Attempt > attempts && p.State == essaim.TaskAssigned && p.Step == 0 {
			attempts, step = p.Attempt, 0
			d.Say("attempt %d: offered to miner %s", p.Attempt, p.Miner.Short())
			if attempts == 2 && !noticed.IsZero() {
				d.Say("the coordinator needed %d ms to notice and offer it again", time.Since(noticed).Milliseconds())
			}
		}
		if p.Step <= step {
			return
		}
		step = p.Step
		if d.killed.IsZero() {
			d.killed, noticed = p.Miner, time.Now()
			cmd := d.children[p.Miner]
			_ = cmd.Process.Kill()
			d.Say("miner %s has finished step 1 of %d: its process, pid %d, is killed now", p.Miner.Short(), p.Steps, cmd.Process.Pid)
		} else {
			d.Say("miner %s has finished step %d of %d", p.Miner.Short(), p.Step, p.Steps)
		}
	})
	if err != nil {
		return err
	}
	r := d.picture.Receipt
	if err := d.OK(!d.killed.IsZero() && r.Miner != d.killed && r.Attempt > 1, "another miner, %s, delivered: attempt %d, one picture", r.Miner.Short(), r.Attempt); err != nil {
		return err
	}
	if err := picture.Show(d.Out, picture.Detect(d.cli.stdout, d.cli.getenv), d.picture.Data); err != nil {
		return err
	}
	found, err := grep(d.home, demoPrompt)
	if err != nil {
		return err
	}
	return d.OK(found == "", "no file of ledger, coordinator or miners, their debug logs included, holds the prompt")
}

// grep looks for a string in every file under dir.
func grep(dir, what string) (found string, err error) {
	err = filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		if bytes.Contains(b, []byte(what)) {
			found = p
		}
		return err
	})
	return found, err
}

func (d *demo) receipt(context.Context) error {
	r, _, _, err := essaim.ReadReceiptFile(d.picture.ReceiptFile)
	if err := d.OK(err == nil, "the miner's signature, the user's signature and the binding of one to the other hold"); err != nil {
		return err
	}
	if err := d.OK(essaim.DigestOf(d.picture.Data) == r.Output, "the picture is the one that was signed: %s", d.picture.CID); err != nil {
		return err
	}
	for i := range d.picture.ReceiptFile {
		flipped := bytes.Clone(d.picture.ReceiptFile)
		flipped[i] ^= 1
		if _, _, _, err := essaim.ReadReceiptFile(flipped); err == nil {
			return d.OK(false, "byte %d of the receipt was changed and nobody noticed", i)
		}
	}
	return d.OK(true, "each of its %d bytes was changed in turn, and each change was noticed", len(d.picture.ReceiptFile))
}

func (d *demo) settle(ctx context.Context) (err error) {
	if d.settled, err = d.session.Close(ctx); err != nil {
		return err
	}
	d.Say("transaction %.8s…, height %d, Merkle root %.16s… over %d receipt", d.settled.Tx.Hash, d.settled.Tx.Height, d.settled.Root, d.settled.Root.Count())
	var sum essaim.Amount
	for _, p := range d.settled.Tx.Payments {
		d.Say("%13s  %-28s %s", p.Amount, paidTo(p.Reason), shortAddress(p.To))
		sum += p.Amount
	}
	return d.OK(sum == d.session.Record().Deposit, "together they are the deposit, to the last uaim")
}

func (d *demo) books(ctx context.Context) error {
	after, err := d.balances(ctx)
	if err != nil {
		return err
	}
	want := map[essaim.Address]essaim.Amount{}
	for a, have := range d.before {
		want[a] = have
	}
	want[d.net.Account(devnet.User).Address()] -= d.session.Record().Deposit
	earned := map[essaim.Address]essaim.Amount{}
	for _, p := range d.settled.Tx.Payments {
		if paidIntoPool(p.Reason) {
			earned[p.To] += p.Amount
		} else if _, known := want[p.To]; known {
			want[p.To] += p.Amount
		}
	}
	for a, have := range after {
		if have != want[a] {
			return d.OK(false, "%s has %s, should have %s", a, have, want[a])
		}
	}
	if err := d.OK(true, "every account has exactly what the settlement says"); err != nil {
		return err
	}
	if err := d.pools(ctx, earned); err != nil {
		return err
	}
	dead, err := d.net.Chain().Actor(ctx, d.killed)
	if err != nil {
		return err
	}
	if err := d.OK(after[dead.Owner] == d.before[dead.Owner] && earned[dead.Owner] == 0, "the owner of the killed miner was paid nothing, and lost nothing"); err != nil {
		return err
	}
	t, err := d.net.Chain().Totals(ctx)
	if err != nil {
		return err
	}
	return d.OK(t.Deposited == t.Paid+t.Refunded+t.Escrowed && t.Escrowed == 0, "deposited %s = paid %s + refunded %s + in escrow %s", t.Deposited, t.Paid, t.Refunded, t.Escrowed)
}

// paidIntoPool says whether a payment is shared with those who stake on the payee: they
// claim it when they like.
func paidIntoPool(reason string) bool { return reason == "miner" || reason == "coordinator" }

// pools checks what miners and coordinator have earned against the settlement.
func (d *demo) pools(ctx context.Context, earned map[essaim.Address]essaim.Amount) error {
	miners, err := d.net.Chain().Miners(ctx)
	if err != nil {
		return err
	}
	coordinators, err := d.net.Chain().Coordinators(ctx)
	if err != nil {
		return err
	}
	for _, a := range append(miners, coordinators...) {
		have, err := d.net.Chain().Unclaimed(ctx, a.NodeKey)
		if err != nil {
			return err
		}
		if have != earned[a.Owner] {
			return d.OK(false, "the pool of %s %s has earned %s, should have %s", a.Role, a.NodeKey.Short(), have, earned[a.Owner])
		}
	}
	return d.OK(true, "miner and coordinator have earned it in their pools, for themselves and those who stake on them")
}

// balances asks for every account that has a key in the network's folder.
func (d *demo) balances(ctx context.Context) (map[essaim.Address]essaim.Amount, error) {
	out := map[essaim.Address]essaim.Amount{}
	for _, a := range d.net.Accounts() {
		have, err := d.net.Chain().Balance(ctx, a)
		if err != nil {
			return nil, err
		}
		out[a] = have
	}
	return out, nil
}

func (d *demo) stop() error {
	for _, cmd := range d.children {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if d.stopNet == nil {
		return nil
	}
	return d.stopNet()
}

func shortAddress(a essaim.Address) string {
	s := a.String()
	return s[:12] + "…" + s[len(s)-4:]
}

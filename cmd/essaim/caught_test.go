package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim/chain"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/dispute"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/wallet"
)

// cheatNode is `essaim node DIR` of a miner whose pictures are wrong.
func cheatNode() {
	flip := map[string]byte{"miner-1": 0x40, "miner-2": 0x20}[filepath.Base(os.Args[1])]
	e, err := pixel.New()
	if err != nil {
		panic(err)
	}
	cfg, err := node.Load(os.Args[1])
	if err != nil {
		panic(err)
	}
	n, err := node.New(cfg, node.Options{Engines: []engine.Engine{dispute.Cheat{Engine: e, Flip: flip}}, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		panic(err)
	}
	if err := n.Run(context.Background()); err != nil {
		panic(err)
	}
}

func startCheat(t *testing.T, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("essaim-cheat", dir), log: new(bytes.Buffer)}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// town is a network of processes with a payer, in which receipts are audited.
type town struct {
	*process
	t     *testing.T
	ctx   context.Context
	home  string
	payer *wallet.Account
	keys  []essaim.NodeKey // of the miners
	part  map[string]*process
}

// newTown makes a home, whose slashes are soon final, and starts validator and coordinator.
func newTown(t *testing.T, miners int, block time.Duration) *town {
	t.Helper()
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	home := t.TempDir()
	d, stop, err := startDevnet(ctx, devnet.Config{
		Home: home, Miners: miners, HTTP: "127.0.0.1:0", Serve: true, BlockTime: block,
		Audit:   &node.Audit{Budget: uint64(essaim.AIM), Poll: node.Duration(100 * time.Millisecond)},
		Genesis: func(g *chain.Genesis) { g.Registry.AppealBlocks = 30 },
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{t: t, ctx: ctx, home: home, payer: d.Account(devnet.User), part: map[string]*process{}}
	for _, dir := range d.MinerDirs() {
		key, err := devnet.NodeKey(dir)
		if err != nil {
			t.Fatal(err)
		}
		w.keys = append(w.keys, key)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for name, p := range w.part {
			if p.kill(); t.Failed() {
				t.Logf("%s:\n%s", name, p.log)
			}
		}
	})
	w.start("validator", "coordinator")
	return w
}

func (w *town) start(roles ...string) {
	w.t.Helper()
	for _, role := range roles {
		w.part[role] = startNode(w.t, filepath.Join(w.home, role))
	}
}

func (w *town) cheat(role string) { w.part[role] = startCheat(w.t, filepath.Join(w.home, role)) }

// asked has one picture drawn by the one miner that is as cheap as this, agrees to an audit, and leaves.
func (w *town) asked(price essaim.Amount) essaim.Receipt {
	w.t.Helper()
	s, err := client.Open(w.ctx, configOf(w.ctx, w.t, w.process, w.payer), 100_000)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := s.Draw(w.ctx, client.Request{
		Model: essaim.DigestOf(pixel.Manifest()), Prompt: secretPrompt, Seed: 7, Width: 64, Height: 64, Consent: true, MaxPrice: price,
	}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := s.Close(w.ctx); err != nil {
		w.t.Fatal(err)
	}
	return p.Receipt
}

const secretPrompt = "a red house on a green hill at night"

// played waits until the dispute about a receipt, which somebody opens, has so many moves.
func (w *town) played(r essaim.Receipt, moves uint64) (d essaim.Dispute) {
	w.t.Helper()
	until(w.ctx, w.t, fmt.Sprintf("the dispute has %d moves", moves), func() (bool, error) {
		list, err := w.chain.Disputes(w.ctx, func(d essaim.Dispute) bool { return d.Receipt == r.Digest() })
		if err != nil || len(list) == 0 {
			return false, err
		}
		d = list[0]
		if d.Deadline == 0 {
			return false, fmt.Errorf("it is over after %d moves: %s", d.Turn, d.Verdict)
		}
		return d.Turn >= moves, nil
	})
	return d
}

func (w *town) over(id uint64) (d essaim.Dispute) {
	w.t.Helper()
	until(w.ctx, w.t, "the dispute is over", func() (ok bool, err error) {
		d, err = w.chain.Dispute(w.ctx, id)
		return d.Deadline == 0, err
	})
	return d
}

func (w *town) balance() essaim.Amount {
	w.t.Helper()
	has, err := w.chain.Balance(w.ctx, w.payer.Address())
	if err != nil {
		w.t.Fatal(err)
	}
	return has
}

func (w *town) convicted(d essaim.Dispute, r essaim.Receipt, silent bool, had essaim.Amount) {
	w.t.Helper()
	if d.Verdict != "miner wrong" || d.Silent != silent || d.Slash == 0 || d.Restitution != r.Price || d.Challenger == w.payer.Address() {
		w.t.Errorf("the dispute ended with %+v", d)
	}
	a, err := w.chain.Actor(w.ctx, r.Miner)
	if err != nil || a.JailedUntil == 0 {
		w.t.Errorf("the miner: %+v, %v", a, err)
	}
	if record, err := w.chain.Record(w.ctx, r.Miner); err != nil || record.Slashes != 1 {
		w.t.Errorf("its record: %+v, %v", record, err)
	}
	until(w.ctx, w.t, "the payer has all of it back", func() (bool, error) { return w.balance() == had, nil })
}

// TestCheatIsCaught: every role is a process, and nobody looks. A miner cheats; what the beacon draws finds it, the
// coordinator's node disputes it and wins, though that node and the miner are both killed in the middle of the game and
// started again. The miner is slashed, the payer has its money back, and no prompt is on the ledger.
func TestCheatIsCaught(t *testing.T) {
	w := newTown(t, 3, 300*time.Millisecond)
	w.cheat("miner-1")
	w.start("miner-2", "miner-3")
	w.process = attach(w.ctx, t, w.home, 3)
	had := w.balance()
	r := w.asked(1000)
	if r.Miner != w.keys[0] {
		t.Fatalf("miner %s has drawn it", r.Miner.Short())
	}
	d := w.played(r, 2)
	for _, words := range []string{secretPrompt, "red house", "green hill"} {
		if bytes.Contains(d.Game, []byte(words)) {
			t.Errorf("the game on the ledger holds %q", words)
		}
	}
	w.part["coordinator"].kill()
	w.start("coordinator")
	w.played(r, 5)
	w.part["miner-1"].kill()
	w.cheat("miner-1")
	w.convicted(w.over(d.ID), r, false, had)
	for _, honest := range w.keys[1:] {
		if record, err := w.chain.Record(w.ctx, honest); err != nil || record.Slashes != 0 {
			t.Errorf("an honest miner: %+v, %v", record, err)
		}
	}
	checks, err := attach(w.ctx, t, w.home, 2).api.(client.Auditor).Checked(w.ctx, r.Task)
	if err != nil || checks.State != essaim.AuditDone || len(checks.Checks) != 2 {
		t.Errorf("its checks after a restart: %+v, %v", checks, err)
	}
	for _, part := range w.part {
		part.kill()
	}
	w.noPrompt()
}

// noPrompt looks for the prompt in all that is on any disk.
func (w *town) noPrompt() {
	w.t.Helper()
	err := filepath.WalkDir(w.home, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, words := range []string{secretPrompt, "red house", "green hill"} {
			if bytes.Contains(b, []byte(words)) {
				w.t.Errorf("%s holds %q", name, words)
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestWhoIsSilentLoses: in the middle of a game a miner's process is killed for good, and loses; in the middle of
// another the challenger's node is, and loses, though it was right.
func TestWhoIsSilentLoses(t *testing.T) {
	w := newTown(t, 4, 100*time.Millisecond)
	w.cheat("miner-1")
	w.start("miner-3", "miner-4")
	w.process = attach(w.ctx, t, w.home, 3)
	had := w.balance()
	r := w.asked(1000)
	d := w.played(r, 2)
	w.part["miner-1"].kill()
	w.convicted(w.over(d.ID), r, true, had)
	if shown := said(t, w.home, "--json", "slashes", "show", "1"); single(string(shown)) != nil {
		t.Errorf("the slash is no object:\n%s", shown)
	}

	w.cheat("miner-2")
	attach(w.ctx, t, w.home, 3)
	r = w.asked(1050)
	d = w.played(r, 2)
	w.part["coordinator"].kill()
	if d = w.over(d.ID); d.Verdict != "challenger wrong" || !d.Silent || d.Slash != 0 || r.Miner != w.keys[1] {
		t.Errorf("a challenger that is gone: %+v, about miner %s", d, r.Miner.Short())
	}
}

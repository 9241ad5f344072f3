package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/wallet"
)

// process is an `essaim up` of its own, to be killed.
type process struct {
	cmd   *exec.Cmd
	log   *bytes.Buffer
	api   client.Coordinator
	chain *chainclient.Client
	model essaim.ModelInfo
}

func startProcess(ctx context.Context, t *testing.T, home string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("essaim", "up", "--verbose", "--home", home, "--http", "127.0.0.1:0", "--miners", "2"), log: new(bytes.Buffer)}
	before, _ := devnet.ReadInfo(home)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	err := waitFor(ctx, func() (bool, error) {
		i, err := devnet.ReadInfo(home)
		if err != nil || i.Gateway == "" || i.Gateway == before.Gateway {
			return false, nil
		}
		if p.api, err = client.Dial(i.Gateway); err != nil {
			return false, err
		}
		if p.chain, err = chainclient.Dial(i.Ledger); err != nil {
			return false, err
		}
		info, err := p.api.Info(ctx)
		if err != nil || info.Miners < 2 {
			return false, nil
		}
		p.model = info.Models[0]
		return true, nil
	})
	if err != nil {
		t.Fatalf("the network does not come up: %v\n%s", err, p.log)
	}
	return p
}

// kill is SIGKILL: nothing is flushed, closed or said.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// TestKillNine kills the whole network with SIGKILL between a result and its
// settlement, and at random moments while it settles, and starts it again on the same
// home: every delivered picture is paid for exactly once, and no uaim is lost.
func TestKillNine(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for a minute")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	home := t.TempDir()
	p := startProcess(ctx, t, home)
	account, err := wallet.Open(filepath.Join(home, "keys")).Load(devnet.User, "")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var paid, deposited essaim.Amount
	for round := range 5 {
		s, prices := drawTwo(ctx, t, p, account)
		saved := s.Save()
		if round > 0 { // the first round dies before anybody asked to settle
			go func() { _, _ = s.Close(ctx) }()
			select {
			case <-time.After(time.Duration(random.IntN(450)) * time.Millisecond): // where in the settlement to strike
			case <-ctx.Done():
			}
		}
		p.kill()
		p = startProcess(ctx, t, home)
		settleRestored(ctx, t, p, account, saved)
		got, err := p.chain.Settlement(ctx, s.Record().ID)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got.Paid != prices || got.Tasks != 2 {
			t.Fatalf("round %d: settled %d tasks for %s, want 2 for %s", round, got.Tasks, got.Paid, prices)
		}
		paid, deposited = paid+prices, deposited+s.Record().Deposit
	}
	totals, err := p.chain.Totals(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := (chainclient.Totals{Deposited: deposited, Paid: paid, Refunded: deposited - paid}); totals != want {
		t.Errorf("the books say %+v, want %+v", totals, want)
	}
}

func configOf(ctx context.Context, t *testing.T, p *process, account *wallet.Account) client.Config {
	t.Helper()
	chainID, err := p.chain.ChainID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return client.Config{Coordinator: p.api, Ledger: devnet.Payer(p.chain, account), ChainID: chainID}
}

func drawTwo(ctx context.Context, t *testing.T, p *process, account *wallet.Account) (*client.Session, essaim.Amount) {
	t.Helper()
	s, err := client.Open(ctx, configOf(ctx, t, p, account), 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var prices essaim.Amount
	for i := range uint64(2) {
		picture, err := s.Draw(ctx, client.Request{Model: p.model.Digest, Prompt: "a red apple", Seed: i, Width: 64, Height: 64}, nil)
		if err != nil {
			t.Fatal(err)
		}
		prices += picture.Receipt.Price
	}
	return s, prices
}

// settleRestored closes a session that was saved before the crash. It may have been
// settled in the meantime; then the ledger says so.
func settleRestored(ctx context.Context, t *testing.T, p *process, account *wallet.Account, saved []byte) {
	t.Helper()
	s, err := client.Restore(ctx, configOf(ctx, t, p, account), saved)
	if essaim.CodeOf(err) == essaim.CodeConflict && err != nil {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Close(ctx); err != nil && essaim.CodeOf(err) != essaim.CodeConflict {
		t.Fatalf("close after the crash: %v", err)
	}
}

// TestDemo: the story holds, in less than a minute.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	out, err := exec.Command("essaim", "demo").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got := bytes.Count(out, []byte("\n  ok  ")); got < 12 {
		t.Errorf("the story checked %d claims, want at least 12:\n%s", got, out)
	}
}

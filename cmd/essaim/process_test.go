package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	chainclient "github.com/essaim/essaim/chain/client"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	engines "github.com/essaim/essaim/engine/all"
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

func startProcess(ctx context.Context, t *testing.T, home string, more ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("essaim", append([]string{"up", "--verbose", "--home", home, "--http", "127.0.0.1:0", "--miners", "2"}, more...)...), log: new(bytes.Buffer)}
	before, _ := devnet.ReadInfo(home)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	err := term.Until(ctx, func() (bool, error) {
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

// startFresh starts one on a home of its own, and opens its user's account.
func startFresh(ctx context.Context, t *testing.T) (home string, p *process, user *wallet.Account) {
	t.Helper()
	home = t.TempDir()
	p = startProcess(ctx, t, home)
	return home, p, userOf(t, home)
}

// userOf opens the account of a home's user.
func userOf(t *testing.T, home string) *wallet.Account {
	t.Helper()
	account, err := wallet.Open(filepath.Join(home, "keys")).Load(devnet.User, "")
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// startApart starts every role of a home as a process of its own.
func startApart(ctx context.Context, t *testing.T, home string) (p, coordinator *process) {
	t.Helper()
	for _, role := range []string{"validator", "miner-1", "miner-2"} {
		startNode(t, filepath.Join(home, role))
	}
	coordinator = startNode(t, filepath.Join(home, "coordinator"))
	return attach(ctx, t, home, 2), coordinator
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
	home, p, account := startFresh(ctx, t)
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
	return client.Config{Coordinator: p.api, Ledger: devnet.Payer(p.chain, account), ChainID: chainID, Plan: engines.Plan}
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

// startNode runs one role of a home as a process of its own.
func startNode(t *testing.T, dir string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("essaim", "node", dir, "--verbose"), log: new(bytes.Buffer)}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.kill(); t.Failed() && p.cmd.ProcessState.Exited() {
			t.Logf("%s has ended by itself:\n%s", dir, p.log)
		}
	})
	return p
}

// TestEveryRoleAlone runs validator, coordinator and miners as processes of their own
// and kills the coordinator in the middle of a session: the miners dial it again when
// it is back, the session goes on, and each picture is paid for once.
func TestEveryRoleAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home).kill() // makes the home and registers everybody
	p, coordinator := startApart(ctx, t, home)
	account := userOf(t, home)
	s, prices := drawTwo(ctx, t, p, account)
	coordinator.kill()
	startNode(t, filepath.Join(home, "coordinator"))
	p = attach(ctx, t, home, 2)
	picture, err := s.Draw(ctx, client.Request{Model: p.model.Digest, Prompt: "a green apple", Seed: 9, Width: 64, Height: 64}, nil)
	if err != nil {
		t.Fatalf("draw with the coordinator that came back: %v", err)
	}
	settled, err := s.Close(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := prices + picture.Receipt.Price; settled.Root.Sum() != want || settled.Root.Count() != 3 {
		t.Errorf("settled %d pictures for %s, want 3 for %s", settled.Root.Count(), settled.Root.Sum(), want)
	}
}

// attach waits until the coordinator of a home answers with so many miners connected.
func attach(ctx context.Context, t *testing.T, home string, miners int) *process {
	t.Helper()
	i, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{}
	if p.api, err = client.Dial(i.Gateway); err != nil {
		t.Fatal(err)
	}
	if p.chain, err = chainclient.Dial(i.Ledger); err != nil {
		t.Fatal(err)
	}
	err = term.Until(ctx, func() (bool, error) {
		info, err := p.api.Info(ctx)
		if err != nil || info.Miners < miners {
			return false, nil
		}
		p.model = info.Models[0]
		return true, nil
	})
	if err != nil {
		t.Fatalf("the coordinator does not come back: %v", err)
	}
	return p
}

// TestOpenAIClient draws with the official client on a real network: the picture is
// behind its CID, its receipt stands, and the key is charged.
func TestOpenAIClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home)
	i, err := devnet.ReadInfo(home)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := exec.Command("essaim", "--home", home, "apikey", "create", "test").Output()
	if err != nil {
		t.Fatal(err)
	}
	api := openai.NewClient(option.WithBaseURL(i.Gateway+"/v1"), option.WithAPIKey(strings.TrimSpace(string(secret))))
	images, err := api.Images.Generate(ctx, openai.ImageGenerateParams{Prompt: "a blue house", ResponseFormat: openai.ImageGenerateParamsResponseFormatURL})
	if err != nil {
		t.Fatal(err)
	}
	picture := get(ctx, t, images.Data[0].URL)
	if got := essaim.CIDOf(essaim.DigestOf(picture)); !strings.HasSuffix(images.Data[0].URL, got) {
		t.Errorf("%s holds %s", images.Data[0].URL, got)
	}
	var extension struct{ Receipt string }
	if err := json.Unmarshal([]byte(images.Data[0].JSON.ExtraFields["essaim"].Raw()), &extension); err != nil {
		t.Fatal(err)
	}
	r, _, _, err := essaim.ReadReceiptFile(get(ctx, t, i.Gateway+"/ipfs/"+extension.Receipt))
	if err != nil || r.Output != essaim.DigestOf(picture) {
		t.Errorf("receipt %s: %v", extension.Receipt, err)
	}
	// The price is entered behind the answer, for other processes some milliseconds later.
	want, list := "spent "+r.Price.String(), []byte(nil)
	for err == nil && ctx.Err() == nil && !strings.Contains(string(list), want) {
		list, err = exec.CommandContext(ctx, "essaim", "--home", home, "apikey", "list").Output()
	}
	if err != nil {
		t.Errorf("apikey list says %q (%v), want %q", list, err, want)
	}
}

func get(ctx context.Context, t *testing.T, url string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, resp.Status, err)
	}
	return b
}

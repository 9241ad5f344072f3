package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/cmd/essaim/term"
	"github.com/essaim/essaim/devnet"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/receipts/sumtree"
	"github.com/essaim/essaim/wallet"
)

// soon is a payer's ledger whose sessions expire after so many blocks.
type soon struct {
	client.Ledger
	blocks int64
}

func (s soon) OpenSession(ctx context.Context, coordinator essaim.NodeKey, deposit essaim.Amount, key essaim.NodeKey, _ int64) (essaim.SessionID, essaim.Tx, error) {
	height, err := s.Height(ctx)
	if err != nil {
		return 0, essaim.Tx{}, err
	}
	return s.Ledger.OpenSession(ctx, coordinator, deposit, key, height+s.blocks)
}

// TestCoordinatorIsKilled: each role is a process, and the coordinator's ends with SIGKILL
// for good. Of one session its miners claim what was acknowledged when it has lapsed, by
// themselves, and the payer has the rest back. Another is settled with its key, with more
// than the receipts say: `session audit --challenge` finds it and the ledger convicts; what
// the beacon asks nobody answers, and the payer has all of it back. No uaim is lost.
func TestCoordinatorIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	home := t.TempDir()
	startProcess(ctx, t, home).kill() // makes the home and registers everybody
	p, coordinator := startApart(ctx, t, home)
	account := userOf(t, home)
	supply := supplyOf(ctx, t, p)
	before, err := p.chain.Balance(ctx, account.Address())
	if err != nil {
		t.Fatal(err)
	}
	kept, _ := drawIn(ctx, t, p, account, 250, 3)
	lied, pictures := drawIn(ctx, t, p, account, 3000, 2)
	if err := kept.Acknowledge(ctx); err != nil {
		t.Fatal(err)
	}
	id := kept.Record().ID
	until(ctx, t, "the miners have promise and voucher", func() (bool, error) {
		promised, vouched, err := keptBy(ctx, home, id)
		return promised == kept.Spent() && vouched == kept.Spent(), err
	})
	coordinator.kill()

	file, settled := lie(ctx, t, p, home, lied.Record().ID, pictures)
	convicted := auditWith(t, home, lied.Record().ID, file)
	if len(convicted) != 1 || convicted[0].Slash == 0 || convicted[0].Fault == "" {
		t.Errorf("the audit has convicted %+v", convicted)
	}
	if again := auditWith(t, home, lied.Record().ID, file); len(again) != 0 {
		t.Errorf("convicted again: %+v", again)
	}
	key := lied.Record().Coordinator
	if record, err := p.chain.Record(ctx, key); err != nil || record.Slashes == 0 {
		t.Errorf("record %+v: %v", record, err)
	}

	until(ctx, t, "the lapsed session is over", func() (bool, error) {
		s, err := p.chain.Session(ctx, id)
		return s.State == essaim.SessionExpired, err
	})
	until(ctx, t, "nothing of the false settlement waits", func() (bool, error) {
		s, err := p.chain.Settlement(ctx, lied.Record().ID)
		return s.Pending == 0, err
	})
	var paid essaim.Amount
	for _, name := range []string{"miner-1", "miner-2"} {
		node, err := devnet.NodeKey(filepath.Join(home, name))
		if err != nil {
			t.Fatal(err)
		}
		line, err := p.chain.Line(ctx, id, node, p.model.Digest)
		if err != nil && essaim.CodeOf(err) != essaim.CodeNotFound {
			t.Fatal(err)
		}
		paid += line.Amount
	}
	if paid != kept.Spent() {
		t.Errorf("the miners were paid %d of the lapsed session, acknowledged were %d", paid, kept.Spent())
	}
	if after, err := p.chain.Balance(ctx, account.Address()); err != nil || after != before-kept.Spent() {
		t.Errorf("the payer has %d (%v), want %d: of %d settled falsely nothing is acknowledged", after, err, before-kept.Spent(), settled)
	}
	if got := supplyOf(ctx, t, p); got != supply {
		t.Errorf("the supply was %s and is %s", supply, got)
	}
}

func until(ctx context.Context, t *testing.T, what string, yes func() (bool, error)) {
	t.Helper()
	if err := term.Until(ctx, yes); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func supplyOf(ctx context.Context, t *testing.T, p *process) string {
	t.Helper()
	b, err := p.chain.Query(ctx, "/cosmos.bank.v1beta1.Query/SupplyOf", json.RawMessage(`{"denom":"`+essaim.Denom+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func drawIn(ctx context.Context, t *testing.T, p *process, account *wallet.Account, blocks int64, n int) (*client.Session, []*client.Picture) {
	t.Helper()
	cfg := configOf(ctx, t, p, account)
	cfg.Ledger = soon{cfg.Ledger, blocks}
	s, err := client.Open(ctx, cfg, essaim.AIM)
	if err != nil {
		t.Fatal(err)
	}
	var out []*client.Picture
	for i := range n {
		picture, err := s.Draw(ctx, client.Request{Model: p.model.Digest, Prompt: "a red apple", Seed: uint64(i), Width: 64, Height: 64}, nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, picture)
	}
	return s, out
}

// keptBy adds up what the miners were promised of a session; vouched is the lowest voucher
// of those with a promise.
func keptBy(ctx context.Context, home string, id essaim.SessionID) (promised, vouched essaim.Amount, err error) {
	vouched = ^essaim.Amount(0)
	for _, name := range []string{"miner-1", "miner-2"} {
		b, err := miner.OpenBook(filepath.Join(home, name, node.ReceiptsFile))
		if err != nil {
			return 0, 0, err
		}
		list, err := b.Promises(ctx)
		for _, p := range list {
			if p.Session == id {
				v, _, missed := b.Voucher(ctx, p.Coordinator, id)
				promised, vouched, err = promised+p.Total, min(vouched, v), errors.Join(err, missed)
			}
		}
		if err := errors.Join(err, b.Close()); err != nil {
			return 0, 0, err
		}
	}
	return promised, vouched, nil
}

// lie settles a session with the coordinator's key from true tasks and receipts, but for
// the amount of the last one; file is the set that the settlement names.
func lie(ctx context.Context, t *testing.T, p *process, home string, id essaim.SessionID, pictures []*client.Picture) (file string, sum essaim.Amount) {
	t.Helper()
	keys, err := wallet.LoadNodeKeys(filepath.Join(home, "coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	operator, err := wallet.Open(filepath.Join(home, "keys")).Load("operator", "")
	if err != nil {
		t.Fatal(err)
	}
	chainID, err := p.chain.ChainID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(pictures, func(a, b *client.Picture) int { return receipts.Compare(a.Receipt, b.Receipt) })
	s := essaim.Settlement{ChainID: chainID, Session: id}
	part := receipts.Part{Kind: "essaim.receipts.part", ChainID: chainID, Session: id}
	entry := receipts.Entry{}
	for i, x := range pictures {
		f, err := essaim.DecodeReceiptFile(x.ReceiptFile)
		if err != nil {
			t.Fatal(err)
		}
		amount := x.Receipt.Price
		if i == len(pictures)-1 {
			amount *= 100
		}
		part.Leaves = append(part.Leaves, receipts.Leaf{Task: f.Task, Receipt: f.Receipt, Amount: amount})
		signed := essaim.DigestOf(f.Receipt)
		entry.Tags = append(entry.Tags, signed[:4]...)
		if n := len(s.Lines); n == 0 || s.Lines[n-1].Miner != x.Receipt.Miner {
			s.Lines = append(s.Lines, essaim.Line{Miner: x.Receipt.Miner, Model: p.model.Digest})
		}
		line := &s.Lines[len(s.Lines)-1]
		line.Amount, line.Tasks = line.Amount+amount, line.Tasks+1
	}
	tree, err := sumtree.Build(func(yield func(sumtree.Leaf) bool) {
		for _, l := range part.Leaves {
			if !yield(sumtree.Leaf{Task: essaim.DigestOf(l.Task), Receipt: essaim.DigestOf(l.Receipt), Amount: l.Amount}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	body, err1 := cbor.Marshal(part)
	entry.Blob, entry.Root, entry.First = essaim.DigestOf(body), tree.Root(), essaim.DigestOf(part.Leaves[0].Receipt)
	index, err2 := cbor.Marshal(receipts.Index{Kind: "essaim.receipts", ChainID: chainID, Session: id, Parts: []receipts.Entry{entry}})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	s.Root, s.Receipts = tree.Root(), essaim.DigestOf(index)
	tx, err := p.chain.Settle(ctx, operator, s, ed25519.Sign(keys.Sign, s.SignBytes(keys.ID())), nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := p.chain.SettledBy(ctx, id); err != nil || found.Hash != tx.Hash {
		t.Errorf("the block of the settlement has %+v (%v), want %s", found, err, tx.Hash)
	}
	var kept bytes.Buffer
	fetch := receipts.Keep(func(_ context.Context, d, _ essaim.Digest) ([]byte, error) {
		if d == s.Receipts {
			return index, nil
		}
		return body, nil
	}, &kept)
	for _, d := range []essaim.Digest{s.Receipts, entry.Blob} {
		if _, err := fetch(ctx, d, essaim.Digest{}); err != nil {
			t.Fatal(err)
		}
	}
	file = filepath.Join(t.TempDir(), "receipts")
	if err := os.WriteFile(file, kept.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, s.Root.Sum()
}

type conviction struct {
	Fault string
	Slash uint64
}

// auditWith runs the audit with a challenge, which must say that the settlement is false.
func auditWith(t *testing.T, home string, id essaim.SessionID, file string) []conviction {
	t.Helper()
	out, err := exec.Command("essaim", "--home", home, "session", "audit", id.String(), "--file", file, "--challenge", "--json").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("the audit ends with %v, want 1: %s", err, out)
	}
	var said struct {
		OK         bool
		Challenged []conviction
	}
	if err := json.Unmarshal(out, &said); err != nil || said.OK {
		t.Fatalf("%v: %s", err, out)
	}
	return said.Challenged
}

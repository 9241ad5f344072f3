package devnet

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/chain"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/miner"
	"github.com/essaim/essaim/node"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/wallet"
)

// liar has the coordinator's key, its log and an account: it settles what it likes, and
// answers nobody.
type liar struct {
	*running
	keys  wallet.NodeKeys
	log   *receiptlog.Log
	blobs *mem.Store
}

// lie stops the coordinator and takes its place.
func (r *running) lie() *liar {
	r.t.Helper()
	r.stopCoordinator()
	dir := r.coordinatorConfig().Dir
	keys, err := wallet.LoadNodeKeys(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := receiptlog.Open(filepath.Join(dir, node.LogFile))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { log.Close() })
	return &liar{r, keys, log, mem.New()}
}

func (l *liar) leaves(id essaim.SessionID) (out []essaim.ReceiptFile) {
	l.t.Helper()
	for f, err := range l.log.Leaves(l.t.Context(), id) {
		if err != nil {
			l.t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// forge makes one more receipt after a true one, by the same miner, who is in on it. The
// payer has never signed its task.
func (l *liar) forge(f essaim.ReceiptFile) essaim.ReceiptFile {
	l.t.Helper()
	keys, err := wallet.LoadNodeKeys(l.MinerDirs()[0])
	if err != nil {
		l.t.Fatal(err)
	}
	task, _, err := essaim.OpenTask(f.Task)
	if err != nil {
		l.t.Fatal(err)
	}
	sound, err := essaim.OpenReceipt(f.Receipt)
	if err != nil {
		l.t.Fatal(err)
	}
	task.Seq++
	r := sound
	r.Seq, r.Task = task.Seq, task.Digest()
	if f.Task, err = essaim.SignTask(task, l.keys.Sign); err != nil {
		l.t.Fatal(err)
	}
	if f.Receipt, err = essaim.SignReceipt(r, keys.Sign); err != nil {
		l.t.Fatal(err)
	}
	return f
}

// settle settles leaves as they are, with the payer's voucher or without.
func (l *liar) settle(id essaim.SessionID, leaves []essaim.ReceiptFile, voucher []byte) essaim.Settlement {
	l.t.Helper()
	s, err := receipts.Sum(l.t.Context(), l.blobs.Put, l.info.ChainID, id, func(yield func(essaim.ReceiptFile, error) bool) {
		for _, f := range leaves {
			if !yield(f, nil) {
				return
			}
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if _, err := l.Chain().Settle(l.t.Context(), l.Account(operatorName), s, ed25519.Sign(l.keys.Sign, s.SignBytes(l.keys.ID())), voucher); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// promise is what the first miner has of a session.
func (r *running) promise(id essaim.SessionID) miner.Promise {
	r.t.Helper()
	b, err := miner.OpenBook(filepath.Join(r.MinerDirs()[0], node.ReceiptsFile))
	if err != nil {
		r.t.Fatal(err)
	}
	defer b.Close()
	list, err := b.Promises(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p miner.Promise) bool { return p.Session == id })
	if i < 0 {
		return miner.Promise{}
	}
	return list[i]
}

// TestLyingCoordinator on a network that runs. In one session it adds work that nobody has
// ordered: the payer's audit finds it, and the ledger takes it back and a part of the
// stake. In another it does not show what the beacon asks for: all that waits goes back to
// the payer, and the miner gets what it was promised out of the stake.
func TestLyingCoordinator(t *testing.T) {
	r := start(t, Config{Miners: 1, Genesis: func(g *chain.Genesis) { g.Market.ChallengeBlocks, g.Market.OpeningBlocks = 60, 100 }})
	price := minerPrice(0)
	before := r.balance(User)
	forged, silent := r.open(1*essaim.AIM, 2000), r.open(1*essaim.AIM, 2000)
	r.draw(forged, 3)
	r.draw(silent, 2)
	if err := forged.Acknowledge(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, other := forged.Record().ID, silent.Record().ID
	r.eventually("the miner has the promises", func() bool { return r.promise(id).Total == 3*price && r.promise(other).Total == 2*price })
	l := r.lie()
	voucher, err := l.log.Voucher(t.Context(), id)
	if err != nil || voucher.Amount != 3*price {
		t.Fatalf("voucher over %d: %v", voucher.Amount, err)
	}
	honest := l.leaves(id)
	l.settle(other, l.leaves(other), nil)
	l.settle(id, append(honest, l.forge(honest[len(honest)-1])), voucher.Signed)

	// The payer audits, and shows what it has found.
	s, err := r.Chain().Settlement(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	session, err := r.Chain().Session(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) { return l.blobs.Get(ctx, d) }
	report, err := receipts.Audit(t.Context(), fetch, receipts.Claim{ChainID: r.info.ChainID, Session: session, Root: s.Root, Receipts: s.Receipts, Lines: s.Lines})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Fault != receipts.FaultUnsigned || report.Findings[0].Leaf != 4 {
		t.Fatalf("audit %+v: %v", report, err)
	}
	opener, err := receipts.Open(t.Context(), fetch, s.Receipts)
	if err != nil {
		t.Fatal(err)
	}
	accuse := func(leaf int) error {
		o, err := opener.Leaf(t.Context(), leaf)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := r.Chain().Challenge(t.Context(), r.Account(User), id, []essaim.Opening{o})
		if err == nil && (c.Voided+c.Restitution != price || c.Slash == 0) {
			t.Errorf("conviction %+v", c)
		}
		return err
	}
	if err := accuse(0); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a true leaf was challenged: %v", err)
	}
	if err := accuse(3); err != nil {
		t.Fatalf("challenge: %v", err)
	}
	if err := accuse(3); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("a leaf was challenged twice: %v", err)
	}

	// Nobody answers the beacon.
	r.eventually("what waits is void", func() bool {
		a, err1 := r.Chain().Settlement(t.Context(), id)
		b, err2 := r.Chain().Settlement(t.Context(), other)
		return err1 == nil && err2 == nil && a.Pending+b.Pending == 0
	})
	// Rounding: what each payee is paid at once is rounded down, and the rest was waiting.
	if got, want := r.balance(User), before-3*price; got < want || got > want+10 {
		t.Errorf("the payer has %d, want %d: the acknowledged work is paid for and nothing else", got, want)
	}
	r.eventually("the miner has claimed", func() bool { return r.promise(other).Outcome == miner.OutcomeClaimed })
	record, err := r.Chain().Record(t.Context(), l.keys.ID())
	if err != nil || record.Slashes < 3 || record.Unpaid < 1 {
		t.Errorf("record %+v: %v", record, err)
	}
}

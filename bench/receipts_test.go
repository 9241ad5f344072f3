//go:build unix

package bench

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pokt-network/smt"
	"github.com/pokt-network/smt/kvstore/simplemap"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/dir"
	"github.com/essaim/essaim/coordinator/receiptlog"
	"github.com/essaim/essaim/receipts"
	"github.com/essaim/essaim/receipts/sumtree"
)

// together is how many signatures are checked at once.
const together = 256

// receiptsN is how many receipts a run makes: RECEIPTS, or fallback.
func receiptsN(b *testing.B, fallback int) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("RECEIPTS"))
	if err != nil {
		return fallback
	}
	return n
}

// stages measures steps one after the other, in CPU time of the process: time on the clock
// says nothing on a machine that others load.
type stages struct {
	b     *testing.B
	start time.Duration
	names []string
	took  map[string]time.Duration
}

func newStages(b *testing.B) *stages {
	return &stages{b: b, start: cpuTime(b), took: map[string]time.Duration{}}
}

func (s *stages) begin() { s.start = cpuTime(s.b) }

func (s *stages) done(name string) {
	if _, ok := s.took[name]; !ok {
		s.names = append(s.names, name)
	}
	s.took[name] += cpuTime(s.b) - s.start
	s.begin()
}

// report tells each step's CPU time, divided by how often it was done in a round, and returns the sum.
func (s *stages) report(times int) (sum time.Duration) {
	for _, name := range s.names {
		d := s.took[name] / time.Duration(s.b.N)
		s.b.ReportMetric(float64(d.Nanoseconds())/1e3/float64(times), name+"-us")
		sum += d
	}
	return sum
}

// each calls f for 0 ... n-1 from as many goroutines as there are processors.
func each(n int, f func(i int)) {
	var g sync.WaitGroup
	procs := runtime.GOMAXPROCS(0)
	for p := range procs {
		g.Go(func() {
			for i := p * n / procs; i < (p+1)*n/procs; i++ {
				f(i)
			}
		})
	}
	g.Wait()
}

type work struct {
	payer, coordinator ed25519.PrivateKey
	miners             []ed25519.PrivateKey
	tasks              []essaim.Task
	files              []essaim.ReceiptFile
	receipts           []essaim.Receipt
}

func newWork(b *testing.B, n, miners int) *work {
	w := &work{payer: newKey(b), coordinator: newKey(b), tasks: make([]essaim.Task, n), files: make([]essaim.ReceiptFile, n), receipts: make([]essaim.Receipt, n)}
	for range miners {
		w.miners = append(w.miners, newKey(b))
	}
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *work) signTask(i int) {
	t := essaim.NewTask(chainID, 1, uint64(i+1))
	t.Kind, t.Model, t.Input, t.Seed = essaim.KindImage, essaim.DigestOf([]byte("model")), essaim.DigestOf(fmt.Append(nil, i)), uint64(i)
	t.Width, t.Height, t.Steps, t.MaxPrice, t.Deadline = 256, 256, 1, 2000, 1_800_000_000_000
	w.tasks[i], w.files[i].Task = t, must(essaim.SignTask(t, w.payer))
}

func (w *work) signReceipt(i int) {
	r := essaim.NewReceipt(w.tasks[i])
	key := w.miners[i%len(w.miners)]
	r.Attempt, r.Miner, r.Coordinator = 1, essaim.NodeKeyOf(key), essaim.NodeKeyOf(w.coordinator)
	r.Engine, r.Output, r.MediaType, r.Size = "pixel", r.Input, "image/png", 20_000
	r.Pixels, r.Sealed, r.Units, r.Price = r.Input, r.Input, 1, essaim.Amount(1000+i%1000)
	r.Started, r.Finished = 1_799_999_000_000, 1_799_999_000_050
	w.receipts[i], w.files[i].Receipt = r, must(essaim.SignReceipt(r, key))
}

// check reads and checks signatures, together at a time.
func check(b *testing.B, n int, read func(i int) (essaim.Signature, error)) {
	each((n+together-1)/together, func(p int) {
		all := make([]essaim.Signature, 0, together)
		for i := p * together; i < min(n, (p+1)*together); i++ {
			all = append(all, must(read(i)))
		}
		if errs := essaim.CheckSignatures(all); errs != nil {
			b.Error(errs[0])
		}
	})
}

// BenchmarkReceipts is all arithmetic of a receipt, step by step: both signatures are made
// and checked, the receipt is held against its task, both are written durably to the coordinator's log, and the
// tree and its set are made. No network, no engine. Each metric is CPU time a receipt.
func BenchmarkReceipts(b *testing.B) {
	n := receiptsN(b, 20_000)
	s := newStages(b)
	for b.Loop() {
		w := newWork(b, n, 3)
		log, err := receiptlog.Open(filepath.Join(b.TempDir(), "log.db"))
		if err != nil {
			b.Fatal(err)
		}
		s.begin()
		each(n, w.signTask)
		s.done("sign-task")
		check(b, n, func(i int) (essaim.Signature, error) { _, s, err := essaim.ReadTask(w.files[i].Task); return s, err })
		s.done("check-task")
		each(n, w.signReceipt)
		s.done("sign-receipt")
		check(b, n, func(i int) (essaim.Signature, error) {
			r, s, err := essaim.ReadReceipt(w.files[i].Receipt)
			if err == nil {
				err = r.Binds(w.tasks[i])
			}
			return s, err
		})
		s.done("check-receipt")
		keep(b, log, w, s.done)
		var t sumtree.Builder
		for _, f := range w.files {
			if err := t.Add(sumtree.Leaf{Task: essaim.DigestOf(f.Task), Receipt: essaim.DigestOf(f.Receipt), Amount: 1000}); err != nil {
				b.Fatal(err)
			}
		}
		s.done("tree")
		if err := log.Close(); err != nil {
			b.Fatal(err)
		}
	}
	cpu := s.report(n).Seconds() / float64(n)
	b.ReportMetric(cpu*1e6, "cpu-us/receipt")
	b.ReportMetric(2/cpu, "receipts/s-on-2-cores")
}

// keep writes tasks and receipts to the log from 512 goroutines, as short tasks under way do.
func keep(b *testing.B, log *receiptlog.Log, w *work, done func(string)) {
	many := func(f func(i int) error) {
		var g sync.WaitGroup
		const writers = 512
		for p := range writers {
			g.Go(func() {
				for i := p; i < len(w.files); i += writers {
					if err := f(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		g.Wait()
	}
	many(func(i int) error {
		e := log.Begin(w.receipts[i].Task, w.tasks[i], w.files[i].Task, nil)
		return e.Accept(w.receipts[i], w.files[i], nil, essaim.TaskDelivered)
	})
	done("log")
}

// BenchmarkSettle settles a session from the coordinator's log: every byte compared with its
// checksum, tree, set, index. RECEIPTS says how many, 100 payees share them.
func BenchmarkSettle(b *testing.B) {
	n := receiptsN(b, 50_000)
	w := newWork(b, n, 100)
	each(n, func(i int) { w.signTask(i); w.signReceipt(i) })
	home := b.TempDir()
	log, err := receiptlog.Open(filepath.Join(home, "log.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	keep(b, log, w, func(string) {})
	w = nil
	blobs, err := dir.Open(filepath.Join(home, "blobs"))
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var settled essaim.Settlement
	peak := watchHeap()
	s := newStages(b)
	for b.Loop() {
		if settled, err = receipts.SumChecked(b.Context(), blobs.Put, chainID, 1, log.Leaves(b.Context(), 1)); err != nil {
			b.Fatal(err)
		}
		s.done("settle")
	}
	b.ReportMetric(float64(peak()-before.HeapAlloc)/1e6, "peak-MB")
	b.ReportMetric(s.report(n).Seconds()/float64(n)*1e6, "cpu-s/million")
	b.ReportMetric(float64(size(b, home, "log.db"))/1e6/float64(n)*1e6, "log-MB/million")
	b.ReportMetric(float64(size(b, filepath.Join(home, "blobs"), ""))/1e6/float64(n)*1e6, "set-MB/million")
	b.ReportMetric(float64(len(settled.SignBytes(essaim.NodeKey{}))), "settlement-bytes")
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) { return blobs.Get(ctx, d) }
	o, err := receipts.Open(b.Context(), fetch, settled.Receipts)
	if err != nil {
		b.Fatal(err)
	}
	s = newStages(b)
	shown, err := o.At(b.Context(), settled.Root.Sum()/2)
	if err != nil {
		b.Fatal(err)
	}
	s.done("open")
	s.report(1)
	s = newStages(b)
	b.ReportMetric(float64(len(shown.Encode())), "opening-bytes")
	report, err := receipts.Audit(b.Context(), fetch, receipts.Claim{ChainID: chainID, Root: settled.Root, Receipts: settled.Receipts, Lines: settled.Lines,
		Session: essaim.Session{ID: 1, SessionKey: sessionKey(b, shown), Coordinator: must(essaim.OpenReceipt(shown.Receipt)).Coordinator}})
	if err != nil || report.Faults != 0 {
		b.Fatalf("%d faults: %v", report.Faults, err)
	}
	s.done("audit")
	s.report(n)
}

// sessionKey is the session's key.
func sessionKey(b *testing.B, o essaim.Opening) essaim.NodeKey {
	_, payer, err := essaim.OpenTask(o.Task)
	if err != nil {
		b.Fatal(err)
	}
	return payer
}

// watchHeap samples the heap until its answer is called.
func watchHeap() (peak func() uint64) {
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-stop:
				tick.Stop()
				done <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { close(stop); return <-done }
}

func size(b *testing.B, root, prefix string) (total int64) {
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || prefix != "" && !slices.Contains([]string{prefix, prefix + "-wal"}, d.Name()) {
			return err
		}
		i, err := d.Info()
		if err == nil {
			total += i.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return total
}

// BenchmarkTrees holds our tree beside the sparse Merkle-sum trie of pokt-network/smt, both in
// memory, with the same leaves: building, the way of every leaf to the root, checking it.
func BenchmarkTrees(b *testing.B) {
	n := receiptsN(b, 20_000)
	leaves := make([]sumtree.Leaf, n)
	for i := range leaves {
		leaves[i] = sumtree.Leaf{Task: essaim.DigestOf(fmt.Append(nil, "task", i)), Receipt: essaim.DigestOf(fmt.Append(nil, "receipt", i)), Amount: essaim.Amount(1000 + i%1000)}
	}
	b.Run("sumtree", func(b *testing.B) {
		s := newStages(b)
		for b.Loop() {
			t, err := sumtree.Build(slices.Values(leaves))
			if err != nil {
				b.Fatal(err)
			}
			s.done("update")
			proofs := make([]sumtree.Proof, n)
			for i := range proofs {
				proofs[i] = t.Prove(i)
			}
			s.done("prove")
			for i, p := range proofs {
				if _, err := sumtree.Verify(t.Root(), leaves[i], p); err != nil {
					b.Fatal(err)
				}
			}
			s.done("verify")
			b.ReportMetric(float64(48*len(proofs[0].Siblings)), "proof-bytes")
		}
		s.report(n)
	})
	b.Run("smt", func(b *testing.B) {
		s := newStages(b)
		for b.Loop() {
			t := smt.NewSparseMerkleSumTrie(simplemap.NewSimpleMap(), sha256.New())
			for _, l := range leaves {
				if err := t.Update(l.Receipt[:], l.Task[:], uint64(l.Amount)); err != nil {
					b.Fatal(err)
				}
			}
			if err := t.Commit(); err != nil {
				b.Fatal(err)
			}
			s.done("update")
			proofs := make([]*smt.SparseMerkleProof, n)
			for i, l := range leaves {
				var err error
				if proofs[i], err = t.Prove(l.Receipt[:]); err != nil {
					b.Fatal(err)
				}
			}
			s.done("prove")
			for i, l := range leaves {
				if ok, err := smt.VerifySumProof(proofs[i], t.Root(), l.Receipt[:], l.Task[:], uint64(l.Amount), 1, t.Spec()); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
			s.done("verify")
			b.ReportMetric(float64(len(must(proofs[0].Marshal()))), "proof-bytes")
		}
		s.report(n)
	})
}

// BenchmarkOpening is what it takes to check one opening of a million leaves, without a
// ledger around it: the way to the root, both signatures, and that the receipt answers the
// task.
func BenchmarkOpening(b *testing.B) {
	const leaves, at = 1 << 20, 700_000
	w := newWork(b, 1, 1)
	w.signTask(0)
	w.signReceipt(0)
	f := w.files[0]
	leaf := sumtree.Leaf{Task: essaim.DigestOf(f.Task), Receipt: essaim.DigestOf(f.Receipt), Amount: w.receipts[0].Price}
	t, err := sumtree.Build(func(yield func(sumtree.Leaf) bool) {
		for i := range leaves {
			l := leaf
			if i != at {
				l.Task[0]++
			}
			if !yield(l) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	proof, root := t.Prove(at), t.Root()
	s := newStages(b)
	for b.Loop() {
		if _, err := sumtree.Verify(root, leaf, proof); err != nil {
			b.Fatal(err)
		}
		s.done("path")
		task, _, err := essaim.OpenTask(f.Task)
		if err != nil {
			b.Fatal(err)
		}
		s.done("task")
		r, err := essaim.OpenReceipt(f.Receipt)
		if err == nil {
			err = r.Binds(task)
		}
		if err != nil {
			b.Fatal(err)
		}
		s.done("receipt")
	}
	b.ReportMetric(float64(s.report(1).Nanoseconds())/1e3, "cpu-us/opening")
	b.ReportMetric(float64(48*len(proof.Siblings)), "proof-bytes")
}

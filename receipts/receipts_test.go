package receipts

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/receipts/sumtree"
)

const chainID = "essaim-test"

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) essaim.NodeKey { return essaim.NodeKeyOf(key(name)) }

// job is one task and its receipt; a test changes what it wants to lie about.
type job struct {
	seq          uint64
	payer, miner string // names of the keys that sign
	task         essaim.Task
	change       func(*essaim.Receipt)
	spoil        func(*essaim.ReceiptFile)
}

func newJob(seq uint64, miner string) job {
	t := essaim.NewTask(chainID, 3, seq)
	t.Kind, t.Model, t.Input, t.MaxPrice = essaim.KindImage, essaim.DigestOf([]byte{byte(seq % 2)}), essaim.DigestOf([]byte{byte(seq)}), 1000
	return job{seq: seq, payer: "payer", miner: miner, task: t}
}

func (j job) leaf(t testing.TB) essaim.ReceiptFile {
	t.Helper()
	r := essaim.NewReceipt(j.task)
	r.Miner, r.Coordinator, r.Attempt, r.Price, r.Units = public(j.miner), public("coordinator"), 1, essaim.Amount(100*j.seq), 1
	r.Engine, r.MediaType, r.Output = "pixel", "image/png", essaim.DigestOf([]byte("picture"))
	if j.change != nil {
		j.change(&r)
	}
	var f essaim.ReceiptFile
	var err error
	if f.Task, err = essaim.SignTask(j.task, key(j.payer)); err != nil {
		t.Fatal(err)
	}
	if f.Receipt, err = essaim.SignReceipt(r, key(j.miner)); err != nil {
		t.Fatal(err)
	}
	if j.spoil != nil {
		j.spoil(&f)
	}
	return f
}

// honest is a session of five tasks by two miners with two models.
func honest() []job {
	var out []job
	for seq := range uint64(5) {
		out = append(out, newJob(seq+1, []string{"m1", "m2"}[seq/3]))
	}
	return out
}

// store is where sets are kept.
type store map[essaim.Digest][]byte

func (s store) put(_ context.Context, b []byte) (essaim.Digest, error) {
	s[essaim.DigestOf(b)] = b
	return essaim.DigestOf(b), nil
}

func (s store) fetch(_ context.Context, d, _ essaim.Digest) ([]byte, error) {
	if b, ok := s[d]; ok {
		return b, nil
	}
	return nil, essaim.Errorf(essaim.CodeNotFound, "", "no blob %s", d.Short())
}

// ordered sorts leaves as the tree has them, true or not, and tells where each went.
func ordered(leaves []essaim.ReceiptFile) (out []essaim.ReceiptFile, paid []essaim.Receipt, place map[int]int) {
	all := make([]essaim.Receipt, len(leaves))
	order := make([]int, len(leaves))
	for i, l := range leaves {
		all[i], _, _ = essaim.ReadReceipt(l.Receipt)
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return Compare(all[a], all[b]) })
	place = map[int]int{}
	for at, i := range order {
		out, paid = append(out, leaves[i]), append(paid, all[i])
		place[i+1] = at + 1
	}
	return out, paid, place
}

func each(leaves []essaim.ReceiptFile) iter.Seq2[essaim.ReceiptFile, error] {
	return func(yield func(essaim.ReceiptFile, error) bool) {
		for _, l := range leaves {
			if !yield(l, nil) {
				return
			}
		}
	}
}

func claimOf(s essaim.Settlement) Claim {
	return Claim{
		ChainID: chainID, Session: essaim.Session{ID: 3, SessionKey: public("payer"), Coordinator: public("coordinator")},
		Root: s.Root, Receipts: s.Receipts, Lines: s.Lines,
	}
}

// sum settles whatever the leaves are, as a lying coordinator would. amount, which may be
// nil, is what leaf i of the tree counts for.
func sum(t testing.TB, all []essaim.ReceiptFile, amount func(i int, r essaim.Receipt) essaim.Amount) (store, Claim, map[int]int) {
	t.Helper()
	kept := store{}
	w := writer{ctx: t.Context(), put: kept.put, settlement: essaim.Settlement{ChainID: chainID, Session: 3}}
	files, paid, place := ordered(all)
	for i, f := range files {
		l := Leaf{f.Task, f.Receipt, paid[i].Price}
		if amount != nil {
			l.Amount = amount(i+1, paid[i])
		}
		if err := w.add(l, paid[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	return kept, claimOf(w.settlement), place
}

func leaves(t testing.TB, jobs []job) (out []essaim.ReceiptFile) {
	t.Helper()
	for _, j := range jobs {
		out = append(out, j.leaf(t))
	}
	return out
}

func TestHonestSessionIsClean(t *testing.T) {
	kept := store{}
	files, _, _ := ordered(leaves(t, honest()))
	settlement, err := Sum(t.Context(), kept.put, chainID, 3, each(files))
	if err != nil {
		t.Fatal(err)
	}
	if err := settlement.Check(1500); err != nil || settlement.Root.Sum() != 1500 || settlement.Root.Count() != 5 || kept[settlement.Receipts] == nil {
		t.Fatalf("%+v: %v", settlement, err)
	}
	claim := claimOf(settlement)
	for _, lines := range [][]essaim.Line{settlement.Lines, nil} { // with the lines and without
		claim.Lines = lines
		r, err := Audit(t.Context(), kept.fetch, claim)
		if err != nil || r.Faults != 0 || r.Leaves != 5 || r.Counted != 5 || r.Sum != 1500 || len(r.Totals) != 4 || !r.Proven || r.Compared != (lines != nil) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	slices.Reverse(files)
	if _, err := Sum(t.Context(), kept.put, chainID, 3, each(files)); err == nil {
		t.Error("leaves out of order are settled")
	}
	files[0].Task[len(files[0].Task)-1] ^= 1
	if _, err := Sum(t.Context(), kept.put, chainID, 3, each(files[:1])); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("a damaged log is settled: %v", err)
	}
}

// TestEmptySession: nothing was drawn, nothing is named, nothing is wrong.
func TestEmptySession(t *testing.T) {
	settlement, err := Sum(t.Context(), nil, chainID, 3, each(nil))
	if err != nil || settlement.Check(0) != nil || !settlement.Receipts.IsZero() {
		t.Fatalf("%+v: %v", settlement, err)
	}
	r, err := Audit(t.Context(), nil, Claim{ChainID: chainID, Session: essaim.Session{ID: 3}, Root: settlement.Root})
	if err != nil || r.Faults != 0 || !r.Compared {
		t.Fatalf("%+v: %v", r, err)
	}
}

type fault struct {
	Fault
	leaf int
}

// TestEveryLieIsFound: each lie gives exactly the faults it should, at its receipt.
func TestEveryLieIsFound(t *testing.T) {
	lie := func(n int, change func(*job)) func([]job) []job {
		return func(j []job) []job { change(&j[n-1]); return j }
	}
	receipt := func(n int, change func(*essaim.Receipt)) func([]job) []job {
		return lie(n, func(j *job) { j.change = change })
	}
	for name, c := range map[string]struct {
		jobs  func([]job) []job
		claim func(*Claim)
		want  []fault
	}{
		"nothing": {want: nil},
		"another session's work": {jobs: lie(2, func(j *job) { j.task.Session, j.payer = 4, "other" }),
			want: []fault{{FaultForeign, 2}}},
		"another coordinator's work": {jobs: receipt(2, func(r *essaim.Receipt) { r.Coordinator = public("other") }),
			want: []fault{{FaultForeign, 2}}},
		"another chain's work": {jobs: lie(2, func(j *job) { j.task.ChainID = "essaim-other" }),
			want: []fault{{FaultForeign, 2}}},
		"a task paid to two miners": {jobs: func(j []job) []job { again := j[0]; again.miner = "m2"; return append(j, again) },
			want: []fault{{FaultDoubled, 6}}},
		"a receipt twice": {jobs: func(j []job) []job { return append(j, j[0]) },
			want: []fault{{FaultDoubled, 6}}},
		"a number twice": {jobs: lie(2, func(j *job) { j.task.Seq = 1 }),
			want: []fault{{FaultDoubled, 2}}},
		"above the maximum": {jobs: receipt(5, func(r *essaim.Receipt) { r.Price = 1001 }),
			want: []fault{{FaultOverpriced, 5}}},
		"a task that the payer has not signed": {jobs: lie(4, func(j *job) { j.payer = "coordinator" }),
			want: []fault{{FaultUnsigned, 4}}},
		"a task changed after signing": {jobs: lie(4, func(j *job) { j.spoil = func(f *essaim.ReceiptFile) { f.Task[len(f.Task)-1] ^= 1 } }),
			want: []fault{{FaultUnsigned, 4}}},
		"a receipt changed after signing": {jobs: lie(4, func(j *job) { j.spoil = func(f *essaim.ReceiptFile) { f.Receipt[len(f.Receipt)-1] ^= 1 } }),
			want: []fault{{FaultUnsigned, 4}}},
		"a receipt signed by another": {jobs: receipt(4, func(r *essaim.Receipt) { r.Miner = public("m1") }),
			want: []fault{{FaultUnsigned, 4}}},
		"a receipt for another model": {jobs: receipt(3, func(r *essaim.Receipt) { r.Model = essaim.Digest{1} }),
			want: []fault{{FaultUnbound, 3}}},
		"a receipt of another task": {jobs: func(j []job) []job {
			j[2].spoil = func(f *essaim.ReceiptFile) { f.Task = j[1].leaf(t).Task }
			return j
		}, want: []fault{{FaultUnbound, 3}}},
		"another root": {claim: func(c *Claim) { c.Root[0] ^= 1 }, want: []fault{{FaultRoot, 0}}},
		"more for one, less for another": {claim: func(c *Claim) { c.Lines[0].Amount++; c.Lines[1].Amount-- },
			want: []fault{{FaultLine, 2}, {FaultLine, 0}, {FaultLine, 0}}},
		"a payee without receipts": {claim: func(c *Claim) { c.Lines[3].Miner = public("ghost") },
			want: []fault{{FaultLine, 1}, {FaultLine, 0}, {FaultLine, 0}}},
		"lines that say nothing": {claim: func(c *Claim) { c.Lines = []essaim.Line{} },
			want: []fault{{FaultLine, 1}, {FaultLine, 0}, {FaultLine, 0}, {FaultLine, 0}, {FaultLine, 0}}},
		"a count that differs": {claim: func(c *Claim) { c.Lines[0].Tasks++ }, want: []fault{{FaultLine, 2}, {FaultLine, 0}}},
		"another blob":         {claim: func(c *Claim) { c.Receipts[0] ^= 1 }, want: []fault{{FaultBlob, 0}}},
		"another session's set": {claim: func(c *Claim) { c.ChainID = "essaim-other" },
			want: []fault{{FaultForeign, 0}, {FaultForeign, 1}, {FaultForeign, 2}, {FaultForeign, 3}, {FaultForeign, 4}, {FaultForeign, 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			jobs := honest()
			if c.jobs != nil {
				jobs = c.jobs(jobs)
			}
			finds(t, leaves(t, jobs), c.claim, c.want)
		})
	}
}

// finds audits a lying settlement, whose claim is changed if change is not nil.
func finds(t *testing.T, all []essaim.ReceiptFile, change func(*Claim), faults []fault) {
	t.Helper()
	kept, claim, place := sum(t, all, nil)
	named := claim.Receipts
	if change != nil {
		claim.Lines = slices.Clone(claim.Lines)
		change(&claim)
		slices.SortFunc(claim.Lines, essaim.Line.Compare)
	}
	fetch := func(ctx context.Context, d, shown essaim.Digest) ([]byte, error) {
		if d == claim.Receipts {
			d = named
		}
		return kept.fetch(ctx, d, shown)
	}
	r, err := Audit(t.Context(), fetch, claim)
	if err != nil {
		t.Fatal(err)
	}
	want := map[fault]int{}
	for _, f := range faults {
		want[fault{f.Fault, place[f.leaf]}]++
	}
	got := map[fault]int{}
	for _, f := range r.Findings {
		if f.Fault == FaultLine && want[fault{FaultUnsigned, place[4]}] > 0 {
			continue // what nobody signed is paid to nobody
		}
		got[fault{f.Fault, f.Leaf}]++
		showLeaves(t, kept, named, claim, r, f)
	}
	if !maps.Equal(got, want) {
		t.Errorf("found %+v, want %+v with leaves at %v", r.Findings, faults, place)
	}
}

// showLeaves: what proves a finding can be shown with its way to the root.
func showLeaves(t *testing.T, kept store, named essaim.Digest, claim Claim, r Report, f Finding) {
	t.Helper()
	o, err := Open(t.Context(), kept.fetch, named)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range f.Leaves() {
		shown, err := o.Leaf(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(claim.Root, shown); (err == nil) != r.Proven || shown.Index != uint64(at) {
			t.Errorf("leaf %d: %v", at, err)
		}
	}
}

func verify(root essaim.SumRoot, o essaim.Opening) (essaim.Amount, error) {
	leaf := sumtree.Leaf{Task: essaim.DigestOf(o.Task), Receipt: essaim.DigestOf(o.Receipt), Amount: o.Amount}
	return sumtree.Verify(root, leaf, sumtree.Proof{Index: o.Index, Siblings: o.Siblings})
}

// TestAmountsAreHeldAgainstReceipts: a leaf that counts for more than its receipt says.
func TestAmountsAreHeldAgainstReceipts(t *testing.T) {
	kept, claim, _ := sum(t, leaves(t, honest()), func(i int, r essaim.Receipt) essaim.Amount {
		if i == 2 {
			return r.Price + 1
		}
		return r.Price
	})
	r, err := Audit(t.Context(), kept.fetch, claim)
	if err != nil || r.Faults != 1 || r.Findings[0].Fault != FaultOverpriced || r.Findings[0].Leaf != 2 || !r.Proven {
		t.Fatalf("%+v: %v", r, err)
	}
}

// TestEveryPointIsShown: each point of a sum of several parts has a leaf that covers it,
// whose path holds, and each receipt is found.
func TestEveryPointIsShown(t *testing.T) {
	kept := store{}
	w := writer{ctx: t.Context(), put: kept.put, settlement: essaim.Settlement{ChainID: chainID, Session: 3}}
	const n = 2*PartLeaves + 5
	for i := range n {
		l := Leaf{Task: fmt.Appendf(nil, "task %d", i), Receipt: fmt.Appendf(nil, "receipt %d", i), Amount: essaim.Amount(i % 7)}
		if err := w.add(l, essaim.Receipt{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	root := w.settlement.Root
	o, err := Open(t.Context(), kept.fetch, w.settlement.Receipts)
	if err != nil || o.Root() != root || root.Count() != n {
		t.Fatal(err)
	}
	var before essaim.Amount
	for i := 0; i < n; i++ {
		shown, err := o.Leaf(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if at, err := verify(root, shown); err != nil || at != before {
			t.Fatalf("leaf %d: %d before it, want %d: %v", i, at, before, err)
		}
		if i%100 == 1 {
			for point := before; point < before+shown.Amount; point++ {
				if got, err := o.At(t.Context(), point); err != nil || got.Index != uint64(i) {
					t.Fatalf("point %d is in leaf %d, want %d: %v", point, got.Index, i, err)
				}
			}
			found, err := o.Receipt(t.Context(), essaim.DigestOf(shown.Receipt))
			if err != nil || len(found) != 1 || found[0].Index != uint64(i) {
				t.Fatalf("receipt %d is found %d times: %v", i, len(found), err)
			}
		}
		before += shown.Amount
	}
	if _, err := o.At(t.Context(), root.Sum()); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("a point beyond the sum: %v", err)
	}
	if _, err := o.Leaf(t.Context(), n); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("a leaf beyond the last: %v", err)
	}
}

// TestFileIsAuditedAgain: what was read can be kept, and is not believed either.
func TestFileIsAuditedAgain(t *testing.T) {
	kept, claim, _ := sum(t, leaves(t, honest()), nil)
	var file bytes.Buffer
	if r, err := Audit(t.Context(), Keep(kept.fetch, &file), claim); err != nil || r.Faults != 0 {
		t.Fatalf("%+v: %v", r, err)
	}
	b := file.Bytes()
	if r, err := Audit(t.Context(), From(bytes.NewReader(b)), claim); err != nil || r.Faults != 0 || r.Leaves != 5 {
		t.Fatalf("%+v: %v", r, err)
	}
	if _, err := Audit(t.Context(), From(bytes.NewReader(b[:len(b)-1])), claim); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("a file that was cut off: %v", err)
	}
	b[len(b)-100] ^= 1
	if r, err := Audit(t.Context(), From(bytes.NewReader(b)), claim); err != nil || r.Faults == 0 {
		t.Errorf("a changed file: %+v %v", r, err)
	}
}

// TestOmissionShowsInTheRoot: a set without one of the receipts that were settled.
func TestOmissionShowsInTheRoot(t *testing.T) {
	all := leaves(t, honest())
	_, whole, _ := sum(t, all, nil)
	kept, claim, _ := sum(t, all[:4], nil)
	claim.Root, claim.Lines = whole.Root, whole.Lines
	r, err := Audit(t.Context(), kept.fetch, claim)
	if err != nil || r.Proven || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Fault == FaultRoot }) {
		t.Fatalf("%+v: %v", r, err)
	}
}

// TestPricesThatOverflow are a finding, not a failure.
func TestPricesThatOverflow(t *testing.T) {
	kept, claim, _ := sum(t, leaves(t, honest()), nil)
	x, err := ReadIndex(kept[claim.Receipts])
	if err != nil {
		t.Fatal(err)
	}
	p, err := ReadPart(kept[x.Parts[0].Blob])
	if err != nil {
		t.Fatal(err)
	}
	p.Leaves[0].Amount, p.Leaves[1].Amount = 1<<63, 1<<63
	x.Parts[0].Blob, _ = kept.put(t.Context(), must(encMode.Marshal(p)))
	claim.Receipts, _ = kept.put(t.Context(), must(encMode.Marshal(x)))
	r, err := Audit(t.Context(), kept.fetch, claim)
	if err != nil || r.Faults == 0 || r.Findings[0].Fault != FaultDamaged {
		t.Fatalf("%+v: %v", r, err)
	}
}

// TestLargestSetFitsBlobs: what a coordinator lets in can always be settled.
func TestLargestSetFitsBlobs(t *testing.T) {
	part := Part{Kind: kindPart, ChainID: chainID, Leaves: slices.Repeat([]Leaf{{make([]byte, MaxSigned), make([]byte, MaxSigned), ^essaim.Amount(0)}}, PartLeaves)}
	if b := must(encMode.Marshal(part)); len(b) > 5<<20 {
		t.Errorf("a part of %d bytes", len(b))
	}
	x := Index{Kind: kindIndex, ChainID: chainID, Parts: slices.Repeat([]Entry{{Tags: make([]byte, tagSize*PartLeaves)}}, MaxLeaves/PartLeaves)}
	b := must(encMode.Marshal(x))
	if len(b) > blob.MaxSize {
		t.Errorf("an index of %d bytes", len(b))
	}
	if _, err := ReadIndex(b); err != nil {
		t.Error(err)
	}
	real := newJob(1, "m1").leaf(t)
	t.Logf("a task of %d bytes, a receipt of %d, an index of %d", len(real.Task), len(real.Receipt), len(b))
}

// TestGuarded: an index opens with any receipt of its set, a part with its own.
func TestGuarded(t *testing.T) {
	all := leaves(t, honest())
	kept, claim, _ := sum(t, all, nil)
	x, err := ReadIndex(kept[claim.Receipts])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b              []byte
		shown          essaim.Digest
		guarded, opens bool
	}{
		"index, a receipt":    {kept[claim.Receipts], essaim.DigestOf(all[3].Receipt), true, true},
		"index, a task":       {kept[claim.Receipts], essaim.DigestOf(all[3].Task), true, false},
		"index, nothing":      {kept[claim.Receipts], essaim.Digest{}, true, false},
		"part, its first":     {kept[x.Parts[0].Blob], x.Parts[0].First, true, true},
		"part, something":     {kept[x.Parts[0].Blob], essaim.Digest{1}, true, false},
		"something, anything": {[]byte("something"), essaim.Digest{}, false, false},
	} {
		if guarded, opens := Guarded(t.Context(), kept.fetch, c.b, c.shown); guarded != c.guarded || opens != c.opens {
			t.Errorf("%s: guarded %t, opens %t", name, guarded, opens)
		}
	}
}

// FuzzAudit: whatever the bytes are, an audit ends and does not panic.
func FuzzAudit(f *testing.F) {
	kept, claim, _ := sum(f, leaves(f, honest()), nil)
	x, err := ReadIndex(kept[claim.Receipts])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(kept[claim.Receipts], kept[x.Parts[0].Blob])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, index, part []byte) {
		fetch := func(_ context.Context, d, _ essaim.Digest) ([]byte, error) {
			if d == claim.Receipts {
				return index, nil
			}
			return part, nil
		}
		if r, err := Audit(t.Context(), fetch, claim); err == nil && r.Faults == 0 && essaim.DigestOf(index) != claim.Receipts {
			t.Error("other bytes pass")
		}
	})
}

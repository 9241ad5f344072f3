package receipts

import (
	"crypto/ed25519"
	"crypto/sha256"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
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

// sum settles whatever the leaves are, as a lying coordinator would: what is not signed
// is in the blob and not in the root.
func sum(t testing.TB, leaves []essaim.ReceiptFile) ([]byte, Claim) {
	t.Helper()
	var good []essaim.ReceiptFile
	for _, l := range leaves {
		if _, err := essaim.OpenReceipt(l.Receipt); err == nil {
			good = append(good, l)
		}
	}
	s, _, err := Sum(chainID, 3, good)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Set{Version: version, ChainID: chainID, Session: 3, Leaves: leaves}.encode()
	if err != nil {
		t.Fatal(err)
	}
	return b, Claim{
		ChainID: chainID, Session: essaim.Session{ID: 3, SessionKey: public("payer"), Coordinator: public("coordinator")},
		Root: s.Root, Receipts: essaim.DigestOf(b), Lines: s.Lines,
	}
}

func leaves(t testing.TB, jobs []job) (out []essaim.ReceiptFile) {
	t.Helper()
	for _, j := range jobs {
		out = append(out, j.leaf(t))
	}
	return out
}

func TestHonestSessionIsClean(t *testing.T) {
	settlement, b, err := Sum(chainID, 3, leaves(t, honest()))
	if err != nil {
		t.Fatal(err)
	}
	if err := settlement.Check(1500); err != nil || settlement.Root.Sum() != 1500 || settlement.Root.Count() != 5 || settlement.Receipts != essaim.DigestOf(b) {
		t.Fatalf("%+v: %v", settlement, err)
	}
	claim := Claim{
		ChainID: chainID, Session: essaim.Session{ID: 3, SessionKey: public("payer"), Coordinator: public("coordinator")},
		Root: settlement.Root, Receipts: settlement.Receipts, Lines: settlement.Lines,
	}
	for _, lines := range [][]essaim.Line{settlement.Lines, nil} { // with the lines and without
		claim.Lines = lines
		r, err := Audit(b, claim)
		if err != nil || len(r.Findings) != 0 || r.Leaves != 5 || r.Counted != 5 || r.Sum != 1500 || len(r.Totals) != 4 || r.Compared != (lines != nil) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// TestEmptySession: nothing was drawn, nothing is named, nothing is wrong.
func TestEmptySession(t *testing.T) {
	settlement, b, err := Sum(chainID, 3, nil)
	if err != nil || b != nil || settlement.Check(0) != nil || !settlement.Receipts.IsZero() {
		t.Fatalf("%+v %x: %v", settlement, b, err)
	}
	r, err := Audit(nil, Claim{ChainID: chainID, Session: essaim.Session{ID: 3}, Root: settlement.Root})
	if err != nil || len(r.Findings) != 0 || !r.Compared {
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
			want: []fault{{FaultLine, 0}, {FaultLine, 0}}},
		"a payee without receipts": {claim: func(c *Claim) { c.Lines[3].Miner = public("ghost") },
			want: []fault{{FaultLine, 0}, {FaultLine, 0}}},
		"lines that say nothing": {claim: func(c *Claim) { c.Lines = []essaim.Line{} },
			want: []fault{{FaultLine, 0}, {FaultLine, 0}, {FaultLine, 0}, {FaultLine, 0}}},
		"a count that differs": {claim: func(c *Claim) { c.Lines[0].Tasks++ }, want: []fault{{FaultLine, 0}}},
		"another blob":         {claim: func(c *Claim) { c.Receipts[0] ^= 1 }, want: []fault{{FaultBlob, 0}}},
		"another session's set": {claim: func(c *Claim) { c.ChainID = "essaim-other" },
			want: []fault{{FaultForeign, 0}, {FaultForeign, 1}, {FaultForeign, 2}, {FaultForeign, 3}, {FaultForeign, 4}, {FaultForeign, 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			jobs := honest()
			if c.jobs != nil {
				jobs = c.jobs(jobs)
			}
			b, claim := sum(t, leaves(t, jobs))
			if c.claim != nil {
				claim.Lines = slices.Clone(claim.Lines)
				c.claim(&claim)
				slices.SortFunc(claim.Lines, essaim.Line.Compare)
			}
			r, err := Audit(b, claim)
			if err != nil {
				t.Fatal(err)
			}
			var got []fault
			for _, f := range r.Findings {
				got = append(got, fault{f.Fault, f.Leaf})
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("found %+v, want %+v", r.Findings, c.want)
			}
		})
	}
}

// TestOmissionShowsInTheRoot: a blob without one of the receipts that were settled.
func TestOmissionShowsInTheRoot(t *testing.T) {
	all := leaves(t, honest())
	_, whole := sum(t, all)
	b, claim := sum(t, all[:4])
	claim.Root, claim.Lines = whole.Root, whole.Lines
	r, err := Audit(b, claim)
	if err != nil || len(r.Findings) != 2 || r.Findings[0].Fault != FaultRoot || r.Findings[1].Fault != FaultLine {
		t.Fatalf("%+v: %v", r, err)
	}
}

// TestPricesThatOverflow are a finding, not a failure.
func TestPricesThatOverflow(t *testing.T) {
	jobs := honest()
	for i := range jobs[:2] {
		jobs[i].task.MaxPrice = ^essaim.Amount(0)
		jobs[i].change = func(r *essaim.Receipt) { r.Price = 1 << 63 }
	}
	all := leaves(t, jobs)
	b, err := Set{Version: version, ChainID: chainID, Session: 3, Leaves: all}.encode()
	if err != nil {
		t.Fatal(err)
	}
	_, claim := sum(t, all[2:])
	claim.Receipts = essaim.DigestOf(b)
	r, err := Audit(b, claim)
	if err != nil || len(r.Findings) == 0 || r.Findings[0].Fault != FaultDamaged || r.Findings[0].Leaf != 2 {
		t.Fatalf("%+v: %v", r, err)
	}
}

func TestSettlementIsAFunctionOfTheSetOfReceipts(t *testing.T) {
	all := leaves(t, honest())
	a, _, err := Sum(chainID, 3, all)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	b, _, err := Sum(chainID, 3, all)
	if err != nil || a.Root != b.Root || !slices.Equal(a.Lines, b.Lines) {
		t.Fatalf("in another order: %+v (%v), want %+v", b, err, a)
	}
}

// TestLargestSetFitsABlob: what a coordinator lets in can always be settled.
func TestLargestSetFitsABlob(t *testing.T) {
	f := essaim.ReceiptFile{Task: make([]byte, MaxSigned), Receipt: make([]byte, MaxSigned)}
	one, err := Set{Leaves: []essaim.ReceiptFile{f}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	two, err := Set{Leaves: []essaim.ReceiptFile{f, f}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	if size := 1<<10 + MaxLeaves*(len(two)-len(one)); size > blob.MaxSize {
		t.Errorf("%d leaves of %d bytes do not fit %d", MaxLeaves, len(two)-len(one), blob.MaxSize)
	}
	real := newJob(1, "m1").leaf(t)
	t.Logf("a task of %d bytes, a receipt of %d", len(real.Task), len(real.Receipt))
}

// FuzzAudit: whatever the bytes are, an audit ends and does not panic.
func FuzzAudit(f *testing.F) {
	b, claim := sum(f, leaves(f, honest()))
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Audit(b, claim); err == nil && len(r.Findings) == 0 && essaim.DigestOf(b) != claim.Receipts {
			t.Error("other bytes pass")
		}
	})
}

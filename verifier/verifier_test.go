package verifier_test

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/seal"
	"github.com/essaim/essaim/verifier"
	"github.com/essaim/essaim/verify"
	"github.com/essaim/essaim/verify/duty"
	"github.com/essaim/essaim/verify/rerun"
	"github.com/essaim/essaim/verify/trust"
)

// TestHonest: what is audited and by whom is what the beacon says, which came after the
// receipt, and the share falls with a miner's record.
func TestHonest(t *testing.T) {
	n := newNetwork(t, honest, honest, honest, honest)
	r := n.verifier(nil)
	passed, done := 0, 0
	for i := range 60 {
		before := n.now()
		w := r.deliver(order{prompt: secret, to: []int{0, 1, 2}, consent: true})
		c := r.ended(w)
		if c.Height <= before+1 {
			t.Fatalf("height %d draws, the receipt was there at %d", c.Height, before)
		}
		var candidates []duty.Candidate
		for _, m := range n.miners {
			candidates = append(candidates, duty.Candidate{Node: m.actor.NodeKey, Owner: m.actor.Owner, Stake: m.actor.Stake})
		}
		drawn, err := duty.Draw(beacon(c.Height), w.Receipt.Digest(), candidates, 1, n.miners[0].actor.Owner)
		if err != nil {
			t.Fatal(err)
		}
		switch want := duty.Audited(beacon(c.Height), w.Receipt.Digest(), c.Share); {
		case want != (c.State == essaim.AuditDone):
			t.Fatalf("receipt %d: %s, drawn %v", i, c.State, want)
		case !want:
			passed++
		default:
			done++
			v, again := r.verdict(w, c.Checks[0])
			if v.Result != essaim.VerdictValid || v.Height != c.Height || again.Miner != drawn[0] || len(c.Checks) != 1 {
				t.Errorf("%+v by %s, want %s", v, again.Miner.Short(), drawn[0].Short())
			}
		}
	}
	record := r.Record(n.key(0), model)
	if done < 20 || passed < 15 || record.Jobs != 60 || record.Audits < uint64(done) || record.Wrongs != 0 || len(n.faults) != 0 {
		t.Errorf("%d audited, %d passed over, %+v", done, passed, record)
	}
}

// TestCheater: one wrong result of an exact model is enough, and the receipts show it.
func TestCheater(t *testing.T) {
	n := newNetwork(t, lazy, honest, honest, honest)
	r := n.verifier(nil)
	w := r.deliver(order{prompt: secret, to: []int{0}, consent: true})
	c := r.ended(w)
	if len(c.Checks) != 2 {
		t.Fatalf("%d checks; two that agree are needed against one", len(c.Checks))
	}
	for _, check := range c.Checks {
		if v, _ := r.verdict(w, check); v.Result != essaim.VerdictInvalid || v.Near {
			t.Errorf("%+v", v)
		}
	}
	faults := n.faultsOf(0)
	if len(n.faults) != 1 || len(faults) != 1 || !r.Barred(n.key(0), model) || r.Barred(n.key(1), model) {
		t.Fatalf("%d faults, %d of the cheat", len(n.faults), len(faults))
	}
	if right, err := essaim.OpenReceipt(faults[0].Right.Receipt); err != nil || verify.Agree(right, w.Receipt) || !verify.Same(right, w.Receipt) || len(faults[0].Input) == 0 {
		t.Errorf("the fault holds %+v: %v", right, err)
	}
}

// TestLazyVerifier: a miner that answers audits without running anything. It is not shown
// what it checks, so it cannot say yes to all: it contradicts, is outvoted by miners that
// have run the task, and is found by canaries, too.
func TestLazyVerifier(t *testing.T) {
	n := newNetwork(t, honest, lazy, honest, honest, honest)
	r := n.verifier(nil)
	for i := 0; !r.Barred(n.key(1), model) && i < 50; i++ {
		w := r.deliver(order{prompt: secret, to: []int{0}, consent: true})
		if c := r.ended(w); c.State == essaim.AuditDone && c.Reason != "" {
			t.Errorf("the honest miner is held for wrong: %+v", c)
		}
	}
	if !r.Barred(n.key(1), model) || len(n.faultsOf(1)) == 0 || len(n.faultsOf(0)) != 0 || r.Barred(n.key(0), model) {
		t.Fatal("the lazy verifier was not found, or another was")
	}
}

// TestCanaries: two that conspire answer audits with one wrong result, and agree; what is
// known beforehand they cannot agree about.
func TestCanaries(t *testing.T) {
	conspire := unless(func(prompt string) bool { return false })
	n := newNetwork(t, conspire, conspire)
	r := n.verifier(func(c *verifier.Config) { c.Canaries = essaim.BpsWhole })
	w := r.deliver(order{prompt: secret, to: []int{0}, consent: true})
	c := r.ended(w)
	if v, _ := r.verdict(w, c.Checks[0]); v.Result != essaim.VerdictValid {
		t.Fatalf("%+v: there is nobody to contradict", v)
	}
	faults := n.faultsOf(1)
	if len(faults) != 1 || len(faults[0].Input) == 0 || !r.Barred(n.key(1), model) {
		t.Fatalf("%d faults of the verifier that waved a wrong result through", len(faults))
	}
	in, err := essaim.DecodeInput(faults[0].Input)
	if err != nil || in.Prompt == secret {
		t.Errorf("the canary shows a user's prompt, or %v", err)
	}
}

// TestWavedThrough: one that conspires is drawn first and says what its friend says. The known answer that follows
// takes its voice away, others are drawn, and both are found.
func TestWavedThrough(t *testing.T) {
	conspire := unless(func(string) bool { return false })
	for range 8 {
		n := newNetwork(t, conspire, conspire, honest, honest)
		r := n.verifier(func(c *verifier.Config) { c.Canaries = essaim.BpsWhole })
		w := r.deliver(order{prompt: secret, to: []int{0}, consent: true})
		c := r.ended(w)
		if len(n.faultsOf(0)) != 1 || !r.Barred(n.key(0), model) || c.State != essaim.AuditDone || c.Reason == "" {
			t.Fatalf("waved through: %+v", c)
		}
		if v, again := r.verdict(w, c.Checks[0]); (again.Miner == n.key(1)) != (v.Result == essaim.VerdictValid) || again.Miner == n.key(1) && len(n.faultsOf(1)) == 0 {
			t.Errorf("%s by %s, %d faults", v.Result, again.Miner.Short(), len(n.faultsOf(1)))
		}
		if len(n.faultsOf(2))+len(n.faultsOf(3)) != 0 {
			t.Error("an honest one is held for wrong")
		}
	}
}

// TestOddHardware: results that are nearly right cost the listing for the model, after
// several, and nothing else.
func TestOddHardware(t *testing.T) {
	n := newNetwork(t, odd, honest, honest, honest)
	r := n.verifier(nil)
	audits := 0
	for ; !r.Barred(n.key(0), model) && audits < 20; audits++ {
		w := r.deliver(order{prompt: secret, to: []int{0}, consent: true})
		c := r.ended(w)
		if v, _ := r.verdict(w, c.Checks[0]); v.Result != essaim.VerdictInvalid || !v.Near {
			t.Fatalf("%+v", v)
		}
	}
	if audits != 4 || len(n.faults) != 0 || !r.Record(n.key(0), model).Unlisted {
		t.Errorf("unlisted after %d audits, %d faults", audits, len(n.faults))
	}
}

// TestStatistics: of a model that is not exact one failure is no proof. Evidence is
// counted, kept under names, and convicts without a fault that a dispute could use.
func TestStatistics(t *testing.T) {
	n := newNetwork(t, lazy, odd)
	r := n.verifier(func(c *verifier.Config) {
		c.Exact = func(essaim.Digest) bool { return false }
		c.Known = rerun.Method{Runner: here{false}}
	})
	rounds := 0
	for ; !r.Barred(n.key(0), model) && rounds < 10; rounds++ {
		for _, by := range []int{0, 1} {
			if c := r.ended(r.deliver(order{prompt: secret, to: []int{by}})); c.State != essaim.AuditNone {
				t.Fatalf("%+v", c)
			}
		}
	}
	if rounds != 4 || r.Barred(n.key(1), model) || len(n.faults) != 0 {
		t.Errorf("convicted after %d failures; %d faults", rounds, len(n.faults))
	}
	if got := r.Record(n.key(1), model); got.Audits != 4 || got.Wrongs+got.Nears != 0 {
		t.Errorf("a miner whose results differ as machines do: %+v", got)
	}
	if r.Record(n.key(0), model) != (trust.Record{}) {
		t.Errorf("the test begins anew after a conviction: %+v", r.Record(n.key(0), model))
	}
}

// TestPrompts: nobody reads a prompt but the miner, and who is drawn; the book holds none.
func TestPrompts(t *testing.T) {
	n := newNetwork(t, honest, honest, honest)
	r := n.verifier(func(c *verifier.Config) { c.Seal = nil; c.Patience = 5 * time.Second; c.Parallel = 8 })
	alone := n.verifier(func(c *verifier.Config) { c.Seal = nil })

	// The client is gone and has sealed its input to nobody else.
	w := alone.deliver(order{prompt: secret, to: []int{0}})
	if c := alone.ended(w); c.State != essaim.AuditNone || c.Reason == "" || len(n.opened) != 1 {
		t.Errorf("%+v, opened by %d", c, len(n.opened))
	}
	// It has, to a candidate of its quote.
	w = alone.deliver(order{prompt: secret, to: []int{0, 2}})
	c := alone.ended(w)
	if v, again := alone.verdict(w, c.Checks[0]); v.Method != "replica" || again.Miner != n.key(2) {
		t.Errorf("%+v by %s", v, again.Miner.Short())
	}
	// It stays, and seals it to the one that is drawn.
	reply, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	in := essaim.Input{Prompt: secret, Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
	n.opened = nil
	w = r.deliverInput(order{to: []int{0}}, in, 0)
	for c.Ask == nil {
		if c, err = r.Checked(t.Context(), w.Receipt.Task); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	other := n.miners[1]
	if other.actor.NodeKey == c.Ask.Miner {
		other = n.miners[2]
	}
	share := func(key []byte) error {
		sealed, err := seal.Seal(in.Encode(), w.Task.Input[:], key)
		if err != nil {
			t.Fatal(err)
		}
		return r.Share(t.Context(), w.Receipt.Task, sealed)
	}
	if err := share(other.actor.HPKEKey); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("sealed to another: %v", err)
	}
	asked := c.Ask.Miner
	if err := share(c.Ask.HPKEKey); err != nil {
		t.Fatal(err)
	}
	c = r.ended(w)
	if v, again := r.verdict(w, c.Checks[0]); v.Method != "rerun" || again.Miner != asked || !slices.Equal(n.opened, []essaim.NodeKey{n.key(0), asked}) {
		t.Errorf("%+v by %s, opened by %v", v, again.Miner.Short(), n.opened)
	}
	if err := share(other.actor.HPKEKey); essaim.CodeOf(err) != essaim.CodeConflict {
		t.Errorf("after the end: %v", err)
	}
	for _, book := range []string{r.book, alone.book} {
		for _, name := range []string{book, book + "-wal"} {
			b, err := os.ReadFile(name)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte("castle")) {
				t.Errorf("%s holds a prompt", name)
			}
		}
	}
}

// TestReplicas: miners that a client has paid for are compared without a draw; if they
// differ, others are drawn, and no vote among the two decides.
func TestReplicas(t *testing.T) {
	for name, c := range map[string]struct {
		ways []func(string, uint64) image.Image
		want essaim.VerdictResult
	}{
		"agree":  {[]func(string, uint64) image.Image{honest, honest, honest, honest}, essaim.VerdictValid},
		"differ": {[]func(string, uint64) image.Image{honest, lazy, honest, honest}, essaim.VerdictValid},
		"alone":  {[]func(string, uint64) image.Image{honest, lazy}, essaim.VerdictUnclear},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, c.ways...)
			r := n.verifier(nil)
			reply, err := seal.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			in := essaim.Input{Prompt: secret, Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
			all := []int{0, 1}
			if len(n.miners) > 2 {
				all = []int{0, 1, 2, 3}
			}
			first := r.deliverInput(order{to: all, verify: "replica:2"}, in, 0)
			second := r.deliverInput(order{to: all, verify: "replica:2"}, in, 1)
			a, b := r.ended(first), r.ended(second)
			v, again := r.verdict(first, a.Checks[0])
			if again.Miner != n.key(1) || v.Height != 0 || v.Method != "replica" {
				t.Errorf("%+v by %s", v, again.Miner.Short())
			}
			last, _ := r.verdict(first, a.Checks[len(a.Checks)-1])
			if last.Result != c.want {
				t.Errorf("%+v, want %s", last, c.want)
			}
			wrong := 0
			if name == "differ" {
				wrong = 1
				if end, _ := r.verdict(second, b.Checks[len(b.Checks)-1]); end.Result != essaim.VerdictInvalid {
					t.Errorf("the other: %+v", end)
				}
			}
			if len(n.faultsOf(0)) != 0 || len(n.faultsOf(1)) != wrong {
				t.Errorf("faults: %d and %d", len(n.faultsOf(0)), len(n.faultsOf(1)))
			}
		})
	}
}

// TestReplicasThatConspire: two of three that a client has asked say the same wrong thing. Their number decides nothing:
// others are drawn until more say otherwise.
func TestReplicasThatConspire(t *testing.T) {
	conspire := unless(func(string) bool { return false })
	n := newNetwork(t, conspire, conspire, honest, honest, honest)
	r := n.verifier(func(c *verifier.Config) { c.Patience = 300 * time.Millisecond })
	reply, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	in := essaim.Input{Prompt: secret, Salt: make([]byte, 16), ReplyKey: reply.PublicKey()}
	var work [3]verify.Work
	for i := range work {
		work[i] = r.deliverInput(order{to: []int{0, 1, 2, 3, 4}, verify: "replica:3", consent: true}, in, i)
	}
	for i, w := range work {
		c := r.ended(w)
		v, again := r.verdict(w, c.Checks[len(c.Checks)-1])
		if want := i < 2; len(c.Checks) != 4 || c.Reason == "" == want || v.Height == 0 || (again.Miner != n.key(3) && again.Miner != n.key(4)) {
			t.Errorf("replica %d: %d checks, %q, the last by %s", i, len(c.Checks), c.Reason, again.Miner.Short())
		}
	}
	if len(n.faultsOf(0)) != 1 || len(n.faultsOf(1)) != 1 || len(n.faults) != 2 {
		t.Errorf("%d faults", len(n.faults))
	}
}

// TestSilence: a miner that does not answer what it is drawn for is accused after six times, with evidence, and not held
// for wrong; its accusers convict nobody by themselves.
func TestSilence(t *testing.T) {
	n := newNetwork(t, honest, nil)
	var accused []verifier.Accusation
	r := n.verifier(func(c *verifier.Config) {
		c.Accuse = func(a verifier.Accusation) {
			n.mu.Lock()
			defer n.mu.Unlock()
			accused = append(accused, a)
		}
	})
	for range 6 {
		if c := r.ended(r.deliver(order{prompt: secret, to: []int{0}, consent: true})); c.State != essaim.AuditNone {
			t.Fatalf("%+v", c)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(accused) != 1 || accused[0].Miner != n.key(1) || accused[0].Cause != verifier.CauseMissedDuty || len(accused[0].Evidence) != 6 || len(accused[0].Heights) != 6 {
		t.Fatalf("accused: %+v", accused)
	}
	if len(n.faults) != 0 || r.Barred(n.key(1), model) {
		t.Error("silence is held for a wrong result")
	}
	d, err := essaim.ParseCID(accused[0].Evidence[5])
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.kept.Get(t.Context(), d)
	if err != nil || !bytes.Contains(text, []byte(accused[0].Miner.String())) || bytes.Contains(text, []byte("castle")) {
		t.Errorf("evidence: %s, %v", text, err)
	}
}

// TestUnfinishedAuditsGoOn: what was not audited when the program ended is, when it runs again; the beacon that decides
// stays the same.
func TestUnfinishedAuditsGoOn(t *testing.T) {
	n := newNetwork(t, honest, nil, honest)
	n.miners[1].hangs = true
	n.miners[2].actor.JailedUntil = 1 // nobody else can be drawn
	book := filepath.Join(t.TempDir(), "book.db")
	own, err := seal.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	var works []verify.Work
	var height int64
	t.Run("first run", func(t *testing.T) {
		n.t = t
		r := n.verifier(func(c *verifier.Config) { c.Book, c.Seal = book, own })
		r.seal = own
		works = append(works, r.deliver(order{prompt: secret, to: []int{0}, consent: true}))
		for c := (essaim.Checked{}); c.State != essaim.AuditRunning; {
			if c, err = r.Checked(t.Context(), works[0].Receipt.Task); err != nil {
				t.Fatal(err)
			}
			height = c.Height
			time.Sleep(time.Millisecond)
		}
		n.mu.Lock()
		n.down = true
		n.mu.Unlock()
		works = append(works, r.deliver(order{prompt: secret, to: []int{0}, consent: true}))
	})
	n.t, n.down = t, false
	n.miners[2].actor.JailedUntil = 0
	n.miners[1].actor.JailedUntil = 1
	r := n.verifier(func(c *verifier.Config) { c.Book, c.Seal = book, own })
	r.seal = own
	for i, w := range works {
		c := r.ended(w)
		if c.State != essaim.AuditDone || len(c.Checks) != 1 || i == 0 && c.Height != height {
			t.Errorf("audit %d: %+v", i, c)
		}
	}
}

// TestBookOutlivesTheProgram: what is known of miners and receipts is there after a restart.
func TestBookOutlivesTheProgram(t *testing.T) {
	n := newNetwork(t, lazy, honest, honest)
	book := filepath.Join(t.TempDir(), "book.db")
	var w verify.Work
	var was essaim.Checked
	t.Run("first run", func(t *testing.T) {
		n.t = t
		r := n.verifier(func(c *verifier.Config) { c.Book = book })
		w = r.deliver(order{prompt: secret, to: []int{0}, consent: true})
		was = r.ended(w)
	})
	n.t = t
	r := n.verifier(func(c *verifier.Config) { c.Book = book })
	c, err := r.Checked(t.Context(), w.Receipt.Task)
	if err != nil || c.State != was.State || len(c.Checks) != len(was.Checks) || !r.Barred(n.key(0), model) || r.Record(n.key(0), model).Wrongs != 1 {
		t.Errorf("%+v: %v", c, err)
	}
}

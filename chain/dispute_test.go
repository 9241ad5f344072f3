package chain_test

import (
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/chain/x/market"
	"github.com/essaim/essaim/gen/chain/marketv1"
	"github.com/essaim/essaim/receipts/sumtree"
)

// job is one task and its receipt; a test changes what it wants to lie about.
type job struct {
	seq    uint64
	miner  string
	payer  string // whose key signs the task
	task   func(*essaim.Task)
	change func(*essaim.Receipt)
	amount essaim.Amount // of the leaf; 0: the receipt's price
	spoil  bool          // the receipt's bytes
}

// work is a session's leaves in the order of its lines, with their tree.
type work struct {
	session  uint64
	openings []essaim.Opening
	lines    []essaim.Line
	tree     *sumtree.Tree
}

// price of a job: 1000 for the first, 2000 for the second.
func price(seq uint64) essaim.Amount { return essaim.Amount(1000 * seq) }

// honest is a session of six tasks by two miners, 21,000 uaim.
func honest() (jobs []job) {
	for seq := range uint64(6) {
		jobs = append(jobs, job{seq: seq + 1, miner: []string{"m1", "m2"}[seq/3], payer: "session"})
	}
	return jobs
}

func (j job) opening(t testing.TB, session uint64) (essaim.Opening, essaim.Line) {
	t.Helper()
	task := essaim.NewTask(chainID, essaim.SessionID(session), j.seq)
	task.Kind, task.Model, task.Input, task.MaxPrice = essaim.KindImage, firstModel, essaim.DigestOf([]byte{byte(j.seq)}), price(j.seq)
	if j.task != nil {
		j.task(&task)
	}
	r := essaim.NewReceipt(task)
	r.Miner, r.Coordinator, r.Attempt, r.Price, r.Units = public(j.miner), public("c"), 1, price(j.seq), 1
	r.Engine, r.MediaType, r.Output = "pixel", "image/png", essaim.DigestOf([]byte("picture"))
	if j.change != nil {
		j.change(&r)
	}
	var o essaim.Opening
	var err error
	if o.Task, err = essaim.SignTask(task, nodeKey(j.payer)); err != nil {
		t.Fatal(err)
	}
	if o.Receipt, err = essaim.SignReceipt(r, nodeKey(j.miner)); err != nil {
		t.Fatal(err)
	}
	if j.spoil {
		o.Receipt[len(o.Receipt)-1] ^= 1
	}
	o.Amount = r.Price
	if j.amount > 0 {
		o.Amount = j.amount
	}
	return o, essaim.Line{Miner: public(j.miner), Model: firstModel, Amount: o.Amount, Tasks: 1}
}

// build puts jobs into a tree, as a coordinator would that believes them.
func build(t testing.TB, session uint64, jobs []job) work {
	t.Helper()
	type leaf struct {
		opening essaim.Opening
		line    essaim.Line
	}
	var leaves []leaf
	for _, j := range jobs {
		o, l := j.opening(t, session)
		leaves = append(leaves, leaf{o, l})
	}
	slices.SortStableFunc(leaves, func(a, b leaf) int { return a.line.Compare(b.line) })
	w := work{session: session}
	for _, l := range leaves {
		w.openings = append(w.openings, l.opening)
		if n := len(w.lines); n > 0 && w.lines[n-1].Compare(l.line) == 0 {
			w.lines[n-1].Amount += l.line.Amount
			w.lines[n-1].Tasks++
		} else {
			w.lines = append(w.lines, l.line)
		}
	}
	var err error
	w.tree, err = sumtree.Build(func(yield func(sumtree.Leaf) bool) {
		for _, o := range w.openings {
			if !yield(sumtree.Leaf{Task: essaim.DigestOf(o.Task), Receipt: essaim.DigestOf(o.Receipt), Amount: o.Amount}) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.openings {
		p := w.tree.Prove(i)
		w.openings[i].Index, w.openings[i].Siblings = p.Index, p.Siblings
	}
	return w
}

// settle is the settlement of the work, with a voucher over some amount; 0: without.
func (k work) settle(t testing.TB, acknowledged essaim.Amount) *marketv1.MsgSettle {
	m := signed(essaim.Settlement{
		ChainID: chainID, Session: essaim.SessionID(k.session), Root: k.tree.Root(), Lines: k.lines, Receipts: essaim.Digest{9},
	}, "c")
	if acknowledged > 0 {
		m.Voucher = voucher(t, k.session, acknowledged, nil)
	}
	return m
}

func (k work) opening(i int) marketv1.Opening { return stored(k.openings[i]) }

func stored(o essaim.Opening) marketv1.Opening {
	out := marketv1.Opening{Task: o.Task, Receipt: o.Receipt, Amount: uint64(o.Amount), Index: o.Index}
	for _, s := range o.Siblings {
		out.Siblings = append(out.Siblings, s[:]...)
	}
	return out
}

func challenge(session uint64, openings ...marketv1.Opening) *marketv1.MsgChallenge {
	return &marketv1.MsgChallenge{Submitter: account(7).String(), Session: session, Openings: openings}
}

func voucher(t testing.TB, session uint64, amount essaim.Amount, change func(*essaim.Voucher)) []byte {
	t.Helper()
	v := essaim.Voucher{ChainID: chainID, Session: essaim.SessionID(session), Coordinator: public("c"), Amount: amount, Count: 1}
	if change != nil {
		change(&v)
	}
	b, err := essaim.SignVoucher(v, nodeKey("session"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func show(session uint64, voucher []byte) *marketv1.MsgShowVoucher {
	return &marketv1.MsgShowVoucher{Submitter: account(7).String(), Session: session, Voucher: voucher}
}

// waiting are the parameters of these tests: what is not acknowledged waits 20 blocks.
func waitingParams() marketv1.Params {
	return marketv1.Params{ProtocolFeeBps: 100, MaxSessionBlocks: 1000, ClaimBlocks: 50, ChallengeBlocks: 20, OpeningBlocks: 5}
}

// newWaiting is a court whose settlements can be challenged.
func newWaiting(t testing.TB, change func(*marketv1.Params)) *world {
	w := newCourt(t)
	p := waitingParams()
	if change != nil {
		change(&p)
	}
	w.must(t, &marketv1.MsgUpdateParams{Authority: governance(), Params: p})
	return w
}

func (w *world) settlement(t testing.TB, id uint64) marketv1.Settlement {
	t.Helper()
	for _, s := range w.marketState(t).Settlements {
		if s.Session == id {
			return s
		}
	}
	t.Fatal("no settlement", id)
	return marketv1.Settlement{}
}

// TestVouchersRelease: what the payer acknowledged is paid at once, by each payee's part;
// the rest when the window is over, and in the end each has what it would have had at once.
func TestVouchersRelease(t *testing.T) {
	w := newWaiting(t, nil)
	k := build(t, 1, honest())
	w.must(t, openSession(100_000, 100))
	payees := []essaim.Address{account(1), pool, stakes}
	start := map[essaim.Address]essaim.Amount{}
	for _, a := range payees {
		start[a] = w.balance(a)
	}
	now := w.branch()
	now.must(t, k.settle(t, 21_000))
	now.check(t)
	w.must(t, k.settle(t, 10_500))
	w.check(t)
	if s := w.settlement(t, 1); s.Pending < 10_500 || s.Pending > 10_510 || s.Refunded != 79_000 || s.Acknowledged != 10_500 || s.ChallengeUntil != 22 {
		t.Fatalf("%+v", s)
	}
	for name, c := range map[string]struct {
		voucher []byte
		want    error
	}{
		"the same":               {voucher(t, 1, 10_500, nil), market.ErrStale},
		"an older one":           {voucher(t, 1, 500, nil), market.ErrStale},
		"another session's":      {voucher(t, 2, 20_000, nil), market.ErrVoucher},
		"another chain's":        {voucher(t, 1, 20_000, func(v *essaim.Voucher) { v.ChainID = "x" }), market.ErrVoucher},
		"another coordinator's":  {voucher(t, 1, 20_000, func(v *essaim.Voucher) { v.Coordinator = public("m1") }), market.ErrVoucher},
		"changed after signing":  {flip(voucher(t, 1, 20_000, nil)), market.ErrVoucher},
		"too large":              {make([]byte, market.MaxVoucher+1), market.ErrVoucher},
		"signed by somebody":     {must(essaim.SignVoucher(essaim.Voucher{ChainID: chainID, Session: 1, Coordinator: public("c"), Amount: 20_000}, nodeKey("c"))), market.ErrVoucher},
		"an acknowledgement":     {must(essaim.SignAck(promise(1, 20_000, nil), nodeKey("session"))), market.ErrVoucher},
		"for an unknown session": {voucher(t, 1, 20_000, nil), market.ErrNotFound},
	} {
		m := show(1, c.voucher)
		if c.want == market.ErrNotFound {
			m.Session = 9
		}
		t.Run(name, func(t *testing.T) { refused(t, w, m, c.want) })
	}
	w.must(t, show(1, voucher(t, 1, 15_000, nil)))
	w.check(t)
	if s := w.settlement(t, 1); s.Pending < 6_000 || s.Pending > 6_010 {
		t.Fatalf("%+v", s)
	}
	all := w.branch()
	all.must(t, show(1, voucher(t, 1, 99_000, nil))) // more than there is
	all.check(t)
	w.advance(t, 22)
	if s := w.settlement(t, 1); s.Pending == 0 {
		t.Fatal("paid before the window is over")
	}
	w.advance(t, 23)
	w.check(t)
	for name, x := range map[string]*world{"after the window": w, "by the last voucher": all} {
		if s := x.settlement(t, 1); s.Pending != 0 || s.Paid != 21_000 || s.Refunded != 79_000 {
			t.Errorf("%s: %+v", name, s)
		}
		for _, a := range payees {
			if got, want := x.balance(a)-start[a], now.balance(a)-start[a]; got != want {
				t.Errorf("%s: %s has %d, at once it would have had %d", name, a, got, want)
			}
		}
		refused(t, x, show(1, voucher(t, 1, 99_001, nil)), market.ErrClosed)
	}
	late := newWaiting(t, nil)
	late.must(t, openSession(100_000, 10))
	late.advance(t, 10)
	refused(t, late, build(t, 1, honest()).settle(t, 21_000), market.ErrExpired)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestFalseLeaves: every lie about a leaf convicts the coordinator at once, and takes the
// leaf's amount back; the same challenge of an honest coordinator is refused.
func TestFalseLeaves(t *testing.T) {
	lie := func(change func(*job)) func([]job) { return func(j []job) { change(&j[2]) } }
	receipt := func(change func(*essaim.Receipt)) func([]job) { return lie(func(j *job) { j.change = change }) }
	task := func(change func(*essaim.Task)) func([]job) { return lie(func(j *job) { j.task = change }) }
	for name, c := range map[string]struct {
		lie   func([]job)
		want  string
		lines func([]essaim.Line)
	}{
		"a task that the payer has not signed":  {lie: lie(func(j *job) { j.payer = "c" }), want: market.FaultUnsigned},
		"a receipt changed after signing":       {lie: lie(func(j *job) { j.spoil = true }), want: market.FaultUnsigned},
		"a receipt that another miner signed":   {lie: receipt(func(r *essaim.Receipt) { r.Miner = public("m2") }), want: market.FaultUnsigned},
		"above the task's maximum":              {lie: receipt(func(r *essaim.Receipt) { r.Price++ }), want: market.FaultOverpriced},
		"another session's task":                {lie: task(func(t *essaim.Task) { t.Session = 2 }), want: market.FaultForeign},
		"another chain's task":                  {lie: task(func(t *essaim.Task) { t.ChainID = "essaim-other" }), want: market.FaultForeign},
		"another coordinator's receipt":         {lie: receipt(func(r *essaim.Receipt) { r.Coordinator = public("m2") }), want: market.FaultForeign},
		"a receipt for another input":           {lie: receipt(func(r *essaim.Receipt) { r.Input = essaim.Digest{1} }), want: market.FaultUnbound},
		"a receipt for another task":            {lie: receipt(func(r *essaim.Receipt) { r.Task = essaim.Digest{1} }), want: market.FaultUnbound},
		"a leaf that counts for more":           {lie: lie(func(j *job) { j.amount = 3_500 }), want: market.FaultAmount},
		"a leaf of another model in the line":   {lie: task(func(t *essaim.Task) { t.Model = secondModel }), want: market.FaultPayee},
		"totals that are not those of the tree": {lie: func([]job) {}, want: market.FaultLine, lines: func(l []essaim.Line) { l[0].Amount -= 100; l[1].Amount += 100 }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t, nil)
			jobs := honest()
			c.lie(jobs)
			k := build(t, 1, jobs)
			if c.lines != nil {
				c.lines(k.lines)
			}
			at := slices.IndexFunc(k.openings, func(o essaim.Opening) bool { // the third task, or what stands at the lines' border
				task, _, err := essaim.OpenTask(o.Task)
				return err == nil && task.Seq == 3
			})
			if c.lines != nil {
				at = int(k.lines[0].Tasks) - 1
			}
			w.must(t, openSession(100_000, 100))
			w.must(t, k.settle(t, 5_000))
			for i := range k.openings {
				if i != at {
					refused(t, w, challenge(1, k.opening(i)), market.ErrTrue)
				}
			}
			before, stake := w.balance(payer), w.stakeOf(t, "c")
			var said marketv1.MsgChallengeResponse
			if err := said.Unmarshal(w.must(t, challenge(1, k.opening(at))).Data); err != nil || said.Conviction.Fault != c.want || said.Conviction.Slash != 1 {
				t.Fatalf("%+v, %v; want %q", said, err, c.want)
			}
			w.check(t)
			back := w.balance(payer) - before
			if want := essaim.Amount(said.Conviction.Voided); back != want || c.lines == nil && want+essaim.Amount(said.Conviction.Restitution) != k.openings[at].Amount {
				t.Errorf("%d back to the payer: %+v", back, said.Conviction)
			}
			if got := w.stakeOf(t, "c"); got != stake-stake/10 {
				t.Errorf("stake %d of %d is left", got, stake)
			}
			if r := w.record(t, "c"); r.Convicted != 1 {
				t.Errorf("record %+v", r)
			}
			refused(t, w, challenge(1, k.opening(at)), market.ErrConvicted)
			w.advance(t, 60)
			if s := w.settlement(t, 1); s.Pending != 0 || s.Paid+s.Refunded != 100_000 {
				t.Errorf("%+v", s)
			}
			if got := w.balance(payer); got != before+essaim.Amount(said.Conviction.Voided+said.Conviction.Restitution) {
				t.Errorf("in the end the payer has %d more, want %+v", got-before, said.Conviction)
			}
			if len(w.marketState(t).Convictions) != 0 {
				t.Error("convictions are kept for ever")
			}
		})
	}
}

// TestDoubledTasks: two leaves that are one task, or bear one number.
func TestDoubledTasks(t *testing.T) {
	for name, lie := range map[string]func([]job) []job{
		"a receipt twice":        func(j []job) []job { return append(j, j[0]) },
		"a task by two miners":   func(j []job) []job { again := j[0]; again.miner = "m2"; return append(j, again) },
		"two tasks, one number":  func(j []job) []job { j[3].task = func(t *essaim.Task) { t.Seq, t.Seed = 1, 7 }; return j },
		"a receipt three times":  func(j []job) []job { return append(j, j[0], j[0]) },
		"nothing, it is correct": func(j []job) []job { return j },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t, nil)
			k := build(t, 1, lie(honest()))
			w.must(t, openSession(100_000, 100))
			w.must(t, k.settle(t, 0))
			convicted := 0
			for i := range k.openings {
				for j := range i {
					b := w.branch()
					_, err := b.do(challenge(1, k.opening(j), k.opening(i)))
					if other, _ := w.branch().do(challenge(1, k.opening(i), k.opening(j))); (other == nil) != (err != nil) {
						t.Errorf("leaves %d and %d: the order counts", i, j)
					}
					if err == nil {
						w.must(t, challenge(1, k.opening(j), k.opening(i)))
						w.check(t)
						convicted++
					}
				}
			}
			if want := map[string]int{"nothing, it is correct": 0, "a receipt three times": 2}[name]; convicted != want && (want != 0 || convicted != 1) && name[0] != 'n' {
				t.Errorf("%d leaves convicted", convicted)
			}
			if name[0] == 'n' && convicted != 0 {
				t.Error("an honest coordinator was convicted")
			}
			refused(t, w, challenge(1, k.opening(0), k.opening(0)), market.ErrTrue)
		})
	}
}

// TestChallengeRefusals: what is no leaf of the settlement, or comes at the wrong time.
func TestChallengeRefusals(t *testing.T) {
	w := newWaiting(t, nil)
	jobs := honest()
	jobs[0].payer = "c"
	k := build(t, 1, jobs)
	good := k.opening(0)
	w.must(t, openSession(100_000, 100))
	refused(t, w, challenge(1, good), market.ErrNotFound)
	w.must(t, k.settle(t, 0))
	change := func(edit func(*marketv1.Opening)) marketv1.Opening {
		o := good
		o.Siblings = slices.Clone(o.Siblings)
		edit(&o)
		return o
	}
	for name, c := range map[string]struct {
		msg  *marketv1.MsgChallenge
		want error
	}{
		"nothing":         {challenge(1), market.ErrOpening},
		"three":           {challenge(1, good, good, good), market.ErrOpening},
		"another session": {challenge(9, good), market.ErrNotFound},
		"another amount":  {challenge(1, change(func(o *marketv1.Opening) { o.Amount++ })), market.ErrOpening},
		"another place":   {challenge(1, change(func(o *marketv1.Opening) { o.Index++ })), market.ErrOpening},
		"no place":        {challenge(1, change(func(o *marketv1.Opening) { o.Index = 6 })), market.ErrOpening},
		"another task":    {challenge(1, change(func(o *marketv1.Opening) { o.Task = k.openings[1].Task })), market.ErrOpening},
		"no path":         {challenge(1, change(func(o *marketv1.Opening) { o.Siblings = nil })), market.ErrOpening},
		"half a node":     {challenge(1, change(func(o *marketv1.Opening) { o.Siblings = o.Siblings[1:] })), market.ErrOpening},
		"another path":    {challenge(1, change(func(o *marketv1.Opening) { o.Siblings[40] ^= 1 })), market.ErrOpening},
		"an endless path": {challenge(1, change(func(o *marketv1.Opening) { o.Siblings = make([]byte, 65*48) })), market.ErrOpening},
		"a huge task":     {challenge(1, change(func(o *marketv1.Opening) { o.Task = make([]byte, market.MaxSigned+1) })), market.ErrOpening},
	} {
		t.Run(name, func(t *testing.T) { refused(t, w, c.msg, c.want) })
	}
	w.advance(t, 21)
	w.branch().must(t, challenge(1, good)) // the last block in which it counts
	w.advance(t, 22)
	refused(t, w, challenge(1, good), market.ErrLate)
}

// TestRestitution: where nothing waits any more, the payer gets its money out of the slash.
func TestRestitution(t *testing.T) {
	w := newWaiting(t, nil)
	jobs := honest()
	jobs[0].payer = "c"
	k := build(t, 1, jobs)
	w.must(t, openSession(100_000, 100))
	w.must(t, k.settle(t, 21_000))
	before := w.balance(payer)
	var said marketv1.MsgChallengeResponse
	at := slices.IndexFunc(k.openings, func(o essaim.Opening) bool { return o.Amount == 1000 })
	if err := said.Unmarshal(w.must(t, challenge(1, k.opening(at))).Data); err != nil || said.Conviction.Voided != 0 || said.Conviction.Restitution != 1000 {
		t.Fatalf("%+v, %v", said, err)
	}
	w.advance(t, 60)
	if got := w.balance(payer) - before; got != 1000 {
		t.Errorf("the payer got %d", got)
	}
}

func TestWaitingParams(t *testing.T) {
	w := newWaiting(t, nil)
	for name, edit := range map[string]func(*marketv1.Params){
		"burn more than half":           func(p *marketv1.Params) { p.BurnBps = market.MaxBurn + 1 },
		"more than certain":             func(p *marketv1.Params) { asked(p); p.OpeningBps++ },
		"too many openings":             func(p *marketv1.Params) { asked(p); p.Openings = market.MaxOpenings + 1 },
		"asked for nothing":             func(p *marketv1.Params) { asked(p); p.Openings = 0 },
		"no time to answer":             func(p *marketv1.Params) { asked(p); p.OpeningBlocks = 0 },
		"asked when all is paid":        func(p *marketv1.Params) { asked(p); p.ChallengeBlocks = 2 },
		"no time to claim":              func(p *marketv1.Params) { p.ClaimBlocks = 27 },
		"no time to claim, by overflow": func(p *marketv1.Params) { p.ChallengeBlocks = 1<<32 - 1 },
	} {
		p := waitingParams()
		edit(&p)
		t.Run(name, func(t *testing.T) {
			refused(t, w, &marketv1.MsgUpdateParams{Authority: governance(), Params: p}, market.ErrParams)
		})
	}
}

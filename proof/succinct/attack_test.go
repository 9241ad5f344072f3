package succinct

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/prooftest"
	"github.com/essaim/essaim/quant"
)

// refusal fails unless a proof is refused as one.
func refusal(t *testing.T, why string, err error) {
	t.Helper()
	if !errors.Is(err, proof.ErrRefused) {
		t.Errorf("%s: %v", why, err)
	}
}

// A cheater computes something else and proves that as well as he can.
type cheater struct {
	*testing.T
	*stage
	honest *Run
	random *rand.Rand
	cheats int
	each   int // how many of each sort
}

// try checks a cheat, which must be refused.
func (c *cheater) try(why string, st proof.Statement, p *Proof) {
	c.Helper()
	c.cheats++
	refusal(c.T, why, c.verify(c.T, p, st))
}

// TestStructuredCheats: a thousand and more cheats, each refused. Whatever he alters, from there on the cheater computes
// honestly and states what came out.
func TestStructuredCheats(t *testing.T) {
	s := theStage(t, 0)
	_, honest := run(t, s.engine, s.statement(), nil)
	c := &cheater{T: t, stage: s, honest: honest, random: rand.New(rand.NewPCG(1, 1))}
	want := 1000
	if c.each = 16; testing.Short() {
		c.each, want = 1, 70
	}
	c.alterOperators()
	c.alterTensors()
	c.alterProgram()
	c.alterRequests()
	c.alterCells()
	if c.cheats < want {
		t.Errorf("%d cheats, want %d", c.cheats, want)
	}
	t.Logf("%d cheats, all refused", c.cheats)
}

// alterOperators makes one number of each operator's output another, requantisation among them: off by one or by more.
func (c *cheater) alterOperators() {
	for id := 2; id <= len(c.honest.ops); id++ {
		for range c.each {
			by := []int32{1, -1, 2, 1 << 8, -1 << 12}[c.random.IntN(5)]
			st, r := run(c.T, c.engine, c.statement(), prooftest.Lie(id, c.random.IntN(1<<16), by))
			c.try("operator "+c.honest.ops[id-1].Operator.Kind(), st, cheat(c.T, c.prover, st, r, nil))
		}
	}
}

// alterTensors makes one weight, bias or factor another.
func (c *cheater) alterTensors() {
	for _, name := range []string{"a.w", "b.w", "c.w", "d.w", "table", "a.bias", "a.mul", "b.mul", "c.bias", "d.mul", "table.mul"} {
		for range c.each {
			tensors, err := quant.ReadTensors(prooftest.File(0))
			if err != nil {
				c.Fatal(err)
			}
			if w := tensors[name].Int8(); w != nil {
				w[c.random.IntN(len(w))] ^= 1 << c.random.IntN(7)
			} else {
				w := tensors[name].Int32()
				w[c.random.IntN(len(w))] += 1 + c.random.Int32N(5)
			}
			liar, err := prooftest.New(tensors)
			if err != nil {
				c.Fatal(err)
			}
			st, r := run(c.T, liar, c.statement(), nil)
			if c.same(r) {
				continue // one that this run does not use
			}
			c.try("another number in "+name, st, cheat(c.T, c.prover, st, r, nil))
		}
	}
}

// same reports whether a run is the honest one.
func (c *cheater) same(r *Run) bool {
	return slices.EqualFunc(r.ops, c.honest.ops, func(a, b quant.Op) bool { return a.Out.Equal(b.Out) })
}

// alterProgram leaves a step out, or exchanges layers.
func (c *cheater) alterProgram() {
	for steps := range (c.each + 1) / 2 {
		for seed := range uint64(3) {
			st := c.statement()
			st.Steps, st.Seed = steps+1, seed
			liar := *c.engine
			liar.Skip = 1
			lied, r := run(c.T, &liar, st, nil)
			c.try("a step skipped", lied, cheat(c.T, c.prover, lied, r, nil))
			liar.Skip, liar.Exchanged = 0, true
			lied, r = run(c.T, &liar, st, nil)
			c.try("layers exchanged", lied, cheat(c.T, c.prover, lied, r, nil))
		}
	}
}

// alterRequests proves with the other model, or the request of another.
func (c *cheater) alterRequests() {
	other := theStage(c.T, 1)
	for seed := range uint64(c.each) {
		st := c.statement()
		st.Seed = seed
		lied, r := run(c.T, other.engine, st, nil)
		c.try("the other model's run", lied, cheat(c.T, c.prover, lied, r, nil))
		c.try("the other model's run and weights", lied, cheat(c.T, other.prover, lied, r, nil))
		liar := *other.prover
		liar.Model = *c.model // says the right root, has other columns
		c.try("the other model's weights under this root", lied, cheat(c.T, &liar, lied, r, nil))
		right, r := run(c.T, c.engine, st, nil)
		p := cheat(c.T, c.prover, right, r, nil)
		for _, change := range []func(*proof.Statement){
			func(s *proof.Statement) { s.Prompt = "red apples" }, func(s *proof.Statement) { s.Seed++ }, func(s *proof.Statement) { s.Result[31]++ },
		} {
			wrong := right
			change(&wrong)
			c.try("another request", wrong, p)
		}
	}
}

// alterCells commits to other numbers than were computed, of each sort, with all that follows from them in the tree
// of fractions as it should be for them, or as it is.
func (c *cheater) alterCells() {
	st, r := run(c.T, c.engine, c.statement(), nil)
	a, _, _, err := assign(c.prover, []proof.Statement{st}, []*Run{r})
	if err != nil {
		c.Fatal(err)
	}
	n := len(a.cells)
	for i := 0; i < n; i += 1 + c.random.IntN(n/(16*c.each)) {
		by := []uint32{1, field.P - 1, 1 << 14, 1 << 30}[c.random.IntN(4)]
		follow := c.random.IntN(2) == 0
		c.try("a cell", st, cheat(c.T, c.prover, st, r, func(a *assignment) {
			a.cells[i] = uint32((uint64(a.cells[i]) + uint64(by)) % field.P)
			if follow {
				a.follow()
			}
		}))
	}
}

// follow makes the leaves what the cells say, by the forms that the checker computes.
func (a *assignment) follow() {
	w := a.elements()
	at := func(first, i int) int64 { return int64(w[a.table.rows()+first+i].Uint64()) }
	for j := range a.changes {
		c := &a.changes[j]
		for i := range c.n() {
			v := int64(0)
			if c.in.known != nil {
				v = int64(c.in.known[i%c.in.elements])
			}
			for _, first := range c.in.first {
				v += at(first, i)
			}
			a.followOne(c, i, int64(residue(v)), at)
		}
	}
}

// times is a product modulo the field's prime.
func times(a, b int64) int64 {
	x, y := field.Of(a), field.Of(b)
	x.Mul(&x, &y)
	return int64(x.Uint64())
}

func (a *assignment) followOne(c *change, i int, v int64, at func(first, i int) int64) {
	inverse := inverse14()
	half := int64(inverse.Uint64())
	m, low, q, rest := c.mul[i%c.in.elements], at(c.low, i), int64(0), int64(0)
	if c.q >= 0 {
		q = at(c.q, i)
	} else {
		q = int64(c.shown[i])
	}
	if c.shift > lowBits {
		rest = at(c.rest, i)
	}
	b := times(v, m) + 1<<(c.shift-1) - times(q, 1<<c.shift) - times(rest, 1<<lowBits)
	values := []int64{low, times(v-low, half) + 1<<(highBits-1), b, times(times(low, m&(1<<lowBits-1))+c.carry()-b, half)}
	if c.shift > lowBits {
		values = append(values, rest)
	}
	pair := int64(0)
	if c.clamp >= 0 {
		values = append(values, q)
		if pair = int64(0); c.out >= 0 {
			pair = at(c.out, i)
		} else {
			pair = int64(c.shown[i])
		}
	}
	for _, l := range c.limbs {
		u := l.sign*q + l.offset
		values = append(values, at(l.cell, i), times(u-at(l.cell, i), half))
	}
	for k, x := range values {
		leaf := a.table.rows() + c.leaf + k*c.n() + i
		a.x[leaf], a.y[leaf] = residue(x), 0
		if c.clamp >= 0 && c.tags()[k] >= ranges {
			a.y[leaf] = residue(pair)
		}
	}
}

// TestFollow: what an honest assignment's leaves are is what follows from its cells.
func TestFollow(t *testing.T) {
	s := theStage(t, 0)
	st, r := run(t, s.engine, s.statement(), nil)
	a, _, _, err := assign(s.prover, []proof.Statement{st}, []*Run{r})
	if err != nil || a.err != nil {
		t.Fatal(err, a.err)
	}
	x, y := slices.Clone(a.x), slices.Clone(a.y)
	a.follow()
	if !slices.Equal(x, a.x) || !slices.Equal(y, a.y) {
		t.Error("other leaves follow from the cells than were looked up")
	}
}

// TestFrozenHeart: every word of a statement counts, those, too, that change nothing about the run, for which
// the transcript alone can tell.
func TestFrozenHeart(t *testing.T) {
	s := theStage(t, 0)
	st, r := run(t, s.engine, s.statement(), nil)
	p := cheat(t, s.prover, st, r, nil)
	for why, change := range map[string]func(*proof.Statement){
		"chain":               func(s *proof.Statement) { s.Chain = "essaim-main" },
		"no chain":            func(s *proof.Statement) { s.Chain = "" },
		"task":                func(s *proof.Statement) { s.Task[0] ^= 1 },
		"model":               func(s *proof.Statement) { s.Model[0] ^= 1 },
		"prompt":              func(s *proof.Statement) { s.Prompt = "red appla" },
		"seed without effect": func(s *proof.Statement) { s.Seed += 40 }, // which the toy takes modulo 40
		"width":               func(s *proof.Statement) { s.Width++ },    // which the toy does not read
		"height":              func(s *proof.Statement) { s.Height++ },
		"steps":               func(s *proof.Statement) { s.Steps++ },
		"result":              func(s *proof.Statement) { s.Result[5] ^= 1 },
		"a trace":             func(s *proof.Statement) { s.Trace[5] ^= 1 },
	} {
		wrong := st
		change(&wrong)
		refusal(t, why, s.verify(t, p, wrong))
	}
	if err := s.verify(t, p, st); err != nil {
		t.Error(err)
	}
	// The checker's model, with one of its roots another.
	public, err := quant.Public(prooftest.File(0))
	if err != nil {
		t.Fatal(err)
	}
	root, err := quant.ModelRoot(prooftest.File(0))
	if err != nil {
		t.Fatal(err)
	}
	m, err := proof.NewModel(s.model.Digest(), root, essaim.DigestOf([]byte("another")), public)
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, "proof root", Verify(t.Context(), m, s.public, p.Encode(), st))
	refusal(t, "no statement", s.verify(t, p))
	refusal(t, "two statements", s.verify(t, p, st, st))
}

// TestEveryFieldCounts alters each field of a valid proof.
func TestEveryFieldCounts(t *testing.T) {
	s := theStage(t, 0)
	st, r := run(t, s.engine, s.statement(), nil)
	right := cheat(t, s.prover, st, r, nil)
	b := right.Encode()
	one := new(field.Ext).SetOne()
	altered := 0
	number := func(why string, e *field.Ext) {
		t.Helper()
		was := *e
		e.Add(e, one)
		refusal(t, why, s.verify(t, right, st))
		*e = was
		altered++
	}
	number("root", &right.Fractions.Root)
	for i := range right.Fractions.Levels {
		l := &right.Fractions.Levels[i]
		for j := range l.Rounds {
			number("fractions", &l.Rounds[j].C0)
			number("fractions", &l.Rounds[j].C2)
		}
		for j := range l.Nodes {
			number("nodes", &l.Nodes[j])
		}
	}
	number("total", &right.Total)
	for _, rounds := range [][]int{{0, len(right.Rounds)}, {1, len(right.Claims)}} {
		for i := range rounds[1] {
			round := &right.Rounds
			if rounds[0] == 1 {
				round = &right.Claims
			}
			number("round", &(*round)[i].C0)
			number("round", &(*round)[i].C2)
		}
	}
	for i, all := range [][]field.Ext{right.Lanes, right.Cells.Row, right.Cells.Mix, right.Weights.Rest} {
		for j := 0; j < len(all); j += []int{1, 31, 31, 31}[i] {
			number("numbers", &all[j])
		}
	}
	for i := 0; i < len(b); i += 257 { // bits anywhere
		changed := slices.Clone(b)
		changed[i] ^= 1 << (i % 8)
		altered++
		refusal(t, "a bit", Verify(t.Context(), s.model, s.public, changed, st))
	}
	for i := 0; i < len(b); i += 9973 {
		refusal(t, "an end", Verify(t.Context(), s.model, s.public, b[:i], st))
	}
	refusal(t, "a byte more", Verify(t.Context(), s.model, s.public, append(b, 0), st))
	if err := s.verify(t, right, st); err != nil {
		t.Error(err)
	}
	t.Logf("%d alterations, all refused", altered)
}

// TestWhatIsShown: another operator, or other numbers, are not shown.
func TestWhatIsShown(t *testing.T) {
	s := theStage(t, 0)
	st, r := run(t, s.engine, s.statement(), nil)
	right := cheat(t, s.prover, st, r, nil)
	for _, shown := range []Shown{
		{0, right.Shown[0].Output}, {2, right.Shown[0].Output}, {right.Shown[0].Operator + 1, right.Shown[0].Output}, {right.Shown[0].Operator - 1, right.Shown[0].Output},
		{right.Shown[0].Operator, nil}, {right.Shown[0].Operator, make([]int32, len(right.Shown[0].Output))}, {right.Shown[0].Operator, right.Shown[0].Output[1:]},
		{right.Shown[0].Operator, append([]int32{1 << 20}, right.Shown[0].Output[1:]...)},
	} {
		p := *right
		p.Shown = []Shown{shown}
		refusal(t, "another output", s.verify(t, &p, st))
	}
}

// FuzzVerify: bytes from anyone are refused or read, without a panic.
func FuzzVerify(f *testing.F) {
	s := theStage(f, 0)
	st, r := run(f, s.engine, s.statement(), nil)
	right := cheat(f, s.prover, st, r, nil).Encode()
	f.Add(right)
	f.Add(right[:200])
	f.Add(append(proof.Head(Mode), "\x01\x00\x00\x00\x07\x00\x00\x00\xff\xff\xff\x00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := Verify(t.Context(), s.model, s.public, b, st); err != nil {
			return
		}
		if !slices.Equal(b, right) {
			t.Fatal("other bytes than the proof's are taken")
		}
	})
}

package proof

import (
	"errors"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/prooftest"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// refused fails unless a proof is refused as one.
func refused(t *testing.T, why string, err error) {
	t.Helper()
	if !errors.Is(err, ErrRefused) {
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
}

// try checks a cheat, which must be refused.
func (c *cheater) try(why string, st Statement, p *Proof) {
	c.Helper()
	c.cheats++
	refused(c.T, why, c.verify(c.T, p, st))
}

// TestStructuredCheats: a thousand and more cheats, each refused. Whatever he alters, from there on the cheater computes
// honestly and states what came out.
func TestStructuredCheats(t *testing.T) {
	s := theStage(t, 0)
	_, honest := runToy(t, s.engine, s.statement(), nil)
	c := &cheater{T: t, stage: s, honest: honest, random: rand.New(rand.NewPCG(1, 1))}
	c.alterOperators()
	c.alterTensors()
	c.alterProgram()
	c.alterRequests()
	if c.cheats < 1000 {
		t.Errorf("%d cheats, want 1,000", c.cheats)
	}
	t.Logf("%d cheats, all refused", c.cheats)
}

// alterOperators makes one number of each operator's output another, requantisation and tables among them: off by one
// or by more.
func (c *cheater) alterOperators() {
	for id := 1; id <= c.honest.last.Out.ID; id++ {
		for range 40 {
			by := []int32{1, -1, 2, 1 << 8, -1 << 12}[c.random.IntN(5)]
			st, run := runToy(c.T, c.engine, c.statement(), prooftest.Lie(id, c.random.IntN(1<<16), by))
			if run.Trace() == c.honest.Trace() {
				c.Fatalf("operator %d: the lie is none", id)
			}
			c.try("operator "+run.last.Operator.Kind(), st, c.prover.prove(c.T, st, run))
		}
	}
}

// alterTensors makes one weight, bias or factor another.
func (c *cheater) alterTensors() {
	for _, name := range []string{"a.w", "b.w", "c.w", "d.w", "table", "a.bias", "a.mul", "b.mul", "c.bias", "d.mul", "table.mul"} {
		for range 40 {
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
			st, run := runToy(c.T, liar, c.statement(), nil)
			if run.Trace() == c.honest.Trace() {
				continue // one that this run does not use
			}
			c.try("another number in "+name, st, c.prover.prove(c.T, st, run))
		}
	}
}

// alterProgram leaves a step out, or exchanges layers.
func (c *cheater) alterProgram() {
	for steps := range 8 {
		for seed := range uint64(8) {
			st := c.statement()
			st.Steps, st.Seed = steps+1, seed
			liar := *c.engine
			liar.Skip = 1
			lied, run := runToy(c.T, &liar, st, nil)
			c.try("a step skipped", lied, c.prover.prove(c.T, lied, run))
			liar.Skip, liar.Exchanged = 0, true
			lied, run = runToy(c.T, &liar, st, nil)
			c.try("layers exchanged", lied, c.prover.prove(c.T, lied, run))
		}
	}
}

// alterRequests proves with the other model, or the request of another.
func (c *cheater) alterRequests() {
	other := theStage(c.T, 1)
	for seed := range uint64(40) {
		st := c.statement()
		st.Seed = seed
		lied, run := runToy(c.T, other.engine, st, nil)
		c.try("the other model's run", lied, c.prover.prove(c.T, lied, run))
		c.try("the other model's run and weights", lied, other.prover.prove(c.T, lied, run))
		liar := *other.prover
		liar.Model = *c.model // says the right root, has other columns
		c.try("the other model's weights under this root", lied, liar.prove(c.T, lied, run))
		right, run := runToy(c.T, c.engine, st, nil)
		p := c.prover.prove(c.T, right, run)
		for _, change := range []func(*Statement){
			func(s *Statement) { s.Prompt = "red apples" }, func(s *Statement) { s.Seed++ }, func(s *Statement) { s.Result[31]++ },
		} {
			wrong := right
			change(&wrong)
			c.try("another request", wrong, p)
		}
	}
}

// TestFrozenHeart: every word of a statement counts, those, too, that change nothing about the run, for which
// the transcript alone can tell.
func TestFrozenHeart(t *testing.T) {
	s := theStage(t, 0)
	st, r := runToy(t, s.engine, s.statement(), nil)
	p := s.prover.prove(t, st, r)
	for why, change := range map[string]func(*Statement){
		"chain":               func(s *Statement) { s.Chain = "essaim-main" },
		"no chain":            func(s *Statement) { s.Chain = "" },
		"task":                func(s *Statement) { s.Task[0] ^= 1 },
		"model":               func(s *Statement) { s.Model[0] ^= 1 },
		"prompt":              func(s *Statement) { s.Prompt = "red appla" },
		"seed without effect": func(s *Statement) { s.Seed += 40 }, // which the toy takes modulo 40
		"width":               func(s *Statement) { s.Width++ },    // which the toy does not read
		"height":              func(s *Statement) { s.Height++ },
		"steps":               func(s *Statement) { s.Steps++ },
		"result":              func(s *Statement) { s.Result[5] ^= 1 },
		"trace":               func(s *Statement) { s.Trace[5] ^= 1 },
		"no trace":            func(s *Statement) { s.Trace = essaim.Digest{} },
	} {
		wrong := st
		change(&wrong)
		refused(t, why, s.verify(t, p, wrong))
	}
	// The verifier's model, with one of its roots another.
	for why, change := range map[string]func(*Model){
		"weights root": func(m *Model) { m.weights[0] ^= 1 },
		"proof root":   func(m *Model) { m.root[0] ^= 1 },
	} {
		m := *s.model
		change(&m)
		refused(t, why, m.VerifyDecoded(t.Context(), s.public, p, st))
	}
	// A prover who forgets the statement, the operators or the outputs draws other challenges.
	for why, forget := range map[string]func(st Statement, r *Run, given [][]int32) (Statement, []byte, [][]int32){
		"statement": func(_ Statement, r *Run, g [][]int32) (Statement, []byte, [][]int32) {
			return Statement{}, r.headers, g
		},
		"operators": func(st Statement, _ *Run, g [][]int32) (Statement, []byte, [][]int32) { return st, nil, g },
		"given":     func(st Statement, r *Run, _ [][]int32) (Statement, []byte, [][]int32) { return st, r.headers, nil },
	} {
		all, given, err := r.claims(s.model)
		if err != nil {
			t.Fatal(err)
		}
		script := s.model.begin(1)
		a, b, c := forget(st, r, given)
		absorb(script, a, b, c)
		out := &Proof{Given: [][][]int32{given}}
		s.prover.argue(script, all, out)
		refused(t, "without "+why, s.verify(t, out, st))
	}
}

// TestOverflow: a sum that is another integer but the same modulo P. All that is proven in the field holds of it; it is
// the bound (2) that refuses it, which the test makes sure of by leaving it out.
func TestOverflow(t *testing.T) {
	s := theStage(t, 0)
	_, honest := runToy(t, s.engine, s.statement(), nil)
	for _, o := range honest.ops {
		for i := 0; i < len(o.Out.Wide); i += 13 {
			for _, by := range []int32{field.P, -field.P} {
				if v := int64(o.Out.Wide[i]) + int64(by); v != int64(int32(v)) {
					continue
				}
				st, r := runToy(t, s.engine, s.statement(), prooftest.Lie(o.Out.ID, i, by))
				p := s.prover.prove(t, st, r)
				err := s.verify(t, p, st)
				refused(t, "a multiple of P", err)
				if err != nil && !strings.Contains(err.Error(), "which no weights can make") {
					t.Fatalf("it is refused for another reason: %v", err)
				}
				if !algebraHolds(t, s, st, r, p) {
					t.Fatal("the attack is none: the field tells the two apart")
				}
				if _, err := s.prover.Prove([]Statement{st}, []*Run{r}); !errors.Is(err, ErrUnprovable) {
					t.Errorf("an honest prover proves it: %v", err)
				}
			}
		}
	}
	// Inputs whose products could leave the field.
	for _, x := range [][]int32{{0, 1 << 24}, {1, 1 << 22, 1, 1 << 22, 2, -1 << 22}, {0, -1 << 31}} {
		c := claim{pairs: x, out: make([]int32, prooftest.Cols)}
		if i, _ := s.model.layout.Find("table"); c.within(s.model.layout.Shapes[i]) == nil {
			t.Errorf("%v is within the bound", x)
		}
	}
}

// algebraHolds checks a proof without executing or bounding anything.
func algebraHolds(t *testing.T, s *stage, st Statement, r *Run, p *Proof) bool {
	t.Helper()
	all, given, err := r.claims(s.model)
	if err != nil {
		t.Fatal(err)
	}
	m := s.model
	script := m.begin(1)
	absorb(script, st, r.headers, given)
	point := script.Point(m.layout.Point())
	powers := field.Powers(script.Ext(), len(all))
	at1, rest := sumcheck.Verify(script, total(all, point, powers), p.Rounds)
	lanes := at(inputs(m.layout, all, powers), at1, m.layout.Lanes)
	return m.layout.Verify(script, m.root, point, at1, lanes, rest, p.Opening) == nil
}

// TestMended: a cheater whose lie would show in (4) alters the row that he opens so that (4) holds, and is honest about that row. The
// columns that he draws afterwards tell, every time.
func TestMended(t *testing.T) {
	s := theStage(t, 0)
	m := s.model
	for id := 2; id < 12; id++ {
		st, r := runToy(t, s.engine, s.statement(), prooftest.Lie(id, 3, 1))
		all, given, err := r.claims(m)
		if err != nil {
			t.Fatal(err)
		}
		p := s.prover.prove(t, st, r)
		script := m.begin(1)
		absorb(script, st, r.headers, given)
		point := script.Point(m.layout.Point())
		powers := field.Powers(script.Ext(), len(all))
		at1, rest := sumcheck.Verify(script, total(all, point, powers), p.Rounds)

		// What (4) comes to with the right row, and by how much one of its numbers must change.
		lanes := at(inputs(m.layout, all, powers), at1, m.layout.Lanes)
		row := s.prover.committed.Row(point, lanes)
		beside := bits.Len(uint(m.layout.Columns/commit.Lane)) - 1
		factors := field.Eq(append(slices.Clone(point[len(point)-beside:]), at1...))
		by, have, factor := rest, field.Dot(factors, row), factors[77]
		by.Sub(&by, &have)
		factor.Inverse(&factor)
		by.Mul(&by, &factor)
		row[77].Add(&row[77], &by)
		p.Opening = s.prover.committed.OpenRow(script, row, point, at1)
		err = s.verify(t, p, st)
		refused(t, "a mended row", err)
		if isLinear(r, id) && err != nil && !strings.Contains(err.Error(), "not that of its columns") {
			t.Errorf("operator %d is refused for another reason: %v", id, err)
		}
	}
}

func isLinear(r *Run, id int) bool {
	return slices.ContainsFunc(r.ops, func(o quant.Op) bool { return o.Out.ID == id })
}

// TestEveryFieldCounts alters each field of a valid proof.
func TestEveryFieldCounts(t *testing.T) {
	s := theStage(t, 0)
	st, r := runToy(t, s.engine, s.statement(), nil)
	right := s.prover.prove(t, st, r)
	b := right.Encode()
	again := func() *Proof {
		p, err := s.model.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	altered := 0
	try := func(why string, change func(p *Proof)) {
		t.Helper()
		p := again()
		change(p)
		altered++
		refused(t, why, s.verify(t, p, st))
	}
	one := new(field.Ext).SetOne()
	for o, out := range right.Given[0] {
		for i := range out {
			try("an output", func(p *Proof) { p.Given[0][o][i]++ })
		}
		try("an output less", func(p *Proof) { p.Given[0] = slices.Delete(p.Given[0], o, o+1) })
		try("an output twice", func(p *Proof) { p.Given[0] = slices.Insert(p.Given[0], o, p.Given[0][o]) })
		try("a number more", func(p *Proof) { p.Given[0][o] = append(p.Given[0][o], 0) })
		try("a number less", func(p *Proof) { p.Given[0][o] = p.Given[0][o][1:] })
	}
	try("an output at the end", func(p *Proof) { p.Given[0] = append(p.Given[0], nil) })
	try("a run more", func(p *Proof) { p.Given = append(p.Given, p.Given[0]) })
	try("no run", func(p *Proof) { p.Given = nil })
	for i := range right.Rounds {
		try("c0", func(p *Proof) { p.Rounds[i].C0.Add(&p.Rounds[i].C0, one) })
		try("c2", func(p *Proof) { p.Rounds[i].C2.B1.A1.SetUint64(3) })
	}
	try("rounds exchanged", func(p *Proof) { p.Rounds[0], p.Rounds[1] = p.Rounds[1], p.Rounds[0] })
	for i := range right.Opening.Top {
		try("the row's commitment", func(p *Proof) { p.Opening.Top[i][7] ^= 1 })
	}
	for i := range right.Opening.Rounds {
		try("the row's c0", func(p *Proof) { p.Opening.Rounds[i].C0.Add(&p.Opening.Rounds[i].C0, one) })
		try("the row's c2", func(p *Proof) { p.Opening.Rounds[i].C2.Add(&p.Opening.Rounds[i].C2, one) })
	}
	for i := range right.Opening.Rest {
		try("the rest", func(p *Proof) { p.Opening.Rest[i].Add(&p.Opening.Rest[i], one) })
	}
	for why, columns := range map[string]func(p *Proof) []commit.Column{
		"a column":            func(p *Proof) []commit.Column { return p.Opening.Columns },
		"a column of the row": func(p *Proof) []commit.Column { return p.Opening.Row },
	} {
		for i, c := range columns(right) {
			for j := 0; j < len(c.Values); j += 5 {
				try(why, func(p *Proof) { columns(p)[i].Values[j] ^= 1 })
			}
			for j := range c.Path {
				try(why+"'s path", func(p *Proof) { columns(p)[i].Path[j][31] ^= 0x80 })
			}
			next := columns(right)[(i+1)%len(columns(right))]
			if !slices.Equal(next.Values, c.Values) {
				try("another than "+why, func(p *Proof) { columns(p)[i] = next })
			}
		}
	}
	for i := 0; i < len(b); i += 31 { // bits anywhere
		changed := slices.Clone(b)
		changed[i] ^= 1 << (i % 8)
		altered++
		refused(t, "a bit", s.model.Verify(t.Context(), s.public, changed, st))
	}
	t.Logf("%d alterations, all refused", altered)
}

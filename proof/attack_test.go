package proof

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/field"
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

// lie is a tape's Given that alters one number of one operator's output by some amount.
func lie(id, at int, by int32) func(quant.Op) (quant.Value, bool) {
	return func(o quant.Op) (quant.Value, bool) {
		if o.Out.ID != id {
			return quant.Value{}, false
		}
		out := o.Operator.Apply(o.In, nil)
		if out.Wide != nil {
			out.Wide[at%len(out.Wide)] += by
		} else {
			out.Narrow[at%len(out.Narrow)] += int16(int8(by | 1)) // within a byte, which is all that a trace has of it
		}
		return out, true
	}
}

// TestStructuredCheats: a thousand and more cheats of a prover who computes something else and proves that as well as
// he can, each refused. Whatever he alters, from there on he computes honestly and states what came out.
func TestStructuredCheats(t *testing.T) {
	s := theStage(t, 0)
	_, honest := s.engine.run(t, s.statement(), nil)
	operators := honest.last.Out.ID
	r := rand.New(rand.NewPCG(1, 1))
	cheats := 0
	try := func(why string, st Statement, p *Proof) {
		t.Helper()
		cheats++
		refused(t, why, s.verify(t, p, st))
	}
	for id := 1; id <= operators; id++ { // each operator, requantisation and tables among them, off by one or by more
		for range 40 {
			by := []int32{1, -1, 2, 1 << 8, -1 << 12}[r.IntN(5)]
			st, run := s.engine.run(t, s.statement(), lie(id, r.IntN(1<<16), by))
			if run.Trace() == honest.Trace() {
				t.Fatalf("operator %d: the lie is none", id)
			}
			try("operator "+run.last.Operator.Kind(), st, s.prover.prove(t, st, run))
		}
	}
	for _, name := range []string{"a.w", "b.w", "c.w", "d.w", "table"} { // one weight is another
		for range 40 {
			file := toyFile(0)
			tensors, err := quant.ReadTensors(file)
			if err != nil {
				t.Fatal(err)
			}
			w := tensors[name].Int8()
			at := r.IntN(len(w))
			w[at] ^= 1 << r.IntN(7)
			cheat, err := newToy(tensors)
			if err != nil {
				t.Fatal(err)
			}
			st, run := cheat.run(t, s.statement(), nil)
			if run.Trace() == honest.Trace() {
				continue // a weight that this run does not use
			}
			try("another weight of "+name, st, s.prover.prove(t, st, run))
		}
	}
	for _, name := range []string{"a.bias", "a.mul", "b.mul", "c.bias", "d.mul", "table.mul"} { // one bias or factor
		for range 20 {
			tensors, err := quant.ReadTensors(toyFile(0))
			if err != nil {
				t.Fatal(err)
			}
			p := tensors[name].Int32()
			p[r.IntN(len(p))] += 1 + r.Int32N(5)
			cheat, err := newToy(tensors)
			if err != nil {
				t.Fatal(err)
			}
			st, run := cheat.run(t, s.statement(), nil)
			if run.Trace() == honest.Trace() {
				continue
			}
			try("another "+name, st, s.prover.prove(t, st, run))
		}
	}
	for steps := range 8 { // fewer steps than stated, layers exchanged
		for seed := range uint64(8) {
			st := s.statement()
			st.Steps, st.Seed = steps+1, seed
			cheat := *s.engine
			cheat.skip = 1
			lied, run := cheat.run(t, st, nil)
			try("a step skipped", lied, s.prover.prove(t, lied, run))
			cheat.skip, cheat.exchanged = 0, true
			lied, run = cheat.run(t, st, nil)
			try("layers exchanged", lied, s.prover.prove(t, lied, run))
		}
	}
	other := theStage(t, 1)
	for seed := range uint64(40) { // the other model, its prover, or the request of another
		st := s.statement()
		st.Seed = seed
		lied, run := other.engine.run(t, st, nil)
		try("the other model's run", lied, s.prover.prove(t, lied, run))
		try("the other model's run and weights", lied, other.prover.prove(t, lied, run))
		cheat := *other.prover
		cheat.Model = *s.model // says the right root, has other columns
		cheat.layout = other.prover.layout
		try("the other model's weights under this root", lied, cheat.prove(t, lied, run))
		right, run := s.engine.run(t, st, nil)
		p := s.prover.prove(t, right, run)
		for _, change := range []func(*Statement){
			func(s *Statement) { s.Prompt = "red apples" }, func(s *Statement) { s.Seed++ }, func(s *Statement) { s.Result[31]++ },
		} {
			wrong := right
			change(&wrong)
			try("another request", wrong, p)
		}
	}
	if cheats < 1000 {
		t.Errorf("%d cheats, want 1,000", cheats)
	}
	t.Logf("%d cheats, all refused", cheats)
}

// TestFrozenHeart: every word of a statement counts, those, too, that change nothing about the run, for which
// the transcript alone can tell.
func TestFrozenHeart(t *testing.T) {
	s := theStage(t, 0)
	st, r := s.engine.run(t, s.statement(), nil)
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
	_, honest := s.engine.run(t, s.statement(), nil)
	for _, o := range honest.ops {
		for i := 0; i < len(o.Out.Wide); i += 13 {
			for _, by := range []int32{field.P, -field.P} {
				if v := int64(o.Out.Wide[i]) + int64(by); v != int64(int32(v)) {
					continue
				}
				st, r := s.engine.run(t, s.statement(), lie(o.Out.ID, i, by))
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
		c := claim{pairs: x, out: make([]int32, toyCols)}
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

// TestMended: a cheater whose lie would show in (4) alters the opened row so that (4) holds, then draws his columns. They tell,
// every time.
func TestMended(t *testing.T) {
	s := theStage(t, 0)
	m := s.model
	for id := 2; id < 12; id++ {
		st, r := s.engine.run(t, s.statement(), lie(id, 3, 1))
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
		before := *script

		// What (4) comes to, and by how much one of the row's numbers must change.
		beside := point[len(point)-1:] // the toy's grid has two lanes beside each other
		if m.layout.Columns != 512 {
			t.Fatal("the toy's grid has another width")
		}
		var have field.Ext
		for e, b := range field.Eq(beside) {
			z := field.Dot(field.Eq(at1), p.Opening.Row[256*e:][:256])
			z.Mul(&z, &b)
			have.Add(&have, &z)
		}
		by, factor := rest, field.Eq(beside)[1]
		by.Sub(&by, &have)
		factor.Mul(&factor, &field.Eq(at1)[77])
		factor.Inverse(&factor)
		by.Mul(&by, &factor)
		p.Opening.Row[256+77].Add(&p.Opening.Row[256+77], &by)

		// The right columns for what is drawn now are those of any opening that draws them.
		script = &before
		script.AbsorbExt("opening", p.Opening.Row...)
		p.Opening.Columns = s.prover.committed.Show(script)
		err = s.verify(t, p, st)
		refused(t, "a mended row", err)
		if isLinear(r, id) && err != nil && !strings.Contains(err.Error(), "column") {
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
	st, r := s.engine.run(t, s.statement(), nil)
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
	for i := range right.Opening.Row {
		try("the row", func(p *Proof) { p.Opening.Row[i].Add(&p.Opening.Row[i], one) })
	}
	for i, c := range right.Opening.Columns {
		for j := 0; j < len(c.Values); j += 5 {
			try("a column", func(p *Proof) { p.Opening.Columns[i].Values[j] ^= 1 })
		}
		for j := range c.Path {
			try("a path", func(p *Proof) { p.Opening.Columns[i].Path[j][31] ^= 0x80 })
		}
		try("another column", func(p *Proof) { p.Opening.Columns[i] = p.Opening.Columns[(i+1)%len(p.Opening.Columns)] })
	}
	for i := 0; i < len(b); i += 31 { // bits anywhere
		changed := slices.Clone(b)
		changed[i] ^= 1 << (i % 8)
		altered++
		refused(t, "a bit", s.model.Verify(t.Context(), s.public, changed, st))
	}
	t.Logf("%d alterations, all refused", altered)
}

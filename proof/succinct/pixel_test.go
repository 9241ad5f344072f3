package succinct

import (
	"errors"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/builtin"
	"github.com/essaim/essaim/proof/prooftest"
	"github.com/essaim/essaim/quant"
)

// A built is one of the built-in models: its engine with its weights and without, prover and checker.
type built struct {
	digest essaim.Digest
	engine proof.Walker
	public proof.Walker
	prover *proof.Prover
	model  *proof.Model
}

// of is the model of a name.
func of(t testing.TB, name string) *built {
	t.Helper()
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	b, manifest, weights := &built{}, pixel.Manifest(), pixel.Weights()
	if name == text.Name {
		manifest, weights = text.Manifest(), text.Weights()
	}
	b.digest = essaim.DigestOf(manifest)
	public, err := quant.Public(weights)
	if err != nil {
		t.Fatal(err)
	}
	var err1, err2 error
	if name == text.Name {
		b.engine, err1 = text.New()
		b.public, err2 = text.NewPublic(public)
	} else {
		b.engine, err1 = pixel.New()
		b.public, err2 = pixel.NewPublic(public)
	}
	var err3, err4, err5 error
	b.prover, err3 = builtin.Proofs{}.Prover(b.digest)
	m, err4 := engine.ParseManifest(manifest, name)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if b.model, err5 = proof.NewModel(b.digest, m.Root, m.Proof, public); err5 != nil {
		t.Fatal(err5)
	}
	return b
}

// run runs a request and states what came out.
func (b *built) run(t testing.TB, prompt string, seed uint64, size int) (proof.Statement, *Run) {
	t.Helper()
	s := proof.Statement{Chain: "essaim-test", Model: b.digest, Prompt: prompt, Seed: seed, Width: size, Height: size}
	if size > 0 {
		s.Steps = 1
	}
	return runOf(t, b.engine, s)
}

func runOf(t testing.TB, e proof.Walker, s proof.Statement) (proof.Statement, *Run) {
	t.Helper()
	r, whole := new(Run), new(proof.Run)
	both := func(o quant.Op) { r.Watch(o); whole.Watch(o) }
	if err := e.Walk(t.Context(), s.Request(), nil, both); err != nil {
		t.Fatal(err)
	}
	s.Result = whole.Result()
	return s, r
}

func (b *built) prove(t testing.TB, s proof.Statement, r *Run) []byte {
	t.Helper()
	p, err := Prove(b.prover, []proof.Statement{s}, []*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	return p.Encode()
}

// TestPictures: whole pictures of one to four things are proven and checked without weights and without activations.
func TestPictures(t *testing.T) {
	b := of(t, pixel.Name)
	for _, c := range []struct {
		prompt string
		size   int
	}{{"red apple", 256}, {"une fusée bleue et deux chats", 64}, {"a cat and a dog and two red cars", 256}, {"moon", 512}} {
		s, r := b.run(t, c.prompt, 3, c.size)
		p := b.prove(t, s, r)
		if err := Verify(t.Context(), b.model, b.public, p, s); err != nil {
			t.Errorf("%q: %v", c.prompt, err)
		}
		t.Logf("%q, %d x %d: %d bytes", c.prompt, c.size, c.size, len(p))
		flipped := s
		flipped.Result[0] ^= 1
		if err := Verify(t.Context(), b.model, b.public, p, flipped); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("%q, another picture: %v", c.prompt, err)
		}
	}
}

// TestEmbeddings: nothing in the package is about pictures.
func TestEmbeddings(t *testing.T) {
	b := of(t, text.Name)
	s, r := b.run(t, "une pomme rouge", 0, 0)
	p := b.prove(t, s, r)
	if err := Verify(t.Context(), b.model, b.public, p, s); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes", len(p))
	s.Prompt = "une pomme verte"
	if err := Verify(t.Context(), b.model, b.public, p, s); !errors.Is(err, proof.ErrRefused) {
		t.Errorf("another text: %v", err)
	}
}

// TestTogether: runs are proven together, and a proof is of these statements in this order.
func TestTogether(t *testing.T) {
	s := theStage(t, 0)
	var (
		statements []proof.Statement
		runs       []*Run
	)
	for seed := range uint64(3) {
		st := s.statement()
		st.Seed, st.Steps = seed, int(seed)+1
		st, r := run(t, s.engine, st, nil)
		statements, runs = append(statements, st), append(runs, r)
	}
	p, err := Prove(s.prover, statements, runs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.verify(t, p, statements...); err != nil {
		t.Error(err)
	}
	statements[0], statements[1] = statements[1], statements[0]
	refusal(t, "another order", s.verify(t, p, statements...))
	refusal(t, "one less", s.verify(t, p, statements[:2]...))
}

// TestUnprovable: an honest prover proves no lie, no trace, and no run without anything to show.
func TestUnprovable(t *testing.T) {
	s := theStage(t, 0)
	right, honest := run(t, s.engine, s.statement(), nil)
	traced := right
	traced.Trace[0] = 1
	lied, lie := run(t, s.engine, s.statement(), prooftest.Lie(3, 5, 1))
	for why, c := range map[string]struct {
		statements []proof.Statement
		runs       []*Run
	}{
		"nothing":        {},
		"more than runs": {[]proof.Statement{right, right}, []*Run{honest}},
		"a trace":        {[]proof.Statement{traced}, []*Run{honest}},
		"an empty run":   {[]proof.Statement{right}, []*Run{{}}},
		"a run cut off":  {[]proof.Statement{right}, []*Run{{ops: honest.ops[:2]}}},
		"a lie":          {[]proof.Statement{lied}, []*Run{lie}},
		"too much":       {slices.Repeat([]proof.Statement{right}, 900), slices.Repeat([]*Run{honest}, 900)},
	} {
		if _, err := Prove(s.prover, c.statements, c.runs); !errors.Is(err, proof.ErrUnprovable) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

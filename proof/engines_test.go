package proof_test

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/quant"
)

// A built is one of the built-in models: an engine with its weights and one without, prover and verifier.
type built struct {
	manifest engine.Manifest
	digest   essaim.Digest
	engine   interface {
		engine.Engine
		proof.Walker
	}
	public proof.Walker
	prover *proof.Prover
	model  *proof.Model
}

var (
	picture = sync.OnceValues(func() (*built, error) { return build(pixel.Name, pixel.Manifest()) })
	vector  = sync.OnceValues(func() (*built, error) { return build(text.Name, text.Manifest()) })
)

func build(name string, manifest []byte) (b *built, err error) {
	b = &built{digest: essaim.DigestOf(manifest)}
	fail := func(e error) bool { err = errors.Join(err, e); return err != nil }
	file, e := os.ReadFile("../engine/" + name + "/weights.bin")
	if fail(e) {
		return nil, err
	}
	public, e := quant.Public(file)
	if fail(e) {
		return nil, err
	}
	b.manifest, e = engine.ParseManifest(manifest, name)
	fail(e)
	var e1, e2 error
	if name == pixel.Name {
		b.engine, e1 = pixel.New()
		b.public, e2 = pixel.NewPublic(public)
	} else {
		b.engine, e1 = text.New()
		b.public, e2 = text.NewPublic(public)
	}
	b.prover, e = proof.NewProver(b.digest, file, 2)
	if fail(errors.Join(e, e1, e2)) {
		return nil, err
	}
	b.model, e = proof.NewModel(b.digest, b.manifest.Root, b.prover.Root(), public)
	fail(e)
	return b, err
}

// weights are a model's weights file.
func weights(t testing.TB, b *built) []byte {
	t.Helper()
	file, err := os.ReadFile("../engine/" + b.engine.Name() + "/weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func of(t testing.TB, make func() (*built, error)) *built {
	t.Helper()
	if testing.Short() {
		t.Skip("a commitment to a whole model takes seconds")
	}
	b, err := make()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a request and states what came out.
func (b *built) run(t testing.TB, prompt string, seed uint64, size int) (proof.Statement, *proof.Run) {
	t.Helper()
	s := proof.Statement{Chain: "essaim-test", Model: b.digest, Prompt: prompt, Seed: seed, Width: size, Height: size}
	if size > 0 {
		s.Steps = 1
	}
	r := new(proof.Run)
	if err := b.engine.Walk(t.Context(), s.Request(), nil, r.Watch); err != nil {
		t.Fatal(err)
	}
	s.Result, s.Trace = r.Result(), r.Trace()
	return s, r
}

func (b *built) prove(t testing.TB, s proof.Statement, r *proof.Run) []byte {
	t.Helper()
	p, err := b.prover.Prove([]proof.Statement{s}, []*proof.Run{r})
	if err != nil {
		t.Fatal(err)
	}
	return p.Encode()
}

// TestManifestsStateTheProofRoot: what `essaim proof root` says is in the manifests.
func TestManifestsStateTheProofRoot(t *testing.T) {
	for name, make := range map[string]func() (*built, error){pixel.Name: picture, text.Name: vector} {
		b := of(t, make)
		if b.manifest.Proof != b.prover.Root() {
			t.Errorf("%s: the proof root is %s, its manifest states %s", name, b.prover.Root(), b.manifest.Proof)
		}
	}
}

// TestGoldenPicture: a picture's proof has the same bytes with any number of workers and on every machine. Emulated,
// the commitment takes minutes, so other machines are tried by hand (GOARCH=s390x go test -c ./proof) and with a toy by
// TestOtherMachines.
func TestGoldenPicture(t *testing.T) {
	b := of(t, picture)
	s, r := b.run(t, "red apple", 3, 64)
	const want = "e0e7411c2dd11ec96751155e699734d79092ed471c83e5e2bb53299af96429ac"
	if got := essaim.DigestOf(b.prove(t, s, r)).String(); got != want {
		t.Errorf("the proof is %s, want %s", got, want)
	}
}

// TestPictures: whole pictures of every size, of one to four things, are proven and checked without weights; what the
// engine says of them is what the proof is of.
func TestPictures(t *testing.T) {
	b := of(t, picture)
	for _, c := range []struct {
		prompt string
		size   int
	}{{"red apple", 256}, {"red apple", 64}, {"une fusée bleue et deux chats", 256}, {"a cat and a dog and two red cars", 64}, {"moon", 512}} {
		s, r := b.run(t, c.prompt, 3, c.size)
		request := s.Request()
		request.Trace = true
		result, err := b.engine.Run(t.Context(), request, nil)
		if err != nil || result.PixelsDigest != s.Result || result.Trace != s.Trace {
			t.Fatalf("%q: the engine's result is not the statement's; %v", c.prompt, err)
		}
		p := b.prove(t, s, r)
		if err := b.model.Verify(t.Context(), b.public, p, s); err != nil {
			t.Errorf("%q: %v", c.prompt, err)
		}
		t.Logf("%q, %d x %d: %d bytes", c.prompt, c.size, c.size, len(p))
		flipped := s
		flipped.Result[0] ^= 1
		if err := b.model.Verify(t.Context(), b.public, p, flipped); !errors.Is(err, proof.ErrRefused) {
			t.Errorf("%q, another picture: %v", c.prompt, err)
		}
	}
}

// TestEmbeddings: nothing in the package is about pictures.
func TestEmbeddings(t *testing.T) {
	b := of(t, vector)
	s, r := b.run(t, "une pomme rouge", 0, 0)
	result, err := b.engine.Run(t.Context(), s.Request(), nil)
	if err != nil || essaim.DigestOf(result.Data) != s.Result {
		t.Fatalf("the engine's result is not the statement's; %v", err)
	}
	p := b.prove(t, s, r)
	if err := b.model.Verify(t.Context(), b.public, p, s); err != nil {
		t.Error(err)
	}
	t.Logf("%d bytes", len(p))
	s.Prompt = "une pomme verte"
	if err := b.model.Verify(t.Context(), b.public, p, s); !errors.Is(err, proof.ErrRefused) {
		t.Errorf("another text: %v", err)
	}
}

// TestWithoutWeights: the verifier's engine cannot run by itself.
func TestWithoutWeights(t *testing.T) {
	for _, make := range []func() (*built, error){picture, vector} {
		b := of(t, make)
		r := engine.Request{Model: b.digest, Prompt: "red apple"}
		if _, err := b.public.(engine.Engine).Run(t.Context(), r, nil); !errors.Is(err, engine.ErrNoModel) {
			t.Errorf("it ran: %v", err)
		}
	}
}

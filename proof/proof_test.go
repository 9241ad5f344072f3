package proof

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/quant"
)

// TestRightIsAccepted: of any request, alone and together.
func TestRightIsAccepted(t *testing.T) {
	s := theStage(t, 0)
	var statements []Statement
	var runs []*Run
	for steps := range 5 {
		st := s.statement()
		st.Steps, st.Seed, st.Prompt = steps, uint64(steps), "a cat"[:steps]
		st, r := runToy(t, s.engine, st, nil)
		p, err := s.prover.Prove([]Statement{st}, []*Run{r})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.verify(t, p, st); err != nil {
			t.Errorf("%d steps: %v", steps, err)
		}
		if len(r.ops) != 3+steps {
			t.Errorf("%d steps: %d given outputs", steps, len(r.ops))
		}
		st.Trace = essaim.Digest{} // not claimed
		if err := s.verify(t, s.prover.prove(t, st, r), st); err != nil {
			t.Errorf("%d steps, no trace claimed: %v", steps, err)
		}
		statements, runs = append(statements, st), append(runs, r)
	}
	p, err := s.prover.Prove(statements, runs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.verify(t, p, statements...); err != nil {
		t.Errorf("a batch: %v", err)
	}
	statements[0], statements[1] = statements[1], statements[0]
	if err := s.verify(t, p, statements...); !errors.Is(err, ErrRefused) {
		t.Errorf("a batch in another order: %v", err)
	}
}

// TestWorkersMakeTheSame: a proof is the same bytes however many make it.
func TestWorkersMakeTheSame(t *testing.T) {
	s := theStage(t, 0)
	many, err := NewProver(s.model.digest, s.file, 7)
	if err != nil {
		t.Fatal(err)
	}
	st, r := runToy(t, s.engine, s.statement(), nil)
	one, err := s.prover.Prove([]Statement{st}, []*Run{r})
	if err != nil {
		t.Fatal(err)
	}
	seven, err := many.Prove([]Statement{st}, []*Run{r})
	if err != nil || !bytes.Equal(one.Encode(), seven.Encode()) {
		t.Errorf("seven workers make another proof; %v", err)
	}
}

// TestGolden holds proof and root of the toy: they are the same on every machine.
func TestGolden(t *testing.T) {
	s := theStage(t, 0)
	st, r := runToy(t, s.engine, s.statement(), nil)
	got := essaim.DigestOf(s.prover.prove(t, st, r).Encode())
	const proof, root = "145b34902b55d19337f7ed427f03986ff5e0c8ced457df0dd56becda4c466e0b", "539872bb1dd5b0883a48c991f6f2bf76f90388b3eda60ca738da40078eeb28e2"
	if got.String() != proof || s.prover.Root().String() != root {
		t.Errorf("proof %s, root %s; want %s, %s", got, s.prover.Root(), proof, root)
	}
}

func TestEncoding(t *testing.T) {
	s := theStage(t, 0)
	st, r := runToy(t, s.engine, s.statement(), nil)
	b := s.prover.prove(t, st, r).Encode()
	p, err := s.model.Decode(b)
	if err != nil || !bytes.Equal(p.Encode(), b) {
		t.Fatalf("decoded and encoded, a proof is another; %v", err)
	}
	for n := 0; n < len(b); n += 1 + n/50 {
		if _, err := s.model.Decode(b[:n]); !errors.Is(err, ErrRefused) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := s.model.Decode(append(b, 0)); !errors.Is(err, ErrRefused) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.Int32()).Draw(t, "numbers")
		shift := rapid.IntRange(0, 31).Draw(t, "shift")
		for i := range all {
			all[i] >>= shift
		}
		b := pack(nil, all)
		got := make([]int32, len(all))
		rest, ok := unpack(append(b, 1, 2), got)
		if !ok || !bytes.Equal(rest, []byte{1, 2}) {
			t.Fatalf("%d numbers cannot be unpacked", len(all))
		}
		for i := range all {
			if got[i] != all[i] {
				t.Fatalf("number %d is %d, was %d", i, got[i], all[i])
			}
		}
	})
	// What reads as the same numbers, but is not how they are packed.
	for why, b := range map[string][]byte{
		"wider than needed":    {2, 1},
		"bits beyond the last": {1, 3},
		"a width beyond 32":    {33, 1, 0, 0, 0, 0},
		"nothing":              {},
		"too short":            {9, 1},
	} {
		if _, ok := unpack(b, make([]int32, 1)); ok {
			t.Errorf("%s is unpacked", why)
		}
	}
}

// TestModel: the verifier's public part is held against the manifest.
func TestModel(t *testing.T) {
	s := theStage(t, 0)
	public, err := quant.Public(s.file)
	if err != nil {
		t.Fatal(err)
	}
	root, err := quant.ModelRoot(s.file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 16; i < len(public); i += 7 {
		b := bytes.Clone(public)
		b[i] ^= 1
		if _, err := NewModel(s.model.digest, root, s.prover.Root(), b); err == nil {
			t.Fatalf("byte %d of %d altered: accepted", i, len(b))
		}
	}
	for n := range len(public) {
		if _, _, err := quant.ReadPublic(public[:n]); err == nil {
			t.Fatalf("cut to %d bytes: accepted", n)
		}
	}
}

// FuzzVerify: bytes from anyone are refused or read, without a panic.
func FuzzVerify(f *testing.F) {
	s := theStage(f, 0)
	st, r := runToy(f, s.engine, s.statement(), nil)
	right := s.prover.prove(f, st, r).Encode()
	f.Add(right)
	f.Add(right[:200])
	f.Add([]byte(magic + "\x01\x01\x01\x00\x00\x00\x01\x00\x00\x00\xff\xff\xff\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := s.model.Decode(b)
		if err != nil {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if !bytes.Equal(p.Encode(), b) {
			t.Error("a proof has two encodings")
		}
		if err := s.model.VerifyDecoded(t.Context(), s.public, p, st); err == nil && !bytes.Equal(b, right) {
			t.Error("another proof is accepted")
		}
	})
}

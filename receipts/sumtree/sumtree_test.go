package sumtree

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim"
)

func leaves(t *rapid.T, min int) []Leaf {
	n := rapid.IntRange(min, 70).Draw(t, "leaves")
	out := make([]Leaf, n)
	for i := range out {
		seed := binary.BigEndian.AppendUint64(nil, rapid.Uint64().Draw(t, "seed"))
		out[i] = Leaf{essaim.DigestOf(append(seed, 't')), essaim.DigestOf(append(seed, 'r')), essaim.Amount(rapid.Uint64Range(0, 1<<56).Draw(t, "amount"))}
	}
	return out
}

func build(t testing.TB, l []Leaf) *Tree {
	t.Helper()
	tree, err := Build(slices.Values(l))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// reference is the definition, word for word.
func reference(l []Leaf) (hash [32]byte, sum, count uint64) {
	word := binary.BigEndian.AppendUint64
	if len(l) == 1 {
		b := append([]byte{0}, l[0].Task[:]...)
		b = append(b, l[0].Receipt[:]...)
		return sha256.Sum256(word(b, uint64(l[0].Amount))), uint64(l[0].Amount), 1
	}
	k := 1
	for k*2 < len(l) {
		k *= 2
	}
	lh, ls, lc := reference(l[:k])
	rh, rs, rc := reference(l[k:])
	b := word(word(append([]byte{1}, lh[:]...), ls), lc)
	b = word(word(append(b, rh[:]...), rs), rc)
	return sha256.Sum256(b), ls + rs, lc + rc
}

// TestEveryLeafIsProven: the tree is the definition's, the streaming builder agrees after
// each leaf, every proof holds and says which part of the sum is the leaf's, and every
// point of the sum is found.
func TestEveryLeafIsProven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := leaves(t, 1)
		tree := must(Build(slices.Values(all)))
		hash, sum, count := reference(all)
		root := tree.Root()
		if root != newNode(hash, essaim.Amount(sum), count) {
			t.Fatalf("root %s of %d leaves differs from the definition", root, len(all))
		}
		var b Builder
		for i, l := range all {
			if err := b.Add(l); err != nil {
				t.Fatal(err)
			}
			if part := must(Build(slices.Values(all[:i+1]))).Root(); must(b.Root()) != part {
				t.Fatalf("after %d leaves the builder has %s, the tree %s", i+1, must(b.Root()), part)
			}
		}
		var before essaim.Amount
		for i, l := range all {
			got, err := Verify(root, l, tree.Prove(i))
			if err != nil || got != before {
				t.Fatalf("leaf %d: %d before it, want %d: %v", i, got, before, err)
			}
			for _, point := range []essaim.Amount{before, before + l.Amount/2, before + l.Amount - 1} {
				if l.Amount > 0 && tree.Find(point) != i {
					t.Fatalf("point %d is found at %d, lies in leaf %d", point, tree.Find(point), i)
				}
			}
			before += l.Amount
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestNothingElseIsProven: a change of any byte of leaf, path or root, of the position or
// of the path's length, is refused.
func TestNothingElseIsProven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := leaves(t, 2)
		tree := must(Build(slices.Values(all)))
		root := tree.Root()
		i := rapid.IntRange(0, len(all)-1).Draw(t, "leaf")
		l, p := all[i], tree.Prove(i)
		bit := byte(1) << rapid.IntRange(0, 7).Draw(t, "bit")
		switch what := rapid.SampledFrom([]string{"task", "receipt", "amount", "index", "sibling", "shorter", "longer", "order", "root"}).Draw(t, "what"); what {
		case "task":
			l.Task[rapid.IntRange(0, 31).Draw(t, "byte")] ^= bit
		case "receipt":
			l.Receipt[rapid.IntRange(0, 31).Draw(t, "byte")] ^= bit
		case "amount":
			l.Amount ^= 1 << rapid.IntRange(0, 63).Draw(t, "place")
		case "index":
			p.Index = rapid.Uint64().Filter(func(x uint64) bool { return x != uint64(i) }).Draw(t, "index")
		case "sibling":
			s := rapid.IntRange(0, len(p.Siblings)-1).Draw(t, "sibling")
			p.Siblings[s][rapid.IntRange(0, 47).Draw(t, "byte")] ^= bit
		case "shorter":
			p.Siblings = p.Siblings[1:]
		case "longer":
			p.Siblings = append(p.Siblings, essaim.SumRoot{})
		case "order":
			reversed := slices.Clone(p.Siblings)
			slices.Reverse(reversed)
			if slices.Equal(reversed, p.Siblings) {
				t.Skip("a path that reads the same both ways")
			}
			p.Siblings = reversed
		case "root":
			root[rapid.IntRange(0, 47).Draw(t, "byte")] ^= bit
		}
		if before, err := Verify(root, l, p); err == nil {
			t.Fatalf("proven, %d before it", before)
		} else if essaim.CodeOf(err) != essaim.CodeRefused {
			t.Fatal(err)
		}
	})
}

// TestPositionsNextToEachOther: the other positions of the same tree are refused, too.
func TestPositionsNextToEachOther(t *testing.T) {
	same := Leaf{Amount: 5}
	tree := build(t, []Leaf{same, same, same, same, same})
	for i := range 5 {
		p := tree.Prove(i)
		for other := range uint64(6) {
			p.Index = other
			// In a tree of equal leaves the left four have equal paths: a position is what
			// the proof says, and each of them does hold this leaf.
			want := other == uint64(i) || i < 4 && other < 4
			before, err := Verify(tree.Root(), same, p)
			if (err == nil) != want || err == nil && before != essaim.Amount(5*other) {
				t.Errorf("leaf %d shown at %d: %d before it, %v", i, other, before, err)
			}
		}
	}
}

func TestOverflowIsRefused(t *testing.T) {
	huge := []Leaf{{Amount: 1 << 63}, {Amount: 1}, {Amount: 1<<63 - 1}}
	if _, err := Build(slices.Values(huge)); essaim.CodeOf(err) != essaim.CodeBadInput || err == nil {
		t.Errorf("tree: %v", err)
	}
	var b Builder
	for _, l := range huge {
		if err := b.Add(l); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Root(); essaim.CodeOf(err) != essaim.CodeBadInput || err == nil {
		t.Errorf("builder: %v", err)
	}
	if err := b.Add(Leaf{Amount: 1}); err == nil {
		t.Error("the builder goes on")
	}
	// A path whose sums wrap is refused even if its hash leads to the root.
	l, s := Leaf{Amount: 1 << 63}, newNode([32]byte{1}, 1<<63, 1)
	root := newNode([32]byte{2}, 0, 2)
	if _, err := Verify(root, l, Proof{0, []essaim.SumRoot{s}}); essaim.CodeOf(err) != essaim.CodeRefused || err == nil {
		t.Errorf("path: %v", err)
	}
}

func TestEmptyTree(t *testing.T) {
	if root := build(t, nil).Root(); root != (essaim.SumRoot{}) {
		t.Errorf("root %s", root)
	}
	var b Builder
	if root, err := b.Root(); err != nil || root != (essaim.SumRoot{}) {
		t.Errorf("builder: root %s, %v", root, err)
	}
	if _, err := Verify(essaim.SumRoot{}, Leaf{}, Proof{}); err == nil {
		t.Error("a leaf of nothing is proven")
	}
}

// TestVector pins the bytes that docs/protocol/settlement.md shows.
func TestVector(t *testing.T) {
	var three []Leaf
	for i, name := range []string{"one", "two", "three"} {
		three = append(three, Leaf{essaim.DigestOf([]byte("task " + name)), essaim.DigestOf([]byte("receipt " + name)), essaim.Amount(1000 * (i + 1))})
	}
	const want = "b1478afc6a0a0e0e19299217f7be3f28106ac656ed36402dff8708a057289a6000000000000017700000000000000003"
	if root := build(t, three).Root(); root.String() != want {
		t.Errorf("root %s, want %s", root, want)
	}
}

const million = 1_000_000

func many(n int) []Leaf {
	out := make([]Leaf, n)
	for i := range out {
		b := binary.BigEndian.AppendUint64(nil, uint64(i))
		out[i] = Leaf{essaim.DigestOf(b), essaim.DigestOf(append(b, 1)), essaim.Amount(i%1500 + 1)}
	}
	return out
}

func BenchmarkBuild1M(b *testing.B) {
	all := many(million)
	b.ReportAllocs()
	for b.Loop() {
		build(b, all)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/leaf")
}

func BenchmarkBuilder1M(b *testing.B) {
	all := many(million)
	b.ReportAllocs()
	for b.Loop() {
		var s Builder
		for _, l := range all {
			if err := s.Add(l); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := s.Root(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/leaf")
}

func BenchmarkProve1M(b *testing.B) {
	tree := build(b, many(million))
	i := 0
	for b.Loop() {
		tree.Prove(i % million)
		i += 7919
	}
}

func BenchmarkVerify1M(b *testing.B) {
	all := many(million)
	tree := build(b, all)
	p := tree.Prove(123_456)
	for b.Loop() {
		if _, err := Verify(tree.Root(), all[123_456], p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(8+48*len(p.Siblings)), "proof-bytes")
}

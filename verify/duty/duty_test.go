package duty_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify/duty"
)

func candidates(stakes ...essaim.Amount) (out []duty.Candidate) {
	for i, s := range stakes {
		out = append(out, duty.Candidate{Node: essaim.NodeKey{byte(i + 1)}, Owner: essaim.Address{byte(i + 1)}, Stake: s})
	}
	return out
}

func number(i int) essaim.Digest {
	return essaim.DigestOf(binary.BigEndian.AppendUint64(nil, uint64(i)))
}

func draw(t *testing.T, i int, all []duty.Candidate, n int, excluded ...essaim.Address) []essaim.NodeKey {
	t.Helper()
	out, err := duty.Draw(number(i), number(-i-1), all, n, excluded...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// chi is Pearson's χ² of counts against what was expected.
func chi(counts, expected []float64) (x float64) {
	for i := range counts {
		d := counts[i] - expected[i]
		x += d * d / expected[i]
	}
	return x
}

// TestChances: the first is drawn by stake, the second by stake among the others, as
// sampling without replacement is.
func TestChances(t *testing.T) {
	const draws = 40_000
	stakes := []essaim.Amount{1, 2, 3, 10, 84}
	all := candidates(stakes...)
	first, second := make([]float64, 5), make([]float64, 5)
	for i := range draws {
		out := draw(t, i, all, 2)
		first[out[0][0]-1]++
		second[out[1][0]-1]++
	}
	wantFirst, wantSecond := make([]float64, 5), make([]float64, 5)
	for i, s := range stakes {
		wantFirst[i] = draws * float64(s) / 100
		for j, o := range stakes {
			if j != i {
				wantSecond[i] += draws * float64(o) / 100 * float64(s) / float64(100-o)
			}
		}
	}
	// χ² of 4 degrees of freedom is above 18.5 once in a thousand.
	if x := chi(first, wantFirst); x > 18.5 {
		t.Errorf("first: χ² = %.1f of %v, want %v", x, first, wantFirst)
	}
	if x := chi(second, wantSecond); x > 18.5 {
		t.Errorf("second: χ² = %.1f of %v, want %v", x, second, wantSecond)
	}
}

// TestSplittingGainsNothing: an owner with many nodes is drawn as often as with one.
func TestSplittingGainsNothing(t *testing.T) {
	const draws = 20_000
	count := func(all []duty.Candidate, mine func(essaim.NodeKey) bool) (n int) {
		for i := range draws {
			n += len(slices.DeleteFunc(draw(t, i, all, 2), func(k essaim.NodeKey) bool { return !mine(k) }))
		}
		return n
	}
	one := count(candidates(40, 30, 30), func(k essaim.NodeKey) bool { return k[0] == 1 })
	split := candidates(10, 10, 10, 10, 30, 30)
	for i := range 4 {
		split[i].Owner = essaim.Address{99}
	}
	many := count(split, func(k essaim.NodeKey) bool { return k[0] <= 4 })
	if d := one - many; max(d, -d) > draws/50 {
		t.Errorf("of %d draws, one node of 40 was drawn %d times, four of 10 %d times", draws, one, many)
	}
}

// TestNobodyChooses: whatever order the candidates are listed in, and whatever stands
// beside them without stake, the draw is the same; another receipt has another draw.
func TestNobodyChooses(t *testing.T) {
	all := candidates(5, 7, 11, 13, 17, 19, 0)
	r := rand.New(rand.NewPCG(1, 2))
	different := map[string]bool{}
	for i := range 50 {
		want := draw(t, i, all, 3)
		mixed := slices.Clone(all)
		r.Shuffle(len(mixed), func(a, b int) { mixed[a], mixed[b] = mixed[b], mixed[a] })
		if got := draw(t, i, mixed, 3); !slices.Equal(got, want) {
			t.Fatalf("in another order %v, want %v", got, want)
		}
		different[fmt.Sprint(want)] = true
	}
	if len(different) < 20 {
		t.Errorf("50 receipts had only %d draws", len(different))
	}
	// A receipt is audited with the share's chance, and whoever cannot change the beacon cannot
	// know which.
	audited := 0
	for i := range 20_000 {
		if duty.Audited(number(i), number(1), 500) {
			audited++
		}
	}
	if audited < 880 || audited > 1120 { // 1000 ± 3.9 standard deviations
		t.Errorf("at 5 %%, %d of 20000 are audited", audited)
	}
	if duty.Audited(number(1), number(2), 0) || !duty.Audited(number(1), number(2), essaim.BpsWhole) {
		t.Error("none or all are audited wrongly")
	}
}

func TestWhoIsNeverDrawn(t *testing.T) {
	all := candidates(5, 7, 0, 13)
	all[3].Owner = all[1].Owner
	for i := range 300 {
		got := draw(t, i, all, 9, essaim.Address{1})
		if len(got) != 1 || got[0][0] != 2 && got[0][0] != 4 {
			t.Fatalf("drawn %v: want one of the second owner's", got)
		}
	}
	if got := draw(t, 1, nil, 2); got != nil {
		t.Errorf("drawn %v of nobody", got)
	}
	if _, err := duty.Draw(number(1), number(2), candidates(1<<63, 1<<63), 1); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("an overflow: error %v", err)
	}
	if _, err := duty.Draw(number(1), number(2), append(all, all[0]), 1); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Errorf("one twice: error %v", err)
	}
}

// TestPinned: the draw is part of the protocol.
func TestPinned(t *testing.T) {
	got := draw(t, 0, candidates(5, 7, 11, 13, 17, 19), 6)
	var order []byte
	for _, k := range got {
		order = append(order, k[0])
	}
	if fmt.Sprint(order) != pinned {
		t.Errorf("drawn in the order %v, want %v", order, pinned)
	}
}

const pinned = "[1 6 5 3 2 4]"

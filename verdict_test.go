package essaim_test

import (
	"strings"
	"testing"

	"github.com/essaim/essaim"
)

func testVerdict() essaim.Verdict {
	v := essaim.NewVerdict(testReceipt(testTask()), essaim.NodeKeyOf(testKey("verifier")))
	v.Method, v.Result, v.Near, v.Score = "rerun", essaim.VerdictInvalid, true, 7
	v.Evidence, v.Height = essaim.DigestOf([]byte("another picture")), 1204
	return v
}

func TestVerdict(t *testing.T) {
	signed, err := essaim.SignVerdict(testVerdict(), testKey("verifier"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := essaim.OpenVerdict(signed)
	if err != nil || v != testVerdict() {
		t.Errorf("read back %+v, error %v", v, err)
	}
	if err := v.Judges(testReceipt(testTask())); err != nil {
		t.Error(err)
	}
	for i := range signed {
		for bit := range 8 {
			signed[i] ^= 1 << bit
			if _, err := essaim.OpenVerdict(signed); err == nil {
				t.Fatalf("bit %d of byte %d was flipped and nobody noticed", bit, i)
			}
			signed[i] ^= 1 << bit
		}
	}
}

func TestVerdictRefused(t *testing.T) {
	for why, spoil := range map[string]func(*essaim.Verdict){
		"version":  func(v *essaim.Verdict) { v.Version++ },
		"signed":   func(v *essaim.Verdict) { v.Verifier[0]++ },
		"result":   func(v *essaim.Verdict) { v.Result = "fine" },
		"method":   func(v *essaim.Verdict) { v.Method = "" },
		"33":       func(v *essaim.Verdict) { v.Method = strings.Repeat("x", 33) },
		"near":     func(v *essaim.Verdict) { v.Result = essaim.VerdictValid },
		"receipt":  func(v *essaim.Verdict) { v.Receipt = essaim.Digest{} },
		"task":     func(v *essaim.Verdict) { v.Task = essaim.Digest{} },
		"height":   func(v *essaim.Verdict) { v.Height = -1 },
		"verdict ": func(v *essaim.Verdict) { v.Method, v.Result = "", "" },
	} {
		v := testVerdict()
		spoil(&v)
		signed, err := essaim.SignVerdict(v, testKey("verifier"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := essaim.OpenVerdict(signed); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: error %v", why, err)
		}
	}
	other := testReceipt(testTask())
	other.Seed++
	if err := testVerdict().Judges(other); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("another receipt: error %v", err)
	}
	own := testReceipt(testTask())
	if err := essaim.NewVerdict(own, own.Miner).Judges(own); essaim.CodeOf(err) != essaim.CodeRefused {
		t.Errorf("a miner judges itself: error %v", err)
	}
}

// TestCommit: each part is bound.
func TestCommit(t *testing.T) {
	a, b := essaim.DigestOf([]byte("a")), essaim.DigestOf([]byte("b"))
	one, two := essaim.NodeKeyOf(testKey("one")), essaim.NodeKeyOf(testKey("two"))
	seen := map[essaim.Digest]int{}
	for i, c := range []essaim.Digest{
		essaim.Commit("chain", a, b, essaim.Salt{1}, one),
		essaim.Commit("chain2", a, b, essaim.Salt{1}, one),
		essaim.Commit("chain", b, b, essaim.Salt{1}, one),
		essaim.Commit("chain", a, a, essaim.Salt{1}, one),
		essaim.Commit("chain", a, b, essaim.Salt{2}, one),
		essaim.Commit("chain", a, b, essaim.Salt{1}, two),
	} {
		if before, ok := seen[c]; ok {
			t.Errorf("commitments %d and %d are the same", before, i)
		}
		seen[c] = i
	}
	if seen[essaim.Commit("chain", a, b, essaim.Salt{1}, one)] != 0 {
		t.Error("the same commitment made again differs")
	}
}

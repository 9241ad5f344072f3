package text

import (
	"encoding/hex"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/essaim/essaim/quant"
)

func load(t testing.TB) *Engine {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestReference compares with train/textmodel.py, an implementation in another language
// that shares no code with this one: letters, rows and network, to the bit.
func TestReference(t *testing.T) {
	e := load(t)
	file, err := os.ReadFile("testdata/reference.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) < 50 {
		t.Fatalf("only %d texts", len(lines))
	}
	for _, line := range lines {
		want, text, _ := strings.Cut(line, "\t")
		v, _, err := e.embed(text, new(quant.Tape))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []byte
		for _, x := range v {
			got = append(got, byte(x))
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("%q: %x, want %s", text, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"A red Apple!", "a red apple"},
		{"l’œuf d'or", "l ouf d or"},
		{"E\u0301le\u0301phant ÉLÉPHANT", "elephant elephant"},
		{"Straße, Łódź", "strase lodz"},
		{"Ёлка ЇЖАК Ґанок", "елка їжак ґанок"},
		{"猫 cat—dog_3", "cat dog 3"},
		{"ỚT ĐỎ", "ot do"},
		{"", ""},
	} {
		if got, more := words(c.text); strings.Join(got, " ") != c.want || more {
			t.Errorf("%q becomes %q, want %q", c.text, got, c.want)
		}
	}
	long, more := words(strings.Repeat(strings.Repeat("ж", 30)+" ", 20))
	if len(long) != maxWords || !more || long[0] != strings.Repeat("ж", maxLetters) {
		t.Errorf("%d words, more %v, the first %q", len(long), more, long[0])
	}
}

func TestRootTable(t *testing.T) {
	for n := 1; n < len(root); n++ {
		if want := int32(math.Round(4096 / math.Sqrt(float64(n)))); root[n] != want {
			t.Errorf("root[%d] = %d, want %d", n, root[n], want)
		}
	}
	if n := len(parts("abcdefghijklmnopqrstuvwx")); n != len(root)-1 {
		t.Errorf("a word of %d letters has %d parts, the table ends at %d", maxLetters, n, len(root)-1)
	}
}

// FuzzEmbed: any bytes give an error or the same vector twice, and no sum that could
// overflow.
func FuzzEmbed(f *testing.F) {
	for _, s := range []string{"red apple", "œ’é", "Ёж", strings.Repeat("z ", 99), strings.Repeat("ab", 99), "\xff\xfe", "\u0301", "ĦŊŦ"} {
		f.Add(s)
	}
	e := load(f)
	f.Fuzz(func(t *testing.T, s string) {
		ws, _ := words(s)
		total := int64(0)
		if len(ws) > 0 {
			for _, r := range encode(ws) {
				total += int64(r.Weight)
			}
		}
		if total*128 > math.MaxInt32 {
			t.Fatalf("weights of %d can overflow", total)
		}
		one, _, err := e.embed(s, new(quant.Tape))
		two, _, _ := e.embed(s, new(quant.Tape))
		if !slices.Equal(one, two) || (err == nil) != (len(one) == size) {
			t.Fatalf("%v and %v, error %v", one, two, err)
		}
	})
}

// TestNothingOverflows bounds every sum over all inputs there can be, and every factor.
func TestNothingOverflows(t *testing.T) {
	w := load(t).weights
	for name, l := range map[string]*quant.Linear{"up": &w.up, "out": &w.out} {
		if limit := l.Limit(); limit < 127 {
			t.Errorf("%s: limit %d", name, limit)
		}
		if slices.Min(l.Mul) < 0 || slices.Max(l.Mul) >= 1<<16 || slices.Min(l.W) < -127 {
			t.Errorf("%s: factors %d..%d, weights from %d", name, slices.Min(l.Mul), slices.Max(l.Mul), slices.Min(l.W))
		}
	}
}

func TestSquareRoot(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 4, 8, 9, 15, 16, 99, 100, 1<<32 - 1, 1 << 32, 1<<42 - 1, 1 << 62} {
		if r := uint64(squareRoot(n)); r*r > n || (r+1)*(r+1) <= n {
			t.Errorf("root of %d is %d", n, r)
		}
	}
}

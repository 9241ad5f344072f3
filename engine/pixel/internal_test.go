package pixel

import (
	"crypto/sha256"
	"encoding/hex"
	"image"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/essaim/essaim/quant"
)

func load(t testing.TB) *weights {
	t.Helper()
	w, err := readWeights(weightsFile)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *weights) picture(t testing.TB, prompt, style string, seed uint64, steps int) *image.RGBA {
	t.Helper()
	ws, _ := words(prompt, maxWords)
	tape := new(quant.Tape)
	c := w.condition(tape, [][]quant.Weighted{encode(ws, style)})
	z, err := w.sample(t.Context(), tape, c, []uint64{seed}, steps, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.planes(tape, z)[0].image(false)
}

// TestReference compares with train/pixelmodel.py, an implementation in another language
// that shares no code with this one: text, noise, network and picture, to the bit.
func TestReference(t *testing.T) {
	w := load(t)
	file, err := os.ReadFile("testdata/reference.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) < 50 {
		t.Fatalf("only %d pictures", len(lines))
	}
	if raced || testing.Short() {
		lines = lines[:4]
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		steps, _ := strconv.Atoi(f[0])
		seed, _ := strconv.ParseUint(f[1], 10, 64)
		sum := sha256.Sum256(rgb(w.picture(t, f[4], f[2], seed, steps)))
		if got := hex.EncodeToString(sum[:]); got != f[3] {
			t.Errorf("%q in %s, seed %d, %d steps: %s, want %s", f[4], f[2], seed, steps, got, f[3])
		}
	}
}

func TestFilesWithFaultsAreRefused(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty": nil,
		"cut":   weightsFile[:len(weightsFile)/2],
		"short": weightsFile[:len(weightsFile)-1],
	} {
		if _, err := readWeights(file); err == nil {
			t.Errorf("%s file: no error", name)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		prompt string
		want   string
	}{
		{"A red Apple", "red apple"},
		{"l’œuf d'or", "oeuf or"},
		{"Voiture VERTE, des bateaux", "voiture vert bateau"},
		{"glass boxes bus", "glass boxe bus"},
		{"E\u0301le\u0301phant éléphant", "elephant elephant"},
		{"gray grey grise", "grey grey gris"},
		{"猫 cat—dog_3", "cat dog 3"},
		{"", ""},
	} {
		if got, _ := words(c.prompt, maxWords); strings.Join(got, " ") != c.want {
			t.Errorf("%q becomes %q, want %q", c.prompt, got, c.want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"red apple", "œ’é", "ssss xxxx", strings.Repeat("z ", 99), strings.Repeat("ab", 99), "\xff\xfe", "\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ws, _ := words(s, maxWords)
		if len(ws) > maxWords {
			t.Fatalf("%d words", len(ws))
		}
		for _, w := range ws {
			if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
				t.Fatalf("word %q", w)
			}
		}
		total := int32(0)
		for _, r := range encode(ws, styles[0]) {
			if r.Row < 0 || r.Row >= textRows || r.Weight <= 0 || r.Weight > 4096 {
				t.Fatalf("row %+v", r)
			}
			total += r.Weight
		}
		if int64(total)*127 > math.MaxInt32 {
			t.Fatalf("weights of %d can overflow", total)
		}
	})
}

func TestRootTable(t *testing.T) {
	for n := 1; n < len(root); n++ {
		if want := int32(math.Round(4096 / math.Sqrt(float64(n)))); root[n] != want {
			t.Errorf("root[%d] = %d, want %d", n, root[n], want)
		}
	}
	if n := len(letterParts("abcdefghijklmnopqrstuvwxyz012345")); n != len(root)-1 {
		t.Errorf("a word of %d letters has %d parts, the table ends at %d", maxLetters, n, len(root)-1)
	}
}

func TestVocabularyIsSortedAndNormal(t *testing.T) {
	v := newVocabulary(vocabularyFile)
	if len(v) < 5000 || !slices.IsSorted(v) {
		t.Fatalf("%d words, sorted %v", len(v), slices.IsSorted(v))
	}
	for _, w := range v {
		if got := plain(w); got != w {
			t.Errorf("word %q is not normal", w)
		}
	}
}

// reach is the largest absolute value that a layer can put out when all its inputs are
// within ±x.
func (l *linear) reach(x int64, wide bool) int64 {
	worst := int64(0)
	for r := range l.Rows {
		sum := int64(0)
		for _, w := range l.W[r*l.Cols : (r+1)*l.Cols] {
			sum += max(int64(w), -int64(w)) * x
		}
		if l.Bias != nil {
			sum += max(int64(l.Bias[r]), -int64(l.Bias[r]))
		}
		if wide {
			sum = quant.Round(sum*int64(l.Mul[r]), l.Shift)
		}
		worst = max(worst, sum)
	}
	return worst
}

func largest(v []int32) (m int64) {
	for _, x := range v {
		m = max(m, int64(x), -int64(x))
	}
	return m
}

// TestNothingOverflows bounds every wide value and every sum over all inputs there can
// be, from the weights alone.
func TestNothingOverflows(t *testing.T) {
	w := load(t)
	x := w.in.reach(127, true) + w.cond.reach(127, true)
	for l := range w.blocks {
		b := &w.blocks[l]
		sum := b.up.reach(127, false) + b.cond.reach(127, true)
		time := int64(0)
		for _, row := range b.time {
			time = max(time, largest(row))
		}
		if sum += time; sum > math.MaxInt32 {
			t.Errorf("block %d: a sum may be %d", l, sum)
		}
		if limit := min(b.up.Limit(), b.down.Limit()); limit < 127 {
			t.Errorf("block %d: limit %d", l, limit)
		}
		x += b.down.reach(127, true)
	}
	if x > math.MaxInt32 {
		t.Errorf("x may be %d", x)
	}
	for steps := minSteps; steps <= maxSteps; steps++ {
		z := int64(5 * 4096)
		for i := range steps {
			at := moment(i, steps)
			out := linear{w.out.Matrix, w.gain[at]}
			e := quant.Round(z*largest(w.skip[at].Mul), w.skip[at].Shift) + out.reach(127, true)
			if e+z > math.MaxInt32 {
				t.Errorf("step %d of %d: the estimate may be %d, z %d", i, steps, e, z)
			}
			z = max(z, e) + 1 // the new z lies between
		}
	}
	if limit := w.basis.Limit(); limit < 16383 {
		t.Errorf("basis: limit %d", limit)
	}
}

func TestFactorsAreInRange(t *testing.T) {
	w := load(t)
	scales := []quant.Scale{w.text, w.text1.Scale, w.text2.Scale, w.in.Scale, w.cond.Scale, w.outPre, w.basisPre, w.basis.Scale}
	scales = slices.Concat(scales, w.inPre, w.gain, w.skip)
	for _, b := range w.blocks {
		scales = append(scales, b.pre, b.up.Scale, b.cond.Scale, b.down.Scale)
	}
	for i, s := range scales {
		if slices.Min(s.Mul) < 0 || slices.Max(s.Mul) >= 1<<16 {
			t.Errorf("scale %d: factors %d..%d", i, slices.Min(s.Mul), slices.Max(s.Mul))
		}
	}
	for _, steps := range []int{2, 3, 4} {
		if last := w.rate[moment(steps-1, steps)]; last != 1<<16 {
			t.Errorf("%d steps: the last rate is %d", steps, last)
		}
	}
}

func TestSplineKeepsWhatItMust(t *testing.T) {
	for _, factor := range []int{4, 8} {
		s := newSpline(factor)
		for i, w := range s.weight {
			if sum := w[0] + w[1] + w[2] + w[3]; sum != 1<<s.shift {
				t.Errorf("x%d, place %d: weights %v sum to %d", factor, i, w, sum)
			}
			if m := s.weight[factor-1-i]; w != [4]int64{m[3], m[2], m[1], m[0]} {
				t.Errorf("x%d: places %d and %d are not mirror images", factor, i, factor-1-i)
			}
		}
		ramp := make([]int32, side*side)
		for i := range ramp {
			ramp[i] = int32(i%side) * 1024
		}
		big := make([]int32, len(ramp)*factor*factor)
		s.enlarge(big, ramp)
		if n := side * factor; big[n*n/2+n/2]-big[n*n/2+n/2-1] != int32(1024/factor) {
			t.Errorf("x%d: a ramp does not stay one", factor)
		}
	}
}

func TestDoubleOfAFlatPlane(t *testing.T) {
	p := quant.Value{Vectors: 1, Narrow: slices.Repeat([]int16{-7}, half*half)}
	for i, v := range (double{}).Apply([]quant.Value{p}, 1).Wide {
		if v != -7*16 {
			t.Fatalf("sample %d is %d", i, v)
		}
	}
}

func TestFlipMirrors(t *testing.T) {
	grey := quant.Value{Vectors: 1, Wide: make([]int32, 4)}
	p := planes{2, quant.Value{Vectors: 1, Wide: []int32{0, 65280, 65280, 0}}, grey, grey}
	a, b := p.image(false), p.image(true)
	if a.RGBAAt(0, 0) != b.RGBAAt(1, 0) || a.RGBAAt(0, 0) == a.RGBAAt(1, 0) {
		t.Error("not mirrored")
	}
}

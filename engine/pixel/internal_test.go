package pixel

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/program"
)

func load(t testing.TB) *weights {
	t.Helper()
	w, err := readWeights(quant.NewReader(weightsFile))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestReference compares with train/pixelmodel.py, an implementation in another language
// that shares no code with this one: text, seed's choices, network and picture, to the bit.
func TestReference(t *testing.T) {
	e := newEngine(t)
	file, err := os.ReadFile("testdata/reference.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) < 50 {
		t.Fatalf("only %d pictures", len(lines))
	}
	if raced || testing.Short() {
		lines = lines[:10]
	}
	for _, line := range lines {
		f := strings.Split(line, "\t")
		size, _ := strconv.Atoi(f[0])
		seed, _ := strconv.ParseUint(f[1], 10, 64)
		got, err := e.Run(t.Context(), engine.Request{Model: e.model.Digest, Prompt: f[3], Seed: seed, Width: size, Height: size}, nil)
		if err != nil || got.PixelsDigest.String() != f[2] {
			t.Errorf("%q, seed %d, %d pixels: %s, error %v; want %s", f[3], seed, size, got.PixelsDigest, err, f[2])
		}
	}
}

func TestFilesWithFaultsAreRefused(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty": nil,
		"cut":   weightsFile[:len(weightsFile)/2],
		"short": weightsFile[:len(weightsFile)-1],
	} {
		if _, err := readWeights(quant.NewReader(file)); err == nil {
			t.Errorf("%s file: no error", name)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, c := range []struct{ prompt, want string }{
		{"A red Apple", "a red apple"},
		{"l’œuf d'or", "l oeuf d or"},
		{"cat,dog+fish; pig & cow", "cat and dog and fish and pig and cow"},
		{"E\u0301le\u0301phant éléphant", "elephant elephant"},
		{"猫 cat—dog_3", "cat dog 3"},
		{"", ""},
	} {
		if got := strings.Join(plain(c.prompt), " "); got != c.want {
			t.Errorf("%q becomes %q, want %q", c.prompt, got, c.want)
		}
	}
}

func TestReading(t *testing.T) {
	l := newEngine(t).lexicon
	for _, c := range []struct{ prompt, want string }{
		{"a red apple", "red apple"},
		{"a cat and a red car", "cat|red car"},
		{"fork and knife", "fork knife"},
		{"three cats", "cat|cat|cat"},
		{"deux voitures bleues et un arbre", "voiture blue|voiture blue|arbre"},
		{"deux coeurs roses; trois coeurs", "deu coeur pink|coeur|coeur|coeur"},
		{"voiture rose", "voiture pink"},
		{"rose rouge", "rose red"},
		{"une orange; une robe orange", "tangerine|robe orange"},
		{"elefant", "elephant; elefant is elephant"},
		{"rde aple", "red apple; rde is red; aple is apple"},
		{"zorbify", "; unknown zorbify"},
		{"a blue zorbify and a zorbified cat", "cat; unknown zorbify zorbified"},
		{"blue", "blue"},
		{"noto style dog", "dog; in noto"},
		{"a fluent emoji flat, dog", "dog; in fluent-emoji-flat"},
		{"twemoji", "; in twemoji"},
		{"four cats, two dogs", "cat|cat|cat|cat; more"},
		{strings.Repeat("red ", 11) + "apple", strings.Repeat("red ", 9) + "red; longer"},
	} {
		r := l.read(c.prompt)
		var things []string
		for _, thing := range r.things {
			things = append(things, strings.Join(thing, " "))
		}
		got := []string{strings.Join(things, "|")}
		for _, s := range r.slips {
			got = append(got, s[0]+" is "+s[1])
		}
		if len(r.unknown) > 0 {
			got = append(got, "unknown "+strings.Join(r.unknown, " "))
		}
		if r.style >= 0 {
			got = append(got, "in "+styles[r.style])
		}
		if r.more {
			got = append(got, "more")
		}
		if r.longer {
			got = append(got, "longer")
		}
		if got := strings.Join(got, "; "); got != c.want {
			t.Errorf("%q is read as %q, want %q", c.prompt, got, c.want)
		}
	}
}

func TestSlips(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"rde", "red", slipSwap}, {"aple", "apple", slipCount}, {"appple", "apple", slipCount}, {"apples", "apple", slipCount},
		{"epple", "apple", slipOther}, {"applo", "apple", slipOther}, {"aplle", "apple", slipOther}, {"pale", "apple", slipFar}, {"a", "apple", slipFar},
		{"elppa", "apple", slipFar},
	} {
		if got, back := slip(c.a, c.b), slip(c.b, c.a); got != c.want || back != c.want {
			t.Errorf("%s, %s: %d and %d, want %d", c.a, c.b, got, back, c.want)
		}
	}
}

// TestChoices: what is lettered is never mirrored, anything else half the time; every style,
// layout and variant comes up.
func TestChoices(t *testing.T) {
	l := newEngine(t).lexicon
	seen := map[string]int{}
	for seed := range uint64(400) {
		for _, prompt := range []string{"calendar", "cat", "tree and cat", "noto key"} {
			for _, thing := range l.choose(l.read(prompt), seed) {
				seen[prompt+" in "+thing.style]++
				seen[fmt.Sprint(prompt, " at ", thing.pose.place)]++
				seen[prompt+" is "+strings.Join(thing.words, " ")]++
				if thing.pose.mirror {
					seen[prompt+" mirrored"]++
				}
			}
		}
	}
	for what, bounds := range map[string][2]int{
		"calendar mirrored": {0, 0}, "cat mirrored": {150, 250}, "cat in noto": {100, 170}, "cat in twemoji": {100, 170},
		"noto key in noto": {400, 400}, "tree and cat at {36 0 4}": {100, 170}, "tree and cat at {34 30 15}": {100, 170},
		"tree and cat is palm tree": {100, 170}, "noto key is blue key": {1, 20}, "noto key is key": {300, 399},
	} {
		if n := seen[what]; n < bounds[0] || n > bounds[1] {
			t.Errorf("%s: %d times in 400, want %v", what, n, bounds)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{"red apple", "œ’é", "ssss xxxx", strings.Repeat("z ", 99), strings.Repeat("ab", 99), "\xff\xfe", "\u0301", "two 2 deux and", "two and and"} {
		f.Add(s, uint64(1))
	}
	l := newEngine(f).lexicon
	f.Fuzz(func(t *testing.T, s string, seed uint64) {
		r := l.read(s)
		if len(r.things) > maxThings {
			t.Fatalf("%d things", len(r.things))
		}
		if len(r.things) == 0 {
			return
		}
		for _, thing := range l.choose(r, seed) {
			if len(thing.words) == 0 || len(thing.words) > maxWords+1 {
				t.Fatalf("%d words", len(thing.words))
			}
			total := int32(0)
			for _, r := range encode(thing.words, thing.style) {
				if r.Row < 0 || r.Row >= textRows || r.Weight <= 0 || r.Weight > 4096 {
					t.Fatalf("row %+v", r)
				}
				total += r.Weight
			}
			if int64(total)*127 > math.MaxInt32 {
				t.Fatalf("weights of %d can overflow", total)
			}
		}
	})
}

func TestShares(t *testing.T) {
	for n := 1; n < len(share); n++ {
		if want := int32(math.Round(4096 / math.Sqrt(float64(n)))); share[n] != want {
			t.Errorf("share[%d] = %d, want %d", n, share[n], want)
		}
	}
	if n := (maxWords + 1) * len(letterParts("abcdefghijklmnopqrstuvwxyz012345")); n >= len(share) {
		t.Errorf("a thing can need share[%d], the table ends at %d", n, len(share)-1)
	}
}

func TestLexiconIsNormal(t *testing.T) {
	l := newEngine(t).lexicon
	if len(l.sorted) < 5000 || !slices.IsSorted(l.sorted) || len(l.joined) < 200 || len(l.variants) < 30 || len(l.tintable) < 200 {
		t.Fatalf("%d words, sorted %v; %d joined, %d variants, %d tintable", len(l.sorted), slices.IsSorted(l.sorted), len(l.joined), len(l.variants), len(l.tintable))
	}
	for _, w := range l.sorted {
		if got := plain(w); len(got) != 1 || got[0] != w || l.seen[w] < 1 {
			t.Errorf("word %q is not normal", w)
		}
	}
	for name := range l.joined {
		if n := len(strings.Fields(name)); n < 2 || n > maxJoined {
			t.Errorf("joined name %q has %d words", name, n)
		}
	}
	for name, all := range l.variants {
		for _, v := range all {
			for _, w := range strings.Fields(v) {
				if l.seen[w] == 0 {
					t.Errorf("%q may mean %q, whose word %q nobody knows", name, v, w)
				}
			}
		}
	}
}

// reach is the largest absolute value that a layer can put out when all its inputs are
// within ±x.
func reach(l *quant.Linear, x int64, wide bool) int64 {
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

// TestNothingOverflows bounds every wide value and every sum over all inputs there can
// be, from the weights alone.
func TestNothingOverflows(t *testing.T) {
	w := load(t)
	x := reach(&w.cond, 127, true)
	for l := range w.blocks {
		b := &w.blocks[l]
		if sum := reach(&b.up, 127, false) + reach(&b.cond, 127, true); sum > math.MaxInt32 {
			t.Errorf("block %d: a sum may be %d", l, sum)
		}
		if limit := min(b.up.Limit(), b.down.Limit()); limit < 127 {
			t.Errorf("block %d: limit %d", l, limit)
		}
		x += reach(&b.down, 127, true)
	}
	if x > math.MaxInt32 {
		t.Errorf("x may be %d", x)
	}
	if z := reach(&w.out, 127, true); z > math.MaxInt32 {
		t.Errorf("a coefficient may be %d", z)
	}
	if limit := w.basis.Limit(); limit < 16383 {
		t.Errorf("basis: limit %d", limit)
	}
	for _, flow := range []quant.Flow{w.flowLuma, w.flowChroma} {
		pull := max(int64(slices.Max(flow.Out)), -int64(slices.Min(flow.Out)))
		if p := reach(&w.basis, 16383, true) + passes*pull; p > math.MaxInt32 {
			t.Errorf("a sample may be %d", p)
		}
	}
}

func TestFactorsAreInRange(t *testing.T) {
	w := load(t)
	scales := []quant.Scale{w.text, w.text1.Scale, w.text2.Scale, w.cond.Scale, w.outPre, w.out.Scale, w.basisPre, w.basis.Scale}
	for _, b := range w.blocks {
		scales = append(scales, b.pre, b.up.Scale, b.cond.Scale, b.down.Scale)
	}
	for i, s := range scales {
		if slices.Min(s.Mul) < 0 || slices.Max(s.Mul) >= 1<<16 {
			t.Errorf("scale %d: factors %d..%d", i, slices.Min(s.Mul), slices.Max(s.Mul))
		}
	}
}

func TestSplineKeepsWhatItMust(t *testing.T) {
	for _, factor := range []int{4, 8} {
		s := newSpline(factor)
		for i, w := range s.Weight {
			if sum := w[0] + w[1] + w[2] + w[3]; sum != 1<<s.Shift {
				t.Errorf("x%d, place %d: weights %v sum to %d", factor, i, w, sum)
			}
			if m := s.Weight[factor-1-i]; w != [4]int64{m[3], m[2], m[1], m[0]} {
				t.Errorf("x%d: places %d and %d are not mirror images", factor, i, factor-1-i)
			}
		}
		ramp := make([]int32, side*side)
		for i := range ramp {
			ramp[i] = int32(i%side) * 1024
		}
		big := make([]int32, len(ramp)*factor*factor)
		s.enlarge(big, make([]int32, len(ramp)*factor), ramp)
		if n := side * factor; big[n*n/2+n/2]-big[n*n/2+n/2-1] != int32(1024/factor) {
			t.Errorf("x%d: a ramp does not stay one", factor)
		}
	}
}

func TestDoubleOfAFlatPlane(t *testing.T) {
	p := quant.Value{Vectors: 1, Narrow: slices.Repeat([]int16{-7}, half*half)}
	for i, v := range (double{}).Apply([]quant.Value{p}, nil).Wide {
		if v != -7*16 {
			t.Fatalf("sample %d is %d", i, v)
		}
	}
}

// noise is an RGB picture without any order in it.
func noise(n int) quant.Value {
	v := quant.Value{Vectors: 1, Narrow: make([]int16, channels*n*n)}
	for i := range v.Narrow {
		v.Narrow[i] = int16(quant.Draw(1, uint64(i)) & 255)
	}
	return v
}

func TestPose(t *testing.T) {
	plain := pose{place: place{Size: side}, zoom: 256}
	for _, n := range []int{64, 256} {
		in := noise(n)
		if got := plain.Apply([]quant.Value{in}, nil); !got.Equal(in) {
			t.Errorf("%d: a plain pose changes the picture", n)
		}
		mirror := plain
		mirror.mirror = true
		once := mirror.Apply([]quant.Value{in}, nil)
		if once.Equal(in) || !mirror.Apply([]quant.Value{once}, nil).Equal(in) {
			t.Errorf("%d: mirrored twice it is not the same, or once it is", n)
		}
		grey := quant.Value{Vectors: 1, Narrow: slices.Repeat([]int16{128}, channels*n*n)}
		for seed := range uint64(6) {
			for _, c := range slices.Concat(program.Choose(seed, 2), program.Choose(seed, 3), program.Choose(seed, 4)) {
				at := c.Place
				small := pose{place: at, zoom: 256, tilt: -30}
				out := small.Apply([]quant.Value{in, grey}, nil)
				for i, v := range out.Narrow {
					x, y := i/channels%n*side/n-at.X, i/channels/n*side/n-at.Y
					if outside := x < 0 || y < 0 || x >= at.Size || y >= at.Size; v > 128 || outside && v != 128 {
						t.Fatalf("%d, %v: pixel %d, %d from its corner is %d", n, at, x, y, v)
					}
				}
			}
		}
	}
}

func TestFloorDiv(t *testing.T) {
	for _, c := range [][3]int{{7, 2, 3}, {-7, 2, -4}, {-8, 2, -4}, {0, 5, 0}, {-1, 36, -1}} {
		if got := floorDiv(c[0], c[1]); got != c[2] {
			t.Errorf("%d by %d is %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

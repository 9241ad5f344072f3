package dispute_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/essaim/essaim/engine"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/engine/text"
	"github.com/essaim/essaim/quant"
	"github.com/essaim/essaim/quant/dispute"
	"github.com/essaim/essaim/quant/program"
)

// A run is one that both sides have made.
type run struct {
	rules  dispute.Rules
	record *dispute.Record
	model  *dispute.Model
	result quant.Hash
	plan   quant.Hash
}

var salt = quant.Hash{5}

// claim is one about the run.
func (r run) claim(trace, result quant.Hash) dispute.Claim {
	return dispute.Claim{Trace: trace, Result: result, Model: r.model.Root(), Plan: r.plan}
}

func rulesOf(r program.Run) dispute.Rules {
	return dispute.Rules{
		Program: func(words quant.Header) (dispute.Program, error) { return program.Of(r, words) },
		Kinds:   program.Kinds(),
	}
}

type traced interface {
	engine.Engine
	engine.Planner
	RunTraced(ctx context.Context, r engine.Request, watch func(quant.Op)) (engine.Result, error)
}

var models = map[string]func() *dispute.Model{
	pixel.Name: sync.OnceValue(func() *dispute.Model { return readModel(pixel.Name) }),
	text.Name:  sync.OnceValue(func() *dispute.Model { return readModel(text.Name) }),
}

func readModel(name string) *dispute.Model {
	b, err := os.ReadFile("../../engine/" + name + "/weights.bin")
	if err != nil {
		panic(err)
	}
	m, err := dispute.NewModel(b)
	if err != nil {
		panic(err)
	}
	return m
}

func runOf(t testing.TB, e traced, prompt string, seed uint64, size int) run {
	t.Helper()
	all, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record := new(dispute.Record)
	request := engine.Request{Model: all[0].Digest, Prompt: prompt, Seed: seed, Width: size, Height: size}
	out, err := e.RunTraced(t.Context(), request, record.Add)
	if err != nil {
		t.Fatal(err)
	}
	result := quant.Hash(out.PixelsDigest)
	if size == 0 {
		result = sha256.Sum256(out.Data)
	}
	request.Trace = true
	if plain, err := e.Run(t.Context(), request, nil); err != nil || plain.Trace != record.Trace() {
		t.Fatalf("the engine commits to %s, the record to %x, error %v", plain.Trace, record.Trace(), err)
	}
	begins, err := e.Plan(request)
	if err != nil {
		t.Fatal(err)
	}
	return run{rulesOf(program.Run{Engine: e.Name(), Seed: seed, Width: size}), record, models[e.Name()](), result, quant.PlanHash(salt, quant.Hash(begins))}
}

func pixelRun(t testing.TB, prompt string, seed uint64, size int) run {
	t.Helper()
	e, err := pixel.New()
	if err != nil {
		t.Fatal(err)
	}
	return runOf(t, e, prompt, seed, size)
}

// altered is a record with one operator changed.
func altered(r *dispute.Record, at int, change func(o *dispute.Operator)) *dispute.Record {
	out := new(dispute.Record)
	for i, o := range r.Operators {
		if i == at {
			o.Output = slices.Clone(o.Output)
			o.In, o.Numbers = slices.Clone(o.In), slices.Clone(o.Numbers)
			change(&o)
		}
		out.Append(o)
	}
	return out
}

// flipped changes one element.
func flipped(r *dispute.Record, at int, element int) *dispute.Record {
	return altered(r, at, func(o *dispute.Operator) { o.Output[element*o.Type.Size()] ^= 1 })
}

// A strategy gives a side's move; false is silence.
type strategy func(g *dispute.Game) (dispute.Move, bool)

func (r run) miner(record *dispute.Record) strategy {
	return func(g *dispute.Game) (dispute.Move, bool) {
		m, err := dispute.Miner{Record: record, Model: r.model, Salt: salt}.Answer(g, r.rules)
		return m, err == nil
	}
}

func (r run) challenger(record *dispute.Record) strategy {
	return func(g *dispute.Game) (dispute.Move, bool) {
		m, err := dispute.Challenger{Record: record, Model: r.model}.Ask(g, r.rules)
		return m, err == nil
	}
}

// figures are what games cost.
type figures struct {
	moves, bytes, largest, evidence, game int
}

// play plays a game to its end, each move and the game itself through their bytes.
func (r run) play(t testing.TB, trace, result quant.Hash, miner, challenger strategy, f *figures) dispute.Verdict {
	t.Helper()
	g := dispute.New(r.claim(trace, result))
	for f.moves = 0; g.Stage != dispute.Over; f.moves++ {
		if f.moves > 40 {
			t.Fatalf("the game does not end: stage %d", g.Stage)
		}
		side := miner
		if g.Turn() == dispute.TheChallenger {
			side = challenger
		}
		m, ok := side(g)
		if !ok {
			g.Timeout()
			continue
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := dispute.DecodeMove(b)
		if err == nil {
			err = g.Move(r.rules, got)
		}
		if err != nil {
			if !errors.Is(err, dispute.ErrMove) && !errors.Is(err, dispute.ErrEvidence) {
				t.Fatalf("stage %d: %v", g.Stage, err)
			}
			g.Timeout()
			continue
		}
		f.bytes, f.largest = f.bytes+len(b), max(f.largest, len(b))
		if m.Evidence != nil {
			f.evidence = len(b)
		}
		kept, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f.game = max(f.game, len(kept))
		if g, err = dispute.DecodeGame(kept); err != nil {
			t.Fatal(err)
		}
	}
	return g.Verdict
}

// TestEveryKindOfOperator: whoever is wrong about one number of any operator loses, on either side.
func TestEveryKindOfOperator(t *testing.T) {
	largest := map[string]figures{}
	for _, r := range []run{pixelRun(t, "red apple and two blue cats", 1, 64), pixelRun(t, "tree and cat", 2, 256)} {
		for at := 1; at < len(r.record.Operators); at++ {
			o := r.record.Operators[at]
			for i := range 3 {
				element := int(quant.Draw(uint64(at), uint64(i)) % uint64(o.Vectors*o.Elements))
				wrong := flipped(r.record, at, element)
				var f figures
				if v := r.play(t, wrong.Trace(), r.result, r.miner(wrong), r.challenger(r.record), &f); v != dispute.MinerWrong {
					t.Errorf("operator %d, %s of %s, element %d wrong: verdict %d", at+1, o.Kind, o.Layer, element, v)
				}
				if f.evidence > largest[o.Kind].evidence {
					largest[o.Kind] = f
				}
				if v := r.play(t, r.record.Trace(), r.result, r.miner(r.record), r.challenger(wrong), &f); v != dispute.ChallengerWrong {
					t.Errorf("operator %d, %s of %s, element %d disputed: verdict %d", at+1, o.Kind, o.Layer, element, v)
				}
			}
		}
	}
	if len(largest) != len(program.Kinds()) {
		t.Errorf("%d kinds, want %d", len(largest), len(program.Kinds()))
	}
	for _, kind := range slices.SortedFunc(maps.Keys(largest), cmp.Compare[string]) {
		f := largest[kind]
		t.Logf("%-9s %2d moves, %5d bytes in all; last move %4d bytes, game %4d bytes", kind, f.moves, f.bytes, f.evidence, f.game)
		if f.evidence > 3<<10 || f.largest > 3<<10 {
			t.Errorf("%s: a move of %d bytes, the last one of %d, want at most 3 KB", kind, f.largest, f.evidence)
		}
	}
}

func TestText(t *testing.T) {
	e, err := text.New()
	if err != nil {
		t.Fatal(err)
	}
	r := runOf(t, e, "ein roter Apfel", 0, 0)
	var f figures
	for at := 1; at < len(r.record.Operators); at++ {
		wrong := flipped(r.record, at, at)
		if v := r.play(t, wrong.Trace(), r.result, r.miner(wrong), r.challenger(r.record), &f); v != dispute.MinerWrong {
			t.Errorf("operator %d: verdict %d", at+1, v)
		}
	}
	if v := r.play(t, r.record.Trace(), quant.Hash{1}, r.miner(r.record), r.challenger(r.record), &f); v != dispute.MinerWrong {
		t.Errorf("another embedding: verdict %d", v)
	}
}

// TestAnotherPicture: an honest trace does not excuse another picture.
func TestAnotherPicture(t *testing.T) {
	for _, size := range []int{64, 512} {
		r := pixelRun(t, "red apple", 3, size)
		last := r.record.Operators[len(r.record.Operators)-1]
		other := slices.Clone(last.Output)
		other[len(other)/3] ^= 4
		wrong := flipped(r.record, -1, 0)
		wrong.Result = other
		var f figures
		if v := r.play(t, r.record.Trace(), sha256.Sum256(other), r.miner(wrong), r.challenger(r.record), &f); v != dispute.MinerWrong {
			t.Errorf("%d: verdict %d", size, v)
		}
		t.Logf("%d x %d: %d moves, %d bytes in all; last move %d bytes", size, size, f.moves, f.bytes, f.evidence)
		if v := r.play(t, r.record.Trace(), r.result, r.miner(r.record), r.challenger(wrong), &f); v != dispute.ChallengerWrong {
			t.Errorf("%d: the right picture disputed: verdict %d", size, v)
		}
	}
}

// TestOtherPrograms: operators that do not belong there, and facts that only the prompt decides.
func TestOtherPrograms(t *testing.T) {
	r := pixelRun(t, "red apple and a cat", 1, 256)
	n := len(r.record.Operators)
	cut := new(dispute.Record)
	for _, o := range r.record.Operators[:n-1] {
		cut.Append(o)
	}
	more := flipped(r.record, -1, 0)
	more.Append(r.record.Operators[n-1])
	poses := slices.IndexFunc(r.record.Operators, func(o dispute.Operator) bool { return o.Kind == "pose" })
	for name, c := range map[string]struct {
		record *dispute.Record
		want   dispute.Verdict
	}{
		"one too few":        {cut, dispute.MinerWrong},
		"one too many":       {more, dispute.MinerWrong},
		"another kind":       {altered(r.record, 9, func(o *dispute.Operator) { o.Kind = "take" }), dispute.MinerWrong},
		"another layer":      {altered(r.record, 9, func(o *dispute.Operator) { o.Layer = "up3" }), dispute.MinerWrong},
		"another input":      {altered(r.record, 9, func(o *dispute.Operator) { o.In[0]-- }), dispute.MinerWrong},
		"another shape":      {altered(r.record, 9, func(o *dispute.Operator) { o.Vectors, o.Elements = o.Elements, o.Vectors }), dispute.MinerWrong},
		"an empty header":    {altered(r.record, 9, func(o *dispute.Operator) { o.Header = quant.Header{} }), dispute.MinerWrong},
		"another range":      {altered(r.record, 3, func(o *dispute.Operator) { o.Numbers[0]++ }), dispute.MinerWrong},
		"another tilt":       {altered(r.record, poses, func(o *dispute.Operator) { o.Numbers[5] += 18 }), dispute.MinerWrong},
		"a short output":     {altered(r.record, 9, func(o *dispute.Operator) { o.Output = o.Output[:300] }), dispute.MinerWrong},
		"other table rows":   {flipped(r.record, 0, 2), dispute.MinerWrong},
		"more table rows":    {altered(r.record, 0, func(o *dispute.Operator) { o.Elements += 2; o.Output = append(o.Output, make([]byte, 16)...) }), dispute.MinerWrong},
		"mirrored otherwise": {altered(r.record, poses, func(o *dispute.Operator) { o.Numbers[3] ^= 1 }), dispute.MinerWrong},
		"may be mirrored":    {altered(r.record, 0, func(o *dispute.Operator) { o.Numbers[0] ^= 1 }), dispute.MinerWrong},
	} {
		var f figures
		for when, trace := range map[string]quant.Hash{"with the receipt": c.record.Trace(), "when asked": {}} {
			if v := r.play(t, trace, r.result, r.miner(c.record), r.challenger(r.record), &f); v != c.want {
				t.Errorf("%s, committed to %s: verdict %d, want %d", name, when, v, c.want)
			}
		}
	}
}

// TestWithoutAPlan: if the payer did not say how the run begins, what follows from the prompt is not judged.
func TestWithoutAPlan(t *testing.T) {
	r := pixelRun(t, "red apple and a cat", 1, 256)
	r.plan = quant.Hash{}
	poses := slices.IndexFunc(r.record.Operators, func(o dispute.Operator) bool { return o.Kind == "pose" })
	for name, c := range map[string]struct {
		record *dispute.Record
		want   dispute.Verdict
	}{
		"other table rows":   {flipped(r.record, 0, 2), dispute.Undecided},
		"more table rows":    {altered(r.record, 0, func(o *dispute.Operator) { o.Elements += 2; o.Output = append(o.Output, make([]byte, 16)...) }), dispute.Undecided},
		"may be mirrored":    {altered(r.record, 0, func(o *dispute.Operator) { o.Numbers[0] ^= 1 }), dispute.Undecided},
		"mirrored otherwise": {altered(r.record, poses, func(o *dispute.Operator) { o.Numbers[3] ^= 1 }), dispute.MinerWrong},
	} {
		var f figures
		if v := r.play(t, quant.Hash{}, r.result, r.miner(c.record), r.challenger(r.record), &f); v != c.want {
			t.Errorf("%s: verdict %d, want %d", name, v, c.want)
		}
	}
}

// TestAFalseChallenge: whoever disputes what the plan says, or withdraws from it, loses.
func TestAFalseChallenge(t *testing.T) {
	r := pixelRun(t, "red apple", 1, 64)
	var f figures
	first := func(g *dispute.Game) (dispute.Move, bool) { return dispute.Move{}, true }
	withdraw := func(g *dispute.Game) (dispute.Move, bool) { return dispute.Move{Withdraw: true}, true }
	for name, challenger := range map[string]strategy{"the first of all": first, "withdraws": withdraw} {
		if v := r.play(t, quant.Hash{}, r.result, r.miner(r.record), challenger, &f); v != dispute.ChallengerWrong {
			t.Errorf("%s: verdict %d", name, v)
		}
	}
}

// TestTraceForTheOccasion: a miner that delivered a wrong picture and makes up a trace only when it is asked loses,
// whichever it makes up.
func TestTraceForTheOccasion(t *testing.T) {
	r := pixelRun(t, "red apple", 3, 64)
	n := len(r.record.Operators)
	wrong := sha256.Sum256([]byte("another picture"))
	picture := slices.Clone(r.record.Operators[n-1].Output)
	picture[len(picture)/2] ^= 1
	rapid.Check(t, func(q *rapid.T) {
		result := wrong
		record := altered(r.record, -1, nil)
		if rapid.Bool().Draw(q, "has the picture") {
			result = sha256.Sum256(picture)
			record = altered(r.record, n-1, func(o *dispute.Operator) { o.Output = picture })
		}
		if rapid.Bool().Draw(q, "hides it earlier") {
			record = flipped(record, rapid.IntRange(1, n-1).Draw(q, "operator"), 0)
		}
		if rapid.Bool().Draw(q, "swaps the result") {
			record.Result = picture
		}
		var f figures
		if v := r.play(t, quant.Hash{}, result, r.miner(record), r.challenger(r.record), &f); v != dispute.MinerWrong {
			q.Fatalf("verdict %d", v)
		}
	})
}

// committed is the trace of a receipt that commits to it, or, late, to none.
func committed(r *dispute.Record, late bool) quant.Hash {
	if late {
		return quant.Hash{}
	}
	return r.Trace()
}

// TestCheaters: a miner that signed something wrong loses, and an honest one wins, however the other side
// plays: by silence, by lies about states, by picking anything, by evidence of something else.
func TestCheaters(t *testing.T) {
	r := pixelRun(t, "red apple", 1, 64)
	rapid.Check(t, func(q *rapid.T) {
		at := rapid.IntRange(1, len(r.record.Operators)-1).Draw(q, "operator")
		o := r.record.Operators[at]
		late := rapid.Bool().Draw(q, "late")
		wrong := flipped(r.record, at, rapid.IntRange(0, o.Vectors*o.Elements-1).Draw(q, "element"))
		silent := rapid.IntRange(0, 30).Draw(q, "silent")
		seed := rapid.Uint64().Draw(q, "seed")
		moves := 0
		miner := func(g *dispute.Game) (dispute.Move, bool) {
			moves++
			m, ok := r.miner(wrong)(g)
			for i := range m.States {
				if lie := quant.Draw(seed, uint64(64*moves+i)); lie&1 == 0 {
					m.States[i][lie>>1&7] ^= byte(lie >> 8)
				}
			}
			return m, ok && moves != silent
		}
		var f figures
		if v := r.play(t, committed(wrong, late), sha256.Sum256(wrong.Operators[len(wrong.Operators)-1].Output), miner, r.challenger(r.record), &f); v != dispute.MinerWrong {
			q.Fatalf("%s: a cheating miner: verdict %d", o.Kind, v)
		}
		moves = 0
		challenger := func(g *dispute.Game) (dispute.Move, bool) {
			moves++
			m, ok := r.challenger(wrong)(g)
			any := quant.Draw(seed, uint64(moves))
			if any&3 != 0 && g.Stage != dispute.Proving || !ok {
				ok = true
				m = dispute.Move{Pick: int(any >> 8 % 20)}
				if any>>2&7 == 0 {
					m.Pick = int(any>>8) % 64
				}
			}
			return m, ok && moves != silent
		}
		if v := r.play(t, committed(r.record, late), r.result, r.miner(r.record), challenger, &f); v != dispute.ChallengerWrong {
			q.Fatalf("%s: a cheating challenger: verdict %d", o.Kind, v)
		}
	})
}

// FuzzMove: no move from anyone makes the judge panic, or an honest miner lose.
func FuzzMove(f *testing.F) {
	r := pixelRun(f, "red apple", 1, 64)
	wrong := flipped(r.record, 60, 7)
	var games [][]byte
	g := dispute.New(r.claim(wrong.Trace(), r.result))
	for g.Stage != dispute.Over {
		b, err := g.Encode()
		if err != nil {
			f.Fatal(err)
		}
		games = append(games, b)
		m, ok := r.miner(wrong)(g)
		if g.Turn() == dispute.TheChallenger {
			m, ok = r.challenger(r.record)(g)
		}
		if b, err = m.Encode(); err != nil || !ok {
			f.Fatal(err, g.Stage)
		}
		f.Add(b)
		if err := g.Move(r.rules, m); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dispute.DecodeMove(b)
		if err != nil {
			return
		}
		for _, kept := range games {
			g, err := dispute.DecodeGame(kept)
			if err != nil {
				t.Fatal(err)
			}
			_ = g.Move(r.rules, m)
		}
	})
}

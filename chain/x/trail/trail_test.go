package trail_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"pgregory.net/rapid"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/essaim/essaim/chain/x/trail"
	"github.com/essaim/essaim/gen/chain/modelv1"
	"github.com/essaim/essaim/gen/chain/trailv1"
)

func typed(t testing.TB, m sdk.Msg) abci.Event {
	t.Helper()
	e, err := sdk.TypedEventToEvent(m)
	if err != nil {
		t.Fatal(err)
	}
	return abci.Event(e)
}

func with(e abci.Event, key, value string) abci.Event {
	e.Attributes = append(append([]abci.EventAttribute(nil), e.Attributes...), abci.EventAttribute{Key: key, Value: value})
	return e
}

// TestRecordForm pins every byte of the records: a change here is a change of the
// protocol.
func TestRecordForm(t *testing.T) {
	ours := typed(t, &modelv1.EventRegistered{Model: "ab", Owner: "e<s>&\u2028\n\x01\"\\é"})
	executed := typed(t, &trailv1.EventExecuted{Proposal: 7, Messages: []string{`{"a":1}`, ""}})
	vote := abci.Event{Type: "proposal_vote", Attributes: []abci.EventAttribute{
		{Key: "voter", Value: "essaim1"}, {Key: "proposal_id", Value: "7"}, {Key: "option", Value: "x"}, {Key: "option", Value: `"y"`},
	}}
	transfer := abci.Event{Type: "transfer", Attributes: []abci.EventAttribute{{Key: "amount", Value: "1"}}}
	records := trail.Records(
		[]abci.Event{transfer, with(ours, "mode", "BeginBlock")},
		[]*abci.ExecTxResult{
			{Code: 5, Events: []abci.Event{ours}},
			{Events: []abci.Event{transfer, with(ours, "msg_index", "0"), with(vote, "msg_index", "1")}},
		},
		[]abci.Event{with(executed, "mode", "EndBlock"), {Type: "essaim.x", Attributes: []abci.EventAttribute{{Key: "n", Value: " 1.5"}, {Key: "m", Value: "{"}}}},
	)
	text := "\"e<s>&\u2028\\n\\u0001\\\"\\\\é\""
	want := []string{
		`{"attributes":{"model":"ab","owner":` + text + `},"type":"essaim.model.v1.EventRegistered"}`,
		`{"attributes":{"model":"ab","owner":` + text + `},"tx":1,"type":"essaim.model.v1.EventRegistered"}`,
		`{"attributes":{"option":["x","\"y\""],"proposal_id":"7","voter":"essaim1"},"tx":1,"type":"proposal_vote"}`,
		`{"attributes":{"messages":["{\"a\":1}",""],"proposal":"7"},"type":"essaim.trail.v1.EventExecuted"}`,
		`{"attributes":{"m":"{","n":" 1.5"},"type":"essaim.x"}`,
	}
	if len(records) != len(want) {
		t.Fatalf("%d records: %s", len(records), records)
	}
	for i, r := range records {
		if string(r) != want[i] || !json.Valid(r) {
			t.Errorf("record %d\n%s, want\n%s", i, r, want[i])
		}
	}

	// The root by hand: RFC 6962 of five leaves is ((0 1)(2 3)) 4.
	leaf := func(i int) string { h := sha256.Sum256(append([]byte{0}, records[i]...)); return string(h[:]) }
	node := func(l, r string) string { h := sha256.Sum256([]byte("\x01" + l + r)); return string(h[:]) }
	if got := string(trail.Root(records)); got != node(node(node(leaf(0), leaf(1)), node(leaf(2), leaf(3))), leaf(4)) {
		t.Errorf("root %x", got)
	}
	if p := trail.Paths(records)[4]; len(p) != 1 {
		t.Errorf("the path of the last record has %d hashes", len(p))
	}
}

// TestStateForm pins the bytes that the proofs are about.
func TestStateForm(t *testing.T) {
	e := trailv1.Entry{Height: 0x0102, Previous: 3, Count: 4, Root: []byte(strings.Repeat("r", 32))}
	got := fmt.Sprintf("%x %x %x %x", trail.EntryKey(e.Height), trail.EntryValue(e), trail.LastKey(), trail.LastValue(5))
	want := "010000000000000102 000000000000000300000004" + strings.Repeat("72", 32) + " 00 0000000000000005"
	if got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}

func TestSplit(t *testing.T) {
	x, end := abci.Event{Type: "x"}, with(abci.Event{Type: "y"}, "mode", "EndBlock")
	before, after := trail.Split([]abci.Event{x, end, with(x, "mode", "BeginBlock"), with(end, "more", "1")})
	if len(before) != 3 || len(after) != 1 || after[0].Type != "y" {
		t.Fatalf("%v %v", before, after)
	}
}

// TestCanonical: whichever way a value is written, its canonical form is one, is JSON, and
// means the same.
func TestCanonical(t *testing.T) {
	for text, want := range map[string]string{
		` { "b" : [ 1 , true , null ] , "a" : "x" } `: `{"a":"x","b":[1,true,null]}`,
		`"\u0041\/\u000b\b\ud83d\ude00"`:              `"A/\u000b\b😀"`,
		`"\ud800"`:                                    "\"\ufffd\"",
		`12345678901234567890123`:                     `12345678901234567890123`,
		`-7`:                                          `-7`,
		`{}`:                                          `{}`,
	} {
		if got, ok := trail.Canonical(text); !ok || got != want {
			t.Errorf("%s: %s %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "1.0", "1e3", "-0", "01", "1 2", "{", `{"a":1.5}`, "[1E2]", "EndBlock", strings.Repeat("[", 20_000)} {
		if got, ok := trail.Canonical(text); ok {
			t.Errorf("%q: %s", text, got)
		}
	}
	value := rapid.Deferred(func() *rapid.Generator[any] { return anything(3) })
	rapid.Check(t, func(t *rapid.T) {
		v := value.Draw(t, "value")
		compact, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		spaced, err := json.MarshalIndent(v, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		a, ok := trail.Canonical(string(compact))
		b, _ := trail.Canonical(string(spaced))
		c, _ := trail.Canonical(a)
		var back any
		if err := json.Unmarshal([]byte(a), &back); err != nil || !ok || a != b || a != c {
			t.Fatalf("%s\n%s\n%s %v", a, b, c, err)
		}
		again, err := json.Marshal(back)
		if err != nil || string(again) != string(compact) {
			t.Fatalf("%s is not %s", again, compact)
		}
	})
}

func anything(depth int) *rapid.Generator[any] {
	plain := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int32(), func(n int32) any { return n }), rapid.Map(rapid.Bool(), func(b bool) any { return b }))
	if depth == 0 {
		return plain
	}
	return rapid.OneOf(plain,
		rapid.Map(rapid.SliceOfN(anything(depth-1), 0, 4), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.String(), anything(depth-1), 0, 4), func(m map[string]any) any { return m }))
}

// BenchmarkBlock is what the end of a block costs for its records, without the two writes
// to the state.
func BenchmarkBlock(b *testing.B) {
	e := typed(b, &modelv1.EventRegistered{Model: strings.Repeat("ab", 32), Owner: "essaim17w0adeg64ky0daxwd2ugyuneellmjgnxg6l2pa"})
	for _, n := range []int{1, 100, 1000} {
		tx := &abci.ExecTxResult{Events: []abci.Event{{Type: "tx"}, {Type: "message"}, e}}
		txs := make([]*abci.ExecTxResult, n)
		for i := range txs {
			txs[i] = tx
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				trail.Root(trail.Records(nil, txs, nil))
			}
		})
	}
}

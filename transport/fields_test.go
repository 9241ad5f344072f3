package transport_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/raw"
	"github.com/essaim/essaim/internal/wire"
	"github.com/essaim/essaim/transport"
)

// some is no bytes, none, few or many.
var some = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 30), rapid.SliceOfN(rapid.Byte(), 250, 300))

func oneOf[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

// TestFieldsAreAsTheLibraryEncodesThem: both ways, and what is not taken is the library's matter.
func TestFieldsAreAsTheLibraryEncodesThem(t *testing.T) {
	number := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300))
	offer := rapid.Custom(func(r *rapid.T) transport.Offer {
		return transport.Offer{
			Task: some.Draw(r, "task"), Input: some.Draw(r, "input"), Attempt: number.Draw(r, "attempt"),
			UnitPrice: essaim.Amount(number.Draw(r, "price")), Deadline: rapid.Int64().Draw(r, "deadline"),
		}
	})
	update := rapid.Custom(func(r *rapid.T) transport.Update {
		return transport.Update{Step: rapid.Uint32().Draw(r, "step"), Steps: rapid.Uint32().Draw(r, "steps"), Part: some.Draw(r, "part")}
	})
	result := rapid.Custom(func(r *rapid.T) transport.Result {
		return transport.Result{Receipt: some.Draw(r, "receipt"), Sealed: raw.Bytes(some.Draw(r, "sealed")), Salt: some.Draw(r, "salt")}
	})
	report := rapid.Custom(func(r *rapid.T) transport.Report {
		return transport.Report{Update: oneOf(update).Draw(r, "update"), Result: oneOf(result).Draw(r, "result")}
	})
	acked := rapid.Custom(func(r *rapid.T) transport.Acked { return transport.Acked{Ack: some.Draw(r, "ack")} })
	rapid.Check(t, func(r *rapid.T) {
		v, again := offer.Draw(r, "offer"), transport.Offer{}
		same(r, &v, &again, &transport.Offer{})
		w, back := report.Draw(r, "report"), transport.Report{}
		same(r, &w, &back, &transport.Report{})
		a, other := acked.Draw(r, "acked"), transport.Acked{}
		same(r, &a, &other, &transport.Acked{})
	})
	for _, m := range []wire.Message{
		&transport.Report{Failure: &transport.Failure{}}, &transport.Report{Commit: &transport.Commit{}},
		&transport.Acked{Refusal: &transport.Refusal{}}, &transport.Acked{Reveal: true},
	} {
		if _, ok := wire.Append(nil, m); ok {
			t.Errorf("%+v is encoded without what it says", m)
		}
		b, err := cbor.Marshal(m)
		if err != nil || wire.Read(b, reflect.New(reflect.TypeOf(m).Elem()).Interface().(wire.Message)) {
			t.Errorf("%+v is read without what it says, %v", m, err)
		}
	}
}

// same compares v's encoding with the library's, and what both make of it and of something like it.
func same(r *rapid.T, v, empty, other wire.Message) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		r.Fatal(err)
	}
	want, err := enc.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	b, ok := wire.Append([]byte("before"), v)
	if !ok || !bytes.Equal(b, append([]byte("before"), want...)) {
		r.Fatalf("%+v: %x, want %x", v, b, want)
	}
	if !wire.Read(want, empty) {
		r.Fatalf("%x is not read", want)
	}
	if got, err := enc.Marshal(empty); err != nil || !bytes.Equal(got, want) {
		r.Fatalf("%x comes back as %x, %v", want, got, err)
	}
	at := rapid.IntRange(0, len(want)-1).Draw(r, "at")
	changed := bytes.Clone(want)
	changed[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(r, "bit"))
	if rapid.Bool().Draw(r, "cut") {
		changed = changed[:at]
	}
	if wire.Read(changed, other) {
		if got, err := enc.Marshal(other); err != nil || !bytes.Equal(got, changed) {
			r.Fatalf("%x is taken for %x, %v", changed, got, err)
		}
	}
}

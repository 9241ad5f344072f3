package client_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client"
	"github.com/essaim/essaim/internal/raw"
	"github.com/essaim/essaim/internal/wire"
)

// some is no bytes, none, few or many.
var some = rapid.OneOf(rapid.Just[[]byte](nil), rapid.SliceOfN(rapid.Byte(), 0, 30), rapid.SliceOfN(rapid.Byte(), 250, 300))

func oneOf[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

// TestFieldsAreAsTheLibraryEncodesThem: both ways, and what is not taken is the library's matter.
func TestFieldsAreAsTheLibraryEncodesThem(t *testing.T) {
	submitted := rapid.Custom(func(r *rapid.T) client.Submitted {
		return client.Submitted{Task: some.Draw(r, "task"), Input: raw.Bytes(some.Draw(r, "input")), Voucher: some.Draw(r, "voucher"), Consent: some.Draw(r, "consent")}
	})
	delivery := rapid.Custom(func(r *rapid.T) essaim.Delivery {
		return essaim.Delivery{Task: essaim.DigestOf(some.Draw(r, "task")), Receipt: some.Draw(r, "receipt"), Sealed: some.Draw(r, "sealed")}
	})
	progress := rapid.Custom(func(r *rapid.T) essaim.Progress {
		return essaim.Progress{
			Task: essaim.DigestOf(some.Draw(r, "task")), State: essaim.TaskState(rapid.String().Draw(r, "state")), Attempt: rapid.Uint64().Draw(r, "attempt"),
			Miner: essaim.NodeKey(essaim.DigestOf(some.Draw(r, "miner"))), Step: rapid.Int().Draw(r, "step"), Steps: rapid.Int().Draw(r, "steps"),
			Part: some.Draw(r, "part"), Note: rapid.String().Draw(r, "note"),
		}
	})
	event := rapid.Custom(func(r *rapid.T) client.Event {
		return client.Event{N: rapid.Int().Draw(r, "n"), Progress: oneOf(progress).Draw(r, "progress"), Delivery: oneOf(delivery).Draw(r, "delivery")}
	})
	rapid.Check(t, func(r *rapid.T) {
		v := submitted.Draw(r, "submitted")
		same(r, &v, new(client.Submitted), new(client.Submitted))
		e := event.Draw(r, "event")
		same(r, &e, new(client.Event), new(client.Event))
	})
	failed := client.Event{N: 1, Error: &client.ErrorInfo{Code: essaim.CodeConflict, Message: "m"}}
	if _, ok := wire.Append(nil, &failed); ok {
		t.Error("an error is encoded without what it says")
	}
	var e client.Event
	if err := client.ReadFrame(bytes.NewReader(client.AppendFrame(nil, &failed)), 1000, &e); err != nil || !reflect.DeepEqual(e, failed) {
		t.Errorf("%+v, %v", e, err)
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

package raw_test

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim/internal/raw"
)

type message struct {
	A raw.Bytes `cbor:"1,keyasint"`
	B []byte    `cbor:"2,keyasint"`
}

// TestIsEncodedAsBytesAre: the same bytes travel, and come back without a copy.
func TestIsEncodedAsBytesAre(t *testing.T) {
	for _, n := range []int{0, 1, 23, 24, 255, 256, 65535, 65536} {
		want := bytes.Repeat([]byte{7}, n)
		enc, err := cbor.Marshal(message{want, want})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := cbor.Marshal(struct {
			A []byte `cbor:"1,keyasint"`
			B []byte `cbor:"2,keyasint"`
		}{want, want})
		if err != nil || !bytes.Equal(enc, plain) {
			t.Fatalf("%d bytes: encoded otherwise: %v", n, err)
		}
		var got message
		if err := cbor.Unmarshal(enc, &got); err != nil || !bytes.Equal(got.A, want) || !bytes.Equal(got.B, want) {
			t.Fatalf("%d bytes come back as %d, %d: %v", n, len(got.A), len(got.B), err)
		}
		if n > 0 {
			enc[len(enc)/4] ^= 1 // inside of the first
			if bytes.Equal(got.A, want) && n > 16 {
				t.Errorf("%d bytes were copied", n)
			}
		}
	}
	var got message
	if err := cbor.Unmarshal([]byte{0xa1, 1, 0xf6}, &got); err != nil || got.A != nil {
		t.Errorf("null is %v, %v", got.A, err)
	}
}

func TestRefusesWhatIsNotTheOneEncoding(t *testing.T) {
	for name, b := range map[string][]byte{
		"text": {0x61, 'a'}, "empty": {}, "cut": {0x42, 1}, "more": {0x41, 1, 2}, "no length": {0x58},
		"long head": {0x58, 1, 7}, "longer head": {0x59, 0, 24, 7}, "indefinite": {0x5f, 0x41, 1, 0xff}, "reserved": {0x5c, 1},
	} {
		if err := new(raw.Bytes).UnmarshalCBOR(b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

package essaim

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Every signed or hashed object is encoded in core deterministic CBOR (RFC 8949
// §4.2.1), and read back strictly: unknown fields, repeated keys, indefinite lengths
// and trailing bytes are errors, so that one value has one encoding.
var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		TagsMd:            cbor.TagsForbidden,
		MaxArrayElements:  1 << 16,
		MaxMapPairs:       1 << 10,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // constant options; a failure is a programming error
	}
	return v
}

func encode(v any) []byte {
	switch v := v.(type) { // the frequent ones
	case Task:
		return write(&v)
	case Receipt:
		return write(&v)
	case Ack:
		return write(&v)
	}
	b, err := encMode.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("essaim: encode %T: %v", v, err)) // our own types always encode
	}
	return b
}

func decode(what string, b []byte, out any) error {
	if v, ok := out.(coded); ok {
		if !read(b, v) {
			return Errorf(CodeBadInput, "the bytes were damaged or come from another version", "%s is not in its one deterministic encoding", what)
		}
		return nil
	}
	if err := decMode.Unmarshal(b, out); err != nil {
		return Errorf(CodeBadInput, "the bytes were damaged or come from another version", "%s cannot be decoded: %v", what, err)
	}
	if !bytes.Equal(encode(out), b) {
		return Errorf(CodeBadInput, "the bytes were damaged or come from another version", "%s is not in its one deterministic encoding", what)
	}
	return nil
}

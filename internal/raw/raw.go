// Package raw has a byte string that is not copied when a message is decoded: it shares
// the memory of the message, which must be left alone afterwards. It is for the large
// fields of messages that are read into a buffer of their own. It knows no message.
package raw

import (
	"encoding/binary"
	"errors"
)

// Bytes is a CBOR byte string, or null. It is encoded as []byte is.
type Bytes []byte

var errNotBytes = errors.New("raw: not a byte string")

// UnmarshalCBOR keeps what b holds of the one item that it is, without a copy.
//
// Errors: for another item, one of indefinite length, and a head longer than needed.
func (r *Bytes) UnmarshalCBOR(b []byte) error {
	const (
		null       = 0xf6
		byteString = 2 << 5
	)
	if len(b) == 1 && b[0] == null {
		*r = nil
		return nil
	}
	if len(b) == 0 || b[0]&^31 != byteString {
		return errNotBytes
	}
	short, rest := uint64(b[0]&31), b[1:]
	n, least := short, uint64(0)
	if short >= 24 {
		size := 1 << (short - 24)
		if short > 27 || len(rest) < size {
			return errNotBytes
		}
		var wide [8]byte
		copy(wide[8-size:], rest)
		n, rest = binary.BigEndian.Uint64(wide[:]), rest[size:]
		if least = 24; size > 1 {
			least = 1 << (4 * size)
		}
	}
	if n < least || n != uint64(len(rest)) {
		return errNotBytes
	}
	*r = rest[:n:n]
	return nil
}

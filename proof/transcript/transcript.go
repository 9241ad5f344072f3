// Package transcript makes challenges out of what has been said so far, after Fiat and Shamir (1986): a
// verifier that draws at random is replaced by a hash of the whole conversation.
//
// It exists as a package of its own because most broken proof systems were broken here: a challenge that does not
// depend on everything before it can be chosen. Each Absorb names what it absorbs and how long it is, so
// that no two conversations have one state (docs/protocol/proof.md).
//
// It must not decide what is absorbed, and draws nothing from anywhere else.
package transcript

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/essaim/essaim/proof/field"
)

// A Transcript is the state of a conversation. The zero Transcript has heard nothing.
type Transcript struct{ state [sha256.Size]byte }

// Absorb adds data under a label of at most 255 bytes.
func (t *Transcript) Absorb(label string, data []byte) {
	h := sha256.New()
	h.Write(t.state[:])
	h.Write([]byte{byte(len(label))})
	h.Write([]byte(label))
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(data))))
	h.Write(data)
	h.Sum(t.state[:0])
}

// AbsorbExt is Absorb of field elements.
func (t *Transcript) AbsorbExt(label string, all ...field.Ext) {
	t.Absorb(label, field.Append(make([]byte, 0, field.Size*len(all)), all...))
}

// draw moves the state on.
func (t *Transcript) draw() {
	t.state = sha256.Sum256(append(t.state[:], 0xff))
}

// Ext draws a field element. Each coordinate is 64 bits modulo P, so uniform but for 2⁻³³.
func (t *Transcript) Ext() field.Ext {
	t.draw()
	var c [4]uint64
	for i := range c {
		c[i] = binary.LittleEndian.Uint64(t.state[8*i:])
	}
	return field.FromCoordinates(c)
}

// Point draws n field elements.
func (t *Transcript) Point(n int) []field.Ext {
	out := make([]field.Ext, n)
	for i := range out {
		out[i] = t.Ext()
	}
	return out
}

// Index draws one of 0..n-1; n is a power of two.
func (t *Transcript) Index(n int) int {
	t.draw()
	return int(binary.LittleEndian.Uint64(t.state[:]) & uint64(n-1))
}

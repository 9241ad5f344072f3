package proof

import (
	"encoding/binary"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/transcript"
	"github.com/essaim/essaim/quant"
)

// What the modes of a proof share. Only their packages use it.

// ModeOf is the mode of an encoded proof: 1 clear, 2 succinct; 0: it is none.
func ModeOf(b []byte) uint8 {
	if len(b) < len(magic)+2 || string(b[:len(magic)]) != magic || b[len(magic)] != version {
		return 0
	}
	return b[len(magic)+1]
}

// Head is how a proof of a mode begins.
func Head(mode uint8) []byte { return append([]byte(magic), version, mode) }

// Begin is the transcript of a proof about so many statements, before the first one.
func (m *Model) Begin(mode uint8, statements int) *transcript.Transcript {
	t := new(transcript.Transcript)
	b := append([]byte{mode}, m.root[:]...)
	b = append(b, m.weights[:]...)
	t.Absorb("essaim proof 1", binary.LittleEndian.AppendUint32(b, uint32(statements)))
	return t
}

// Bytes are what the transcript absorbs of a statement.
func (s Statement) Bytes() []byte { return s.bytes() }

// Digest is that of the manifest.
func (m *Model) Digest() essaim.Digest { return m.digest }

// Layout is how the model's matrices are committed to.
func (m *Model) Layout() *commit.Layout { return m.layout }

// Matrix is the number of the matrix that an operator's output is linear in; false: it is not linear in one of this model.
func (m *Model) Matrix(o quant.Op) (int, bool) { return m.matrix(o) }

// Linear reports whether an operator is linear in a matrix, of whichever model.
func Linear(o quant.Op) bool { return linear(o) }

// Weights are the committed ones.
func (p *Prover) Weights() *commit.Weights { return p.committed }

// Pack appends numbers in groups of one width, as outputs travel.
func Pack(b []byte, all []int32) []byte { return pack(b, all) }

// Unpack reads len(all) numbers from anyone, and returns what follows them; false: they are not packed as Pack does.
func Unpack(b []byte, all []int32) (rest []byte, ok bool) { return unpack(b, all) }

// MaxElements is how many numbers a proof gives in the clear at most.
const MaxElements = maxElements

// Engine is the one that the checker walks with.
func (c *Checker) Engine() Walker { return c.engine }

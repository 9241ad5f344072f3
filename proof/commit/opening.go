package commit

import (
	"encoding/binary"

	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// An Opening shows Σ lanes·W~(r, s).
type Opening struct {
	Top     []quant.Hash     // commits to the combination of grid rows: a level of the tree over its pieces' code
	Columns []Column         // Queries of the weights' code
	Rounds  []sumcheck.Round // of the sum over all pieces
	Rest    []field.Ext      // the combination of the pieces that is left
	Row     []Column         // RowQueries of the pieces' code, four coordinates an element
}

// A Column is one of a code, and the hashes beside its way up, from the leaf on.
type Column struct {
	Values []uint32 // below P
	Path   []quant.Hash
}

const hashSize = len(quant.Hash{})

// Size is that of an encoded opening in bytes.
func (l *Layout) Size() int {
	return hashSize<<topBits + Queries*(4*l.Rows+hashSize*l.Depth()) + 2*field.Size*l.folds() + field.Size*l.piece() +
		RowQueries*(field.Size<<l.folds()+hashSize*(l.rowDepth()-topBits))
}

// Append appends the opening's encoding.
func (o *Opening) Append(b []byte) []byte {
	b = appendHashes(b, o.Top)
	b = appendColumns(b, o.Columns)
	for _, r := range o.Rounds {
		b = field.Append(b, r.C0, r.C2)
	}
	return appendColumns(field.Append(b, o.Rest...), o.Row)
}

func appendHashes(b []byte, all []quant.Hash) []byte {
	for i := range all {
		b = append(b, all[i][:]...)
	}
	return b
}

func appendColumns(b []byte, all []Column) []byte {
	for _, c := range all {
		for _, v := range c.Values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = appendHashes(b, c.Path)
	}
	return b
}

// Read reads an opening from Size bytes; false: some number is not below P.
func (l *Layout) Read(b []byte) (o Opening, ok bool) {
	r := reader{b, true}
	o.Top = r.hashes(1 << topBits)
	o.Columns = r.columns(Queries, l.Rows, l.Depth())
	for range l.folds() {
		o.Rounds = append(o.Rounds, sumcheck.Round{C0: r.ext(), C2: r.ext()})
	}
	o.Rest = make([]field.Ext, l.piece())
	for i := range o.Rest {
		o.Rest[i] = r.ext()
	}
	o.Row = r.columns(RowQueries, 4<<l.folds(), l.rowDepth()-topBits)
	return o, r.ok
}

// A reader takes an opening apart.
type reader struct {
	b  []byte
	ok bool
}

func (r *reader) ext() field.Ext {
	e, ok := field.Read(r.b)
	r.b, r.ok = r.b[field.Size:], r.ok && ok
	return e
}

func (r *reader) hashes(n int) []quant.Hash {
	out := make([]quant.Hash, n)
	for i := range out {
		r.b = r.b[copy(out[i][:], r.b):]
	}
	return out
}

func (r *reader) columns(n, high, path int) []Column {
	out := make([]Column, n)
	for i := range out {
		values := make([]uint32, high)
		for j := range values {
			values[j] = binary.LittleEndian.Uint32(r.b[4*j:])
			r.ok = r.ok && values[j] < field.P
		}
		r.b = r.b[4*high:]
		out[i] = Column{values, r.hashes(path)}
	}
	return out
}

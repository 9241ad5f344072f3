package succinct

import (
	"encoding/binary"

	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/lookup"
	"github.com/essaim/essaim/proof/sumcheck"
	"github.com/essaim/essaim/quant"
)

// Encode is the proof's one encoding; docs/protocol/proof-succinct.md defines it.
func (p *Proof) Encode() []byte {
	b := binary.LittleEndian.AppendUint32(proof.Head(Mode), uint32(len(p.Shown)))
	for _, s := range p.Shown {
		b = binary.LittleEndian.AppendUint32(b, uint32(s.Operator))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.Output)))
		b = proof.Pack(b, s.Output)
	}
	b = field.Append(append(b, p.Root[:]...), p.Fractions.Root)
	for _, l := range p.Fractions.Levels {
		b = field.Append(appendRounds(b, l.Rounds), l.Nodes[:]...)
	}
	b = appendRounds(field.Append(b, p.Total), p.Rounds)
	b = appendRounds(field.Append(b, p.Lanes...), p.Claims)
	b = field.Append(field.Append(b, p.Cells.Row...), p.Cells.Mix...)
	return p.Weights.Append(appendColumns(b, p.Cells.Columns))
}

func appendRounds(b []byte, all []sumcheck.Round) []byte {
	for _, r := range all {
		b = field.Append(b, r.C0, r.C2)
	}
	return b
}

func appendColumns(b []byte, all []commit.Column) []byte {
	for _, c := range all {
		for _, v := range c.Values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		for _, h := range c.Path {
			b = append(b, h[:]...)
		}
	}
	return b
}

// decodeShown reads a proof from anyone up to its argument, which it returns. It takes memory for what is there only, and for at
// most proof.MaxElements numbers.
//
// Errors: wraps proof.ErrRefused.
func decodeShown(b []byte) (p *Proof, rest []byte, err error) {
	if proof.ModeOf(b) != Mode {
		return nil, nil, refused("it is no proof in succinct mode")
	}
	p, b = &Proof{}, b[len(proof.Head(Mode)):]
	number := func(most int) int {
		if len(b) < 4 || binary.LittleEndian.Uint32(b) > uint32(most) {
			return -1
		}
		n := int(binary.LittleEndian.Uint32(b))
		b = b[4:]
		return n
	}
	statements, left := number(proof.MaxStatements), proof.MaxElements
	if statements < 0 {
		return nil, nil, refused("it ends early")
	}
	for range statements {
		operator, n := number(1<<30), number(left)
		if operator < 0 || n < 0 || len(b) < n/64 { // each group of numbers has a byte at least
			return nil, nil, refused("what it shows cannot be read")
		}
		left -= n
		s, ok := Shown{operator, make([]int32, n)}, false
		if b, ok = proof.Unpack(b, s.Output); !ok {
			return nil, nil, refused("what it shows cannot be read")
		}
		p.Shown = append(p.Shown, s)
	}
	return p, b, nil
}

// A reader reads numbers of which there are enough.
type reader struct {
	b  []byte
	ok bool // all numbers are below the field's prime
}

func (r *reader) ext() field.Ext {
	e, ok := field.Read(r.b)
	r.b, r.ok = r.b[field.Size:], r.ok && ok
	return e
}

func (r *reader) exts(n int) []field.Ext {
	out := make([]field.Ext, n)
	for i := range out {
		out[i] = r.ext()
	}
	return out
}

func (r *reader) rounds(n int) []sumcheck.Round {
	out := make([]sumcheck.Round, n)
	for i := range out {
		out[i] = sumcheck.Round{C0: r.ext(), C2: r.ext()}
	}
	return out
}

func (r *reader) columns(n, rows, depth int) (out []commit.Column) {
	for range n {
		c := commit.Column{Values: make([]uint32, rows), Path: make([]quant.Hash, depth)}
		for i := range c.Values {
			c.Values[i] = binary.LittleEndian.Uint32(r.b)
			r.b, r.ok = r.b[4:], r.ok && c.Values[i] < field.P
		}
		for i := range c.Path {
			r.b = r.b[copy(c.Path[i][:], r.b):]
		}
		out = append(out, c)
	}
	return out
}

// grid is that of the cells.
func (y *system) grid() (commit.Grid, error) { return commit.NewGrid(y.table.rows() + y.cells) }

// decodeArgument reads the rest of a proof about a system. Its length follows from the system.
//
// Errors: wraps proof.ErrRefused.
func (p *Proof) decodeArgument(b []byte, y *system) error {
	grid, err := y.grid()
	if err != nil {
		return refused("%w", err)
	}
	levels, layout := y.size(), y.model.Layout()
	numbers := 1 + levels*(levels-1) + 4*levels + 1 + 2*commit.LaneBits + layout.Lanes + 2*grid.Point() + 2*grid.Columns
	columns := commit.VectorQueries * column(grid.Rows, grid.Depth())
	if want := len(p.Root) + field.Size*numbers + columns + layout.Size(); len(b) != want {
		return refused("%d bytes follow what it shows, want %d", len(b), want)
	}
	r := &reader{b[copy(p.Root[:], b):], true}
	p.Fractions.Root = r.ext()
	for i := range levels {
		l := lookup.Level{Rounds: r.rounds(i)}
		for j := range l.Nodes {
			l.Nodes[j] = r.ext()
		}
		p.Fractions.Levels = append(p.Fractions.Levels, l)
	}
	p.Total, p.Rounds = r.ext(), r.rounds(commit.LaneBits)
	p.Lanes, p.Claims = r.exts(layout.Lanes), r.rounds(grid.Point())
	p.Cells.Row, p.Cells.Mix = r.exts(grid.Columns), r.exts(grid.Columns)
	p.Cells.Columns = r.columns(commit.VectorQueries, grid.Rows, grid.Depth())
	ok := false
	if p.Weights, ok = layout.Read(r.b); !ok || !r.ok {
		return refused("a number in it is not below the field's prime")
	}
	return nil
}

// column is the size of one and its path.
func column(rows, depth int) int { return 4*rows + len(quant.Hash{})*depth }

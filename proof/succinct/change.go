package succinct

import (
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/quant"
)

const (
	lowBits  = 14 // of each number that is cut in two
	highBits = 12 // above them, of a number whose unit is changed: 2^(14+12-1) is maxBound
	wideBits = 1  // above them, of the distance to a limit of wide activations
	qBits    = 8  // above them, of a rescaled number
	maxShift = 2 * lowBits
)

// A change of unit: q = floor((v·mul + 2^(shift-1)) / 2^shift), and perhaps a clamp. docs/protocol/proof-succinct.md says
// which numbers show that, and why.
type change struct {
	in        value
	mul       []int64 // of each element of a vector
	shift     int     // 14 to 28
	low, rest int     // first cells; of shift 14 there is no rest
	q         int     // first cell; -1: it is public
	shown     []int32 // the output, if that is public
	limbs     []limb  // that say how large q is, or
	clamp     int     // the number of the clamp that does; -1: none
	out       int     // of a clamp: first cell; -1: it is public
	leaf      int     // the first one, after the table's rows
}

// A limb says that sign·q + offset is within 0 to 2^(14+bits) - 1: the cell has its low 14 bits.
type limb struct {
	sign, offset int64
	bits         int
	cell         int
}

// n is the number of elements of all vectors.
func (c *change) n() int { return c.in.vectors * c.in.elements }

// tags are those of the look-ups of each element, in their order: low, high, b, a, rest; then the pair or the limbs.
func (c *change) tags() []int {
	out := []int{lowBits, highBits, lowBits, lowBits}
	if c.shift > lowBits {
		out = append(out, c.shift-lowBits)
	}
	if c.clamp >= 0 {
		out = append(out, ranges+c.clamp)
	}
	for _, l := range c.limbs {
		out = append(out, lowBits, l.bits)
	}
	return out
}

// carry is what 2^(shift-1) is modulo 2^14.
func (c *change) carry() int64 { return 1 << (c.shift - 1) & (1<<lowBits - 1) }

// change adds one; a is that of an activation.
func (y *system) change(o quant.Op, in value, s quant.Scale, a quant.Activate, activation bool) error {
	c := change{in: in, shift: int(s.Shift), q: -1, out: -1, clamp: -1, leaf: y.leaves}
	if len(s.Mul) != in.elements || in.bound+maxBound >= field.P {
		return unprovable(o, "it reads %d elements of up to %d, and has %d factors", in.elements, in.bound, len(s.Mul))
	}
	up := max(lowBits-c.shift, 0)
	c.shift += up
	largest := int64(0)
	for _, m := range s.Mul {
		c.mul = append(c.mul, int64(m)<<up)
		largest = max(largest, int64(m)<<up)
	}
	shown := o.Out.ID == y.last
	if shown {
		c.shown = wide(o.Out)
	}
	n, out := c.n(), value{vectors: in.vectors, elements: in.elements}
	c.low = y.take(n)
	if c.shift > lowBits {
		c.rest = y.take(n)
	}
	narrow := activation && a.Lo >= -span && a.Hi < span
	if !shown || narrow {
		c.q = y.take(n)
	}
	most := int64(1) << (lowBits + qBits - 1)
	switch {
	case narrow:
		c.clamp, most, out.bound = y.table.clamp(int32(a.Lo), int32(a.Hi)), span, int64(max(a.Hi, -a.Lo))
		if !shown {
			c.out = y.take(n)
			out.first = []int{c.out}
		}
	case shown:
		most = largestOf(c.shown)
		if activation && !within(c.shown, a) {
			return unprovable(o, "it put out what it cannot")
		}
	case activation:
		most = max(int64(a.Hi), -int64(a.Lo))
		c.limbs = []limb{{1, -int64(a.Lo), wideBits, y.take(n)}, {-1, int64(a.Hi), wideBits, y.take(n)}}
		out.first, out.bound = []int{c.q}, most
	default:
		c.limbs = []limb{{1, most, qBits, y.take(n)}}
		out.first, out.bound = []int{c.q}, most
	}
	if c.shift > maxShift || largest*maxBound+most<<c.shift+1<<(maxShift+1) >= field.P<<lowBits || most >= 1<<32 {
		return unprovable(o, "its factors or its shift are too large")
	}
	y.table.use(c.tags())
	y.leaves += n * len(c.tags())
	y.changes = append(y.changes, c)
	y.hidden[o.Out.ID] = out
	return nil
}

// wide is a value's elements, whichever type they have.
func wide(v quant.Value) []int32 {
	if v.Wide != nil {
		return v.Wide
	}
	out := make([]int32, len(v.Narrow))
	for i, x := range v.Narrow {
		out[i] = int32(x)
	}
	return out
}

func largestOf(all []int32) (most int64) {
	for _, v := range all {
		most = max(most, int64(v), -int64(v))
	}
	return most
}

func within(all []int32, a quant.Activate) bool {
	for _, v := range all {
		if v < int32(a.Lo) || v > int32(a.Hi) {
			return false
		}
	}
	return true
}

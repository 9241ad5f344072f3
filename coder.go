package essaim

import (
	"math"
	"sync"
	"unicode/utf8"
)

// coder writes or reads an object in its one encoding, core deterministic CBOR. The
// objects that a task needs by the thousand each second name their fields to it once, for
// both directions. It has no reflection, and what it reads it takes only as it would
// write it, so that there is nothing to encode again for comparison. That it agrees with
// the library that all others are encoded with is tested.
type coder struct {
	b    []byte // written so far, or left to read
	read bool
	bad  bool // what was read is not the one encoding
}

// coded is an object that names its fields, in the order of their numbers.
type coded interface{ fields(*coder) }

func (t *Task) fields(c *coder) {
	more := c.openMore(15, t.MaxUnits != 0)
	number(c, 1, &t.Version)
	c.text(2, &t.ChainID)
	number(c, 3, &t.Session)
	number(c, 4, &t.Seq)
	c.text(5, (*string)(&t.Kind))
	c.bytes(6, t.Model[:])
	c.bytes(7, t.Input[:])
	number(c, 8, &t.Seed)
	c.small(9, &t.Width)
	c.small(10, &t.Height)
	c.small(11, &t.Steps)
	number(c, 12, &t.MaxPrice)
	c.text(13, &t.Verify)
	c.signed(14, &t.Deadline)
	if more {
		number(c, 15, &t.MaxUnits)
		c.bad = c.bad || t.MaxUnits == 0
	}
	c.bytes(16, t.Plan[:])
}

func (r *Receipt) fields(c *coder) {
	more := c.openMore(25, !r.Proof.IsZero())
	number(c, 1, &r.Version)
	c.text(2, &r.ChainID)
	c.bytes(3, r.Task[:])
	number(c, 4, &r.Session)
	number(c, 5, &r.Seq)
	number(c, 6, &r.Attempt)
	c.bytes(7, r.Miner[:])
	c.bytes(8, r.Coordinator[:])
	c.bytes(9, r.Model[:])
	c.text(10, &r.Engine)
	c.bytes(11, r.Input[:])
	number(c, 12, &r.Seed)
	c.small(13, &r.Width)
	c.small(14, &r.Height)
	c.small(15, &r.Steps)
	c.bytes(16, r.Output[:])
	c.text(17, &r.MediaType)
	number(c, 18, &r.Size)
	c.bytes(19, r.Pixels[:])
	c.bytes(20, r.Sealed[:])
	c.bytes(21, r.Trace[:])
	number(c, 22, &r.Units)
	number(c, 23, &r.Price)
	c.signed(24, &r.Started)
	c.signed(25, &r.Finished)
	if more {
		c.bytes(26, r.Proof[:])
		c.bad = c.bad || r.Proof.IsZero()
	}
}

func (a *Ack) fields(c *coder) {
	c.open(8)
	c.text(1, &a.ChainID)
	c.bytes(2, a.Receipt[:])
	number(c, 3, &a.Session)
	number(c, 4, &a.Price)
	c.bytes(5, a.Miner[:])
	c.bytes(6, a.Model[:])
	number(c, 7, &a.Total)
	c.signed(8, &a.Deadline)
}

// codedSize is room for any of them as they are in practice.
const codedSize = 512

func write(v coded) []byte {
	c := coder{b: make([]byte, 0, codedSize)}
	v.fields(&c)
	return c.b
}

// coders have written what was hashed and nobody keeps: digests of tasks and receipts are asked for many times.
var coders = sync.Pool{New: func() any { return &coder{b: make([]byte, 0, codedSize)} }}

// digest is that of what was written, and the end of a coder of coders.
func (c *coder) digest() Digest {
	d := DigestOf(c.b)
	c.b = c.b[:0]
	coders.Put(c)
	return d
}

// read reports whether b is the encoding of what it leaves in v.
func read(b []byte, v coded) bool {
	c := coder{b: b, read: true}
	v.fields(&c)
	return !c.bad && len(c.b) == 0
}

// The major types of CBOR that are in use.
const (
	majorUint  = 0 << 5
	majorNeg   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorArray = 4 << 5
	majorMap   = 5 << 5
)

// head writes an item's head in its shortest form.
func (c *coder) head(major byte, n uint64) {
	switch {
	case n < 24:
		c.b = append(c.b, major|byte(n))
	case n <= math.MaxUint8:
		c.b = append(c.b, major|24, byte(n))
	case n <= math.MaxUint16:
		c.b = append(c.b, major|25, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		c.b = append(c.b, major|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	default:
		c.b = append(c.b, major|27, byte(n>>56), byte(n>>48), byte(n>>40), byte(n>>32), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// take reads a head; one that could be shorter is bad.
func (c *coder) take() (major byte, n uint64) {
	if len(c.b) == 0 {
		c.bad = true
		return 0, 0
	}
	major, n = c.b[0]&^31, uint64(c.b[0]&31)
	c.b = c.b[1:]
	if n < 24 {
		return major, n
	}
	size := 1 << (n - 24)
	if n > 27 || len(c.b) < size {
		c.bad = true
		return 0, 0
	}
	n = 0
	for _, b := range c.b[:size] {
		n = n<<8 | uint64(b)
	}
	c.b = c.b[size:]
	c.bad = c.bad || n < 24 || size > 1 && n>>(4*size) == 0
	return major, n
}

// expect reads a head of one major type.
func (c *coder) expect(major byte) uint64 {
	got, n := c.take()
	c.bad = c.bad || got != major
	return n
}

// cut reads n bytes; they share the memory of what is read.
func (c *coder) cut(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

// open begins a map.
func (c *coder) open(pairs uint64) {
	c.bad = c.openMore(pairs, false) || c.bad
}

// openMore begins a map that may have one pair more, which more asks for. It says whether it has;
// an object that is read decides for itself.
func (c *coder) openMore(pairs uint64, more bool) bool {
	if c.read {
		n := c.expect(majorMap)
		c.bad = c.bad || n != pairs && n != pairs+1
		return n == pairs+1
	}
	if more {
		pairs++
	}
	c.head(majorMap, pairs)
	return more
}

func (c *coder) key(k uint64) {
	if !c.read {
		c.head(majorUint, k)
		return
	}
	c.bad = c.expect(majorUint) != k || c.bad
}

func number[T ~uint64](c *coder, k uint64, v *T) {
	c.key(k)
	if !c.read {
		c.head(majorUint, uint64(*v))
		return
	}
	*v = T(c.expect(majorUint))
}

func (c *coder) small(k uint64, v *uint32) {
	wide := uint64(*v)
	number(c, k, &wide)
	c.bad = c.bad || wide > math.MaxUint32
	*v = uint32(wide)
}

func (c *coder) signed(k uint64, v *int64) {
	c.key(k)
	switch {
	case !c.read && *v >= 0:
		c.head(majorUint, uint64(*v))
	case !c.read:
		c.head(majorNeg, uint64(-1-*v))
	default:
		major, n := c.take()
		c.bad = c.bad || n > math.MaxInt64 || major != majorUint && major != majorNeg
		if *v = int64(n); major == majorNeg {
			*v = -1 - int64(n)
		}
	}
}

func (c *coder) text(k uint64, v *string) {
	c.key(k)
	if !c.read {
		c.head(majorText, uint64(len(*v)))
		c.b = append(c.b, *v...)
		return
	}
	b := c.cut(c.expect(majorText))
	c.bad = c.bad || !utf8.Valid(b)
	*v = string(b)
}

// bytes is a byte string of the length of v.
func (c *coder) bytes(k uint64, v []byte) {
	c.key(k)
	if !c.read {
		c.head(majorBytes, uint64(len(v)))
		c.b = append(c.b, v...)
		return
	}
	if n := c.expect(majorBytes); n != uint64(len(v)) {
		c.bad = true
	}
	copy(v, c.cut(uint64(len(v))))
}

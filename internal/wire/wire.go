// Package wire encodes the few messages that a task needs by the thousand each second, in
// the same bytes of core deterministic CBOR as the library that encodes all others, without its
// reflection. A message names its fields once, for both directions.
//
// What is read is taken only in that one encoding, and only as far as the message names it;
// the library is to be asked about anything else. Byte strings share the memory of what
// they are read from. It knows no message.
package wire

import (
	"math"
	"unicode/utf8"
)

// Message names its fields to a Coder, in the order of their keys' encodings.
type Message interface{ Fields(*Coder) }

// Append adds a message's encoding to b. It reports false, and b is as it was, if the message has
// fields that it does not name.
func Append(b []byte, m Message) ([]byte, bool) {
	c := Coder{b: b}
	m.Fields(&c)
	if c.bad {
		return b, false
	}
	return c.b, true
}

// Read reads a message into m, which is empty. It reports false if b is not the encoding of
// a message as m names it; then m is of no use.
func Read(b []byte, m Message) bool {
	c := Coder{b: b, read: true}
	m.Fields(&c)
	return !c.bad && len(c.b) == 0
}

// Coder writes or reads one message.
type Coder struct {
	b    []byte // written so far, or left to read
	left uint64 // pairs of the map that is read
	read bool
	bad  bool
}

// Key is a map's key as it is encoded: "\x01" is 1, and "\x64task" is "task".
type Key string

// The major types of CBOR that are in use, and null.
const (
	majorUint  = 0 << 5
	majorNeg   = 1 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorMap   = 5 << 5
	null       = 0xf6
)

// Reading reports whether the message is being read.
func (c *Coder) Reading() bool { return c.read }

// Unnamed says that the message has a field that is not named.
func (c *Coder) Unnamed() { c.bad = true }

// Map is a map of so many pairs, which fields names.
func (c *Coder) Map(pairs int, fields func()) {
	outer := c.left
	if c.read {
		c.left = c.expect(majorMap)
	} else {
		c.head(majorMap, uint64(pairs))
	}
	fields()
	c.bad = c.bad || c.read && c.left != 0
	c.left = outer
}

// Count counts the fields that are there.
func Count(there ...bool) (n int) {
	for _, t := range there {
		if t {
			n++
		}
	}
	return n
}

// Has names a field that may be missing. It reports whether it is there; then its value
// follows.
func (c *Coder) Has(k Key, there bool) bool {
	if !c.read {
		if there {
			c.b = append(c.b, k...)
		}
		return there
	}
	if c.bad || c.left == 0 || len(c.b) < len(k) || string(c.b[:len(k)]) != string(k) {
		return false
	}
	c.left--
	c.b = c.b[len(k):]
	return true
}

func (c *Coder) key(k Key) { c.bad = !c.Has(k, true) || c.bad }

// Uint is an unsigned number.
func Uint[T ~uint32 | ~uint64](c *Coder, k Key, v *T) {
	c.key(k)
	if !c.read {
		c.head(majorUint, uint64(*v))
		return
	}
	n := c.expect(majorUint)
	*v = T(n)
	c.bad = c.bad || uint64(*v) != n
}

// Int is a number.
func Int[T ~int | ~int64](c *Coder, k Key, v *T) {
	c.key(k)
	switch {
	case !c.read && *v >= 0:
		c.head(majorUint, uint64(*v))
	case !c.read:
		c.head(majorNeg, uint64(-1-*v))
	default:
		major, n := c.take()
		c.bad = c.bad || n > math.MaxInt64 || major != majorUint && major != majorNeg
		if *v = T(n); major == majorNeg {
			*v = -1 - T(n)
		}
	}
}

// Text is a string.
func Text[T ~string](c *Coder, k Key, v *T) {
	c.key(k)
	text(c, v)
}

// MoreText is Text that is missing if it is empty.
func MoreText[T ~string](c *Coder, k Key, v *T) {
	if c.Has(k, *v != "") {
		text(c, v)
	}
}

func text[T ~string](c *Coder, v *T) {
	if !c.read {
		c.head(majorText, uint64(len(*v)))
		c.b = append(c.b, *v...)
		return
	}
	b := c.cut(c.expect(majorText))
	c.bad = c.bad || !utf8.Valid(b)
	*v = T(b)
}

// Bytes is a byte string, or null.
func Bytes[T ~[]byte](c *Coder, k Key, v *T) {
	c.key(k)
	bytes(c, v)
}

// More is Bytes that are missing if there are none.
func More[T ~[]byte](c *Coder, k Key, v *T) {
	if c.Has(k, len(*v) > 0) {
		bytes(c, v)
	}
}

func bytes[T ~[]byte](c *Coder, v *T) {
	switch {
	case !c.read && *v == nil:
		c.b = append(c.b, null)
	case !c.read:
		c.head(majorBytes, uint64(len(*v)))
		c.b = append(c.b, *v...)
	case len(c.b) > 0 && c.b[0] == null:
		c.b = c.b[1:]
	default:
		*v = c.cut(c.expect(majorBytes))
	}
}

// Fixed is a byte string of the length of v.
func Fixed(c *Coder, k Key, v []byte) {
	c.key(k)
	if !c.read {
		c.head(majorBytes, uint64(len(v)))
		c.b = append(c.b, v...)
		return
	}
	n := c.expect(majorBytes)
	c.bad = c.bad || n != uint64(len(v))
	copy(v, c.cut(n))
}

// head writes an item's head in its shortest form.
func (c *Coder) head(major byte, n uint64) {
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
func (c *Coder) take() (major byte, n uint64) {
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
func (c *Coder) expect(major byte) uint64 {
	got, n := c.take()
	c.bad = c.bad || got != major
	return n
}

// cut reads n bytes.
func (c *Coder) cut(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

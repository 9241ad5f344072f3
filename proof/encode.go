package proof

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/essaim/essaim/proof/commit"
	"github.com/essaim/essaim/proof/field"
	"github.com/essaim/essaim/proof/sumcheck"
)

const (
	magic     = "essaimP\n"
	version   = 1
	modeClear = 1
	group     = 64 // numbers of one width
)

// Encode is the proof's one encoding; docs/protocol/proof.md defines it.
func (p *Proof) Encode() []byte {
	b := append([]byte(magic), version, modeClear)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Given)))
	for _, run := range p.Given {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(run)))
		for _, out := range run {
			b = pack(binary.LittleEndian.AppendUint32(b, uint32(len(out))), out)
		}
	}
	for _, r := range p.Rounds {
		b = field.Append(b, r.C0, r.C2)
	}
	return p.Opening.Append(b)
}

// pack appends numbers in groups: a byte that says how many bits each has, then these bits.
func pack(b []byte, all []int32) []byte {
	for len(all) > 0 {
		n := min(group, len(all))
		or := uint32(0)
		for _, v := range all[:n] {
			or |= zigzag(v)
		}
		width := bits.Len32(or)
		b = append(b, byte(width))
		held, have := uint64(0), 0
		for _, v := range all[:n] {
			held |= uint64(zigzag(v)) << have
			for have += width; have >= 8; have -= 8 {
				b = append(b, byte(held))
				held >>= 8
			}
		}
		if have > 0 {
			b = append(b, byte(held))
		}
		all = all[n:]
	}
	return b
}

// zigzag makes small numbers of both signs small.
func zigzag(v int32) uint32 { return uint32(v)<<1 ^ uint32(v>>31) }

// unpack reads len(all) numbers, and returns what follows them; false: they are not packed as pack does.
func unpack(b []byte, all []int32) (rest []byte, ok bool) {
	for len(all) > 0 {
		n := min(group, len(all))
		if len(b) == 0 || b[0] > 32 {
			return nil, false
		}
		width := int(b[0])
		size := (width*n + 7) / 8
		if b = b[1:]; len(b) < size {
			return nil, false
		}
		held, have, or, from := uint64(0), 0, uint32(0), b[:size]
		for i := range n {
			for have < width {
				held |= uint64(from[0]) << have
				from, have = from[1:], have+8
			}
			z := uint32(held & (1<<width - 1))
			held >>= width
			have -= width
			or |= z
			all[i] = int32(z>>1) ^ -int32(z&1)
		}
		if bits.Len32(or) != width || held != 0 {
			return nil, false
		}
		b, all = b[size:], all[n:]
	}
	return b, true
}

// Decode reads a proof about this model from anyone. It takes memory for what is there only, and for at
// most maxElements numbers. What it reads, Encode gives again.
//
// Errors: wraps ErrRefused.
func (m *Model) Decode(b []byte) (*Proof, error) {
	p := &Proof{}
	b, err := p.decodeGiven(b)
	if err != nil {
		return nil, err
	}
	rounds := 2 * field.Size * commit.LaneBits
	if want := rounds + m.layout.Size(); len(b) != want {
		return nil, fmt.Errorf("%w: %d bytes follow the outputs, want %d", ErrRefused, len(b), want)
	}
	ok := true
	ext := func() (e field.Ext) {
		e, fine := field.Read(b)
		b, ok = b[field.Size:], ok && fine
		return e
	}
	for range commit.LaneBits {
		p.Rounds = append(p.Rounds, sumcheck.Round{C0: ext(), C2: ext()})
	}
	fine := false
	if p.Opening, fine = m.layout.Read(b); !ok || !fine {
		return nil, fmt.Errorf("%w: a number in it is not below the field's prime", ErrRefused)
	}
	return p, nil
}

// decodeGiven reads everything up to the rounds and returns what follows.
func (p *Proof) decodeGiven(b []byte) ([]byte, error) {
	if len(b) < len(magic)+2 || string(b[:len(magic)]) != magic || b[len(magic)] != version || b[len(magic)+1] != modeClear {
		return nil, fmt.Errorf("%w: it is no proof of version %d in clear mode", ErrRefused, version)
	}
	b = b[len(magic)+2:]
	number := func(most int) int {
		if len(b) < 4 || binary.LittleEndian.Uint32(b) > uint32(most) {
			return -1
		}
		n := int(binary.LittleEndian.Uint32(b))
		b = b[4:]
		return n
	}
	bad := fmt.Errorf("%w: its outputs cannot be read", ErrRefused)
	left := maxElements
	runs := number(MaxStatements)
	if runs < 0 {
		return nil, bad
	}
	for range runs {
		outputs := number(maxOutputs)
		if outputs < 0 {
			return nil, bad
		}
		given := [][]int32{}
		for range outputs {
			n := number(left)
			if n < 0 || len(b) < n/group { // each group has a byte at least
				return nil, bad
			}
			left -= n
			out := make([]int32, n)
			rest, ok := unpack(b, out)
			if !ok {
				return nil, bad
			}
			b, given = rest, append(given, out)
		}
		p.Given = append(p.Given, given)
	}
	return b, nil
}

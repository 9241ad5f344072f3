package durable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
)

// A file of the log ahead:
//
//	mark    16 random bytes
//	CRC-32C of the mark, 4 bytes, big-endian like all of fixed length
//	frames, one behind the other:
//		mark    16 bytes, the file's
//		CRC-32C of all that follows in the frame
//		length  of the body, 4 bytes
//		number  of the first write in it, 8 bytes
//		body    writes: each a count of statements, and these: text, count of arguments, arguments
//
// Counts and lengths in the body are uvarints. A text that the frame has already is told by its
// place, from 1; a new one by 0, length and bytes. Behind the newest frame may be older ones.
const (
	markSize = 16
	headSize = markSize + 4         // of a file
	leadSize = markSize + 4 + 4 + 8 // of a frame
	maxFrame = 1 << 30              // bytes
	maxCount = 1 << 20              // of statements or arguments
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The kinds of arguments.
const (
	argNil byte = iota
	argInt
	argFloat
	argText
	argBytes
)

// encodeHead makes the beginning of a file.
func encodeHead(mark [markSize]byte) []byte {
	return binary.BigEndian.AppendUint32(mark[:], crc32.Checksum(mark[:], castagnoli))
}

// encodeFrame makes a frame of writes that are numbered one after the other.
func encodeFrame(b []byte, mark [markSize]byte, batch []*write) []byte {
	start := len(b)
	b = append(append(b, mark[:]...), make([]byte, leadSize-markSize)...)
	texts := map[string]uint64{}
	for _, w := range batch {
		b = binary.AppendUvarint(b, uint64(len(w.stmts)))
		for _, s := range w.stmts {
			if n := texts[s.Query]; n > 0 {
				b = binary.AppendUvarint(b, n)
			} else {
				texts[s.Query] = uint64(len(texts) + 1)
				b = appendBytes(binary.AppendUvarint(b, 0), s.Query)
			}
			b = binary.AppendUvarint(b, uint64(len(s.Args)))
			for _, a := range s.Args {
				b = appendArg(b, a)
			}
		}
	}
	lead := b[start+markSize:]
	binary.BigEndian.PutUint32(lead[4:], uint32(len(b)-start-leadSize))
	binary.BigEndian.PutUint64(lead[8:], batch[0].number)
	binary.BigEndian.PutUint32(lead, crc32.Checksum(lead[4:], castagnoli))
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendArg(b []byte, a any) []byte {
	switch v := a.(type) {
	case nil:
		return append(b, argNil)
	case int64:
		return binary.AppendVarint(append(b, argInt), v)
	case float64:
		return binary.BigEndian.AppendUint64(append(b, argFloat), math.Float64bits(v))
	case string:
		return appendBytes(append(b, argText), v)
	case []byte:
		if v == nil {
			return append(b, argNil)
		}
		return appendBytes(append(b, argBytes), v)
	}
	panic(fmt.Sprintf("durable: an argument of type %T is appended", a)) // a programming error: such are not among our statements
}

// readAhead reads the writes above a number from the log beside a file, each by its number.
func readAhead(path string, above uint64) (map[uint64]*write, error) {
	found := map[uint64]*write{}
	for i := range 2 {
		b, err := os.ReadFile(aheadPath(path, i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if len(b) < headSize { // it was only just made
			continue
		}
		mark := [markSize]byte(b)
		if !bytes.Equal(b[:headSize], encodeHead(mark)) {
			return nil, fmt.Errorf("durable: the log %s is damaged", aheadPath(path, i))
		}
		// What is no frame is passed over: the end of a torn one, or of one that was written over.
		for b = b[headSize:]; ; {
			at := bytes.Index(b, mark[:])
			if at < 0 {
				break
			}
			b = b[at:]
			size, err := decodeFrame(b, above, found)
			if err != nil {
				return nil, fmt.Errorf("durable: the log %s: %w", aheadPath(path, i), err)
			}
			b = b[max(size, 1):]
		}
	}
	return found, nil
}

// decodeFrame reads the frame at the beginning of b into found, and returns its size; 0: there is none.
func decodeFrame(b []byte, above uint64, found map[uint64]*write) (int, error) {
	if len(b) < leadSize {
		return 0, nil
	}
	lead := b[markSize:]
	size := uint64(binary.BigEndian.Uint32(lead[4:]))
	if size > maxFrame || size > uint64(len(b)-leadSize) {
		return 0, nil
	}
	if crc32.Checksum(lead[4:leadSize-markSize+int(size)], castagnoli) != binary.BigEndian.Uint32(lead) {
		return 0, nil
	}
	d := decoder{b: b[leadSize:][:size]}
	for n := binary.BigEndian.Uint64(lead[8:]); len(d.b) > 0 && !d.bad; n++ {
		if w := d.write(n); n > above {
			found[n] = w
		}
	}
	if d.bad {
		return 0, errors.New("a frame is of another version")
	}
	return leadSize + int(size), nil
}

// decoder reads a frame's body.
type decoder struct {
	b     []byte
	texts []string
	bad   bool
}

func (d *decoder) write(number uint64) *write {
	w := &write{number: number}
	for range d.count() {
		var s Stmt
		switch n := d.count(); {
		case n == 0:
			s.Query = string(d.bytes())
			d.texts = append(d.texts, s.Query)
		case n <= len(d.texts):
			s.Query = d.texts[n-1]
		default:
			d.bad = true
		}
		for range d.count() {
			s.Args = append(s.Args, d.arg())
		}
		w.stmts = append(w.stmts, s)
	}
	return w
}

func (d *decoder) arg() any {
	switch kind := d.take(1)[0]; kind {
	case argNil:
		return nil
	case argInt:
		v, n := binary.Varint(d.b)
		d.take(max(n, 0))
		d.bad = d.bad || n <= 0
		return v
	case argFloat:
		return math.Float64frombits(binary.BigEndian.Uint64(d.take(8)))
	case argText:
		return string(d.bytes())
	case argBytes:
		return d.bytes()
	}
	d.bad = true
	return nil
}

func (d *decoder) bytes() []byte { return d.take(int(d.uvarint(maxFrame))) }

func (d *decoder) count() int { return int(d.uvarint(maxCount)) }

// uvarint reads a number up to limit.
func (d *decoder) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if d.take(max(n, 0)); n <= 0 || v > limit || d.bad {
		d.bad = true
		return 0
	}
	return v
}

// take takes n bytes; zeros if there are not so many.
func (d *decoder) take(n int) []byte {
	if d.bad = d.bad || n > len(d.b); d.bad {
		return make([]byte, min(n, 8))
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

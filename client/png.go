package client

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
	"sync"

	"github.com/essaim/essaim"
)

const (
	pngSignature = "\x89PNG\r\n\x1a\n"
	pngFrame     = 12 // of a chunk: length, name, CRC-32
	pngHeader    = 13 // data of IHDR
)

// inflaters are readers of zlib's format, whose tables and window are most of what a small picture's decoder allocates.
var inflaters = sync.Pool{}

// plainPNG is pixels of a PNG file in the shape that nearly all have: eight bits of red, green and blue, with or without
// alpha, not interlaced. It holds two rows at a time and not the picture. ok is false for any other file, a damaged
// one among them: image/png says what is in it.
func plainPNG(file []byte) (d essaim.Digest, ok bool) {
	if !bytes.HasPrefix(file, []byte(pngSignature)) {
		return d, false
	}
	chunks := &pngChunks{rest: file[len(pngSignature):]}
	name, head, ok := chunks.next()
	if !ok || name != "IHDR" || len(head) != pngHeader {
		return d, false
	}
	width, height := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	depth, colour, compression, filter, interlace := head[8], head[9], head[10], head[11], head[12]
	channels := map[byte]int{2: 3, 6: 4}[colour]
	if channels == 0 || depth != 8 || compression|filter|interlace != 0 || width == 0 || height == 0 || width > essaim.MaxSide || height > essaim.MaxSide {
		return d, false
	}
	if !chunks.seek() {
		return d, false
	}
	in, err := inflate(chunks)
	if err != nil {
		return d, false
	}
	defer inflaters.Put(in)
	h := sha256.New()
	row, above := make([]byte, 1+channels*int(width)), make([]byte, channels*int(width))
	flat := make([]byte, 0, 3*width)
	for range height {
		if _, err := io.ReadFull(in, row); err != nil || !unfilter(row[0], row[1:], above, channels) {
			return d, false
		}
		copy(above, row[1:])
		if channels == 3 {
			h.Write(above)
			continue
		}
		flat = flat[:0]
		for i := 0; i < len(above); i += 4 {
			flat = append(flat, above[i], above[i+1], above[i+2])
		}
		h.Write(flat)
	}
	if n, err := in.Read(row[:1]); n != 0 || err != io.EOF || !chunks.ended() {
		return d, false
	}
	h.Sum(d[:0])
	return d, true
}

func inflate(r io.Reader) (io.ReadCloser, error) {
	if in, ok := inflaters.Get().(io.ReadCloser); ok {
		return in, in.(zlib.Resetter).Reset(r, nil)
	}
	return zlib.NewReader(r)
}

// pngChunks reads the data of a file's IDAT chunks, byte by byte or more.
type pngChunks struct {
	rest []byte // of the file
	data []byte // of the chunk that is read
	name string // of the chunk behind the last IDAT
}

// next takes a chunk whose checksum is right.
func (c *pngChunks) next() (name string, data []byte, ok bool) {
	if len(c.rest) < pngFrame {
		return "", nil, false
	}
	n := uint64(binary.BigEndian.Uint32(c.rest))
	if n > uint64(len(c.rest)-pngFrame) {
		return "", nil, false
	}
	body := c.rest[4 : 8+n]
	ok = crc32.ChecksumIEEE(body) == binary.BigEndian.Uint32(c.rest[8+n:])
	c.rest = c.rest[pngFrame+n:]
	return string(body[:4]), body[4:], ok
}

// seek goes to the first IDAT, over what does not change pixels.
func (c *pngChunks) seek() bool {
	for {
		name, data, ok := c.next()
		switch {
		case !ok:
			return false
		case name == "IDAT":
			c.data = data
			return true
		case name[0]&0x20 == 0 || name == "tRNS": // critical, or alpha
			return false
		}
	}
}

// more goes on to the next IDAT.
func (c *pngChunks) more() error {
	for len(c.data) == 0 {
		if c.name != "" {
			return io.EOF
		}
		name, data, ok := c.next()
		switch {
		case !ok:
			return io.ErrUnexpectedEOF
		case name != "IDAT":
			c.name = name
			return io.EOF
		}
		c.data = data
	}
	return nil
}

// Read is io.Reader.
func (c *pngChunks) Read(p []byte) (int, error) {
	if err := c.more(); err != nil {
		return 0, err
	}
	n := copy(p, c.data)
	c.data = c.data[n:]
	return n, nil
}

// ReadByte is io.ByteReader: with it nothing is read ahead.
func (c *pngChunks) ReadByte() (byte, error) {
	if err := c.more(); err != nil {
		return 0, err
	}
	b := c.data[0]
	c.data = c.data[1:]
	return b, nil
}

// ended reports whether nothing is left but the end.
func (c *pngChunks) ended() bool { return c.more() == io.EOF && c.name == "IEND" }

// unfilter undoes a row's filter, which the PNG specification numbers; above is the row before.
func unfilter(filter byte, row, above []byte, channels int) bool {
	switch filter {
	case 0:
	case 1:
		for i := channels; i < len(row); i++ {
			row[i] += row[i-channels]
		}
	case 2:
		for i := range row {
			row[i] += above[i]
		}
	case 3:
		for i := range row {
			var left int
			if i >= channels {
				left = int(row[i-channels])
			}
			row[i] += byte((left + int(above[i])) / 2)
		}
	case 4:
		for i := range row {
			var left, corner int
			if i >= channels {
				left, corner = int(row[i-channels]), int(above[i-channels])
			}
			row[i] += paeth(left, int(above[i]), corner)
		}
	default:
		return false
	}
	return true
}

// paeth is the neighbour that is nearest to left + above - corner.
func paeth(left, above, corner int) byte {
	a, b, c := abs(above-corner), abs(left-corner), abs(left+above-2*corner)
	switch {
	case a <= b && a <= c:
		return byte(left)
	case b <= c:
		return byte(above)
	}
	return byte(corner)
}

func abs(n int) int { return max(n, -n) }

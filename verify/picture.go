package verify

import (
	"crypto/sha256"
	"image"
	"image/draw"
	"math/bits"
	"slices"

	"github.com/essaim/essaim"
)

// Hash is a perceptual hash of a picture: pictures that look alike have hashes that differ
// in few of the 64 bits. It is computed in integers only, so it is the same on every
// machine:
//
//	grey = 299R + 587G + 114B, averaged over 32 x 32 boxes of equal area
//	F    = the 8 x 8 lowest frequencies of the cosine transform of the averages
//	bit 63-(8v+u) is set if F[v][u] is above the upper median of all 64
//
// A hash says that two pictures look alike. Anybody can draw a picture with a given hash
// by other means: alone it proves nothing about how a picture was made.
type Hash uint64

// Distance is in how many bits two hashes differ, 0 to 64.
func (h Hash) Distance(o Hash) int { return bits.OnesCount64(uint64(h ^ o)) }

// The bands of Distance: up to HashAccept pictures are alike, from HashReject on they are
// not, in between a hash cannot tell.
const (
	HashAccept = 8
	HashReject = 14
)

const (
	hashSide = 32 // of the averages
	hashLow  = 8  // frequencies each way
)

// HashOf is the hash of a picture. An empty one has the hash 0.
func HashOf(m image.Image) Hash {
	if m.Bounds().Empty() {
		return 0
	}
	grey := averages(rgba(m))
	var half [hashSide][hashLow]int64 // rows transformed
	for y := range hashSide {
		for u := range hashLow {
			for x := range hashSide {
				half[y][u] += grey[y][x] * cosine((2*x+1)*u)
			}
			half[y][u] >>= 14
		}
	}
	all := make([]int64, 0, hashLow*hashLow)
	for v := range hashLow {
		for u := range hashLow {
			sum := int64(0)
			for y := range hashSide {
				sum += half[y][u] * cosine((2*y+1)*v)
			}
			all = append(all, sum>>14)
		}
	}
	sorted := slices.Sorted(slices.Values(all))
	var h Hash
	for i, f := range all {
		if f > sorted[len(sorted)/2] {
			h |= 1 << (63 - i)
		}
	}
	return h
}

// averages are the means of grey over boxes that share the picture out evenly, in 1/1000
// of a level, rounded down.
func averages(m *image.RGBA) (out [hashSide][hashSide]int64) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	for y := range h {
		for x := range w {
			p := m.Pix[m.PixOffset(x, y):][:3:3]
			grey := 299*int64(p[0]) + 587*int64(p[1]) + 114*int64(p[2])
			// In units of 1/32 pixel, the pixel covers 32x to 32x+32 and box i covers wi to wi+w.
			for j := 32 * y / h; j < hashSide && j*h < 32*y+32; j++ {
				tall := int64(min(32*y+32, (j+1)*h) - max(32*y, j*h))
				for i := 32 * x / w; i < hashSide && i*w < 32*x+32; i++ {
					wide := int64(min(32*x+32, (i+1)*w) - max(32*x, i*w))
					out[j][i] += grey * tall * wide
				}
			}
		}
	}
	for j := range out {
		for i := range out[j] {
			out[j][i] /= int64(w) * int64(h)
		}
	}
	return out
}

// cosines are round(2^14·cos(πk/64)) for k = 0..32.
var cosines = [33]int64{
	16384, 16364, 16305, 16207, 16069, 15893, 15679, 15426, 15137, 14811, 14449, 14053, 13623, 13160, 12665, 12140, 11585,
	11003, 10394, 9760, 9102, 8423, 7723, 7005, 6270, 5520, 4756, 3981, 3196, 2404, 1606, 804, 0,
}

// cosine is 2^14·cos(πk/64).
func cosine(k int) int64 {
	k %= 128
	if k > 64 {
		k = 128 - k
	}
	if k > 32 {
		return -cosines[64-k]
	}
	return cosines[k]
}

// PixelDistance is the mean difference of two pictures' channels, in 1/1000 of a level of
// 0 to 255, rounded up: 0 only for the same pixels. ok is false if the sizes differ.
func PixelDistance(a, b image.Image) (milli uint64, ok bool) {
	if a.Bounds().Size() != b.Bounds().Size() || a.Bounds().Empty() {
		return 0, false
	}
	x, y := rgba(a), rgba(b)
	sum, n := uint64(0), uint64(0)
	for i := range x.Pix {
		if i%4 == 3 {
			continue
		}
		d := int(x.Pix[i]) - int(y.Pix[i])
		sum += uint64(max(d, -d))
		n++
	}
	return (1000*sum + n - 1) / n, true
}

// PixelsDigest is the SHA-256 of a picture's RGB bytes, row by row, as receipts have it: of what a PNG file holds, whatever
// its alpha, which is left out.
func PixelsDigest(m image.Image) (d essaim.Digest) {
	b := m.Bounds()
	flat, ok := m.(*image.NRGBA)
	if p, plain := m.(*image.RGBA); plain && p.Opaque() { // a PNG file without alpha: the same bytes
		flat, ok = (*image.NRGBA)(p), true
	}
	if !ok {
		flat = image.NewNRGBA(b)
		draw.Draw(flat, b, m, b.Min, draw.Src)
	}
	h := sha256.New()
	row := make([]byte, 0, 3*b.Dx())
	for y := b.Min.Y; y < b.Max.Y; y++ {
		row = row[:0]
		from := flat.Pix[flat.PixOffset(b.Min.X, y):][:4*b.Dx()]
		for i := 0; i < len(from); i += 4 {
			row = append(row, from[i], from[i+1], from[i+2])
		}
		h.Write(row)
	}
	h.Sum(d[:0])
	return d
}

// rgba is the picture with its first pixel at 0, 0 and without gaps.
func rgba(m image.Image) *image.RGBA {
	if p, ok := m.(*image.RGBA); ok && p.Rect.Min == (image.Point{}) && p.Stride == 4*p.Rect.Dx() {
		return p
	}
	b := m.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	draw.Draw(out, out.Rect, m, b.Min, draw.Src)
	return out
}

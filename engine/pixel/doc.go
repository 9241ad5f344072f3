// Package pixel is the reference engine: a small text-to-picture model, embedded in
// the binary, that computes in integers only and so draws the same picture, bit
// for bit, on every machine.
//
// It is what replicas, reruns, disputes and proofs are tried on, and what makes a
// fresh install draw something within milliseconds. It knows some 1,200 things of the
// emoji kind in three styles, in English and French, and their colours; what it cannot do
// is in the manifest and in docs/pixel.md.
//
// # From a prompt to things
//
// A prompt is lower-cased; accents go; , ; + and & become "and"; everything else but a-z and
// 0-9 separates words; stop words go; a final s or x of a word longer than three letters goes
// (not ss). 64 words are kept. A word that is not in the vocabulary becomes the known word, of
// three letters or more, that is one slip away: with ph for f or f for ph; else with two
// neighbours swapped, then with a letter missing or too many, then with a wrong letter; among
// equals the more frequent one, then the alphabetically first. Of words of three letters only the
// first two kinds are corrected, of shorter ones and of numbers none.
//
// Joints ("and", "avec", "in" ...) end a thing, unless they are inside a name of joined.txt; a
// count from two to four before a thing repeats it. Colours get one name in both languages;
// orange, rose and marron are a colour beside another thing (rose only after it), else a thing.
// Unknown words are dropped, and so are things of which then nothing but a colour is left. At
// most ten words of a thing and four things are kept; without any, the prompt is refused.
//
// # What the seed chooses
//
// r = draw(seed, 0) chooses the style, by r modulo 3, unless the prompt names one; draw(seed, 9)
// modulo their number the layout. q = draw(seed, 1+i) chooses for thing i: bit 0 whether it is
// mirrored, unless a word stands for lettering or a side; bits 8-9 the zoom, of a thing alone; bits
// 16-31, modulo 6, the tilt; bits 32-39, modulo their number, which of the things of variants.tsv a
// name means; and, if bits 48-50 are zero and the thing is in tintable.txt and no colour was
// asked for, bits 40-47, modulo 8, a colour.
//
// # Text
//
// Each word w of a thing, cut to 32 letters, stands for rows of an 8192 x 256 table: crc32("1"+w),
// crc32("2"+w) and crc32("g"+g), all modulo 8192, for the n different 3- and 4-letter parts g of
// "<"+w+">". With share(n) = round(4096/√n) and k words, a word's two rows weigh share(k), its
// parts share(k·n). The style's row crc32("s"+style) weighs 4096. The weighted sum of rows becomes
// int8, passes two ReLU layers (256 → 1024 → 512), and is c.
//
// # Network
//
// All matrices are int8, all sums int32; rounding and clamping are those of package quant.
// [ ] is a change to int8 with one factor a channel, ( )+ one to 0..127 (so the ReLU), and x, z
// are wide values (1/4096):
//
//	x   = cond·c
//	x  += downₗ·(upₗ·[x] + condₗ·c)+      l = 0..3, 2048 hidden values each
//	z   = out·[x]                         512 coefficients
//
// Given the words and the style, a picture is determined, so there is no noise to remove and one
// pass is enough.
//
// # Picture
//
// z becomes 15-bit coefficients of a linear basis: 64 x 64 luma, then 32 x 32 Cb and Cr, in
// 1/4096. Each plane is smoothed three times: to each pixel p are added, with the table T of the
// weights file, where T(-d) = -T(d), floor((2·ΣT(q-p) + ΣT(r-p) + 16) / 32), over the four neighbours q beside it and the
// four diagonal ones r, all of the plane before; beyond the border the border repeats. Two more
// tables whiten the ground and drop faint chroma and give units of 1/4080; luma is multiplied by
// 16, chroma doubled bilinearly (weights 1 and 3 over 4 each way, undivided), so that all is in
// 1/65280. For 256 x 256 and 512 x 512 the planes are enlarged by Catmull-Rom splines with exact
// integer weights: no added detail. Then, halves rounded up and clamped to 0..255:
//
//	R = (2¹⁴Y + 22970Cr) / 2²²    G = (2¹⁴Y - 5638Cb - 11700Cr) / 2²²    B = (2¹⁴Y + 29032Cb) / 2²²
//
// Each thing, n x n, is then laid onto the picture: mirrored, at its place, and turned. With m the
// side of the place, d = 64m/n, u = 2x-m+1, v = 2y-m+1, a tilt t and a zoom s, both in 1/256, and
// C = s - floor(t²/512), its pixel (x, y) is read, in 1/16 of a pixel, at
//
//	(floor(2(uC - vt)/d), floor(2(vC + ut)/d)) + 8n - 8
//
// kept within -16..16n, bilinearly, (... + 128) >> 8, with white beyond the border. A thing smaller
// than the picture is first replaced by the means (... + 2) >> 2 of each pixel and those to its right,
// below and diagonally below, and read 8 less to the right and down. The darker of it and of what was
// there stays.
//
// # Machines
//
// Pictures drawn together ([Engine.RunBatch]), with any number of workers, with assembly or
// without, on any processor are the same to the bit, and so are traces ([Engine.Trace]):
// golden digests of both are tested on amd64 with every path of package quant, and emulated on
// arm64, riscv64 and s390x, which is big-endian.
//
// # Limits
//
// No floating point, no division by data, no clock, no I/O: tests read the source for
// the first. The weights are data of the binary, checked against the manifest once.
package pixel

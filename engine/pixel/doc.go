// Package pixel is the reference engine: a small text-to-picture model, embedded in
// the binary, that computes in integers only and so draws the same picture, bit
// for bit, on every machine.
//
// It is what replicas, reruns, disputes and proofs are tried on, and what makes a
// fresh install draw something within milliseconds. It knows some 1,200 things of the
// emoji kind in two styles, in English and French, and their colours; what it cannot do
// is in the manifest and in docs/pixel.md.
//
// # Text
//
// A prompt is lower-cased; accents go; everything but a-z and 0-9 separates words; stop
// words go; a final s or x of a word longer than three letters goes (not ss);
// inflected colours become one form; ten words are kept. Each word w, cut to 32 letters,
// stands for rows of an 8192 x 256 table: crc32("1"+w), crc32("2"+w) and crc32("g"+g), all
// modulo 8192, for the n different 3- and 4-letter parts g of "<"+w+">". With k words and
// root(n) = round(4096/√n), a word's two rows weigh root(k), its parts
// (root(n)·root(k) + 2048) >> 12. The style's row crc32("s"+style) weighs 4096. The weighted
// sum of rows becomes int8, passes two ReLU layers (256 → 1024 → 512), and is c.
//
// # Network and sampler
//
// All matrices are int8, all sums int32; rounding, clamping and noise are those of
// package quant. [ ] is a change to int8 with one factor a channel, ( )+ one to 0..127
// (so the ReLU), and z, x, f are wide values (1/4096). Each step t of N has its own
// constants, marked t:
//
//	z      = noise(seed), 512 values
//	x      = in·[z]t + cond·c
//	x     += downₗ·(upₗ·[x] + timeₗt + condₗ·c)+      l = 0..3, 2048 hidden values each
//	e      = skipt·z + gaint·(out·[x])               the estimate of the picture
//	z     += ratet·(e - z)                           the last rate is 1
//
// It is flow matching with the preconditioning of EDM (Karras et al., 2022): skip and gain
// are those of a Gaussian with each coefficient's variance, and gain is 1.4 times too
// large on purpose, which does what guidance does without a second pass.
//
// # Picture
//
// z becomes 15-bit coefficients of a linear basis: 64 x 64 luma, then 32 x 32 Cb and Cr, in
// 1/4096. Two tables whiten the ground and drop faint chroma and give units of
// 1/4080; luma is multiplied by 16, chroma doubled bilinearly (weights 1 and 3 over 4 each
// way, undivided), so that all is in 1/65280. Beyond the border the border repeats. Each
// plane is then smoothed three times: to each pixel p are added 2·flow(q-p) for the four
// neighbours q beside it and flow(q-p) for the four diagonal ones, all of the plane before;
// with d = requantise(q-p, 1, 4), flow is requantise(d·(2²⁰-d²)², 1, 40), or 0 if |d| > 1024.
// Then, halves rounded up and clamped to 0..255:
//
//	R = (2¹⁴Y + 22970Cr) / 2²²    G = (2¹⁴Y - 5638Cb - 11700Cr) / 2²²    B = (2¹⁴Y + 29032Cb) / 2²²
//
// In a trace these are the kinds times16 (of luma), double (of chroma), smooth (one pass), enlarge
// (what follows) and pixels (that last formula, mirrored if the seed says so).
//
// 256 x 256 and 512 x 512 are the same 64 x 64 picture, its planes enlarged before that last
// formula by Catmull-Rom splines with exact integer weights: no added detail.
//
// # The seed's choices
//
// draw(seed, 512) >> 32 modulo 2 is the style unless the prompt names one (noto, fluent);
// the top bit of draw(seed, 513) mirrors the picture, unless a word of the prompt stands
// for lettering or a side.
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

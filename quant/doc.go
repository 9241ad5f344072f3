// Package quant is integer arithmetic for neural networks: matrices of bytes,
// changes of unit, choices by a seed, and the file that holds them.
//
// It exists so that an engine, its rerun, a dispute and a proof compute the very
// same numbers on every machine: floating point does not (another CPU, another
// library, another order of additions, another result). Everything is therefore
// defined on integers, below, without reference to this code, and an implementation
// in another language that follows the definitions gives the same bits.
//
// # Numbers
//
//   - A weight is an int8 in -127..127. A matrix is R rows of C weights, row-major.
//   - An activation is an integer with a stated range, mostly -127..127 or 0..127;
//     it is held in an int16, because some inputs are wider (up to ±16383).
//   - A sum is the int32 Σ w[r][c]·x[c] + bias[r]. Callers choose ranges such that no
//     partial sum leaves int32, so the order of additions cannot matter: it suffices
//     that C·127·max|x| + max|bias| < 2³¹, which [Matrix.Limit] gives.
//   - A wide value is an int32 that counts 1/4096 ("12 fraction bits").
//
// # Rounding
//
// There is one rule. A change of unit multiplies by an integer 0 <= m < 2¹⁶ and divides
// by 2^s, 1 <= s <= 46, halves rounded up (towards +∞):
//
//	requantise(v, m, s) = floor((v·m + 2^(s-1)) / 2^s)
//
// in 64 bits; with two's complement that is an arithmetic shift to the right. Results
// that go into an activation are then clamped to its range (with 0 as the lower
// bound, that is the ReLU). Nothing is ever divided by data: reciprocals and roots are
// tables.
//
// # Random numbers
//
// Counter-based, so that element i costs the same wherever one starts:
//
//	mix(x):     x ^= x>>30; x *= 0xBF58476D1CE4E5B9; x ^= x>>27; x *= 0x94D049BB133111EB; x ^= x>>31
//	draw(k, i) = mix(mix(k) + (i+1)·0x9E3779B97F4A7C15)        all modulo 2⁶⁴
//
// draw is SplitMix64 started at mix(k).
//
// # Operators and traces
//
// A model is a sequence of [Operator] values, each a pure function of earlier outputs: words,
// gather, product, sum, rescale, activate, lookup, and what a model adds. A [Tape] executes
// them and shows each to whoever asks, as an [Op]: what it read and what it put out. [TraceHash] commits
// to the operators of a run and keeps nothing of them (docs/protocol/trace.md). Outputs that nobody
// needs any more lend their memory to later ones ([Room]), unless somebody watches the tape.
//
// # Paths
//
// Products, changes of unit and flows are computed in scalar Go, the reference, or in assembly:
// AVX2 or AVX-512 with VNNI on amd64, whichever the processor has, NEON on arm64. The sums are
// integers, so that all paths give the same ones on every input, also beyond [Matrix.Limit],
// where they are those modulo 2³²; tests hold each path to the definition. The build tag purego
// leaves only scalar Go; GODEBUG=cpu.avx512vnni=off and cpu.avx2=off deny a path at run time.
//
// The assembly is written by hand: a comment in each file gives its registers.
//
// # Limits
//
// The package holds no model and knows no layer order. It must not use floating
// point (a test reads its source), keep state besides the path it chose, do I/O, or leave a goroutine behind.
package quant

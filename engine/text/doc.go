// Package text is the reference engine's second kind: a small model, embedded in the
// binary, that turns a phrase of one of 19 languages into a vector of 128 signed bytes, such
// that phrases of like meaning get vectors that point the same way.
//
// It exists to show that nothing below it knows about pictures (the arithmetic of package
// quant, the weights file, the manifest, the contract of engines), and it is of use by itself: the concepts of
// emoji that are nearest to a phrase, whatever its language. It computes in integers only, so
// its vectors are the same bytes on every machine. What it cannot do is in the manifest and in
// docs/text.md.
//
// # Text
//
// Each character of a text becomes a letter a-z, a digit, a Cyrillic letter in lower case
// (ё is е), nothing (combining accents, U+0300 to U+036F) or, all others, a space: A-Z as a-z,
// 0400 to 040F 80 further on, 0410 to 042F 32 further on, 0490 as 0491, letters with accents by
// a table. Spaces separate words; sixteen are kept, 24 letters of each. A word w
// stands for the n different parts of "<"+w+">" of 3 and 4 letters and as a whole, a part p for
// row crc32(p) mod 57344 of the table, p in UTF-8. With k words and root(n) = round(4096/√n), each
// row weighs (root(n)·root(k) + 2048) >> 12.
//
// # Network
//
//	e = [Σ weight·row]              128 values, int8
//	h = (up·e + bias)+              512 values, 0..127
//	v = [out·h + bias]              128 values, int8: the embedding
//
// [ ] is a change to -127..127 with one factor a channel, ( )+ one to 0..127; rounding is that of
// package quant. The seed changes nothing, and there are no steps. Alike is what has a large
// cosine; lengths mean nothing.
//
// # Limits
//
// No floating point, no clock, no network: tests read the source for the first. The model was
// trained on the names and tags of emoji: of what nobody would look for among emoji, it
// knows nothing.
package text

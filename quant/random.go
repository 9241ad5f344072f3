package quant

import "encoding/binary"

// Draw is element i of the endless random sequence that belongs to key: 64 bits,
// computed without the elements before it. The package comment has the formula.
//
// It is for noise, not for secrets.
func Draw(key, i uint64) uint64 {
	return mix(mix(key) + (i+1)*0x9E3779B97F4A7C15)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// A sum of eight bytes has mean 1020 and variance 8·(2¹⁶-1)/12; noiseMul/2^noiseShift
// brings its deviation to 4096.
const (
	noiseMean  = 8 * 255 / 2
	noiseMul   = 20066
	noiseShift = 10
)

// Noise fills dst with the first len(dst) elements of key's noise: wide values (1/4096)
// of mean 0 and deviation 1, close to Gaussian, never beyond ±4.9.
func Noise(dst []int32, key uint64) {
	for i := range dst {
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], Draw(key, uint64(i)))
		sum := int32(-noiseMean)
		for _, v := range b {
			sum += int32(v)
		}
		dst[i] = Requantise(sum, noiseMul, noiseShift)
	}
}

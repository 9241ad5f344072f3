package quant

// Draw is element i of the endless random sequence that belongs to key: 64 bits,
// computed without the elements before it. The package comment has the formula.
//
// It is for choices, not for secrets.
func Draw(key, i uint64) uint64 {
	return mix(mix(key) + (i+1)*0x9E3779B97F4A7C15)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

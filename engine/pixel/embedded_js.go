package pixel

// A browser has the public part only.
var weightsFile []byte

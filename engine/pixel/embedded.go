//go:build !js

package pixel

import _ "embed" // the weights

//go:embed weights.bin
var weightsFile []byte

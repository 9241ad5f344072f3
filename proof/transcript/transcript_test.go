package transcript

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// TestEverythingCounts: another order, label, length or border between two pieces gives another challenge.
func TestEverythingCounts(t *testing.T) {
	seen := map[[32]byte]string{}
	for name, do := range map[string]func(*Transcript){
		"nothing":         func(*Transcript) {},
		"empty":           func(t *Transcript) { t.Absorb("a", nil) },
		"another label":   func(t *Transcript) { t.Absorb("b", nil) },
		"no label":        func(t *Transcript) { t.Absorb("", []byte("a")) },
		"data":            func(t *Transcript) { t.Absorb("a", []byte("bc")) },
		"moved border":    func(t *Transcript) { t.Absorb("ab", []byte("c")) },
		"two pieces":      func(t *Transcript) { t.Absorb("a", []byte("b")); t.Absorb("a", []byte("c")) },
		"two, exchanged":  func(t *Transcript) { t.Absorb("a", []byte("c")); t.Absorb("a", []byte("b")) },
		"a zero more":     func(t *Transcript) { t.Absorb("a", []byte("bc\x00")) },
		"a draw before":   func(t *Transcript) { t.Ext(); t.Absorb("a", []byte("bc")) },
		"a draw":          func(t *Transcript) { t.Ext() },
		"absorbed a draw": func(t *Transcript) { t.Absorb("\xff", nil) },
	} {
		var x Transcript
		do(&x)
		if other, ok := seen[x.state]; ok {
			t.Errorf("%s and %s have one state", name, other)
		}
		seen[x.state] = name
	}
}

// TestDefinition follows docs/protocol/proof.md by hand.
func TestDefinition(t *testing.T) {
	var x Transcript
	x.Absorb("round", []byte{1, 2})
	want := sha256.Sum256(append(make([]byte, 32), "\x05round\x02\x00\x00\x00\x00\x00\x00\x00\x01\x02"...))
	if x.state != want {
		t.Errorf("state %x, want %x", x.state, want)
	}
	e := x.Ext()
	want = sha256.Sum256(append(want[:], 0xff))
	if got := e.B0.A1.Uint64(); got != binary.LittleEndian.Uint64(want[8:])%(1<<31-1<<24+1) {
		t.Errorf("second coordinate %d", got)
	}
	want = sha256.Sum256(append(want[:], 0xff))
	if got := x.Index(1 << 18); got != int(binary.LittleEndian.Uint64(want[:])%(1<<18)) {
		t.Errorf("index %d", got)
	}
}

package essaim

import (
	"encoding/binary"
	"math/bits"
)

// Meter says what a unit of a model's work is. The model's manifest names it. Meters are
// part of what is priced: add to the list, never rename.
type Meter string

// The meters.
const (
	// MeterTask counts every task as one unit. It is what a manifest without a meter means.
	MeterTask Meter = ""

	// MeterToken counts the tokens of an answer, and PromptTokens of the prompt as one.
	MeterToken Meter = "token"

	// MeterPixelStep counts megapixels times sampling steps.
	MeterPixelStep Meter = "megapixel-step"
)

// PromptTokens is how many tokens of a prompt cost as much as one that is written: reading is
// done in parallel, writing is not.
const PromptTokens = 4

// promptSlack is what a model's own template may add to a prompt, in tokens.
const promptSlack = 256

// TokenUnits is the work of reading and writing so many tokens, at least 1.
func TokenUnits(read, written uint64) uint64 {
	units, carry := bits.Add64(read/PromptTokens, written, 0)
	if read%PromptTokens != 0 {
		units++
	}
	if carry != 0 || units == 0 {
		return 1
	}
	return units
}

// PixelUnits is the work of a picture of width × height pixels in so many sampling steps,
// rounded up, at least 1. Of an engine that does not tell its steps, 0 counts as one.
func PixelUnits(width, height, steps uint32) uint64 {
	n := uint64(width) * uint64(height) * uint64(max(steps, 1))
	return max(1, (n+1<<20-1)>>20)
}

// PartsInfo binds the parts of a text that is streamed to the attempt that writes it.
func (t Task) PartsInfo(attempt uint64) []byte {
	d := t.Digest()
	return binary.BigEndian.AppendUint64(d[:], attempt)
}

// PreviewInfo binds a preview to the step of the attempt that shows it.
func (t Task) PreviewInfo(attempt uint64, step uint32) []byte {
	return binary.BigEndian.AppendUint32(append(t.PartsInfo(attempt), " preview "...), step)
}

// Most is the most that a task can come to, before it runs: a token is at least one byte of
// the prompt, so the prompt's length bounds what is read of it. steps bounds what is written,
// of kinds that write.
func (m Meter) Most(prompt int, width, height, steps uint32) uint64 {
	switch m {
	case MeterToken:
		return TokenUnits(uint64(prompt)+promptSlack, uint64(steps))
	case MeterPixelStep:
		return PixelUnits(width, height, steps)
	}
	return 1
}

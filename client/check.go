package client

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"unicode"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/verify"
)

const (
	maxWarnings = 16
	maxText     = 300 // runes of a text that a stranger wrote
)

// check believes nothing of a delivery: see the package comment.
//
// Errors: CodeRefused or CodeBadInput, naming the first check that failed.
func (d *drawing) check(delivery essaim.Delivery) (*Picture, error) {
	r, file, err := d.checkReceipt(delivery)
	if err != nil {
		return nil, err
	}
	out, err := d.open(delivery.Sealed)
	if err != nil {
		return nil, err
	}
	if err := checkOutput(out, d.task.Kind, r); err != nil {
		return nil, err
	}
	took, err := d.checkProof(r, delivery.Receipt, out.Proof)
	if err != nil {
		return nil, err
	}
	return &Picture{
		Proof: out.Proof, Checked: took,
		Data: out.Data, MediaType: out.MediaType, Warnings: printables(out.Warnings),
		Receipt: r, ReceiptFile: file.Encode(), Task: d.task, CID: r.CID(), input: d.input,
	}, nil
}

// checkReceipt checks what the miner has signed, without a look at the result.
//
// Errors: CodeRefused or CodeBadInput, naming the first check that failed.
func (d *drawing) checkReceipt(delivery essaim.Delivery) (essaim.Receipt, essaim.ReceiptFile, error) {
	file := essaim.ReceiptFile{Task: d.signed, Receipt: delivery.Receipt}
	r, signature, err := essaim.ReadReceipt(delivery.Receipt)
	if err == nil {
		err = signature.CheckOnce()
	}
	if err == nil {
		err = r.Binds(d.task)
	}
	if err != nil {
		return r, file, err
	}
	switch {
	case delivery.Task != d.task.Digest():
		err = lie("the delivery is for another task")
	case !d.offered[r.Miner]:
		err = lie("miner %s was never offered for this task", r.Miner.Short())
	case r.Coordinator != d.s.record.Coordinator:
		err = lie("the receipt names another coordinator")
	case r.Price > d.maxPrice:
		err = lie("the price is %s, at most %s was agreed", r.Price, d.maxPrice)
	case essaim.DigestOf(delivery.Sealed) != r.Sealed:
		err = lie("the sealed result is not the one that the receipt names")
	}
	return r, file, err
}

func (d *drawing) open(sealed []byte) (essaim.Output, error) {
	digest := d.task.Digest()
	plain, err := d.reply.Open(sealed, digest[:])
	if err != nil {
		return essaim.Output{}, err
	}
	return essaim.DecodeOutput(plain)
}

// checkOutput compares the result with what the miner has signed.
func checkOutput(out essaim.Output, kind essaim.Kind, r essaim.Receipt) error {
	switch {
	case essaim.DigestOf(out.Data) != r.Output || uint64(len(out.Data)) != r.Size:
		return lie("the picture is not the one that the receipt names")
	case out.MediaType != r.MediaType:
		return lie("the result is %q, the receipt says %q", printable(out.MediaType), printable(r.MediaType))
	}
	if kind != essaim.KindImage {
		return checkText(out, kind, r)
	}
	return CheckPixels(out.Data, r)
}

// CheckPixels decodes a picture and compares its size and, for PNG, its pixels with
// the receipt's: SHA-256 of width × height × 3 bytes RGB, row by row. (Decoders of
// JPEG may differ in the last bit, so there the file's digest is what counts.)
//
// Errors: CodeRefused.
func CheckPixels(data []byte, r essaim.Receipt) error {
	decoder, ok := map[string]struct {
		config func([]byte) (image.Config, error)
		decode func([]byte) (image.Image, error)
	}{
		"image/png": {
			func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) },
		},
		"image/jpeg": {
			func(b []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) },
		},
	}[r.MediaType]
	if !ok {
		return lie("the result is %q, not a picture that can be checked", printable(r.MediaType))
	}
	// The header first: a small file may claim a picture that fills the memory.
	c, err := decoder.config(data)
	if err != nil {
		return lie("the picture cannot be decoded: %v", err)
	}
	if c.Width > essaim.MaxSide || c.Height > essaim.MaxSide || uint32(c.Width) != r.Width || uint32(c.Height) != r.Height {
		return lie("the picture is %dx%d, the receipt says %dx%d", c.Width, c.Height, r.Width, r.Height)
	}
	if r.MediaType == "image/png" {
		if d, ok := plainPNG(data); ok && d == r.Pixels {
			return nil
		}
	}
	img, err := decoder.decode(data)
	if err != nil {
		return lie("the picture cannot be decoded: %v", err)
	}
	if r.MediaType == "image/png" && verify.PixelsDigest(img) != r.Pixels {
		return lie("the pixels are not those that the receipt names")
	}
	return nil
}

func lie(format string, args ...any) error {
	return essaim.Errorf(essaim.CodeRefused, "do not pay: the coordinator or the miner is at fault; keep this message", format, args...)
}

// printable makes a stranger's text fit for a terminal: no control characters, not
// without end.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

func printables(in []string) []string {
	var out []string
	for _, s := range in[:min(len(in), maxWarnings)] {
		out = append(out, printable(s))
	}
	return out
}

// Package certificate checks what a picture comes with: that its receipt is signed and is of this file, and that its
// proof holds, without the weights.
//
// It exists for browsers: web/certificate/wasm makes a program of it that a page loads, so that whoever is shown a
// picture checks it where he sees it. It imports nothing that draws, pays or listens, and must stay small.
package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image/png"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine/pixel"
	"github.com/essaim/essaim/proof"
	"github.com/essaim/essaim/verify"
)

// A Checker has the public part of the picture model.
type Checker struct{ proofs *proof.Checker }

// New makes one of the model's public part, from anyone: quant.Public of its weights.
//
// Errors: the part is not the model's.
func New(public []byte) (*Checker, error) {
	e, err := pixel.NewPublic(public)
	if err != nil {
		return nil, err
	}
	c, err := proof.NewChecker(pixel.Manifest(), pixel.Name, public, e)
	if err != nil {
		return nil, err
	}
	return &Checker{c}, nil
}

// A Picture is what somebody has, each part from anyone.
type Picture struct {
	File    []byte // PNG
	Receipt []byte // an encoded essaim.ReceiptFile
	Proof   []byte
	Prompt  string
}

// A Finding is what was found out about a picture that is what its receipt says.
type Finding struct {
	Receipt essaim.Receipt
	Took    time.Duration // for the proof alone
}

// Check checks all of it.
//
// Errors: the first check that failed.
func (c *Checker) Check(ctx context.Context, p Picture) (f Finding, err error) {
	if f.Receipt, _, _, err = essaim.ReadReceiptFile(p.Receipt); err != nil {
		return f, fmt.Errorf("receipt: %w", err)
	}
	if essaim.Digest(sha256.Sum256(p.File)) != f.Receipt.Output {
		return f, fmt.Errorf("the picture is not the one that the receipt names")
	}
	m, err := png.Decode(bytes.NewReader(p.File))
	if err != nil {
		return f, fmt.Errorf("the picture cannot be decoded: %w", err)
	}
	switch {
	case verify.PixelsDigest(m) != f.Receipt.Pixels:
		return f, fmt.Errorf("the pixels are not those that the receipt names")
	case f.Receipt.Proof.IsZero():
		return f, fmt.Errorf("the receipt names no proof")
	case essaim.DigestOf(p.Proof) != f.Receipt.Proof:
		return f, fmt.Errorf("the proof is not the one that the receipt names")
	}
	began := time.Now()
	err = c.proofs.Check(ctx, p.Proof, proof.Of(f.Receipt, p.Prompt))
	f.Took = time.Since(began)
	return f, err
}

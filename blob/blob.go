// Package blob is the contract for content-addressed storage: immutable bytes named
// by their SHA-256, which is also their CID (version 1, raw), so that sha256sum
// checks a blob and any IPFS tool can pin it.
//
// A store never interprets what it holds. Drivers live in blob/NAME, the list of
// those in the binary in blob/all, the conformance suite in blob/blobtest.
package blob

import (
	"context"

	"github.com/essaim/essaim"
)

// MaxSize bounds one blob, in bytes: larger things are split by whoever stores them.
const MaxSize = 64 << 20

// Store keeps blobs. Implementations are safe for concurrent use.
type Store interface {
	// Put stores b durably and returns its digest. Storing the same bytes again is
	// not an error and changes nothing. b is not kept after Put has returned.
	//
	// Errors: CodeBadInput if b is empty or larger than MaxSize; any other error means that
	// nothing was stored.
	Put(ctx context.Context, b []byte) (essaim.Digest, error)

	// Get returns the blob's bytes, checked against the digest; they are the
	// caller's.
	//
	// Errors: CodeNotFound if the store does not hold it, CodeInternal if what it
	// holds is damaged (damaged bytes are never returned).
	Get(ctx context.Context, d essaim.Digest) ([]byte, error)

	// Has reports whether Get would find the blob, without reading it.
	Has(ctx context.Context, d essaim.Digest) (bool, error)

	// Delete removes a blob. Removing one that is not there is not an error.
	Delete(ctx context.Context, d essaim.Digest) error
}

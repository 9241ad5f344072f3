package receipts

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
)

// Keep is fetch, and writes what it reads to w: all that an audit reads becomes a file
// that From audits again.
func Keep(fetch Fetch, w io.Writer) Fetch {
	return func(ctx context.Context, d, shown essaim.Digest) ([]byte, error) {
		b, err := fetch(ctx, d, shown)
		if err != nil {
			return nil, err
		}
		if err := binary.Write(w, binary.BigEndian, uint64(len(b))); err != nil {
			return nil, err
		}
		_, err = w.Write(b)
		return b, err
	}
}

// From reads a set that Keep has written, for one Audit. Whatever is asked for, it answers
// with what comes next: that these are the right bytes is what the audit checks.
//
// Errors of the Fetch: CodeBadInput for a file that ends too early.
func From(r io.Reader) Fetch {
	bad := func(err error) error {
		return essaim.Errorf(essaim.CodeBadInput, "the file was cut off, or is something else", "read receipts: %w", err)
	}
	return func(context.Context, essaim.Digest, essaim.Digest) ([]byte, error) {
		var n uint64
		if err := binary.Read(r, binary.BigEndian, &n); err != nil {
			return nil, bad(err)
		}
		if n > blob.MaxSize {
			return nil, bad(io.ErrUnexpectedEOF)
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, bad(err)
		}
		return b, nil
	}
}

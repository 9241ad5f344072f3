package desk

import (
	"context"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/gateway/once"
)

// again is what Fill returns for an order that was filled and charged before: its pictures, by the digests of their receipt
// files.
//
// Errors: as once.Gone's if none of them is kept any more.
func (d *Desk) again(ctx context.Context, files []essaim.Digest) (out []Picture, cost essaim.Amount, err error) {
	var lost error
	for _, file := range files {
		b, err := d.cfg.Blobs.Get(ctx, file)
		if essaim.CodeOf(err) == essaim.CodeNotFound {
			lost = essaim.Errorf(essaim.CodeConflict, "to have it done and charged again, choose a new Idempotency-Key", "this request was done and charged, receipt %s, and %w", essaim.CIDOf(file), once.ErrGone)
			continue
		}
		if err != nil {
			return nil, 0, essaim.Errorf(essaim.CodeInternal, "", "read a receipt: %w", err)
		}
		r, t, _, err := essaim.ReadReceiptFile(b)
		if err != nil {
			return nil, 0, essaim.Errorf(essaim.CodeInternal, "", "read a receipt: %w", err)
		}
		data, err := d.cfg.Blobs.Get(ctx, r.Output)
		switch {
		case err == nil:
			out = append(out, Picture{Data: data, Origin: originOf(r, file, t.Verify == essaim.VerifyProof, nil)})
			cost += r.Price
		case essaim.CodeOf(err) == essaim.CodeNotFound:
			lost = once.Gone(r.Task)
		default:
			return nil, 0, essaim.Errorf(essaim.CodeInternal, "", "read a picture: %w", err)
		}
	}
	if len(out) == 0 {
		return nil, 0, lost
	}
	return out, cost, nil
}

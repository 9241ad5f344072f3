package gateway

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/receipts"
)

const immutable = "public, max-age=31536000, immutable"

// ipfs serves a blob by its CID, as an IPFS gateway does. What strangers have made
// is shown as a picture or handed out as bytes, never run: no other media type is
// ever named, and a sandbox is drawn around it all.
//
// A settlement's receipts are for those who have one of them, whose digest the parameter
// receipt shows: the ledger tells everybody the CID of the set, and a set tells the CIDs
// of pictures. A part of a set is shown to those who have one of the part's: the index tells
// its first.
func (g *Gateway) ipfs(w http.ResponseWriter, r *http.Request) {
	allowAnyOrigin(w)
	d, err := essaim.ParseCID(r.PathValue("cid"))
	if err != nil {
		g.writeError(w, err)
		return
	}
	b, err := g.cfg.Blobs.Get(r.Context(), d)
	if err != nil {
		g.writeError(w, err)
		return
	}
	cid, cache := essaim.CIDOf(d), immutable
	var shown essaim.Digest
	noneShown := shown.UnmarshalText([]byte(r.URL.Query().Get("receipt"))) != nil
	fetch := func(ctx context.Context, d, _ essaim.Digest) ([]byte, error) { return g.cfg.Blobs.Get(ctx, d) }
	if guarded, opens := receipts.Guarded(r.Context(), fetch, b, shown); guarded {
		if noneShown || !opens {
			g.writeError(w, essaim.Errorf(essaim.CodeRefused, "add ?receipt= and the SHA-256 of a signed receipt of this session", "these receipts are for who has one of them"))
			return
		}
		cache = "private"
	}
	media, etag := mediaType(b), `"`+cid+`"`
	h := w.Header()
	if format := r.URL.Query().Get("format"); format == "raw" {
		media, etag = "application/vnd.ipld.raw", `"`+cid+`.raw"`
		h.Set("Content-Disposition", `attachment; filename="`+cid+`.bin"`)
	} else if format != "" {
		g.writeError(w, essaim.Errorf(essaim.CodeBadInput, "only format=raw is known", "format %.20q is not known", format))
		return
	}
	h.Set("Content-Type", media)
	h.Set("ETag", etag)
	h.Set("Cache-Control", cache)
	h.Set("X-Ipfs-Path", "/ipfs/"+cid)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Access-Control-Expose-Headers", "ETag, X-Ipfs-Path, Content-Range")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// mediaType knows pictures by their first bytes and calls everything else bytes.
func mediaType(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "image/webp"
	}
	return "application/octet-stream"
}

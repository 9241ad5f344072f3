package gateway_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/client/clienttest"
	"github.com/essaim/essaim/receipts"
)

func TestIPFS(t *testing.T) {
	r := newRig(t)
	picture, _ := clienttest.Draw("x", 1)
	put := func(b []byte) string {
		d, err := r.blobs.Put(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return essaim.CIDOf(d)
	}
	cid, page := put(picture), put([]byte("<!doctype html><script>alert(1)</script>"))
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
		media        string
		body         []byte
	}{
		"picture":        {"GET", "/ipfs/" + cid, nil, 200, "image/png", picture},
		"head":           {"HEAD", "/ipfs/" + cid, nil, 200, "image/png", nil},
		"raw":            {"GET", "/ipfs/" + cid + "?format=raw", nil, 200, "application/vnd.ipld.raw", picture},
		"unknown format": {"GET", "/ipfs/" + cid + "?format=car", nil, 400, "", nil},
		"never html":     {"GET", "/ipfs/" + page, nil, 200, "application/octet-stream", nil},
		"cached":         {"GET", "/ipfs/" + cid, []string{"If-None-Match", `"` + cid + `"`}, 304, "", nil},
		"other cached":   {"GET", "/ipfs/" + cid, []string{"If-None-Match", `"` + page + `"`}, 200, "image/png", picture},
		"range":          {"GET", "/ipfs/" + cid, []string{"Range", "bytes=1-3"}, 206, "image/png", picture[1:4]},
		"bad range":      {"GET", "/ipfs/" + cid, []string{"Range", "bytes=999999-"}, 416, "", nil},
		"not here":       {"GET", "/ipfs/" + essaim.CIDOf(essaim.DigestOf([]byte("nothing"))), nil, 404, "", nil},
		"not a CID":      {"GET", "/ipfs/hello", nil, 400, "", nil},
		"old CID":        {"GET", "/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", nil, 400, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			resp, b := r.send(t, c.method, c.path, "", c.headers...)
			if resp.StatusCode != c.status || (c.media != "" && resp.Header.Get("Content-Type") != c.media) || (c.body != nil && !bytes.Equal(b, c.body)) {
				t.Fatalf("%d %s, %d bytes", resp.StatusCode, resp.Header.Get("Content-Type"), len(b))
			}
			h := resp.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("headers %v", h)
			}
			if c.status == 200 && (h.Get("Content-Security-Policy") != "default-src 'none'; sandbox" || h.Get("X-Ipfs-Path") == "" ||
				h.Get("Cache-Control") != "public, max-age=31536000, immutable" || h.Get("ETag") == "") {
				t.Errorf("headers %v", h)
			}
			if c.status >= 400 && h.Get("Cache-Control") != "" {
				t.Errorf("an error would be cached for ever: %v", h)
			}
		})
	}
}

// TestReceiptsAreShownToThoseWhoHaveOne: the ledger tells everybody the CID of a set.
func TestReceiptsAreShownToThoseWhoHaveOne(t *testing.T) {
	r := newRig(t)
	leaf := receipts.Leaf{Task: []byte("task"), Receipt: []byte("signed receipt")}
	put := func(v any) ([]byte, essaim.Digest) {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		d, err := r.blobs.Put(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return b, d
	}
	part, at := put(receipts.Part{Kind: "essaim.receipts.part", ChainID: "c", Session: 7, Leaves: []receipts.Leaf{leaf}})
	first := essaim.DigestOf(leaf.Receipt)
	index, set := put(receipts.Index{Kind: "essaim.receipts", ChainID: "c", Session: 7, Parts: []receipts.Entry{{Blob: at, First: first, Tags: first[:4]}}})
	for cid, b := range map[string][]byte{essaim.CIDOf(at): part, essaim.CIDOf(set): index} {
		r.shownToThoseWhoHaveOne(t, "/ipfs/"+cid, leaf, b)
	}
}

func (r *rig) shownToThoseWhoHaveOne(t *testing.T, path string, leaf receipts.Leaf, b []byte) {
	t.Helper()
	for query, status := range map[string]int{
		"": 403, "?receipt=": 403, "?receipt=zz": 403, "?receipt=" + essaim.DigestOf(leaf.Task).String(): 403, "?format=raw": 403,
		"?receipt=" + essaim.Digest{}.String(): 403, "?receipt=" + essaim.DigestOf(leaf.Receipt).String(): 200,
		"?format=raw&receipt=" + essaim.DigestOf(leaf.Receipt).String(): 200,
	} {
		resp, got := r.send(t, "GET", path+query, "")
		if resp.StatusCode != status || status == 200 != bytes.Equal(got, b) {
			t.Errorf("%q: %d, %d bytes", query, resp.StatusCode, len(got))
		}
		if cache := resp.Header.Get("Cache-Control"); strings.Contains(cache, "public") {
			t.Errorf("%q: any cache may keep it: %s", query, cache)
		}
	}
}

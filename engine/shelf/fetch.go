package shelf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

// fetch has a file on the shelf, from where an earlier fetch was cut.
func (s *Shelf) fetch(ctx context.Context, f engine.ManifestFile, from Source, tell func(int64)) error {
	if info, err := os.Stat(s.file(f)); err == nil && info.Size() == f.Size {
		tell(f.Size) // it was checked when it came
		return nil
	}
	path := filepath.Join(s.dir, partFolder, f.SHA256.String())
	part, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = s.receive(ctx, part, f, from, tell)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		if essaim.CodeOf(err) == essaim.CodeRefused {
			err = errors.Join(err, os.Remove(path)) // nothing of it can be right
		}
		return err
	}
	return os.Rename(path, s.file(f))
}

// receive adds what is missing to a file, and checks all of it.
func (s *Shelf) receive(ctx context.Context, part *os.File, f engine.ManifestFile, from Source, tell func(int64)) error {
	h := sha256.New()
	have, err := io.Copy(h, part)
	if err != nil {
		return err
	}
	if have < f.Size {
		r, begins, err := from.Open(ctx, f, have)
		if err != nil {
			return err
		}
		defer r.Close()
		if begins != have { // the source knows no parts
			if begins != 0 {
				return essaim.Errorf(essaim.CodeUnavailable, "try another source", "the source begins file %s at byte %d, not %d", f.Name, begins, have)
			}
			h.Reset()
			have = 0
			if _, err := part.Seek(0, io.SeekStart); err != nil {
				return err
			}
			if err := part.Truncate(0); err != nil {
				return err
			}
		}
		count := func(b []byte) (int, error) { have += int64(len(b)); tell(have); return len(b), nil }
		// One byte more than there may be shows that the file is longer.
		if _, err := io.Copy(io.MultiWriter(part, h, writerFunc(count)), io.LimitReader(r, f.Size-have+1)); err != nil {
			return essaim.Errorf(essaim.CodeUnavailable, "try again: it goes on where it was cut", "file %s was cut after %d of %d bytes: %w", f.Name, have, f.Size, err)
		}
		if have < f.Size {
			return essaim.Errorf(essaim.CodeUnavailable, "try again: it goes on where it was cut", "file %s was cut after %d of %d bytes", f.Name, have, f.Size)
		}
	}
	if have != f.Size || essaim.Digest(h.Sum(nil)) != f.SHA256 {
		return essaim.Errorf(essaim.CodeRefused, "try another source", "file %s is not the one that the manifest names", f.Name)
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// web fetches files by HTTP.
type web struct {
	client *http.Client
	url    func(engine.ManifestFile) string
}

// Beside is a source for files that lie where a manifest does. A nil client: http.DefaultClient.
//
// Errors: CodeBadInput for what is no URL.
func Beside(manifest string, client *http.Client) (Source, error) {
	u, err := parseURL(manifest)
	if err != nil {
		return nil, err
	}
	return web{orDefault(client), func(f engine.ManifestFile) string { return u.JoinPath("..", url.PathEscape(f.Name)).String() }}, nil
}

// Blobs is a source for files that are blobs of a gateway, or of any other that serves /ipfs/CID.
//
// Errors: CodeBadInput for what is no URL.
func Blobs(gateway string, client *http.Client) (Source, error) {
	u, err := parseURL(gateway)
	if err != nil {
		return nil, err
	}
	return web{orDefault(client), func(f engine.ManifestFile) string { return u.JoinPath("ipfs", essaim.CIDOf(f.SHA256)).String() }}, nil
}

func orDefault(c *http.Client) *http.Client {
	if c == nil {
		return http.DefaultClient
	}
	return c
}

func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, essaim.Errorf(essaim.CodeBadInput, "write it like https://example.org/model/manifest.json", "%.100q is no URL", s)
	}
	return u, nil
}

// Open is Source's.
func (s web) Open(ctx context.Context, f engine.ManifestFile, at int64) (io.ReadCloser, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(f), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if at > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", at))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, essaim.Errorf(essaim.CodeUnavailable, "try again later", "ask for file %s: %w", f.Name, err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
		return resp.Body, 0, nil
	case http.StatusPartialContent:
		var from int64
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &from); err == nil {
			return resp.Body, from, nil
		}
	}
	_ = resp.Body.Close()
	return nil, 0, essaim.Errorf(essaim.CodeUnavailable, "try another source", "the source answers %s for file %s", strings.TrimSpace(resp.Status), f.Name)
}

// Manifest fetches a manifest; want is its digest, if it is known beforehand, else zero.
//
// Errors: CodeRefused if it is another one.
func Manifest(ctx context.Context, address string, want essaim.Digest, client *http.Client) ([]byte, error) {
	if _, err := parseURL(address); err != nil {
		return nil, err
	}
	s := web{orDefault(client), func(engine.ManifestFile) string { return address }}
	r, _, err := s.Open(ctx, engine.ManifestFile{Name: manifestName}, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, essaim.Errorf(essaim.CodeUnavailable, "try again later", "read the manifest: %w", err)
	}
	switch {
	case len(b) > maxManifest:
		return nil, essaim.Errorf(essaim.CodeRefused, "", "the manifest has more than %d bytes", maxManifest)
	case !want.IsZero() && essaim.DigestOf(b) != want:
		return nil, essaim.Errorf(essaim.CodeRefused, "try another source", "the manifest is %s, not %s", essaim.DigestOf(b).Short(), want.Short())
	}
	return b, nil
}

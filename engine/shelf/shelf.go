// Package shelf keeps the files of models in a folder: it fetches them by digest, goes on where a
// fetch was cut, checks every byte, keeps what several models share once, and makes room within a
// budget of the disk by removing what was not used for the longest time.
//
// A model lies in a folder of its own, named by its digest, with its manifest and its files beside it, as
// engine.ReadModel wants them; a file of several models is one file with several names.
//
// It must not run models, nor believe a source: what does not have the digest that the manifest
// states is never on the shelf. A model whose licence nobody has accepted is not fetched. A Shelf is for one process at a time
// and safe for concurrent use in it.
package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/engine"
)

const (
	manifestName = "manifest.json"
	filesFolder  = "files"   // of all models, by digest
	partFolder   = "partial" // what was not fetched to its end, by digest

	maxManifest = 1 << 20
	maxFiles    = 256
)

// Free are the licences that need nobody's consent: they let anybody run and pass on a model, for
// whatever purpose.
var Free = []string{
	"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "CC0-1.0", "CC-BY-4.0", "Unlicense", "Zlib", "MPL-2.0", "CC-BY-SA-4.0",
}

// Model is one on the shelf.
type Model struct {
	Digest  essaim.Digest `json:"digest"`
	Name    string        `json:"name"`
	Licence string        `json:"licence"`
	Bytes   int64         `json:"bytes"`    // of all its files
	Own     int64         `json:"own"`      // of those that no other model on the shelf has
	Used    time.Time     `json:"used"`     // last
	Path    string        `json:"manifest"` // for engine.ReadModel
	files   []engine.ManifestFile
}

// Shelf is the folder. Use Open.
type Shelf struct {
	dir    string
	budget int64 // bytes; 0: no limit

	mu sync.Mutex
}

// Open makes the folder if it is missing. budget bounds the bytes of all files; 0: nothing does.
func Open(dir string, budget int64) (*Shelf, error) {
	for _, sub := range []string{filesFolder, partFolder} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("models' folder: %w", err)
		}
	}
	return &Shelf{dir: dir, budget: budget}, nil
}

// described is what a shelf reads of a manifest.
type described struct {
	Name    string
	Licence string
	Files   []engine.ManifestFile
}

func (s *Shelf) read(manifest []byte) (m Model, err error) {
	var d described
	if err := json.Unmarshal(manifest, &d); err != nil {
		return m, essaim.Errorf(essaim.CodeBadInput, "name a model's manifest", "the manifest cannot be read: %v", err)
	}
	m = Model{Digest: essaim.DigestOf(manifest), Name: d.Name, Licence: d.Licence, files: d.Files}
	m.Path = filepath.Join(s.dir, m.Digest.String(), manifestName)
	if d.Name == "" || len(d.Files) == 0 || len(d.Files) > maxFiles {
		return m, essaim.Errorf(essaim.CodeBadInput, "", "the manifest names no model, or lists %d files", len(d.Files))
	}
	for i, f := range d.Files {
		again := func(g engine.ManifestFile) bool { return g.Name == f.Name }
		if f.Name != filepath.Base(f.Name) || strings.ContainsAny(f.Name, `/\`) || f.Name == ".." || f.Name == "." || f.Name == manifestName || f.Size < 0 || slices.ContainsFunc(d.Files[:i], again) {
			return m, essaim.Errorf(essaim.CodeBadInput, "", "file name %.80q is no plain name of its own", f.Name)
		}
		m.Bytes += f.Size
	}
	return m, nil
}

// Source is where files come from.
type Source interface {
	// Open reads a file from a byte on. from is where the answer begins, which may be earlier than
	// was asked for, if the source knows no parts.
	Open(ctx context.Context, f engine.ManifestFile, at int64) (r io.ReadCloser, from int64, err error)
}

// Pull fetches a model, unless it is there. accepted are licences besides Free that the caller has
// accepted. tell hears how many bytes of how many are there; it may be nil.
//
// Errors: CodeRefused for a licence that was not accepted, or for bytes that are not what the manifest
// says; CodeInsufficient if it does not fit the budget; otherwise the source's, and what was fetched is kept for the next try.
func (s *Shelf) Pull(ctx context.Context, manifest []byte, from Source, accepted []string, tell func(have, of int64)) (Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.read(manifest)
	if err != nil {
		return m, err
	}
	if !slices.Contains(Free, m.Licence) && !slices.Contains(accepted, m.Licence) {
		return m, essaim.Errorf(essaim.CodeRefused, fmt.Sprintf("read it, and name it with --accept-licence %q", m.Licence), "model %s has the licence %q, which needs your consent", m.Name, m.Licence)
	}
	if err := s.room(m); err != nil {
		return m, err
	}
	if tell == nil {
		tell = func(int64, int64) {}
	}
	var have int64
	for _, f := range m.files {
		if err := s.fetch(ctx, f, from, func(n int64) { tell(have+n, m.Bytes) }); err != nil {
			return m, fmt.Errorf("model %s: %w", m.Name, err)
		}
		have += f.Size
	}
	return m, s.place(m, manifest)
}

// place gives a model's files their names; the manifest comes last and says that it is whole.
func (s *Shelf) place(m Model, manifest []byte) error {
	folder := filepath.Dir(m.Path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, f := range m.files {
		name := filepath.Join(folder, f.Name)
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Link(s.file(f), name); err != nil {
			return fmt.Errorf("the disk of %s must know hard links: %w", s.dir, err)
		}
	}
	tmp := m.Path + ".new"
	if err := os.WriteFile(tmp, manifest, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, m.Path)
}

func (s *Shelf) file(f engine.ManifestFile) string {
	return filepath.Join(s.dir, filesFolder, f.SHA256.String())
}

// List tells what is there, the one that was used last first.
func (s *Shelf) List() ([]Model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list()
}

func (s *Shelf) list() (out []Model, err error) {
	all, err := filepath.Glob(filepath.Join(s.dir, "*", manifestName))
	if err != nil {
		return nil, err
	}
	users := map[essaim.Digest]int{}
	for _, path := range all {
		manifest, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := s.read(manifest)
		if err != nil || m.Path != path {
			continue // somebody else's folder
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		m.Used = info.ModTime()
		out = append(out, m)
		for _, d := range m.distinct() {
			users[d]++
		}
	}
	for i := range out {
		for _, f := range out[i].once() {
			if users[f.SHA256] == 1 {
				out[i].Own += f.Size
			}
		}
	}
	slices.SortFunc(out, func(a, b Model) int { return b.Used.Compare(a.Used) })
	return out, nil
}

// once lists files of different digests.
func (m Model) once() (out []engine.ManifestFile) {
	for _, f := range m.files {
		if !slices.ContainsFunc(out, func(g engine.ManifestFile) bool { return g.SHA256 == f.SHA256 }) {
			out = append(out, f)
		}
	}
	return out
}

func (m Model) distinct() (out []essaim.Digest) {
	for _, f := range m.once() {
		out = append(out, f.SHA256)
	}
	return out
}

// Use says that a model is used now.
//
// Errors: CodeNotFound.
func (s *Shelf) Use(d essaim.Digest) error {
	now := time.Now()
	if err := os.Chtimes(filepath.Join(s.dir, d.String(), manifestName), now, now); err != nil {
		return essaim.Errorf(essaim.CodeNotFound, "essaim model pull fetches it", "model %s is not here", d.Short())
	}
	return nil
}

// Remove takes a model off the shelf, with the files that no other has.
//
// Errors: CodeNotFound.
func (s *Shelf) Remove(d essaim.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.list()
	if err != nil {
		return err
	}
	return s.remove(all, d)
}

func (s *Shelf) remove(all []Model, d essaim.Digest) error {
	i := slices.IndexFunc(all, func(m Model) bool { return m.Digest == d })
	if i < 0 {
		return essaim.Errorf(essaim.CodeNotFound, "essaim model list shows what is here", "model %s is not here", d.Short())
	}
	gone := all[i]
	if err := os.Remove(gone.Path); err != nil { // first: what is left is no model
		return err
	}
	if err := os.RemoveAll(filepath.Dir(gone.Path)); err != nil {
		return err
	}
	for _, f := range gone.once() {
		shared := slices.ContainsFunc(all, func(m Model) bool { return m.Digest != d && slices.Contains(m.distinct(), f.SHA256) })
		if shared {
			continue
		}
		if err := os.Remove(s.file(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// room removes models until one more fits, those that were not used for the longest time first. The
// lock is held.
func (s *Shelf) room(m Model) error {
	if s.budget == 0 {
		return nil
	}
	var needs int64
	for _, f := range m.once() {
		needs += f.Size
	}
	if needs > s.budget {
		return essaim.Errorf(essaim.CodeInsufficient, "raise --disk", "model %s has %d bytes, at most %d are to be used", m.Name, needs, s.budget)
	}
	for {
		all, err := s.list()
		if err != nil {
			return err
		}
		sizes := map[essaim.Digest]int64{}
		for _, o := range append(slices.Clone(all), m) {
			for _, f := range o.once() {
				sizes[f.SHA256] = f.Size
			}
		}
		var sum int64
		for _, n := range sizes {
			sum += n
		}
		last := slices.DeleteFunc(slices.Clone(all), func(o Model) bool { return o.Digest == m.Digest })
		if sum <= s.budget || len(last) == 0 {
			return nil
		}
		if err := s.remove(all, last[len(last)-1].Digest); err != nil {
			return err
		}
	}
}

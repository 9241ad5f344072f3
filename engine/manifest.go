package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/internal/mapped"
)

// Manifest is what an engine reads of a model's manifest, a JSON object whose SHA-256 is
// the model's digest. People read more in it: data, licences, recipe, limits.
type Manifest struct {
	Name   string
	Kind   essaim.Kind
	Engine string // name of the engine that runs it
	Files  []ManifestFile
	Root   essaim.Digest // of the weights, for disputes; zero: none
	Proof  essaim.Digest // of the weights' commitment, for proofs; zero: none
	Exact  bool

	Sizes []([2]int) // pictures: width and height, the default first
	Steps struct{ Min, Max, Default int }
	Units struct{ Each uint64 } // of work that one result is

	digest essaim.Digest
}

// ManifestFile names one file of a model.
type ManifestFile struct {
	Name   string // without folders
	Size   int64
	SHA256 essaim.Digest
}

// ErrModelFiles is wrapped by complaints about a manifest or the files it lists.
var ErrModelFiles = errors.New("bad model")

// ParseManifest reads the manifest of a model of this engine.
//
// Errors: wraps ErrModelFiles.
func ParseManifest(file []byte, engine string) (Manifest, error) {
	m := Manifest{digest: sha256.Sum256(file)}
	d := json.NewDecoder(bytes.NewReader(file))
	if err := d.Decode(&m); err != nil {
		return m, fmt.Errorf("%w: its manifest: %w", ErrModelFiles, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return m, fmt.Errorf("%w: something follows its manifest", ErrModelFiles)
	}
	switch {
	case m.Engine != engine:
		return m, fmt.Errorf("%w: it is for engine %q, not %q", ErrModelFiles, m.Engine, engine)
	case m.Name == "" || m.Kind == "":
		return m, fmt.Errorf("%w: its manifest gives no name or no kind", ErrModelFiles)
	case m.Units.Each == 0:
		return m, fmt.Errorf("%w: its manifest gives no units of work", ErrModelFiles)
	case m.Steps.Min < 0 || m.Steps.Default < m.Steps.Min || m.Steps.Max < m.Steps.Default:
		return m, fmt.Errorf("%w: its manifest gives impossible steps %+v", ErrModelFiles, m.Steps)
	}
	for i, f := range m.Files {
		again := func(g ManifestFile) bool { return g.Name == f.Name }
		if f.Name == "" || f.Name != filepath.Base(f.Name) || slices.ContainsFunc(m.Files[:i], again) {
			return m, fmt.Errorf("%w: file name %q is no plain name of its own", ErrModelFiles, f.Name)
		}
	}
	return m, nil
}

// Check compares files, by name, with what the manifest lists: all of them, and no others.
//
// Errors: wraps ErrModelFiles.
func (m Manifest) Check(files map[string][]byte) error {
	for _, f := range m.Files {
		got, ok := files[f.Name]
		if !ok {
			return fmt.Errorf("%w: file %s is missing", ErrModelFiles, f.Name)
		}
		if d := essaim.DigestOf(got); int64(len(got)) != f.Size || d != f.SHA256 {
			return fmt.Errorf("%w: %s has %d bytes and digest %s, want %d and %s", ErrModelFiles, f.Name, len(got), d, f.Size, f.SHA256)
		}
	}
	if len(files) != len(m.Files) {
		return fmt.Errorf("%w: its manifest lists %d files, there are %d", ErrModelFiles, len(m.Files), len(files))
	}
	return nil
}

// Model is what the manifest offers.
func (m Manifest) Model() Model {
	out := Model{
		Digest: m.digest, Name: m.Name, Kind: m.Kind, Exact: m.Exact,
		MinSteps: m.Steps.Min, MaxSteps: m.Steps.Max, Steps: m.Steps.Default,
	}
	for _, s := range m.Sizes {
		out.Sizes = append(out.Sizes, Size{Width: s[0], Height: s[1]})
	}
	return out
}

// ModelFiles are a manifest and the files that it lists.
type ModelFiles struct {
	Manifest []byte
	Files    map[string][]byte // by name
}

// ReadModel maps a manifest and the files beside it that it lists. They stay mapped until
// the program ends, as an engine uses them where they lie. Their digests are not looked
// at: Check does that.
//
// Errors: wraps ErrModelFiles, or the operating system's.
func ReadModel(manifest, engine string) (_ ModelFiles, err error) {
	var open []*mapped.File
	defer func() {
		if err != nil {
			for _, f := range open {
				err = errors.Join(err, f.Close())
			}
		}
	}()
	read := func(name string) []byte {
		if err != nil {
			return nil
		}
		f, failed := mapped.Open(name)
		if failed != nil {
			err = failed
			return nil
		}
		open = append(open, f)
		return f.Bytes
	}
	out := ModelFiles{Manifest: read(manifest), Files: map[string][]byte{}}
	if err != nil {
		return ModelFiles{}, err
	}
	m, err := ParseManifest(out.Manifest, engine)
	if err != nil {
		return ModelFiles{}, err
	}
	for _, f := range m.Files {
		out.Files[f.Name] = read(filepath.Join(filepath.Dir(manifest), f.Name))
	}
	return out, err
}

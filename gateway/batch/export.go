package batch

import (
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Descriptions and Lines are the rows of Schema's two tables that a folder of batches comes to, in the order of its columns: for who moves a coordinator to a
// database, with the same node key, as the lines stay sealed. The folder is in nobody's use. The last pair may be an error.
func Descriptions(dir string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		err := folder{dir}.each("", func(id string, text []byte) error {
			var b batch // a file has an owner, too
			if err := json.Unmarshal(text, &b); err != nil {
				return err
			}
			open := int64(0)
			if strings.HasPrefix(id, "batch_") && b.goesOn() {
				open = 1
			}
			if !yield([]any{id, b.Owner, open, b.Created, text}, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

var errEnough = errors.New("nobody wants more")

// Lines are those of all files: see Descriptions.
func Lines(dir string) iter.Seq2[[]any, error] {
	return func(yield func([]any, error) bool) {
		all, err := filepath.Glob(filepath.Join(dir, "*.lines"))
		slices.Sort(all)
		for _, path := range all {
			made, none := os.Stat(path)
			if err = none; err != nil {
				break
			}
			id, n := strings.TrimSuffix(filepath.Base(path), ".lines"), int64(0)
			err = folder{dir}.scan(id, func(sealed []byte) error {
				n++
				if !yield([]any{id, n - 1, made.ModTime().Unix(), sealed}, nil) {
					return errEnough
				}
				return nil
			})
			if err != nil {
				break
			}
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(nil, err)
		}
	}
}

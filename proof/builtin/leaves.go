package builtin

import (
	"os"
	"path/filepath"

	"github.com/essaim/essaim"
)

// Folder is where commitments are kept: ESSAIM_CACHE, or else the user's folder for such things; "": nowhere. What
// is in it can be deleted at any time.
func Folder() string {
	if dir := os.Getenv("ESSAIM_CACHE"); dir != "" {
		return dir
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "essaim")
}

// leaves is the file that keeps a commitment's hashes; "": none does.
type leaves string

func leavesFile(model essaim.Digest) leaves {
	dir := Folder()
	if dir == "" {
		return ""
	}
	return leaves(filepath.Join(dir, model.String()+".leaves"))
}

// read is what the file holds, whatever that is; nil: nothing.
func (l leaves) read() []byte {
	if l == "" {
		return nil
	}
	b, err := os.ReadFile(string(l))
	if err != nil {
		return nil
	}
	return b
}

// write keeps b under the file's name once all of it is there. Where it cannot, the next process commits again: that
// costs time and nothing else.
func (l leaves) write(b []byte) {
	if l == "" || os.MkdirAll(filepath.Dir(string(l)), 0o755) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(string(l)), "leaves-*")
	if err != nil {
		return
	}
	_, err = f.Write(b)
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), string(l))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
}

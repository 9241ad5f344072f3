package backup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/essaim/essaim"
)

// tarName is the first entry of every archive: it says what follows, and that a program that
// does not know the version must not read on.
const tarName = "essaim-backup-1"

// file is what a backup has of a file. A change of it while the backup is made shows in size or
// time.
type file struct {
	path string // with slashes, relative to the home
	info fs.FileInfo
}

// skipped is what a backup leaves out: what the next start makes anew, and unless it is asked
// for, the ledger's blocks and state, which other nodes have. Which heights a validator has
// signed is in no other place, and stays in.
func skipped(path string, ledger bool) bool {
	base := path[strings.LastIndex(path, "/")+1:]
	switch {
	case base == "LOCK" || strings.HasSuffix(base, ".new") || strings.HasSuffix(base, ".sock"):
		return true
	case ledger:
		return false
	}
	at := strings.Index("/"+path+"/", "/data/")
	return at >= 0 && base != "priv_validator_state.json" && base != "data"
}

// list finds the files and folders of a home, in order.
func list(home string, ledger bool) ([]file, error) {
	var out []file
	err := filepath.WalkDir(home, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == home {
			return err
		}
		rel, err := filepath.Rel(home, at)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case skipped(rel, ledger) && d.IsDir():
			return fs.SkipDir
		case skipped(rel, ledger) || !d.IsDir() && !info.Mode().IsRegular():
			return nil
		}
		out = append(out, file{rel, info})
		return nil
	})
	return out, err
}

// same reports whether two lists of a home are of the same bytes, as far as sizes and times tell.
func same(a, b []file) bool {
	return slices.EqualFunc(a, b, func(x, y file) bool {
		return x.path == y.path && (x.info.IsDir() || x.info.Size() == y.info.Size() && x.info.ModTime().Equal(y.info.ModTime()))
	})
}

// write seals the files of a home into w. It ends early with ctx.
func write(ctx context.Context, w io.Writer, home string, files []file, passphrase string, work int) error {
	to, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	to.SetWorkFactor(work)
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return err
	}
	t := tar.NewWriter(sealed)
	if err := t.WriteHeader(&tar.Header{Name: tarName, Mode: 0o600, ModTime: time.Now()}); err != nil {
		return err
	}
	for _, f := range files {
		if err := errors.Join(ctx.Err(), add(t, home, f)); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), sealed.Close())
}

func add(t *tar.Writer, home string, f file) error {
	h, err := tar.FileInfoHeader(f.info, "")
	if err != nil {
		return err
	}
	h.Name, h.Uid, h.Gid, h.Uname, h.Gname = f.path, 0, 0, "", ""
	if f.info.IsDir() {
		h.Name += "/"
	}
	if err := t.WriteHeader(h); err != nil || f.info.IsDir() {
		return err
	}
	in, err := os.Open(filepath.Join(home, filepath.FromSlash(f.path)))
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.CopyN(t, in, f.info.Size())
	if errors.Is(err, io.EOF) {
		return busy(f.path)
	}
	return err
}

// read opens a backup and puts its files into dir, which must be empty. It has read and
// authenticated the whole file when it returns nil.
//
// Errors: CodeRefused for a wrong passphrase; CodeBadInput for what is no backup, or was
// changed or cut off.
func read(ctx context.Context, r io.Reader, dir, passphrase string) (files int, err error) {
	from, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return 0, err
	}
	plain, err := age.Decrypt(r, from)
	if wrong := new(age.NoIdentityMatchError); errors.As(err, &wrong) {
		return 0, essaim.Errorf(essaim.CodeRefused, "give the passphrase that the backup was made with", "wrong passphrase, or the backup is damaged")
	}
	if err != nil {
		return 0, damaged(err)
	}
	t := tar.NewReader(plain)
	if h, err := t.Next(); err != nil || h.Name != tarName {
		return 0, damaged(errors.Join(err, errors.New("it does not begin like one")))
	}
	for ; ; files++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return files, damaged(err)
		}
		if err := extract(t, h, dir); err != nil {
			return files, err
		}
	}
	// The seal on the end: without it, a file that was cut off would pass.
	if _, err := io.Copy(io.Discard, plain); err != nil {
		return files, damaged(err)
	}
	return files, nil
}

func extract(t *tar.Reader, h *tar.Header, dir string) error {
	name := filepath.FromSlash(strings.TrimSuffix(h.Name, "/"))
	if !filepath.IsLocal(name) {
		return damaged(fmt.Errorf("%q leads out of the home", h.Name))
	}
	at := filepath.Join(dir, name)
	switch h.Typeflag {
	case tar.TypeDir:
		return os.Mkdir(at, h.FileInfo().Mode().Perm()|0o700)
	case tar.TypeReg:
		return extractFile(t, h, at)
	}
	return damaged(fmt.Errorf("%q is no file and no folder", h.Name))
}

func extractFile(t *tar.Reader, h *tar.Header, at string) error {
	out, err := os.OpenFile(at, os.O_WRONLY|os.O_CREATE|os.O_EXCL, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, t); err != nil {
		return errors.Join(damaged(err), out.Close())
	}
	if err := errors.Join(out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Chtimes(at, time.Time{}, h.ModTime)
}

func damaged(err error) error {
	return essaim.Errorf(essaim.CodeBadInput, "take another copy of the backup: nothing was changed", "this is no backup, or it is damaged: %w", err)
}

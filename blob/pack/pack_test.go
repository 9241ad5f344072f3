package pack_test

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/blobtest"
	"github.com/essaim/essaim/blob/mem"
	"github.com/essaim/essaim/blob/pack"
	_ "github.com/essaim/essaim/internal/durable" // the database's driver
)

func open(t testing.TB, path string, large blob.Store) *pack.Store {
	t.Helper()
	s, err := pack.Open(path, large)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blob.Store {
		return open(t, filepath.Join(t.TempDir(), "small.db"), mem.New())
	})
	blobtest.RunDamaged(t, func(t testing.TB) (blob.Store, blobtest.Damage) {
		path := filepath.Join(t.TempDir(), "small.db")
		s := open(t, path, mem.New())
		return s, func(d essaim.Digest, b []byte) {
			if _, err := s.Has(t.Context(), d); err != nil { // it is in the rows then
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if b == nil {
				b = []byte{}
			}
			if _, err := db.Exec(`UPDATE blobs SET bytes = ? WHERE digest = ?`, b, d[:]); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkStore(b *testing.B) {
	blobtest.Bench(b, func(t testing.TB) blob.Store {
		return open(t, filepath.Join(t.TempDir(), "small.db"), mem.New())
	})
}

func TestLargeBlobsAndOldOnesAreInTheOtherStore(t *testing.T) {
	ctx, large := context.Background(), mem.New()
	old, err := large.Put(ctx, []byte("here before the file was"))
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(t.TempDir(), "small.db"), large)
	for _, n := range []int{pack.Small, pack.Small + 1} {
		d, err := s.Put(ctx, bytes.Repeat([]byte{7}, n))
		if err != nil {
			t.Fatal(err)
		}
		if in, err := large.Has(ctx, d); err != nil || in != (n > pack.Small) {
			t.Errorf("%d bytes: in the other store: %v, %v", n, in, err)
		}
		if b, err := s.Get(ctx, d); err != nil || len(b) != n {
			t.Errorf("%d bytes: got %d, %v", n, len(b), err)
		}
	}
	if b, err := s.Get(ctx, old); err != nil || string(b) != "here before the file was" {
		t.Errorf("an old blob: %q, %v", b, err)
	}
	if err := s.Delete(ctx, old); err != nil {
		t.Fatal(err)
	}
	if _, err := large.Get(ctx, old); essaim.CodeOf(err) != essaim.CodeNotFound {
		t.Errorf("a deleted blob: %v", err)
	}
}

func TestBlobsSurviveReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small.db")
	first := open(t, path, mem.New())
	d, err := first.Put(context.Background(), []byte("picture"))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := open(t, path, mem.New()).Get(context.Background(), d); err != nil || string(b) != "picture" {
		t.Fatalf("%q, %v", b, err)
	}
}

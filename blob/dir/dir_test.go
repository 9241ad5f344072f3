package dir_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/blobtest"
	"github.com/essaim/essaim/blob/dir"
)

func open(t testing.TB, root string) *dir.Store {
	t.Helper()
	s, err := dir.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(root string, d essaim.Digest) string {
	return filepath.Join(root, d.String()[:2], d.String()[2:4], d.String())
}

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blob.Store { return open(t, t.TempDir()) })
	blobtest.RunDamaged(t, func(t testing.TB) (blob.Store, blobtest.Damage) {
		root := t.TempDir()
		return open(t, root), func(d essaim.Digest, bytes []byte) {
			if err := os.WriteFile(file(root, d), bytes, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkStore(b *testing.B) {
	blobtest.Bench(b, func(t testing.TB) blob.Store { return open(t, t.TempDir()) })
}

func TestBlobsSurviveReopening(t *testing.T) {
	root := t.TempDir()
	d, err := open(t, root).Put(context.Background(), []byte("picture"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := open(t, root).Get(context.Background(), d)
	if err != nil || string(got) != "picture" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestCrashedWritesAreCleaned(t *testing.T) {
	root := t.TempDir()
	open(t, root)
	left, busy := filepath.Join(root, "tmp", "put-1"), filepath.Join(root, "tmp", "put-2")
	for _, path := range []string{left, busy} {
		if err := os.WriteFile(path, []byte("half a pic"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	long := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}
	open(t, root)
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("what a crash left is still there: %v", err)
	}
	if _, err := os.Stat(busy); err != nil {
		t.Errorf("another writer's file was removed: %v", err)
	}
}

func TestPutLeavesNoTemporaryFile(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	if _, err := s.Put(context.Background(), []byte("picture")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(root, "tmp"))
	if err != nil || len(entries) != 0 {
		t.Fatalf("%v, %v", entries, err)
	}
}

func TestPutHealsADamagedFile(t *testing.T) {
	root := t.TempDir()
	s := open(t, root)
	ctx := context.Background()
	d, err := s.Put(ctx, []byte("picture"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file(root, d), []byte("pictur!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, []byte("picture")); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Get(ctx, d); err != nil || string(got) != "picture" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestOpenRefusesAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Open(path); essaim.CodeOf(err) != essaim.CodeBadInput {
		t.Fatalf("got %v", err)
	}
}

// Package blobtest is the conformance suite of blob stores: a driver that passes Run
// and RunDamaged can hold a network's blobs. It must not know any driver.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob"
)

// Damage replaces what a store holds under d, behind the store's back.
type Damage func(d essaim.Digest, bytes []byte)

// Run checks the contract of blob.Store. open returns a new, empty store.
func Run(t *testing.T, open func(testing.TB) blob.Store) {
	for name, test := range map[string]func(*testing.T, blob.Store){
		"put, get, has, delete": roundTrip,
		"put twice":             putTwice,
		"what is not there":     missing,
		"sizes":                 sizes,
		"bytes are copied":      copies,
		"concurrent use":        concurrent,
		"cancelled context":     cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// RunDamaged checks that damaged bytes are reported and never returned. open returns
// a new, empty store and the means to damage it.
func RunDamaged(t *testing.T, open func(testing.TB) (blob.Store, Damage)) {
	for name, change := range map[string]func([]byte) []byte{
		"one bit":     func(b []byte) []byte { b[0] ^= 1; return b },
		"cut":         func(b []byte) []byte { return b[:len(b)-1] },
		"longer":      func(b []byte) []byte { return append(b, 0) },
		"emptied":     func([]byte) []byte { return nil },
		"another one": func([]byte) []byte { return []byte("another picture") },
	} {
		t.Run("damaged: "+name, func(t *testing.T) {
			s, damage := open(t)
			d := put(t, s, []byte("a picture"))
			damage(d, change([]byte("a picture")))
			got, err := s.Get(context.Background(), d)
			if got != nil {
				t.Errorf("damaged bytes were returned")
			}
			wantCode(t, err, essaim.CodeInternal)
		})
	}
}

// Bench measures Put of new bytes and Get, at the sizes of a picture and of a large
// blob.
func Bench(b *testing.B, open func(testing.TB) blob.Store) {
	for _, size := range []int{100 << 10, 4 << 20} {
		data := make([]byte, size)
		rand.Read(data)
		b.Run(fmt.Sprintf("put/%dKiB", size>>10), func(b *testing.B) {
			s := open(b)
			b.SetBytes(int64(size))
			for i := 0; b.Loop(); i++ {
				copy(data, fmt.Sprintf("%20d", i))
				d := put(b, s, data)
				b.StopTimer()
				if err := s.Delete(context.Background(), d); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run(fmt.Sprintf("get/%dKiB", size>>10), func(b *testing.B) {
			s := open(b)
			d := put(b, s, data)
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := s.Get(context.Background(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func roundTrip(t *testing.T, s blob.Store) {
	ctx := context.Background()
	data := []byte("a picture")
	d := put(t, s, data)
	if d != essaim.DigestOf(data) {
		t.Errorf("digest %s is not the SHA-256 of the bytes", d)
	}
	if got, err := s.Get(ctx, d); err != nil || !bytes.Equal(got, data) {
		t.Errorf("get: %q, %v", got, err)
	}
	if ok, err := s.Has(ctx, d); err != nil || !ok {
		t.Errorf("has: %v, %v", ok, err)
	}
	for range 2 {
		if err := s.Delete(ctx, d); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
	if ok, err := s.Has(ctx, d); err != nil || ok {
		t.Errorf("has after delete: %v, %v", ok, err)
	}
	_, err := s.Get(ctx, d)
	wantCode(t, err, essaim.CodeNotFound)
}

func putTwice(t *testing.T, s blob.Store) {
	a, b := put(t, s, []byte("x")), put(t, s, []byte("x"))
	if a != b {
		t.Errorf("digests %s and %s", a, b)
	}
	if got, err := s.Get(context.Background(), a); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

func missing(t *testing.T, s blob.Store) {
	ctx := context.Background()
	for _, d := range []essaim.Digest{{}, essaim.DigestOf([]byte("never stored"))} {
		_, err := s.Get(ctx, d)
		wantCode(t, err, essaim.CodeNotFound)
		if ok, err := s.Has(ctx, d); ok || err != nil {
			t.Errorf("has: %v, %v", ok, err)
		}
		if err := s.Delete(ctx, d); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}

func sizes(t *testing.T, s blob.Store) {
	ctx := context.Background()
	for _, n := range []int{0, blob.MaxSize + 1} {
		_, err := s.Put(ctx, make([]byte, n))
		wantCode(t, err, essaim.CodeBadInput)
	}
	for _, n := range []int{1, 4095, 4096, 1 << 20, blob.MaxSize} {
		data := make([]byte, n)
		if got, err := s.Get(ctx, put(t, s, data)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
}

func copies(t *testing.T, s blob.Store) {
	data := []byte("a picture")
	d := put(t, s, data)
	data[0] = 'X'
	got, err := s.Get(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'Y'
	if got, err = s.Get(context.Background(), d); err != nil || string(got) != "a picture" {
		t.Errorf("%q, %v", got, err)
	}
}

func concurrent(t *testing.T, s blob.Store) {
	ctx := context.Background()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 20 {
				own := fmt.Appendf(nil, "blob %d of %d", i, worker)
				for _, data := range [][]byte{own, fmt.Appendf(nil, "shared blob %d", i)} {
					d, err := s.Put(ctx, data)
					if err != nil {
						t.Errorf("put: %v", err)
						return
					}
					if got, err := s.Get(ctx, d); err != nil || !bytes.Equal(got, data) {
						t.Errorf("get: %q, %v", got, err)
					}
				}
				if err := s.Delete(ctx, essaim.DigestOf(own)); err != nil {
					t.Errorf("delete: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func cancelled(t *testing.T, s blob.Store) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Put(ctx, []byte("x")); err == nil {
		t.Error("put went on after its context had ended")
	}
	if ok, err := s.Has(context.Background(), essaim.DigestOf([]byte("x"))); ok || err != nil {
		t.Errorf("a failed put stored something: %v", err)
	}
}

func put(t testing.TB, s blob.Store, data []byte) essaim.Digest {
	t.Helper()
	d, err := s.Put(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func wantCode(t testing.TB, err error, code essaim.Code) {
	t.Helper()
	if err == nil || essaim.CodeOf(err) != code {
		t.Errorf("got error %v, want code %s", err, code)
	}
}

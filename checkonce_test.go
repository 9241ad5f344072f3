package essaim_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/essaim/essaim"
)

func TestASignatureCheckedOnceIsRefusedWithAnyBitChanged(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	task := essaim.NewTask("c", 1, 1)
	task.Kind, task.Model, task.Input = essaim.KindImage, essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("i"))
	signed, err := essaim.SignTask(task, key)
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error {
		_, s, err := essaim.ReadTask(b)
		if err == nil {
			err = s.CheckOnce()
		}
		return err
	}
	for range 2 { // made here, and then found right
		if err := check(signed); err != nil {
			t.Fatal(err)
		}
	}
	for i := range signed {
		other := slices.Clone(signed)
		other[i] ^= 1 << (i % 8)
		for range 2 { // what was refused stays refused
			if check(other) == nil {
				t.Fatalf("byte %d of %d changed, and it holds", i, len(signed))
			}
		}
	}
}

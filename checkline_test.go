package essaim_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"sync"
	"testing"

	"github.com/essaim/essaim"
)

// TestSignaturesCheckedTogether: each of many that come at the same time gets its own
// answer.
func TestSignaturesCheckedTogether(t *testing.T) {
	var keys []ed25519.PrivateKey
	for range 3 {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	task := essaim.NewTask("c", 1, 1)
	task.Kind, task.Model, task.Input = essaim.KindImage, essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("i"))
	var g sync.WaitGroup
	for i := range 500 {
		g.Go(func() {
			own := task
			own.Seq = uint64(i + 1)
			signed, err := essaim.SignTask(own, keys[i%3])
			if err != nil {
				t.Error(err)
				return
			}
			bad := i%7 == 0
			if bad {
				signed[len(signed)-1-i%60] ^= 1
			}
			_, s, err := essaim.ReadTask(signed)
			if err == nil {
				err = s.CheckTogether()
			}
			if bad != (err != nil) || bad && essaim.CodeOf(err) != essaim.CodeRefused {
				t.Errorf("task %d: %v", i, err)
			}
		})
	}
	g.Wait()
}

func BenchmarkCheckTogether(b *testing.B) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	task := essaim.NewTask("c", 1, 1)
	task.Kind, task.Model, task.Input = essaim.KindImage, essaim.DigestOf([]byte("m")), essaim.DigestOf([]byte("i"))
	signed, err := essaim.SignTask(task, key)
	if err != nil {
		b.Fatal(err)
	}
	_, s, err := essaim.ReadTask(signed)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			_ = s.Check()
		}
	})
	b.Run("32 at a time", func(b *testing.B) {
		var g sync.WaitGroup
		for range 32 {
			g.Go(func() {
				for range b.N/32 + 1 {
					_ = s.CheckTogether()
				}
			})
		}
		g.Wait()
	})
}

package mem_test

import (
	"testing"

	"github.com/essaim/essaim/blob"
	"github.com/essaim/essaim/blob/blobtest"
	"github.com/essaim/essaim/blob/mem"
)

func TestConformance(t *testing.T) {
	blobtest.Run(t, func(testing.TB) blob.Store { return mem.New() })
	blobtest.RunDamaged(t, func(testing.TB) (blob.Store, blobtest.Damage) {
		s := mem.New()
		return s, s.Damage
	})
}

func BenchmarkStore(b *testing.B) {
	blobtest.Bench(b, func(testing.TB) blob.Store { return mem.New() })
}

package all_test

import (
	"context"
	"testing"

	"github.com/essaim/essaim"
	"github.com/essaim/essaim/blob/all"
)

func TestOpen(t *testing.T) {
	for _, spec := range []string{"mem:", "dir:" + t.TempDir()} {
		s, err := all.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(context.Background(), []byte("x")); err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
	}
	for _, spec := range []string{"", "dir", "dir:", "mem", "mem:x", "s3:bucket", "/path"} {
		if _, err := all.Open(spec); essaim.CodeOf(err) != essaim.CodeBadInput {
			t.Errorf("%q: got %v, want bad input", spec, err)
		}
	}
}
